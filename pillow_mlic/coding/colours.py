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


def own_colours(image: Image.Image) -> Priced:
    """The tile that has every pixel of a picture in mode L or RGB.

    OSError where this Pillow cannot write WebP.
    """
    tile = lossless.to_tile(image)
    return Priced(tile, 8.0 * len(tile.data))


def cheapest(image: Image.Image, quality: float, own: Priced, limit: float) -> Priced:
    """The tile that costs least at this quality: that of its `own_colours`, or one of fewer.

    Tiles that cost `limit` bits or more are of no use. The search ends where the error alone does,
    as it grows with fewer colours: a photograph before a flat background is cut short at once.
    """
    best = own
    waited = 0
    original = np.asarray(image)
    for fewer in _merged(image):
        error = squared_bits(original, np.asarray(fewer), quality)
        if error >= min(best.bits, limit) or waited == PATIENCE:
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
