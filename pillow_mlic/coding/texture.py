"""How strong texture is to be, and where: so that the picture is as lively as its original.

    tiles -> decoded without and with texture -> energies of fine details, cell by cell,
    against those of the original -> strengths

Details are what is left of luma when a Gaussian blur is taken away; their energy in a cell is a
parabola of the strength, without a linear term as grain is independent of the picture.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from ..engines.base import Floats, Pixels
from ..format.geometry import Box, within
from ..format.header import MAX_TEXTURE
from ..format.texture import LARGEST_CELL, TextureMap, shape, to_bytes
from ..format.tiles import AnyTile
from .coding import Coding
from .decoder import Decoder
from .transforms import Source

CELL = 64
"""Side of a cell in pixels."""
LIVELY = 0.95
"""Energy of fine details that is aimed for, 1 being that of the original."""
STEP = 20
"""Strengths of cells are multiples of this, in 1/200: few values take few bytes."""
CALM = 0.25
"""Share of the cells that are weaker than the strength of a picture without a map."""
LEAST = 1e-6
"""Of what grain adds: what divides is not 0."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BLUR = np.array([1, 4, 6, 4, 1], np.float32) / 16


def choose(picture: Source, coding: Coding, tiles: Sequence[AnyTile]) -> TextureMap:
    """The strengths for a picture (H, W, 3) that was coded to these tiles."""
    size = (picture.shape[1], picture.shape[0])
    wanted, plain, lively = np.zeros((3, *shape(size, CELL)), np.float32)
    full = TextureMap(np.full((1, 1), MAX_TEXTURE, np.uint8), max(size))

    def note(energies: Floats, box: Box, pixels: Pixels) -> None:
        left, top, right, bottom = box
        at = np.s_[top // CELL : -(-bottom // CELL), left // CELL : -(-right // CELL)]
        energies[at] = details(pixels)

    def note_both(box: Box, pixels: Pixels) -> None:
        note(plain, box, pixels)
        note(wanted, box, picture[within(box, (0, 0, 0, 0), 1)])

    numbered = dict(enumerate(tiles))
    Decoder(coding, size).decode_into(note_both, numbered)
    Decoder(coding, size, texture=full).decode_into(partial(note, lively), numbered)
    missing = np.maximum(LIVELY * wanted - plain, 0)
    strength = np.sqrt(np.minimum(missing / np.maximum(lively - plain, LEAST), 1))
    levels = np.rint(MAX_TEXTURE / STEP * strength)
    return TextureMap((levels * STEP).astype(np.uint8), CELL)


def fitted(found: TextureMap, most: float) -> tuple[int, bytes | None]:
    """The header's strength, and the data of a chunk of at most so many bytes if one is needed.

    Cells are joined, the weakest counting, until they fit. If they never do, the whole picture has
    one strength, that of a calm part.
    """
    cells, side = found
    while side <= LARGEST_CELL and cells.min() < cells.max():
        data = to_bytes(TextureMap(cells, side))
        if len(data) <= most:
            return int(cells.max()), data
        rows, columns = (-(-n // 2) for n in cells.shape)
        even = np.pad(cells, [(0, n % 2) for n in cells.shape], mode="edge")
        cells, side = even.reshape(rows, 2, columns, 2).min((1, 3)), 2 * side
    return int(np.quantile(found.cells, CALM, method="lower")), None


def details(pixels: Pixels) -> Floats:
    """Energy of the fine details of luma, summed up in cells; (h, w, 3) -> (h/64, w/64)."""
    luma = pixels @ _LUMA
    band = luma - _blurred(luma)
    height, width = luma.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    squares = np.zeros((rows * CELL, columns * CELL), np.float32)
    squares[:height, :width] = band * band
    return np.asarray(squares.reshape(rows, CELL, columns, CELL).sum((1, 3)), np.float32)


def _blurred(plane: Floats) -> Floats:
    """In windows of 5 x 5 pixels, mirrored at the edges."""
    for _ in range(2):
        padded = np.pad(plane, ((2, 2), (0, 0)), mode="symmetric")
        plane = sum(w * padded[i : i + len(plane)] for i, w in enumerate(_BLUR)).T
    return plane
