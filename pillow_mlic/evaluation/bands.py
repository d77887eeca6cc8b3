"""How lively a decoded picture is: its detail at four sizes, beside the original's."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .pixels import PictureLike, pair

SIGMAS = (0.7, 1.4, 2.8, 5.6)
"""Sigmas, in pixels, of the Gaussians whose differences are the bands; an octave apart."""
LUMA = (0.299, 0.587, 0.114)
STRIP = 256
"""Rows worked on at a time."""
_HALO = 24  # rows: the largest Gaussian ends 4 sigma away
_FLOOR = 0.01  # levels squared, an eighth of what rounding to 8 bits adds to white noise

FloatPlane = NDArray[np.float32]


def energies(original: PictureLike, decoded: PictureLike) -> tuple[float, ...]:
    """Four ratios, finest band first: 1 is as lively as the original, less is smoother.

    A band is a difference of two Gaussian blurs of luma (0.299 R + 0.587 G + 0.114 B, in levels
    of 0..255): luma itself minus sigma 0.7; 0.7 minus 1.4; 1.4 minus 2.8; 2.8 minus 5.6 pixels.
    Grain, pores, hair and grass are in the first two. The ratio is that of root mean squares over
    the picture, decoded to original; 0.01 is added to each mean square, so that flat pictures
    have 1. The ratio compares how much detail there is, not whether it is in the right places:
    noise and sharpening count, too. So it does not measure fidelity, and has no BD-rate.

    `original`, `decoded`: images, or uint8 arrays (H, W, 3) in 0..255. ModuleNotFoundError
    without scipy.
    """
    squares = [_mean_squares(picture) + _FLOOR for picture in pair(original, decoded)]
    return tuple(float(ratio) for ratio in np.sqrt(squares[1] / squares[0]))


def _mean_squares(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean squares of the four bands of a picture (H, W, 3)."""
    height, width = picture.shape[:2]
    sums = np.zeros(len(SIGMAS))
    weights = np.asarray(LUMA, np.float32)
    for top in range(0, height, STRIP):  # strips, so that memory stays small
        first = max(0, top - _HALO)
        luma = picture[first : top + STRIP + _HALO].astype(np.float32) @ weights
        inner = slice(top - first, min(top + STRIP, height) - first)
        sums += [np.sum(band[inner] ** 2, dtype=np.float64) for band in _bands(luma)]
    return sums / (height * width)


def _bands(luma: FloatPlane) -> list[FloatPlane]:
    from scipy.ndimage import gaussian_filter

    blurred: list[Any] = [luma, *(gaussian_filter(luma, sigma) for sigma in SIGMAS)]
    return [finer - coarser for finer, coarser in pairwise(blurred)]
