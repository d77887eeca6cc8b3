"""A cheap look at a picture: where it was drawn or written, not photographed.

Only there lossless tiles are tried, so photographs lose no time.
"""

from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..format.geometry import Box, pieces

Colour = tuple[int, int, int]

CELL = 128
"""Side of the squares, in pixels, that are looked at; every smallest tile tried has whole ones."""
ROWS = 8
"""So many rows of a cell, or one more, are looked at."""
SAME = 0.7
"""A cell is drawn if so many of its pixels equal their left neighbour. In the 24 pictures of Kodak
no cell has more than 0.66; text has 0.8 and more, drawings with flat areas about 0.9 ..."""
COLOURS = 8
"""... or if its rows have no more colours than this, as dithered pictures do. In cells with few
pixels as many as one for 16 pixels."""
SMALL, SMALL_GREY = 0.08, 0.3
"""In a picture no larger than a cell so many pixels equal a neighbour, or there is transparency, if
it may be an icon: smooth edges take a large part of it. Photographs that were made so small have
0.03 in the middle, more in grey."""
PALETTE = 256
"""A picture with no more colours, not all of them grey, is tried whatever its cells have; counting
those of a photograph ends after a few rows."""
PICTURE, TILE = 0.125, 0.5
"""Least shares of drawn cells, of a picture and of a tile, for which lossless tiles are tried."""


class DrawnParts(NamedTuple):
    """Which cells of a picture are drawn: (ceil(H/128), ceil(W/128)) of bool."""

    image: Image.Image
    """In mode L or RGB."""
    drawn: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"

    @property
    def worth_trying(self) -> bool:
        """Whether enough of the picture is drawn, by area: cells at its edges may be narrow."""
        width, height = (np.diff([*range(0, side, CELL), side]) for side in self.image.size)
        drawn = int(height @ self.drawn @ width)
        return drawn >= PICTURE * self.image.width * self.image.height

    def tile(self, box: Box) -> Image.Image | None:
        """What the picture has in a box, where a lossless tile is worth trying."""
        left, top, right, bottom = box
        cells = self.drawn[top // CELL : -(-bottom // CELL), left // CELL : -(-right // CELL)]
        if float(cells.mean()) < TILE:
            return None
        width, height = self.image.size
        return self.image.crop((left, top, min(right, width), min(bottom, height)))


def look(image: Image.Image) -> DrawnParts:
    """The content of a picture in a mode of the format; of alpha it counts whether there is any."""
    clear = image.mode.endswith("A") and image.getchannel("A").getextrema() != (255, 255)
    image = image.convert(image.mode.removesuffix("A"))
    width, height = image.size
    drawn = np.zeros((-(-height // CELL), -(-width // CELL)), bool)
    if _has_few_colours(image) or _may_be_icon(image, clear):
        drawn[:] = True
        return DrawnParts(image, drawn)
    for top in range(0, height, CELL):
        strip = np.asarray(image.crop((0, top, width, min(top + CELL, height))))
        rows = strip[:: max(1, len(strip) // ROWS)]
        values = _numbered(rows)
        for left, _, right, _ in pieces((0, 0, width, 1), CELL):
            drawn[top // CELL, left // CELL] = _is_drawn(values[:, left:right])
    return DrawnParts(image, drawn)


def _has_few_colours(image: Image.Image) -> bool:
    found = image.getcolors(PALETTE) if image.mode == "RGB" else None
    return found is not None and any(len(set(cast(Colour, colour))) > 1 for _, colour in found)


def _may_be_icon(image: Image.Image, clear: bool) -> bool:
    """Whether a picture is as small as an icon and has flat parts, or is `clear` in some."""
    if image.width * image.height > CELL * CELL:
        return False
    values = _numbered(np.asarray(image))
    down, right = values[1:] == values[:-1], values[:, 1:] == values[:, :-1]
    least = SMALL if image.mode == "RGB" else SMALL_GREY
    return clear or int(down.sum() + right.sum()) >= least * (down.size + right.size)


def _numbered(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """One number for each colour: (h, w) of grey or (h, w, 3) -> (h, w)."""
    values = pixels.reshape(*pixels.shape[:2], -1).astype(np.uint32)
    return values @ np.array([1, 1 << 8, 1 << 16][: values.shape[-1]], np.uint32)


def _is_drawn(values: NDArray[np.uint32]) -> bool:
    """By one number a pixel, (h, w), of a cell's rows."""
    same = values[:, 1:] == values[:, :-1]
    return bool(same.size and same.mean() >= SAME) or (
        len(np.unique(values)) <= min(COLOURS, -(-values.size // 16))
    )
