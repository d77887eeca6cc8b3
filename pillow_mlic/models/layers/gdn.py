"""Generalised divisive normalisation (Balle et al., arXiv 1511.06281), as CompressAI stores it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .lower_bound import LowerBound

PEDESTAL = 2.0**-36


class NonNegative(nn.Module):
    """A parameter that cannot fall below `minimum`: stored as the square root of value + 2^-36."""

    pedestal: Tensor

    def __init__(self, minimum: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("pedestal", torch.tensor([PEDESTAL]))
        self.lower_bound = LowerBound((minimum + PEDESTAL) ** 0.5)

    @staticmethod
    def stored(value: Tensor) -> Tensor:
        """The stored form of `value`; `forward` turns it back."""
        return (value + PEDESTAL).sqrt()

    def forward(self, stored: Tensor) -> Tensor:
        return self.lower_bound(stored) ** 2 - self.pedestal


class GDN(nn.Module):
    """x_i / sqrt(beta_i + sum_j gamma_ij x_j^2) at every pixel of (B, H, W, C).

    With `inverse` (IGDN) x is multiplied by the root.
    """

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta = nn.Parameter(NonNegative.stored(torch.ones(channels)))
        self.gamma = nn.Parameter(NonNegative.stored(0.1 * torch.eye(channels)))
        self.beta_reparam = NonNegative(minimum=1e-6)
        self.gamma_reparam = NonNegative()

    def function(self) -> Callable[[Tensor], Tensor]:
        """A function that does what `forward` does, with constants computed once for many calls."""
        gamma = self.gamma_reparam(self.gamma)
        beta = self.beta_reparam(self.beta)

        def normalise(x: Tensor) -> Tensor:
            norm = F.linear(x * x, gamma.to(x.dtype), beta.to(x.dtype))
            return x * (norm.sqrt() if self.inverse else norm.rsqrt())

        return normalise

    def forward(self, x: Tensor) -> Tensor:
        return self.function()(x)
