"""Rounding and likelihoods, which stand for the entropy coder in training."""

import math

import torch
from torch import Tensor

SCALE_MIN = 0.11
"""Smallest scale (standard deviation in quantisation steps) of the Gaussian tables."""

LIKELIHOOD_MIN = 1e-9


class _LowerBound(torch.autograd.Function):
    """max(x, bound) whose gradient passes where it would lift x back over the bound."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, x: Tensor, bound: float | Tensor
    ) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound  # type: ignore[attr-defined]
        return x.clamp(min=bound)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        (grad,) = grads
        return grad * ((x >= ctx.bound) | (grad < 0)), None  # type: ignore[attr-defined]


def lower_bound(x: Tensor, bound: float | Tensor) -> Tensor:
    """max(x, bound); the gradient passes where x >= bound or where it pushes x upwards.

    A tensor is a bound without a gradient, on the device of x: its number need not be read.
    """
    return _LowerBound.apply(x, bound)


def round_straight_through(x: Tensor) -> Tensor:
    """Round to the nearest integer (ties to even) with the gradient of the identity."""
    return x + (x.round() - x).detach()


def gaussian_bits(deviation: Tensor, scale: Tensor) -> Tensor:
    """Bits of a unit interval around `deviation` from the mean under N(0, scale^2), elementwise."""
    scale = lower_bound(scale, SCALE_MIN)
    deviation = deviation.abs()
    inverse = 1 / (scale * math.sqrt(2))
    upper = torch.erfc((deviation - 0.5) * inverse)
    lower = torch.erfc((deviation + 0.5) * inverse)
    return -torch.log2(lower_bound(0.5 * (upper - lower), LIKELIHOOD_MIN))
