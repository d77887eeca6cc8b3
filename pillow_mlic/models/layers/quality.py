"""Quality as a continuous number: lambdas and tables of gains, interpolated in the log domain."""

import math

import torch
from torch import Tensor, nn

QUALITIES = 8
"""Integer qualities 1..8; anything between is interpolated."""

LAMBDAS = (0.0018, 0.0035, 0.0067, 0.0130, 0.0250, 0.0483, 0.0932, 0.2800)
"""Lagrangian weight of quality 1..8: loss = bpp + lambda * 255^2 * MSE (MSE of values in 0..1)."""

MS_SSIM_LAMBDAS = (2.4, 4.58, 8.73, 16.64, 31.73, 60.5, 115.4, 220.0)
"""The same where distortion is 1 - MS-SSIM: loss = bpp + lambda * (1 - MS-SSIM).

Up to quality 6 those of the published weights, from there on as they grow.
"""

VISUAL_LAMBDAS = (0.0075, 0.012, 0.022, 0.042, 0.082, 0.155, 0.29, 0.75)
"""Weight of SSIMULACRA2's u; see `distortion.costs`. So files are about as large as for MSE."""

DISTORTIONS = {"psnr": LAMBDAS, "ms-ssim": MS_SSIM_LAMBDAS, "visual": VISUAL_LAMBDAS}
"""What can be trained for."""


def interpolate(table: Tensor, quality: Tensor) -> Tensor:
    """Rows of `table` (8, C) at `quality` (B,) in [1, 8], linear between integers: (B, C)."""
    position = (quality - 1).clamp(0, QUALITIES - 1)
    low = position.floor().clamp(max=QUALITIES - 2)
    weight = (position - low).unsqueeze(-1).to(table.dtype)
    index = low.long()
    return table[index] * (1 - weight) + table[index + 1] * weight


def lambda_of(quality: Tensor, distortion: str = "psnr") -> Tensor:
    """Lambda of `quality` (B,), log-interpolated: (B,)."""
    lambdas = DISTORTIONS[distortion]
    logs = torch.tensor(lambdas, dtype=quality.dtype, device=quality.device).log()
    return interpolate(logs.unsqueeze(-1), quality).squeeze(-1).exp()


def error_price(quality: Tensor) -> Tensor:
    """Bits (B,) that a unit of squared error costs, in values 0..1, summed over R, G and B."""
    return lambda_of(quality) * (255**2 / 3)


def quality_of(lam: float, distortion: str = "psnr") -> float:
    """The quality 1..8 whose lambda this is; ValueError outside of the known ones."""
    lambdas = DISTORTIONS[distortion]
    if not lambdas[0] <= lam <= lambdas[-1]:
        msg = f"lambda is {lam:g}, but must be from {lambdas[0]:g} to {lambdas[-1]:g}"
        raise ValueError(msg)
    low = max(i for i in range(QUALITIES - 1) if lambdas[i] <= lam)
    step = math.log(lambdas[low + 1] / lambdas[low])
    return round(1 + low + math.log(lam / lambdas[low]) / step, 3)


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
