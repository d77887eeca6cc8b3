"""Rotary position embedding in two dimensions, with learnt angles (MLICv2, section 3.4.3)."""

import torch
from torch import Tensor, nn

BASE = 10000.0


class Rotary(nn.Module):
    """Turns each pair of channels of (B, H, W, C) by row x theta_y + column x theta_x.

    Products of two such vectors then depend on how far apart they are. Angles start in each head
    like those of Su et al. (arXiv 2104.09864): 10000^(-k / pairs) for its pair k, and are learnt.
    """

    def __init__(self, channels: int, heads: int = 1) -> None:
        super().__init__()
        if channels % (2 * heads):  # a pair would belong to two heads
            heads = 1
        pairs = channels // heads // 2
        start = BASE ** (-torch.arange(pairs) / pairs)
        self.angles = nn.Parameter(start.repeat(2, heads))

    def forward(self, x: Tensor) -> Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        row = torch.arange(x.shape[1], dtype=wide.dtype, device=x.device)
        column = torch.arange(x.shape[2], dtype=wide.dtype, device=x.device)
        down, right = self.angles.to(wide.dtype)
        angle = row[:, None, None] * down + column[:, None] * right
        sine, cosine = angle.sin(), angle.cos()
        a, b = wide.unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack((a * cosine - b * sine, a * sine + b * cosine), dim=-1)
        return turned.flatten(-2).to(x.dtype)
