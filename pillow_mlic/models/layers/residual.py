"""Residual blocks of the Cheng'20 kind (arXiv 2001.01568), as MLIC's transforms have them.

(B, H, W, C) layout. Activations are GELU where Cheng et al. have leaky ReLU.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from .conv import Conv2d, SubpixelConv
from .gdn import GDN


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, GELU after each; a 1x1 convolution on the skip if widths differ."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(c_in, c_out)
        self.conv2 = Conv2d(c_out, c_out)
        self.skip = Conv2d(c_in, c_out, 1) if c_in != c_out else None

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """With `overwrite` the result may take the place of x."""

        def finish(y: Tensor, x: Tensor) -> Tensor:
            return F.gelu(y) + (x if self.skip is None else self.skip(x))

        overwrite = overwrite and self.skip is None
        return self.conv2(self.conv1(x, F.gelu), finish, x, overwrite=overwrite)


class ResidualDown(nn.Module):
    """(B, H, W, c_in) -> (B, H/2, W/2, c_out): strided 3x3, GELU, 3x3, GDN; 1x1 on the skip."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(c_in, c_out, stride=2)
        self.conv2 = Conv2d(c_out, c_out)
        self.gdn = GDN(c_out)
        self.skip = Conv2d(c_in, c_out, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        gdn = self.gdn.function()
        bias = self.skip.bias
        assert bias is not None  # as it was made
        weight, bias = self.skip.weight.flatten(1).to(x.dtype), bias.to(x.dtype)

        def finish(y: Tensor, x: Tensor) -> Tensor:
            return gdn(y) + F.linear(x, weight, bias)

        return self.conv2(self.conv1(x, F.gelu), finish, x[:, ::2, ::2])


class ResidualUp(nn.Module):
    """(B, H, W, c_in) -> (B, 2H, 2W, c_out): sub-pixel convolution, GELU, 3x3, inverse GDN.

    The skip is a sub-pixel convolution of its own.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.subpel_conv = SubpixelConv(c_in, c_out)
        self.conv = Conv2d(c_out, c_out)
        self.igdn = GDN(c_out, inverse=True)
        self.upsample = SubpixelConv(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        igdn = self.igdn.function()

        def finish(y: Tensor, skip: Tensor) -> Tensor:
            return igdn(y) + skip

        skip = self.upsample(x)
        return self.conv(self.subpel_conv(x, F.gelu), finish, skip, overwrite=True)


class ResidualStack(nn.Sequential):
    """The layers one after the other; a residual block after another layer needs no new memory."""

    def forward(self, x: Tensor) -> Tensor:
        for place, layer in enumerate(self):
            x = layer(x, overwrite=place > 0) if isinstance(layer, ResidualBlock) else layer(x)
        return x
