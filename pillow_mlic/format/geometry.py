"""Boxes, and pictures cut into tiles: the one place that knows the sides of latents.

A box is (left, top, right, bottom) in pixels, right and bottom excluded, as in Pillow. A picture is
padded at its right and lower edge to whole hyper latents; tiles are cut from the padded picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

Box = tuple[int, int, int, int]

LATENT = 16
"""Pixels along the side of a latent."""
HYPER_LATENT = 64
"""Pixels along the side of a hyper latent."""


@dataclass(frozen=True)
class Grid:
    """A picture cut into tiles; sizes in pixels, `tile` a multiple of 64."""

    width: int
    height: int
    tile: int

    @property
    def padded(self) -> Box:
        """The picture with its sides rounded up to whole hyper latents."""
        return 0, 0, _up(self.width, HYPER_LATENT), _up(self.height, HYPER_LATENT)

    @property
    def across(self) -> int:
        """Number of tiles in a row."""
        return -(-self.width // self.tile)

    @property
    def down(self) -> int:
        """Number of rows of tiles."""
        return -(-self.height // self.tile)

    @property
    def count(self) -> int:
        """Number of tiles."""
        return self.across * self.down

    def boxes(self) -> Iterator[Box]:
        """Tiles of the padded picture in raster order; a header may claim 2^36 of them."""
        return pieces(self.padded, self.tile)

    def box(self, index: int) -> Box:
        """The tile of this index in raster order; IndexError where there is none."""
        if not 0 <= index < self.count:
            msg = f"tile index is {index}, but the picture has tiles 0 to {self.count - 1}"
            raise IndexError(msg)
        row, column = divmod(index, self.across)
        left, top = column * self.tile, row * self.tile
        _, _, width, height = self.padded
        return left, top, min(left + self.tile, width), min(top + self.tile, height)

    def shown(self, index: int) -> Box:
        """What the tile of this index has of the picture, without padding; see `box`."""
        left, top, right, bottom = self.box(index)
        return left, top, min(right, self.width), min(bottom, self.height)

    def touched(self, box: Box) -> list[int]:
        """Indexes of the tiles that have latents in `box`."""
        columns = range(box[0] // self.tile, -(-box[2] // self.tile))
        rows = range(box[1] // self.tile, -(-box[3] // self.tile))
        return [row * self.across + column for row in rows for column in columns]

    def whole_latents(self, box: Box) -> Box:
        """The box widened to whole latents of the padded picture."""
        left, top = (side // LATENT * LATENT for side in box[:2])
        right, bottom = (_up(side, LATENT) for side in box[2:])
        return left, top, min(right, self.padded[2]), min(bottom, self.padded[3])

    def widened(self, box: Box, halo: int) -> Box:
        """The box with `halo` pixels around it, as far as the padded picture goes."""
        left, top, right, bottom = box
        _, _, width, height = self.padded
        return (
            max(left - halo, 0),
            max(top - halo, 0),
            min(right + halo, width),
            min(bottom + halo, height),
        )


def pieces(box: Box, side: int) -> Iterator[Box]:
    """Cut a box into boxes of at most `side` by `side`, in raster order."""
    left, top, right, bottom = box
    for y in range(top, bottom, side):
        for x in range(left, right, side):
            yield x, y, min(x + side, right), min(y + side, bottom)


def halves(box: Box) -> list[Box]:
    """Cut a box into quarters, or halves, of whole latents."""
    side = max(box[2] - box[0], box[3] - box[1])
    return list(pieces(box, _up(side, 2 * LATENT) // 2))


def within(box: Box, outer: Box, side: int = LATENT) -> tuple[slice, slice]:
    """Rows and columns of `box` in an array that holds `outer`, one value for `side` pixels."""
    left, top, right, bottom = (edge // side for edge in box)
    x, y = outer[0] // side, outer[1] // side
    return slice(top - y, bottom - y), slice(left - x, right - x)


def overlap(a: Box, b: Box) -> Box | None:
    """What two boxes share, if anything."""
    left, top, right, bottom = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def size(box: Box, side: int = 1) -> tuple[int, int]:
    """(height, width) of a box, in units of `side` pixels."""
    left, top, right, bottom = box
    return (bottom - top) // side, (right - left) // side


def area(box: Box) -> int:
    """Pixels in a box."""
    height, width = size(box)
    return height * width


def _up(length: int, unit: int) -> int:
    """Rounded up to whole units."""
    return -(-length // unit) * unit
