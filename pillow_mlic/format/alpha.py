"""The alpha plane: without loss, as lossless WebP or zlib, whichever is smaller.

plane -> "W" + WebP file or "Z" + zlib of its rows -> plane, or a box of it

Where no tile is learned, the plane may be part of the tiles instead; then the data are `IN_TILES`.
"""

import io
import zlib
from collections.abc import Iterator

from PIL import Image

from . import webp
from .container import DamagedError
from .geometry import Box

IN_TILES = b"T"
"""The data of an ALPHA chunk whose plane is in the tiles, which all are lossless."""

_WEBP, _ZLIB = b"W", b"Z"
_STEP, _BLOCK = 1 << 16, 1 << 20


def to_bytes(plane: Image.Image) -> bytes:
    """The data of an ALPHA chunk for an L picture."""
    choices = [_ZLIB + zlib.compress(plane.tobytes(), 9)]
    written = webp.to_bytes(Image.merge("RGB", (plane,) * 3))
    if written is not None:
        choices.append(_WEBP + written)
    return min(choices, key=len)


def from_bytes(data: bytes, size: tuple[int, int], box: Box) -> Image.Image:
    """A box of the plane of a picture of `size` (width, height), as an L picture.

    Takes memory for the box and a row; only WebP is decoded whole, within Pillow's own limit for
    pictures. Raises DamagedError if the data are no such plane.
    """
    try:
        if data[:1] == _ZLIB:
            shape = box[2] - box[0], box[3] - box[1]
            return Image.frombytes("L", shape, _rows(data[1:], size, box))
        if data[:1] != _WEBP:
            msg = "it is written in an unknown way"
            raise ValueError(msg)
        webp.check_size(data[1:], size)
        with Image.open(io.BytesIO(data[1:]), formats=["WEBP"]) as image:
            return image.convert("RGB").getchannel("R").crop(box)
    except (ValueError, OSError, EOFError, zlib.error, Image.DecompressionBombError) as error:
        msg = f"the transparency of this .mlic file is damaged ({error}); fetch the file again"
        raise DamagedError(msg) from error


def _rows(data: bytes, size: tuple[int, int], box: Box) -> bytes:
    """The bytes of a box; ValueError where there are too few or, at the lower edge, too many."""
    width, height = size
    left, top, right, bottom = box
    plane, rows = bytearray(), bytearray()
    skip, missing = top * width, bottom - top
    for block in _inflated(data):
        used = min(skip, len(block))
        skip -= used
        rows += block[used:]
        whole = min(len(rows) // width, missing)
        for row in range(whole):
            plane += rows[row * width + left : row * width + right]
        del rows[: whole * width]
        missing -= whole
        if not missing and (rows or bottom < height):
            break
    if missing or (rows and bottom == height):
        msg = "it does not end with its last pixel"
        raise ValueError(msg)
    return bytes(plane)


def _inflated(data: bytes) -> Iterator[bytes]:
    """What zlib data hold, block by block; ValueError at their end if they are not whole."""
    unzip = zlib.decompressobj()
    for at in range(0, len(data), _STEP):
        # In small pieces: the unused rest of a piece is copied at every call.
        piece, block = data[at : at + _STEP], bytes(_BLOCK)
        while piece or len(block) == _BLOCK:
            block = unzip.decompress(piece, _BLOCK)
            piece = unzip.unconsumed_tail
            yield block
    if not unzip.eof:
        msg = "it is cut short"
        raise ValueError(msg)
