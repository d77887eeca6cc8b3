"""Quality as a continuous number: lambdas and tables of gains, interpolated in the log domain."""

import torch
from torch import Tensor, nn

QUALITIES = 8
"""Integer qualities 1..8; anything between is interpolated."""

LAMBDAS = (0.0018, 0.0035, 0.0067, 0.0130, 0.0250, 0.0483, 0.0932, 0.2800)
"""Lagrangian weight of quality 1..8: loss = bpp + lambda * 255^2 * MSE (MSE of values in 0..1)."""


def interpolate(table: Tensor, quality: Tensor) -> Tensor:
    """Rows of `table` (8, C) at `quality` (B,) in [1, 8], linear between integers: (B, C)."""
    position = (quality - 1).clamp(0, QUALITIES - 1)
    low = position.floor().clamp(max=QUALITIES - 2)
    weight = (position - low).unsqueeze(-1).to(table.dtype)
    index = low.long()
    return table[index] * (1 - weight) + table[index + 1] * weight


def lambda_of(quality: Tensor) -> Tensor:
    """Lambda of `quality` (B,), log-interpolated: (B,)."""
    logs = torch.tensor(LAMBDAS, dtype=quality.dtype, device=quality.device).log()
    return interpolate(logs.unsqueeze(-1), quality).squeeze(-1).exp()


class Gain(nn.Module):
    """Positive gains per channel and quality: (B,) -> (B, 1, 1, C), for (B, H, W, C) tensors."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(QUALITIES, channels))

    def forward(self, quality: Tensor) -> Tensor:
        return interpolate(self.log, quality).exp()[:, None, None, :]

    def scale(self, x: Tensor, quality: Tensor) -> Tensor:
        """x (B, H, W, C) times the gains at `quality` (B,), in the precision of x."""
        return x * self(quality).to(x.dtype)
