"""Blocks of the light transforms, in channels-last layout.

Every tensor here is (B, H, W, C): a 1x1 convolution is then a plain matrix product, which CPUs
run at one and a half to two times the speed of the (B, C, H, W) layout.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import planar

LARGE = 2**21
"""Token mixing blocks are computed in bands where more numbers than this come in: what fits into
the processor's caches is faster as a whole."""
BAND = 2**18
"""About so many numbers come in at a time."""


def space_to_depth(x: Tensor, factor: int) -> Tensor:
    """(B, H, W, C) -> (B, H/factor, W/factor, factor*factor*C), row of the patch slowest."""
    b, h, w, c = x.shape
    x = x.reshape(b, h // factor, factor, w // factor, factor, c)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(b, h // factor, w // factor, factor * factor * c)


def depth_to_space(x: Tensor, factor: int) -> Tensor:
    """(B, H, W, factor*factor*C) -> (B, H*factor, W*factor, C), inverse of `space_to_depth`."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, factor, factor, c // (factor * factor))
    return x.permute(0, 1, 3, 2, 4, 5).reshape(b, h * factor, w * factor, c // (factor * factor))


class ExactLinear(nn.Linear):
    """Linear layer that computes in the type of its weights, whatever autocast says.

    What lies between the stages of a network is made of these. Blocks add their branches to it, so
    in training these sums are float32, too, while branches may be bfloat16. All in bfloat16 costs
    half of a grey level, and at high qualities training then sees little else.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_autocast_enabled(x.device.type):
            return super().forward(x)
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


def linear(c_in: int, c_out: int, exact: bool = False) -> nn.Linear:
    """Linear layer over channels that keeps the variance of its input; bias zero."""
    layer = (ExactLinear if exact else nn.Linear)(c_in, c_out)
    nn.init.normal_(layer.weight, std=c_in**-0.5)
    nn.init.zeros_(layer.bias)
    return layer


class Conv3x3(nn.Module):
    """3x3 convolution with zero padding on (B, H, W, C_in) -> (B, H, W, C_out)."""

    def __init__(self, c_in: int, c_out: int, groups: int = 1, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(c_out, c_in // groups, 3, 3))
        self.bias = nn.Parameter(torch.zeros(c_out)) if bias else None
        self.groups = groups
        nn.init.normal_(self.weight, std=0.3 / (9 * c_in // groups) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        if planar.is_planar():
            return planar.convolve(x, self.weight, self.bias, groups=self.groups)
        x = x.permute(0, 3, 1, 2)  # a view: memory stays channels-last
        x = F.conv2d(x, self.weight, self.bias, padding=1, groups=self.groups)
        return x.permute(0, 2, 3, 1)


class TokenMixing(nn.Module):
    """Token mixing block: spatial mixing, then a gated channel mixing, both residual.

    MLICv2 (section 3.3) builds its transforms from token mixing blocks; here the spatial mixing
    is a depthwise 3x3 convolution between two linear layers, so that a block costs 5 C^2
    multiplications a position:

        x -> LN -> linear -> SiLU -> depthwise 3x3 -> linear -> + x
          -> LN -> linear (a, b) -> SiLU(a) * b -> linear -> + x

    The last linear layer of either half starts at zero: a new block is the identity, so a trained
    network can be deepened and trained on without loss.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.spatial_in = linear(width, width)
        self.depthwise = Conv3x3(width, width, groups=width)
        self.spatial_out = linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.gate_in = linear(width, 2 * width)
        self.gate_out = linear(width, width)
        for last in (self.spatial_out, self.gate_out):
            nn.init.zeros_(last.weight)
        nn.init.normal_(self.depthwise.weight, std=0.5 / 3)
        with torch.no_grad():
            self.depthwise.weight[:, 0, 1, 1] += 0.7

    def forward(self, x: Tensor) -> Tensor:
        if _is_for_bands(x):
            return self._in_bands(x)
        return self.mixed(x, self.depthwise(self.spread(x)))

    def spread(self, x: Tensor) -> Tensor:
        """What the depthwise convolution sees."""
        return F.silu(self.spatial_in(self.norm1(x)))

    def mixed(self, x: Tensor, around: Tensor) -> Tensor:
        """The rest of the block; `around` is what the depthwise convolution gives."""
        x = x + self.spatial_out(around)
        a, b = self.gate_in(self.norm2(x)).chunk(2, dim=-1)
        return x + self.gate_out(F.silu(a) * b)

    def _in_bands(self, x: Tensor) -> Tensor:
        """The same, some rows at a time: what they need stays in the processor's caches, and
        memory that was used is used again. A whole tile at a time takes half as long again."""
        rows = max(BAND // x[0, 0].numel(), 1)
        bands = [(top, min(top + rows, x.shape[1])) for top in range(0, x.shape[1], rows)]
        spread = torch.cat([self.spread(x[:, top:bottom]) for top, bottom in bands], 1)
        out = torch.empty_like(x)
        for top, bottom in bands:
            first = max(top - 1, 0)
            around = self.depthwise(spread[:, first : bottom + 1])[:, top - first :]
            out[:, top:bottom] = self.mixed(x[:, top:bottom], around[:, : bottom - top])
        return out


def _is_for_bands(x: Tensor) -> bool:
    """Whether a block is better computed in bands: one large tile on a CPU, and no gradients.

    Nothing in float64 is, which stands for exact sums, and no graph that is exported.
    """
    if torch.compiler.is_compiling() or torch.is_grad_enabled() or x.dtype != torch.float32:
        return False
    return x.device.type == "cpu" and len(x) == 1 and x.numel() > LARGE


def token_mixing_stack(width: int, depth: int) -> nn.Sequential:
    """`depth` token mixing blocks of `width` channels in a row."""
    return nn.Sequential(*(TokenMixing(width) for _ in range(depth)))


class Merge(nn.Module):
    """Halve each side: (B, H, W, C_in) -> (B, H/2, W/2, C_out), a linear map of 2x2 groups."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.linear = linear(4 * c_in, c_out, exact=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(space_to_depth(x, 2))


class Split(nn.Module):
    """Double each side: (B, H, W, C_in) -> (B, 2H, 2W, C_out), a linear map to 2x2 groups."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.linear = linear(c_in, 4 * c_out, exact=True)

    def forward(self, x: Tensor) -> Tensor:
        return depth_to_space(self.linear(x), 2)
