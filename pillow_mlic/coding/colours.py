"""A drawn tile as a lossless one, of its own colours or of fewer.

Text and drawings have few colours that matter: those between them, where edges were smoothed, can
be merged. Then WebP's file is much smaller at an error that a learned tile only reaches with more.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..format import lossless
from ..format.tiles import LosslessTile
from .tiles import squared_bits

FEWER = (64, 32, 16, 12, 8, 6, 4, 2)
"""Numbers of colours that are tried, most first."""
PATIENCE = 2
"""The search ends after so many numbers in a row that cost more than the best before them."""


class Priced(NamedTuple):
    """A lossless tile, and its R + lambda D in bits; D is the error of colours that were merged."""

    tile: LosslessTile
    bits: float


def cheapest(image: Image.Image, quality: float) -> Priced:
    """The tile that costs least at this quality for a picture in mode L or RGB.

    OSError where this Pillow cannot write WebP.
    """
    tile = lossless.to_tile(image)
    best = Priced(tile, 8.0 * len(tile.data))
    waited = 0
    original = np.asarray(image)
    for fewer in _merged(image):
        error = squared_bits(original, np.asarray(fewer), quality)
        if error >= best.bits or waited == PATIENCE:
            break
        tile = lossless.to_tile(fewer)
        waited += 1
        if (bits := error + 8 * len(tile.data)) < best.bits:
            best, waited = Priced(tile, bits), 0
    return best


def _merged(image: Image.Image) -> Iterator[Image.Image]:
    """The picture with fewer and fewer colours."""
    found = image.getcolors(FEWER[0])
    for count in FEWER:
        if found is None or len(found) > count:
            palette = image.quantize(
                count, Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE
            )
            yield palette.convert(image.mode)
