"""Which kind a tile gets.

The smaller R + lambda D wins: real bits, and squared error by the quality's lambda for PSNR,
whatever a pack was trained for.
"""

from typing import NamedTuple

from PIL import Image

from ..engines.base import CodedTile, TileStream
from ..format.tiles import LosslessTile
from .around import Around
from .colours import Priced, cheapest, own_colours
from .content import DrawnParts
from .tiles import TileEncoder, squared_bits

HOPELESS = 8.0
"""Where a tile's own colours take so many times R + lambda D of the learned tile, fewer colours are
not tried. They won with up to 6.6 times (drawings, quality 1), never in photographs (3 to 37)."""
OVERHEAD = 72.0
"""Bits of a chunk around a tile's data, its kind among them."""


class KindChoice(NamedTuple):
    """Chooses the kinds of the tiles of one picture."""

    encoder: TileEncoder
    content: DrawnParts

    def best(self, coded: CodedTile, around: Around) -> tuple[TileStream | LosslessTile, float]:
        """The tile `around.box` as it was `coded`, or a lossless one; and its R + lambda D.

        `around` reaches a halo further. Latents there are those of the analysis: neighbours have
        no others yet.
        """
        image = self.content.tile(around.box)
        own = None if image is None else _own_colours(image)
        rate = 8.0 * len(coded.stream.payload)
        learned = rate
        if own is None or own.bits > rate:
            around.put(coded.y_hat)
            compared = self.encoder.compared(around, around.box)
            learned += sum(squared_bits(*pair, self.encoder.coding.quality) for pair in compared)
        if image is not None and own is not None and own.bits < HOPELESS * learned:
            exact = cheapest(image, self.encoder.coding.quality, own, learned)
            if exact.bits <= learned:
                return exact.tile, OVERHEAD + exact.bits
        return coded.stream, OVERHEAD + learned


def _own_colours(image: Image.Image) -> Priced | None:
    try:
        return own_colours(image)
    except OSError:  # this Pillow has no WebP
        return None
