"""Residual blocks of the Cheng'20 kind (arXiv 2001.01568), as MLIC's transforms have them.

(B, C, H, W) layout. Activations are GELU where Cheng et al. have leaky ReLU.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from .gdn import GDN


def conv(c_in: int, c_out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Convolution with zero padding that keeps H, W (divided by the stride)."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups)


def subpixel_conv(c_in: int, c_out: int) -> nn.Sequential:
    """(B, c_in, H, W) -> (B, c_out, 2H, 2W): 3x3 convolution, then pixel shuffle."""
    return nn.Sequential(conv(c_in, 4 * c_out), nn.PixelShuffle(2))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, GELU after each; a 1x1 convolution on the skip if widths differ."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = conv(c_in, c_out)
        self.conv2 = conv(c_out, c_out)
        self.skip = conv(c_in, c_out, 1) if c_in != c_out else None

    def forward(self, x: Tensor) -> Tensor:
        out = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return out + (x if self.skip is None else self.skip(x))


class ResidualDown(nn.Module):
    """(B, c_in, H, W) -> (B, c_out, H/2, W/2): strided 3x3, GELU, 3x3, GDN; 1x1 on the skip."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = conv(c_in, c_out, stride=2)
        self.conv2 = conv(c_out, c_out)
        self.gdn = GDN(c_out)
        self.skip = conv(c_in, c_out, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.gdn(self.conv2(F.gelu(self.conv1(x)))) + self.skip(x)


class ResidualUp(nn.Module):
    """(B, c_in, H, W) -> (B, c_out, 2H, 2W): sub-pixel convolution, GELU, 3x3, inverse GDN.

    The skip is a sub-pixel convolution of its own.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.subpel_conv = subpixel_conv(c_in, c_out)
        self.conv = conv(c_out, c_out)
        self.igdn = GDN(c_out, inverse=True)
        self.upsample = subpixel_conv(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.igdn(self.conv(F.gelu(self.subpel_conv(x)))) + self.upsample(x)
