"""Multi-scale structural similarity as a loss (Wang, Simoncelli and Bovik 2003).

The same figure as `evaluation.metrics.ms_ssim`, on tensors and with gradients.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .windows import blur

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, SIGMA = 11, 1.5
LEAST = 1e-6
"""Smaller terms count as this: the gradient of their power would be of no use."""
MIN_CROP = 192
"""Side of the smallest crop (a multiple of 64) whose fifth scale holds a window."""


def ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Pictures (B, H, W, C) in 0..1, sides of `MIN_CROP` or more -> similarities (B,), 1 if equal.

    Mean over channels; windows of 11 x 11, no padding. In float32 or more, whatever autocast says:
    a variance is a small difference of large means.
    """
    with torch.autocast(a.device.type, enabled=False):
        return _ms_ssim(a, b)


def _ms_ssim(a: Tensor, b: Tensor) -> Tensor:
    batch, _, _, channels = a.shape
    # Every channel is a picture of its own: (B C, 1, H, W).
    a, b = (x.permute(0, 3, 1, 2).flatten(0, 1)[:, None] for x in (a, b))
    result = a.new_ones(batch * channels)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        luminance, contrast = _terms(a, b)
        term = contrast if scale + 1 < len(WEIGHTS) else luminance * contrast
        result = result * term.mean((1, 2, 3)).clamp(min=LEAST) ** weight
    return result.view(batch, channels).mean(1)


def _terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Similarity of means, and of contrasts and structures, in every window."""
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a * mean_a
    variance_b = _blur(b * b) - mean_b * mean_b
    covariance = _blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance, (2 * covariance + c2) / (variance_a + variance_b + c2)


def _blur(x: Tensor) -> Tensor:
    return blur(x, SIGMA, WINDOW // 2, "valid")
