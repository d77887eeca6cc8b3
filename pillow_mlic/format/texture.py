"""The TEXTURE chunk: where in a picture texture is weaker than the header's strength.

cells (rows, columns), each a square of pixels -> code of their side, zlib of their strengths
"""

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .header import ARITHMETIC_INTEGER, MAX_TEXTURE, Header
from .layout import DamagedError, damage

SMALLEST_CELL, MOST_CODES = 16, 9
"""Cells are 16 << code pixels wide and high, for codes from 0 to 8."""


LARGEST_CELL = SMALLEST_CELL << (MOST_CODES - 1)


class TextureMap(NamedTuple):
    """Strengths of cells, in 1/200, 0 to 200."""

    cells: NDArray[np.uint8]
    """(ceil(H / side), ceil(W / side))."""
    side: int
    """Of a cell, in pixels."""

    def latents(self, box: tuple[int, int, int, int]) -> NDArray[np.float32]:
        """Strengths 0..1 of the latents in a box of the padded picture, (h/16, w/16)."""
        left, top, right, bottom = box
        rows = np.arange(top, bottom, SMALLEST_CELL) // self.side
        columns = np.arange(left, right, SMALLEST_CELL) // self.side
        height, width = self.cells.shape
        cells = self.cells[np.minimum(rows, height - 1)][:, np.minimum(columns, width - 1)]
        return cells.astype(np.float32) / np.float32(MAX_TEXTURE)


def wanted(header: Header, data: bytes | None, strength: float | None) -> TextureMap | None:
    """The strengths that a picture is shown with; None: no texture.

    `data` are those of its TEXTURE chunk. By default they are as stored; with a `strength` from 0
    to 1 the strongest cells get this one, and the others stay in proportion. DamagedError where
    the chunk is damaged.
    """
    if header.arithmetic != ARITHMETIC_INTEGER:
        return None  # grain is defined for what is decided in integers
    most = header.texture if strength is None else round(MAX_TEXTURE * strength)
    if most == 0:
        return None
    if data is None or header.texture == 0:
        return TextureMap(np.full((1, 1), most, np.uint8), max(header.width, header.height))
    stored = from_bytes(data, (header.width, header.height), header.texture)
    cells = np.rint(stored.cells * (most / header.texture))
    return TextureMap(cells.astype(np.uint8), stored.side)


def shape(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Rows and columns of cells for a picture of `size` (width, height)."""
    return -(-size[1] // side), -(-size[0] // side)


def to_bytes(found: TextureMap) -> bytes:
    """The data of the chunk."""
    code = (found.side // SMALLEST_CELL).bit_length() - 1
    return bytes([code]) + zlib.compress(found.cells.tobytes(), 9)


def from_bytes(data: bytes, size: tuple[int, int], most: int) -> TextureMap:
    """The cells of a picture of `size` (width, height), none above `most`, the header's strength.

    DamagedError where the data are something else. Takes memory for the cells alone.
    """
    problem = None
    try:
        if not data or data[0] >= MOST_CODES:
            msg = "the side of its cells is impossible"
            raise ValueError(msg)
        side = SMALLEST_CELL << data[0]
        rows, columns = shape(size, side)
        unzip = zlib.decompressobj()
        cells = unzip.decompress(data[1:], rows * columns + 1)
        if len(cells) != rows * columns or not unzip.eof or unzip.unused_data:
            msg = "it has another number of cells"
            raise ValueError(msg)
        found = np.frombuffer(cells, np.uint8).reshape(rows, columns)
        if found.max() > most:
            msg = "it is stronger than its header says"
            raise ValueError(msg)
    except (ValueError, zlib.error) as error:
        problem = damage(f"its map of texture: {error}")
        raise DamagedError(problem) from error
    return TextureMap(found, side)
