"""The pixels of a lossless tile, as WebP or as a palette and zlib data, whichever is smaller.

picture (h, w) -> LosslessTile -> the same picture

A picture here is a Pillow image in a mode of the format. NumPy is imported when it is needed.
"""

import zlib
from typing import TYPE_CHECKING

from PIL import Image

from . import webp
from .layout import DamagedError, UnsupportedError, damage
from .tiles import LosslessTile, TileKind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLOURS = 256
"""Most colours of a palette."""
SHORTEST_WEBP = 26
"""Bytes of the shortest WebP file."""
_BROKEN = (ValueError, OSError, EOFError, SyntaxError, zlib.error)


def to_tile(image: Image.Image) -> LosslessTile:
    """The smallest lossless tile of a picture in mode L, LA, RGB or RGBA.

    Raises OSError where it has more than 256 colours and this Pillow cannot write WebP.
    """
    choices = []
    palette = _palette(image)
    if palette is not None:
        choices.append(LosslessTile(TileKind.PALETTE, palette, image.mode))
    if palette is None or len(palette) > SHORTEST_WEBP:
        written = webp.to_bytes(image.convert("RGBA" if image.mode.endswith("A") else "RGB"))
        if written is not None:
            choices.append(LosslessTile(TileKind.WEBP, written, image.mode))
    if not choices:
        msg = "lossless tiles are WebP files, which this Pillow cannot write: update Pillow"
        raise OSError(msg)
    return min(choices, key=lambda tile: len(tile.data))


def to_picture(tile: LosslessTile, size: tuple[int, int]) -> Image.Image:
    """The picture of a lossless tile, in its mode.

    Takes memory in proportion to `size` (width, height). Raises DamagedError if the data are no
    such tile.
    """
    mode = tile.mode
    try:
        if tile.kind == TileKind.PALETTE:
            return _from_palette(tile.data, size, mode)
        image = webp.from_bytes(tile.data, size)
    except _BROKEN as error:
        if isinstance(error, UnsupportedError):
            raise
        msg = damage(f"a lossless tile cannot be read, {error}")
        raise DamagedError(msg) from error
    if mode.startswith("RGB"):
        return image.convert(mode)
    image = image.convert("RGBA")
    planes = [image.getchannel(name) for name in ("R", "A")]
    return Image.merge("LA", planes) if mode == "LA" else planes[0]


def _bits(colours: int) -> int:
    """Bits of an index into so many colours; none where there is one colour."""
    return next(bits for bits in (0, 1, 2, 4, 8) if colours <= 1 << bits)


def _palette(image: Image.Image) -> bytes | None:
    """What follows the kind of a tile with a palette; None where there are too many colours."""
    found = image.getcolors(COLOURS)
    if found is None:
        return None
    import numpy as np

    pixels = _values(np.asarray(image))
    colours = np.array([colour for _, colour in found], np.uint8)
    colours = colours.reshape(len(found), 1, len(image.getbands()))
    keys = _values(colours)[:, 0]
    order = np.argsort(keys)
    head = bytes([len(keys) - 1]) + colours[order].tobytes()
    bits = _bits(len(keys))
    if not bits:
        return head
    indexes = np.searchsorted(keys[order], pixels).astype(np.uint8)
    return head + zlib.compress(_packed(indexes, bits).tobytes(), 9)


def _values(pixels: "NDArray[np.uint8]") -> "NDArray[np.uint32]":
    """(h, w) or (h, w, C) -> one number a pixel, (h, w)."""
    import numpy as np

    planes = pixels.reshape(*pixels.shape[:2], -1)
    value: NDArray[np.uint32] = planes[..., 0].astype(np.uint32)
    for band in range(1, planes.shape[-1]):
        value = value << np.uint32(8) | planes[..., band]
    return value


def _packed(indexes: "NDArray[np.uint8]", bits: int) -> "NDArray[np.uint8]":
    """(h, w) -> (h, ceil(w * bits / 8)): the first pixel in the highest bits, zeros at the end."""
    import numpy as np

    each = 8 // bits
    height, width = indexes.shape
    padded = np.pad(indexes, ((0, 0), (0, -width % each))).reshape(height, -1, each)
    packed = np.zeros(padded.shape[:2], np.uint8)
    for place in range(each):
        packed |= padded[..., place] << (8 - bits * (place + 1))
    return packed


def _from_palette(data: bytes, size: tuple[int, int], mode: str) -> Image.Image:
    """The picture of a palette and indexes; ValueError or zlib.error if they make none."""
    import numpy as np

    width, height = size
    bands = len(mode)
    count = data[0] + 1 if data else 0
    start = 1 + count * bands
    if not count or len(data) < start:
        msg = "its palette is cut short"
        raise ValueError(msg)
    colours = np.frombuffer(data[1:start], np.uint8).reshape(count, bands)
    if not _bits(count):
        if len(data) > start:
            msg = "something follows its only colour"
            raise ValueError(msg)
        return Image.new(
            mode, size, tuple(colours[0].tolist()) if bands > 1 else int(colours[0, 0])
        )
    bits = _bits(count)
    row = -(-width * bits // 8)
    packed = np.frombuffer(_inflated(data[start:], row * height), np.uint8).reshape(height, row)
    each = 8 // bits
    indexes = np.empty((height, row, each), np.uint8)
    for place in range(each):
        indexes[..., place] = packed >> (8 - bits * (place + 1)) & ((1 << bits) - 1)
    indexes = indexes.reshape(height, -1)[:, :width]
    if int(indexes.max()) >= count:
        msg = f"it has an index beyond its {count} colours"
        raise ValueError(msg)
    pixels = colours[indexes]
    return Image.fromarray(pixels[..., 0] if bands == 1 else pixels)


def _inflated(data: bytes, size: int) -> bytes:
    """zlib data of so many bytes; ValueError where they have more or fewer."""
    unzip = zlib.decompressobj()
    found = unzip.decompress(data, size + 1)
    if len(found) != size or not unzip.eof or unzip.unused_data:
        msg = "it does not end with its last pixel"
        raise ValueError(msg)
    return found
