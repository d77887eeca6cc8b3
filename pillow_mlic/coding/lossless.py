"""Whole pictures without loss: no tile is learned, so no network is needed, and no torch.

picture -> lossless tiles -> picture, or a box of it
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from PIL import Image

from ..format import lossless, webp
from ..format.container import MAX_LOSSLESS_TILE_CODE, MAX_QUALITY_CODE, Header, tile_code
from ..format.geometry import Box, Grid, area, overlap
from ..format.layout import DamagedError, damage
from ..format.tiles import AnyTile, LosslessTile, ReadTile

if TYPE_CHECKING:
    from .work import Progress

PutPart = Callable[[Box, Image.Image], object]
"""Takes the box of a region of the picture, and the region."""


def tile_for(size: tuple[int, int]) -> int:
    """The best side of tiles for a picture of this size: one tile, if WebP has pictures so large,
    as pixels that lie far apart may be alike."""
    sides = [64 << code for code in range(MAX_LOSSLESS_TILE_CODE + 1)]
    most = max(size) if max(size) <= webp.MAX_SIDE else webp.MAX_SIDE // 2
    return next(side for side in sides if side >= most)


def header_of(image: Image.Image, tile: int, quality_code: int = MAX_QUALITY_CODE) -> Header:
    """The header of a file of this picture whose tiles all are lossless.

    The highest quality says that the picture is exact; see `storable_code`.
    """
    return Header(image.mode, *image.size, 0, bytes(8), quality_code, tile_code=tile_code(tile))


def is_exact(header: Header) -> bool:
    """Whether a file has every pixel of the picture that was saved."""
    return not header.model and header.quality_code == MAX_QUALITY_CODE


def storable_code(
    image: Image.Image, tile: int, tiles: Sequence[AnyTile], quality_code: int
) -> int:
    """The quality code of a file whose tiles all are lossless: the highest one where they have the
    pixels of `image`, else (colours were merged) what was asked for, but not the highest one."""
    grid = Grid(*image.size, tile)
    planes = image.mode.removesuffix("A")
    exact = True

    def compare(box: Box, part: Image.Image) -> None:
        nonlocal exact
        exact = exact and part.tobytes() == image.crop(box).convert(planes).tobytes()

    decoder = LosslessDecoder(grid, planes)
    decoder.decode_into(compare, dict(enumerate(tiles)), (0, 0, *image.size))
    return MAX_QUALITY_CODE if exact else min(quality_code, MAX_QUALITY_CODE - 1)


def encode(image: Image.Image, tile: int, progress: "Progress | None" = None) -> list[AnyTile]:
    """The tiles of a picture in a mode of the format, with alpha where it has some."""
    from .work import Steps  # imports NumPy, which opening does not need

    grid = Grid(*image.size, tile)
    steps = Steps(progress, image.width * image.height)
    tiles: list[AnyTile] = []
    for index in range(grid.count):
        box = grid.shown(index)
        tiles.append(lossless.to_tile(image.crop(box)))
        steps.done(area(box))
    return tiles


class LosslessDecoder:
    """Decodes a picture whose tiles all are lossless and have pixels of `mode`."""

    def __init__(self, grid: Grid, mode: str) -> None:
        self._grid = grid
        self._mode = mode

    def decode_into(
        self,
        put: PutPart,
        tiles: Mapping[int, ReadTile],
        box: Box,
        progress: "Progress | None" = None,
    ) -> None:
        """Decode what these tiles show of `box`, and `put` it tile by tile.

        Raises DamagedError where one of them is no such tile.
        """
        from .work import Steps

        grid = self._grid
        steps = Steps(progress, sum(area(grid.shown(index)) for index in tiles))
        for index, tile in tiles.items():
            shown = grid.shown(index)
            wanted = overlap(shown, box)
            if not isinstance(tile, LosslessTile):
                msg = damage(f"tile {index + 1} needs a model, but the file names none")
                raise DamagedError(msg)
            if wanted is not None:
                size = shown[2] - shown[0], shown[3] - shown[1]
                picture = lossless.to_picture(tile._replace(mode=self._mode), size)
                left, top, right, bottom = wanted
                x, y = shown[:2]
                put(wanted, picture.crop((left - x, top - y, right - x, bottom - y)))
            steps.done(area(shown))
