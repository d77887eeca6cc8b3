"""The lossless tiles of a picture that has learned ones, too.

lossless tile -> pixels                       what is shown
pixels -> latents of the analysis             what the synthesis of learned neighbours sees
"""

from collections.abc import Mapping

import numpy as np

from ..engines.base import Floats, Pixels
from ..format import lossless
from ..format.geometry import Box, Grid, overlap, within
from ..format.tiles import LosslessTile, ReadTile
from .transforms import Transforms


class ExactTiles:
    """The lossless ones among `tiles`, which are given by their place in raster order.

    Regions must be asked for from top to bottom: tiles above the current one are forgotten.
    """

    def __init__(self, tiles: Mapping[int, ReadTile], transforms: Transforms) -> None:
        self._tiles = tiles
        self._transforms = transforms
        self._pixels: dict[int, Pixels] = {}

    def has(self, index: int) -> bool:
        """Whether this tile is lossless."""
        return isinstance(self._tiles.get(index), LosslessTile)

    def paste(self, region: Box, pixels: Pixels) -> None:
        """Put the tiles' pixels into those of a region, (h, w, 3)."""
        grid = self._transforms.grid
        for index in list(self._pixels):  # other threads may add some
            if grid.box(index)[3] <= region[1]:
                del self._pixels[index]
        for index in filter(self.has, grid.touched(region)):
            tile = grid.shown(index)
            shared = overlap(tile, region)
            if shared:
                pixels[within(shared, region, 1)] = self._read(index)[within(shared, tile, 1)]

    def latents(self, index: int) -> Floats | None:
        """Latents (1, h/16, w/16, M) of a lossless tile; None where no learned tile is so near
        that it sees them.

        They are those of a picture that has the tile's pixels and no others: its right and lower
        edges are repeated up to multiples of 64.
        """
        grid, quality = self._transforms.grid, self._transforms.quality
        near = grid.touched(self._transforms.seen(grid.box(index)))
        if all(self.has(i) or i not in self._tiles for i in near):
            return None
        pixels = self._read(index)
        alone = Grid(pixels.shape[1], pixels.shape[0], grid.tile)
        return Transforms(self._transforms.engine, alone, quality).analyse(pixels, alone.padded)

    def _read(self, index: int) -> Pixels:
        """The pixels (h, w, 3) of a lossless tile, without padding."""
        if index not in self._pixels:
            tile = self._tiles[index]
            assert isinstance(tile, LosslessTile)
            left, top, right, bottom = self._transforms.grid.shown(index)
            picture = lossless.to_picture(tile, (right - left, bottom - top))
            self._pixels[index] = np.asarray(picture.convert("RGB"))
        return self._pixels[index]
