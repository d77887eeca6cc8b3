"""What a distortion costs in bits a pixel: lambda times what the measure finds.

`psnr`: squared error. `ms-ssim`: 1 - MS-SSIM. `visual`: SSIMULACRA2 and Butteraugli, and a share of
squared error that keeps colours and flat areas from drifting.
"""

import torch
from torch import Tensor

from ..models.layers.quality import lambda_of
from . import butteraugli, ssimulacra2
from .ms_ssim import MIN_CROP as MS_SSIM_CROP
from .ms_ssim import ms_ssim

SQUARED_SHARE = 0.1
"""The weight of squared error in `visual`, relative to its cost for `psnr`."""

BUTTERAUGLI_SHARE = 0.5
"""The weight of Butteraugli's distance in `visual`, relative to SSIMULACRA2's."""
BUTTERAUGLI_POWER, BUTTERAUGLI_UNIT = 1.6, 0.46
"""The distance to this power is about so many times SSIMULACRA2's u at every quality; found on
validation photographs."""

MIN_CROPS = {"psnr": 64, "ms-ssim": MS_SSIM_CROP, "visual": ssimulacra2.MIN_CROP}
"""Side in pixels of the smallest crops that each can be trained with."""

LEAST_SIDES = {"psnr": 1, "ms-ssim": 176, "visual": 64}
"""Sides in pixels that pictures must have for each; 176 is that of MS-SSIM's fifth scale."""


def cost(
    distortion: str,
    shown: Tensor,
    original: Tensor,
    quality: Tensor,
    draw: torch.Generator | None = None,
) -> Tensor:
    """What `distortion` costs each of (B, H, W, 3) pictures at `quality` (B,), in bits a pixel.

    `original` in 0..1; `shown` as synthesis gives it, possibly beyond 0..1. `draw`, of the CPU,
    says at which pixels Butteraugli looks; without it, at all (see there).
    """
    match distortion:
        case "psnr":
            return lambda_of(quality) * mse(shown, original)
        case "ms-ssim":
            return lambda_of(quality, "ms-ssim") * (1 - ms_ssim(shown.float(), original))
        case "visual":
            return _visual(shown, original, quality, draw)
    msg = f"the distortion is {distortion!r}, but must be one of {', '.join(MIN_CROPS)}"
    raise ValueError(msg)


def mse(shown: Tensor, original: Tensor) -> Tensor:
    """Mean squared error (B,) of pictures (B, H, W, 3) in 0..1, in squared levels of 8 bits."""
    return _SquaredNorm.apply(shown - original) * (255**2 / original[0].numel())


def _visual(
    shown: Tensor, original: Tensor, quality: Tensor, draw: torch.Generator | None
) -> Tensor:
    shown = shown.float()
    # The measures have no gradient for values outside 0..1: squared error brings them back.
    beyond = mse(shown, shown.detach().clamp(0, 1))
    squared = SQUARED_SHARE * mse(shown, original) + beyond
    seen = ssimulacra2.badness(original, shown, crops=True)
    distance = butteraugli.distance(original, shown, draw)
    as_badness = distance**BUTTERAUGLI_POWER / BUTTERAUGLI_UNIT
    seen = (seen + BUTTERAUGLI_SHARE * as_badness) / (1 + BUTTERAUGLI_SHARE)
    return lambda_of(quality, "visual") * seen + lambda_of(quality) * squared


class _SquaredNorm(torch.autograd.Function):
    """Sum of squares of each sample; one product forward and one backward, where pow takes five."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x * x).flatten(1).sum(1)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return x * (2 * grads[0])[:, None, None, None]
