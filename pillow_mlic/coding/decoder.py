"""Tiles to pixels.

    payloads -> latents of tiles (`Engine.decode`) -> latents of a region with its halo -> pixels
    lossless tiles -> pixels, and latents for the halo of their neighbours (`exact`)

Contexts of the entropy coding never cross a tile's border; synthesis sees beyond it. Only a few
tiles are in memory at a time.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial

import numpy as np

from ..engines.base import Floats, Pixels
from ..errors import DecodeError
from ..format.geometry import HYPER_LATENT, Box, Grid, area, overlap, size, within
from ..format.texture import TextureMap
from ..format.tiles import CutTile, LosslessTile, ReadTile
from .coding import Coding
from .crew import crew
from .exact import ExactTiles
from .latents import DecodedLatents
from .transforms import Transforms
from .work import Progress, Steps, where_memory_suffices

GREY = 128
"""What missing tiles are shown as, where nothing is beside them."""
_ENTROPY, _SYNTHESIS = 7, 3
"""About how much time the two parts of decoding take, for progress."""


class Decoder:
    """Decodes a picture of `size` (width, height) by the coding of its file.

    With `slices` only so many slices of the latents are read (`Engine.decode_slices`), without
    texture. `texture`: how strong it is; None: none.
    """

    def __init__(
        self,
        coding: Coding,
        size: tuple[int, int],
        slices: int | None = None,
        texture: TextureMap | None = None,
    ) -> None:
        self._coding = coding
        self._size = size
        self._slices = slices
        self._texture = texture

    def tiles_needed(self, box: Box) -> set[int]:
        """Indexes of the tiles that must be decoded to see a box of the picture."""
        transforms = self._transforms(self._coding)
        parts = transforms.regions(transforms.grid.whole_latents(box))
        return set(_touched(parts, transforms))

    def decode(
        self,
        tiles: Mapping[int, ReadTile],
        box: Box | None = None,
        progress: Progress | None = None,
    ) -> Pixels:
        """The picture, or a box of it, (H, W, 3) uint8; see `decode_into`."""
        box = box or (0, 0, *self._size)
        picture = np.empty((*size(box), 3), np.uint8)

        def put(region: Box, pixels: Pixels) -> None:
            picture[within(region, box, 1)] = pixels

        self.decode_into(put, tiles, box, progress)
        return picture

    def decode_into(
        self,
        put: Callable[[Box, Pixels], object],
        tiles: Mapping[int, ReadTile],
        box: Box | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Decode the picture, or a box of it, and `put` its regions one by one.

        `tiles` by their place in raster order. One that is missing comes out grey, and costs the
        network nothing; of one that is cut as much is decoded as is there.
        `put` is given the box of a region, in pixels of the picture, and its pixels (h, w, 3)
        uint8. If the memory of the engine's device does not suffice, the CPU does it all again,
        with a warning.
        Raises DecodeError where a tile does not give the symbols that were encoded, DamagedError
        where a lossless one is none.
        """
        wanted = box or (0, 0, *self._size)
        where_memory_suffices(partial(self._decode, put, tiles, wanted, progress), self._coding)

    def _decode(
        self,
        put: Callable[[Box, Pixels], object],
        tiles: Mapping[int, ReadTile],
        wanted: Box,
        progress: Progress | None,
        coding: Coding,
    ) -> None:
        transforms = self._transforms(coding)
        grid, engine = transforms.grid, coding.engine
        parts = transforms.regions(grid.whole_latents(wanted))
        exact = ExactTiles(tiles, transforms)
        learned = {
            part
            for part in parts
            if any(isinstance(tiles.get(i), bytes | CutTile) for i in grid.touched(part))
        }
        needed = _touched(filter(learned.__contains__, parts), transforms)
        entropy = _ENTROPY * sum(area(grid.box(index)) for index in needed)
        steps = Steps(progress, entropy + _SYNTHESIS * sum(map(area, parts)))

        def tile_latents(index: int) -> Floats | None:
            box, tile = grid.box(index), tiles.get(index)
            y_hat = None
            if isinstance(tile, LosslessTile):
                y_hat = exact.latents(index)
            elif tile is not None:
                y_hat = self._tile(tile, box, coding)
            steps.done(_ENTROPY * area(box))
            return y_hat

        def synthesised(seen: tuple[Box, Floats | None]) -> Pixels:
            part, y_hat = seen
            if y_hat is None:
                return np.full((*size(part), 3), GREY, np.uint8)
            whole = transforms.seen(part)
            return transforms.synthesise(lambda box: y_hat[:, *within(box, whole)], part)

        with crew(engine, max(len(needed), len(parts))) as workers:
            decoded = workers.map(tile_latents, needed)
            # Regions ask for tiles in the order of `needed`.
            latents = DecodedLatents(lambda _: next(decoded), grid, engine.channels[0])
            seen = (
                (part, latents(transforms.seen(part)) if part in learned else None)
                for part in parts
            )
            for part, pixels in zip(parts, workers.map(synthesised, seen), strict=True):
                exact.paste(part, pixels)
                shown = overlap(part, wanted)
                if shown:
                    put(shown, pixels[within(shown, part, 1)])
                steps.done(_SYNTHESIS * area(part))

    def _tile(self, payload: bytes | CutTile, tile: Box, coding: Coding) -> Floats | None:
        """Latents (1, h/16, w/16, M) of a tile; None where not even its hyper latents are there."""
        if isinstance(payload, CutTile):
            with suppress(DecodeError):
                return coding.engine.decode_slices(
                    payload.start, size(tile, HYPER_LATENT), coding.quality, coding.guard, None
                )
            return None
        if self._slices is None:
            return decode_tile(payload, tile, coding, self._texture)
        z_size = size(tile, HYPER_LATENT)
        return coding.engine.decode_slices(
            payload, z_size, coding.quality, coding.guard, self._slices
        )

    def _transforms(self, coding: Coding) -> Transforms:
        return Transforms(coding.engine, coding.grid(self._size), coding.quality)


def decode_tile(
    payload: bytes, tile: Box, coding: Coding, texture: TextureMap | None = None
) -> Floats:
    """Latents (1, h/16, w/16, M) of a tile, with texture; see `Decoder.decode_into`."""
    strength = None if texture is None else texture.latents(tile)[None]
    z_size = size(tile, HYPER_LATENT)
    return coding.engine.decode([payload], z_size, coding.quality, coding.guard, strength)


def _touched(parts: Iterable[Box], transforms: Transforms) -> list[int]:
    """Indexes of the tiles that synthesis of these regions sees, in the order of their need."""
    grid: Grid = transforms.grid
    return list(
        dict.fromkeys(index for part in parts for index in grid.touched(transforms.seen(part)))
    )
