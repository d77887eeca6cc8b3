"""What a distortion costs in bits a pixel: lambda times what the measure finds.

`psnr`: squared error. `ms-ssim`: 1 - MS-SSIM. `visual`: SSIMULACRA2 and masked error in bands of
XYB, and a share of squared error that keeps colours and flat areas from drifting.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ..models.layers.quality import lambda_of
from . import masked_bands, ssimulacra2
from .ms_ssim import MIN_CROP as MS_SSIM_CROP
from .ms_ssim import ms_ssim

SQUARED_SHARE = 0.2
"""The weight of squared error in `visual`, relative to its cost for `psnr`."""

BANDS_SHARE = 0.2
"""The weight of the error in bands in `visual`, relative to SSIMULACRA2's."""
BANDS_UNIT = 30.0
"""The error in bands, squared, is so many times SSIMULACRA2's u, at all qualities (valid)."""

MIN_CROPS = {"psnr": 64, "ms-ssim": MS_SSIM_CROP, "visual": ssimulacra2.MIN_CROP}
"""Side in pixels of the smallest crops that each can be trained with."""

LEAST_SIDES = {"psnr": 1, "ms-ssim": 176, "visual": 64}
"""Sides in pixels that pictures must have for each; 176 is that of MS-SSIM's fifth scale."""


def cost(distortion: str, shown: Tensor, original: Tensor, quality: Tensor) -> Tensor:
    """What `distortion` costs each of (B, H, W, 3) pictures at `quality` (B,), in bits a pixel.

    `original` in 0..1; `shown` as synthesis gives it, possibly beyond 0..1.
    """
    return COSTS[distortion](shown, original, quality)


def mse(shown: Tensor, original: Tensor) -> Tensor:
    """Mean squared error (B,) of pictures (B, H, W, 3) in 0..1, in squared levels of 8 bits."""
    return _SquaredNorm.apply(shown - original) * (255**2 / original[0].numel())


def _psnr(shown: Tensor, original: Tensor, quality: Tensor) -> Tensor:
    return lambda_of(quality) * mse(shown, original)


def _ms_ssim(shown: Tensor, original: Tensor, quality: Tensor) -> Tensor:
    return lambda_of(quality, "ms-ssim") * (1 - ms_ssim(shown.float(), original))


def _visual(shown: Tensor, original: Tensor, quality: Tensor) -> Tensor:
    shown = shown.float()
    # The measure has no gradient for values outside 0..1: squared error brings them back.
    beyond = mse(shown, shown.detach().clamp(0, 1))
    squared = SQUARED_SHARE * mse(shown, original) + beyond
    seen = ssimulacra2.badness(original, shown, crops=True)
    bands = masked_bands.error(original, shown).square() / BANDS_UNIT
    seen = (seen + BANDS_SHARE * bands) / (1 + BANDS_SHARE)
    return lambda_of(quality, "visual") * seen + lambda_of(quality) * squared


COSTS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "psnr": _psnr,
    "ms-ssim": _ms_ssim,
    "visual": _visual,
}


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
