"""Quality as a continuous number: lambdas and tables of gains, interpolated in the log domain."""

import torch
from torch import Tensor, nn

from ..lambdas import DISTORTIONS, QUALITIES
from .constants import constant


def interpolate(table: Tensor, quality: Tensor) -> Tensor:
    """Rows of `table` (8, C) at `quality` (B,) in [1, 8], linear between integers: (B, C)."""
    position = (quality - 1).clamp(0, QUALITIES - 1)
    low = position.floor().clamp(max=QUALITIES - 2)
    weight = (position - low).unsqueeze(-1).to(table.dtype)
    index = low.long()
    return table[index] * (1 - weight) + table[index + 1] * weight


def lambda_of(quality: Tensor, distortion: str = "psnr") -> Tensor:
    """Lambda of `quality` (B,), log-interpolated: (B,)."""
    logs = _log_lambdas(distortion, quality.dtype, quality.device)
    return interpolate(logs.unsqueeze(-1), quality).squeeze(-1).exp()


@constant
def _log_lambdas(distortion: str, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.tensor(DISTORTIONS[distortion], dtype=dtype, device=device).log()


def error_price(quality: Tensor) -> Tensor:
    """Bits (B,) that a unit of squared error costs, in values 0..1, summed over R, G and B."""
    return lambda_of(quality) * (255**2 / 3)


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
