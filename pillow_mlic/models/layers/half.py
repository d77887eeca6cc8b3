"""Blocks in bfloat16 where it does no harm: their branches, not the sums that go through.

A token mixing block adds two branches to what comes in. Here the branches are computed in bfloat16
and the sums, like all layers between the stages, in float32. So errors do not add up: a tenth of a
grey level in all, where everything in bfloat16 gives half of one.
"""

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .blocks import TokenMixing

M = TypeVar("M", bound=nn.Module)


class HalfTokenMixing(nn.Module):
    """`blocks.TokenMixing` with its branches in bfloat16; (B, H, W, C) float32 -> the same."""

    def __init__(self, block: TokenMixing) -> None:
        super().__init__()
        self.norm1, self.norm2 = block.norm1, block.norm2
        half = copy.deepcopy(block).to(torch.bfloat16)
        self.spatial_in, self.depthwise = half.spatial_in, half.depthwise
        self.spatial_out = half.spatial_out
        self.gate_in, self.gate_out = half.gate_in, half.gate_out

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.spatial_in(self.norm1(x).bfloat16()))
        x = x + self.spatial_out(self.depthwise(h))
        a, b = self.gate_in(self.norm2(x).bfloat16()).chunk(2, dim=-1)
        return x + self.gate_out(F.silu(a) * b)


def with_half_blocks(module: M) -> M:
    """A copy of `module` whose token mixing blocks compute in bfloat16; it shares all else."""
    if isinstance(module, TokenMixing):
        return HalfTokenMixing(module)  # type: ignore[return-value]
    twin = copy.copy(module)
    twin._modules = {
        name: child and with_half_blocks(child) for name, child in module._modules.items()
    }
    return twin
