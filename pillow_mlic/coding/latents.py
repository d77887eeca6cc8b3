"""The decoded latents of a picture; tiles are decoded when they are first needed."""

from collections.abc import Callable

import numpy as np

from ..engines.base import Floats
from ..format.geometry import LATENT, Box, Grid, overlap, size, within


class DecodedLatents:
    """The latents of any box of a picture.

    Boxes must be asked for from top to bottom: tiles above the current box are forgotten.
    """

    def __init__(
        self, decode_tile: Callable[[int], Floats | None], grid: Grid, channels: int
    ) -> None:
        self._decode_tile = decode_tile
        self._grid = grid
        self._channels = channels
        self._tiles: dict[int, Floats | None] = {}

    def __call__(self, box: Box) -> Floats:
        """(1, h/16, w/16, M); zero where a tile is missing."""
        for index in [i for i in self._tiles if self._grid.box(i)[3] <= box[1]]:
            del self._tiles[index]
        y_hat = np.zeros((1, *size(box, LATENT), self._channels), np.float32)
        for index in self._grid.touched(box):
            if index not in self._tiles:
                self._tiles[index] = self._decode_tile(index)
            part = self._tiles[index]
            tile = self._grid.box(index)
            shared = overlap(tile, box)
            if part is not None and shared:
                y_hat[:, *within(shared, box)] = part[:, *within(shared, tile)]
        return y_hat

    def put(self, index: int, y_hat: Floats) -> None:
        """From now on tile `index` has these latents."""
        self._tiles[index] = y_hat
