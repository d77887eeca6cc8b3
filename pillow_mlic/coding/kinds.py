"""Which kind a tile gets.

The smaller R + lambda D wins: real bits, and squared error by the quality's lambda for PSNR,
whatever a pack was trained for.
"""

from typing import NamedTuple

from ..engines.base import CodedTile, TileStream
from ..format.geometry import Box
from ..format.tiles import LosslessTile
from .around import Around
from .colours import Priced, cheapest
from .content import DrawnParts
from .tiles import TileEncoder, squared_bits

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
        exact = self._lossless(around.box)
        rate = 8.0 * len(coded.stream.payload)
        if exact is not None and exact.bits <= rate:
            return exact.tile, OVERHEAD + exact.bits
        around.put(coded.y_hat)
        compared = self.encoder.compared(around, around.box)
        quality = self.encoder.coding.quality
        bits = rate + sum(squared_bits(original, shown, quality) for original, shown in compared)
        if exact is not None and exact.bits <= bits:
            return exact.tile, OVERHEAD + exact.bits
        return coded.stream, OVERHEAD + bits

    def _lossless(self, box: Box) -> Priced | None:
        """The best lossless tile, where one is worth trying."""
        image = self.content.tile(box)
        try:
            return None if image is None else cheapest(image, self.encoder.coding.quality)
        except OSError:  # this Pillow has no WebP
            return None
