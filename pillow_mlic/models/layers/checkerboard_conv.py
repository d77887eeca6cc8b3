"""Convolutions between the two halves of a checkerboard (He et al., arXiv 2103.15306).

One such convolution is the local context of LALIC, three of them that of MLIC.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .checkerboard import ANCHOR, put, windows

DEPTH = 3
"""Convolutions in a row in MLIC's local context: J in section 3.4.1."""


class CheckerboardConv(nn.Module):
    """5x5 convolution that computes one half of the checkerboard from the other.

    Packed half (B, H, W/2, c_in) -> the other one (B, H, W/2, c_out). `mask` is part of LALIC's
    published state dict.
    """

    mask: Tensor

    def __init__(self, c_in: int, c_out: int, kernel: int = 5) -> None:
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, kernel)
        assert conv.bias is not None
        self.weight = conv.weight
        self.bias = conv.bias
        tap = torch.arange(kernel)
        other_half = (tap[:, None] + tap[None, :]) % 2
        self.register_buffer("mask", other_half.expand(self.weight.shape).to(self.weight.dtype))

    def forward(self, packed: Tensor, half: int) -> Tensor:
        """`half` is the one that `packed` holds."""
        batch, height, width, _ = packed.shape
        kernel = self.weight.shape[-1]
        reach = kernel // 2
        padded = F.pad(put(packed, half), (0, 0, reach, reach, reach, reach)).flatten(0, 2)
        index = windows(batch, height, 2 * width, kernel, 1 - half, packed.device)[1::2].T
        # The taps that the mask leaves are every second one, in the order of rows.
        near = F.embedding(index, padded).view(batch, height, width, -1)
        weight = (self.weight * self.mask).flatten(2)[..., 1::2].transpose(1, 2).flatten(1)
        return F.linear(near, weight.to(near.dtype), self.bias.to(near.dtype))


class StackedCheckerboard(nn.Module):
    """J checkerboard convolutions, J odd, GELU between: MLIC, section 3.4.1.

    Anchors (B, H, W/2, c) -> context of non-anchors (B, H, W/2, 2c). Each convolution carries what
    is known to the other half; as J is odd, the last one ends at the non-anchors. Together they see
    2 J (K // 2) + 1 positions a side, but only anchors, and not those in the corners.
    """

    def __init__(self, channels: int, kernel: int = 5, depth: int = DEPTH) -> None:
        super().__init__()
        widths = [channels, *[2 * channels] * depth]
        self.layers = nn.ModuleList(CheckerboardConv(a, b, kernel) for a, b in pairwise(widths))

    def forward(self, anchors: Tensor) -> Tensor:
        x, half = anchors, ANCHOR
        for place, layer in enumerate(self.layers):
            x = layer(F.gelu(x) if place else x, half)
            half = 1 - half
        return x
