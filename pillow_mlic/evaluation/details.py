"""Where in a picture to look: the boxes that a comparison shows enlarged."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..format.geometry import Box

_PIXELS = 500_000  # of the reduced picture that is searched


def most_detailed(image: Image.Image, size: tuple[int, int]) -> Box:
    """The box of `size` (at most the picture's) with the strongest edges and texture in it."""
    factor = _factor(image.size)
    plane = np.asarray(image.convert("L").reduce(factor), dtype=np.float64)
    edges = np.zeros_like(plane)
    edges[:, 1:] += abs(np.diff(plane, axis=1))
    edges[1:] += abs(np.diff(plane, axis=0))
    return _richest(edges, factor, image.size, size)


def most_different(
    original: Image.Image, others: Sequence[Image.Image], size: tuple[int, int], avoid: Box
) -> Box:
    """The box of `size` where `others` are furthest from the original, outside of `avoid`."""
    factor = _factor(original.size)
    first = np.asarray(original.reduce(factor), dtype=np.float64)
    error = np.zeros(first.shape[:2])
    for other in others:
        difference = np.asarray(other.reduce(factor), dtype=np.float64) - first
        error = np.maximum(error, (difference**2).sum(-1))
    left, top, right, bottom = (side // factor for side in avoid)
    error[top:bottom, left:right] = 0
    return _richest(error, factor, original.size, size)


def _factor(size: tuple[int, int]) -> int:
    return max(1, math.isqrt(size[0] * size[1] // _PIXELS))


def _richest(
    weight: NDArray[np.float64], factor: int, whole: tuple[int, int], size: tuple[int, int]
) -> Box:
    """The box of `size` pixels, wholly inside, with the largest sum of `weight` (H, W).

    One pixel of `weight` stands for `factor` x `factor` of the picture of size `whole`.
    """
    width, height = (min(side, most) for side, most in zip(size, whole, strict=True))
    rows, columns = (max(1, side // factor) for side in (height, width))
    sums = np.pad(weight.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    inside = sums[rows:, columns:] - sums[:-rows, columns:]
    inside = inside - sums[rows:, :-columns] + sums[:-rows, :-columns]
    top, left = (int(i) * factor for i in np.unravel_index(inside.argmax(), inside.shape))
    left, top = min(left, whole[0] - width), min(top, whole[1] - height)
    return left, top, left + width, top + height
