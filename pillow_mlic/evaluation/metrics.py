"""Fidelity of a decoded picture to its original: the metrics of the bench, of 8-bit RGB.

PSNR, MS-SSIM and SSIMULACRA2 are here, FLIP and Butteraugli in `second_opinions`.
"""

import importlib.util
import io
import math
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .bdrate import Measure, Metric
from .pixels import PictureLike, pair
from .second_opinions import BUTTERAUGLI, BUTTERAUGLI_SIDE, butteraugli, flip

Plane = NDArray[np.float64]

PEAK = 255.0
DISTANCES: tuple[Metric, ...] = ("flip", "butteraugli")
"""The metrics that are 0 for equal pictures, and fall with quality."""
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest first; Wang et al. 2003, 3.2
WINDOW = 11
SIGMA = 1.5
MIN_SIDE = (WINDOW - 1) * 2 ** (len(SCALE_WEIGHTS) - 1) + 1  # 161: the coarsest scale holds 11
STRIP = 256
"""Rows worked on at a time."""
_C1 = (0.01 * PEAK) ** 2
_C2 = (0.03 * PEAK) ** 2


def psnr(a: PictureLike, b: PictureLike) -> float:
    """Peak signal-to-noise ratio in dB, of the mean squared error over all pixels and channels.

    `a`, `b`: images, or uint8 arrays (H, W, 3) in 0..255. Infinite where they are equal.
    """
    first, second = pair(a, b)
    total = 0
    for top in range(0, len(first), STRIP):  # strips, so that memory stays small
        difference = first[top : top + STRIP].astype(np.int32) - second[top : top + STRIP]
        total += int(np.sum(difference * difference, dtype=np.int64))
    error = total / first.size
    return 10 * math.log10(PEAK**2 / error) if error else math.inf


def ms_ssim(a: PictureLike, b: PictureLike) -> float:
    """Multi-scale structural similarity, at most 1 (equal pictures): mean of R, G and B.

    Wang, Simoncelli and Bovik 2003: five scales, a Gaussian window of 11x11 with sigma 1.5, no
    padding. Scales are halved, and negative terms set to 0, as the package pytorch-msssim does.
    `a`, `b`: images, or uint8 arrays (H, W, 3) in 0..255. ValueError below 161 pixels a side.
    """
    first, second = pair(a, b)
    height, width = first.shape[:2]
    if min(height, width) < MIN_SIDE:
        msg = (
            f"MS-SSIM needs pictures of at least {MIN_SIDE} pixels a side, "
            f"but this one is {width} x {height}"
        )
        raise ValueError(msg)
    planes = zip(np.moveaxis(first, -1, 0), np.moveaxis(second, -1, 0), strict=True)
    return float(
        np.mean([_ms_ssim_plane(p.astype(np.float64), q.astype(np.float64)) for p, q in planes])
    )


def ms_ssim_db(value: float) -> float:
    """MS-SSIM in dB, -10 log10(1 - value); infinite for 1."""
    return -10 * math.log10(1 - value) if value < 1 else math.inf


def level(metric: Metric, value: float) -> float:
    """A metric's value on the scale of curves and BD-rates, where more is better.

    PSNR (dB) and SSIMULACRA2 (points) as they are, MS-SSIM in dB. FLIP and Butteraugli are
    perceptual distances: they get a minus sign but no logarithm, so that equal steps count equally.
    """
    if metric == "ms-ssim":
        return ms_ssim_db(value)
    if metric in DISTANCES:
        return -value
    return value


def ssimulacra2(a: PictureLike, b: PictureLike) -> float:
    """SSIMULACRA2 of `b` against the original `a`: 100 for equal pictures, 90 hardly to be seen.

    As the package ssimulacra2 computes it (in NumPy; it may differ a little from the original in
    C++). ModuleNotFoundError without it.
    """
    from ssimulacra2 import compute_ssimulacra2

    files = []
    for picture in pair(a, b):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PPM")
        file.seek(0)
        files.append(file)
    return float(compute_ssimulacra2(*files))


