"""What a quality means: the lambda that weighs distortion against bits. Needs no torch."""

import math

QUALITIES = 8
"""Integer qualities 1..8; anything between is interpolated."""

LAMBDAS = (0.0018, 0.0035, 0.0067, 0.0130, 0.0250, 0.0483, 0.0932, 0.2800)
"""Lagrangian weight of quality 1..8: loss = bpp + lambda * 255^2 * MSE (MSE of values in 0..1)."""

MS_SSIM_LAMBDAS = (2.4, 4.58, 8.73, 16.64, 31.73, 60.5, 115.4, 220.0)
"""The same where distortion is 1 - MS-SSIM: loss = bpp + lambda * (1 - MS-SSIM).

Up to quality 6 they are those of the published weights; the others go on at about their growth.
"""

VISUAL_LAMBDAS = (0.0094, 0.015, 0.0275, 0.0525, 0.1025, 0.194, 0.363, 0.938)
"""Weight of what eyes see (see `distortion.costs`), so that files are as large as for MSE."""

DISTORTIONS = {"psnr": LAMBDAS, "ms-ssim": MS_SSIM_LAMBDAS, "visual": VISUAL_LAMBDAS}
"""What can be trained for."""


def lambda_at(quality: float, distortion: str = "psnr") -> float:
    """Lambda of a quality from 1 to 8, log-interpolated between the whole ones."""
    lambdas = DISTORTIONS[distortion]
    low = min(max(math.floor(quality), 1), QUALITIES - 1)
    share = quality - low
    return lambdas[low - 1] ** (1 - share) * lambdas[low] ** share


def quality_of(lam: float, distortion: str = "psnr") -> float:
    """The quality 1..8 whose lambda this is; ValueError outside of the known ones."""
    lambdas = DISTORTIONS[distortion]
    if not lambdas[0] <= lam <= lambdas[-1]:
        msg = f"lambda is {lam:g}, but must be from {lambdas[0]:g} to {lambdas[-1]:g}"
        raise ValueError(msg)
    low = max(i for i in range(QUALITIES - 1) if lambdas[i] <= lam)
    step = math.log(lambdas[low + 1] / lambdas[low])
    return round(1 + low + math.log(lam / lambdas[low]) / step, 3)
