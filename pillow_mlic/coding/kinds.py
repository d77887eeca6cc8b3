"""Which kind a tile gets.

The smaller R + lambda D wins: real bits, and squared error by the quality's lambda for PSNR,
whatever a pack was trained for. A lossless tile has no D.
"""

from typing import NamedTuple

from ..engines.base import CodedTile, TileStream
from ..format.tiles import LosslessTile
from .around import Around
from .content import Content
from .tiles import TileEncoder, squared_bits

OVERHEAD = 72.0
"""Bits of a chunk around a tile's data, its kind among them."""


class KindChoice(NamedTuple):
    """Chooses the kinds of the tiles of one picture."""

    encoder: TileEncoder
    content: Content

    def best(self, coded: CodedTile, around: Around) -> tuple[TileStream | LosslessTile, float]:
        """The tile `around.box` as it was `coded`, or a lossless one; and its R + lambda D.

        `around` reaches a halo further. Latents there are those of the analysis: neighbours have
        no others yet.
        """
        bits = OVERHEAD + 8 * len(coded.stream.payload)
        lossless = self.content.lossless(around.box)
        if lossless is not None:
            exact = OVERHEAD + 8 * len(lossless.data)
            if exact <= bits:
                return lossless, exact
        around.put(coded.y_hat)
        quality = self.encoder.coding.quality
        bits += sum(
            squared_bits(original, shown, quality)
            for original, shown in self.encoder.compared(around, around.box)
        )
        if lossless is not None and exact <= bits:
            return lossless, exact
        return coded.stream, bits