METRICS: dict[Metric, Callable[[PictureLike, PictureLike], float]] = {
    "psnr": psnr,
    "ms-ssim": ms_ssim,
    "ssimulacra2": ssimulacra2,
    "flip": flip,
    "butteraugli": butteraugli,
}


MEASURES: tuple[Measure, ...] = (*METRICS, "bands")
"""Everything that can be measured; "bands" is described in `bands.energies`."""

NEEDS: dict[Measure, str] = {
    "ms-ssim": "scipy",
    "ssimulacra2": "ssimulacra2",
    "flip": "flip_evaluator",
    "bands": "scipy",
}
"""Packages that measures need."""

LEAST_SIDES: dict[Measure, int] = {"ms-ssim": MIN_SIDE, "butteraugli": BUTTERAUGLI_SIDE}
"""Pixels a side that measures need."""

PROGRAMS: dict[Measure, str] = {"butteraugli": BUTTERAUGLI}
"""Programs that measures need, found through PATH."""


def available() -> list[Measure]:
    """What can be measured with what is installed."""
    return [measure for measure in MEASURES if _is_there(measure)]


def _is_there(measure: Measure) -> bool:
    if measure in PROGRAMS:
        return shutil.which(PROGRAMS[measure]) is not None
    return measure not in NEEDS or importlib.util.find_spec(NEEDS[measure]) is not None


def how_to_get(measure: Measure) -> str:
    """What to install for a measure that is not available."""
    if measure in PROGRAMS:
        return f"install {PROGRAMS[measure]} of libjxl (in Debian and Ubuntu: libjxl-devtools)"
    return f"pip install {NEEDS[measure]}"


def _ms_ssim_plane(a: Plane, b: Plane) -> float:
    """MS-SSIM of two planes (H, W)."""
    result = 1.0
    coarsest = len(SCALE_WEIGHTS) - 1
    for scale, weight in enumerate(SCALE_WEIGHTS):
        ssim, contrast = _ssim(a, b)
        result *= max(ssim if scale == coarsest else contrast, 0.0) ** weight
        a, b = _halve(a), _halve(b)
    return result


def _ssim(a: Plane, b: Plane) -> tuple[float, float]:
    """Mean SSIM, and the mean of its contrast-structure factor alone, of two planes (H, W)."""
    border = WINDOW - 1
    sums = np.zeros(2)
    for top in range(0, len(a) - border, STRIP):
        rows = slice(top, top + STRIP + border)
        sums += _ssim_strip(a[rows], b[rows])
    ssim, contrast = sums / ((len(a) - border) * (a.shape[1] - border))
    return float(ssim), float(contrast)


def _ssim_strip(a: Plane, b: Plane) -> tuple[float, float]:
    """`_ssim` of some rows, as sums in place of means."""
    mean_a, mean_b = _blur(a), _blur(b)
    variance_a = _blur(a * a) - mean_a**2
    variance_b = _blur(b * b) - mean_b**2
    covariance = _blur(a * b) - mean_a * mean_b
    contrast = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    return float(np.sum(luminance * contrast)), float(np.sum(contrast))


def _blur(plane: Plane) -> Plane:
    """(H, W) -> (H - 10, W - 10): weighted by the Gaussian window where it fits wholly."""
    from scipy.ndimage import correlate1d

    half = WINDOW // 2
    window = np.exp(-((np.arange(WINDOW) - half) ** 2) / (2 * SIGMA**2))
    window /= window.sum()
    blurred: Any = correlate1d(correlate1d(plane, window, axis=0), window, axis=1)
    result: Plane = blurred[half:-half, half:-half]
    return result


def _halve(plane: Plane) -> Plane:
    """Means of 2x2 pixels. An odd side gets a border of zeros first, as pytorch-msssim has it."""
    odd = [(side % 2, side % 2) for side in plane.shape]
    padded = np.pad(plane, odd)
    height, width = padded.shape[0] // 2, padded.shape[1] // 2
    blocks = padded[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    result: Plane = blocks.mean(axis=(1, 3))
    return result
