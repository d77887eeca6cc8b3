"""Lossless WebP files in the simple layout (one VP8L chunk), written and read by Pillow."""

import io
from typing import TYPE_CHECKING

from PIL import Image, features

from .layout import UnsupportedError

if TYPE_CHECKING:
    from PIL import ImageFile

MAX_SIDE = 16383
METHOD = 4
"""Effort. Method 6 takes 7 to 30 times as long as 4 and saves less than 1 %; below 4 files of text
are up to three times as large (screenshots and drawings of 768 x 512)."""


def to_bytes(image: Image.Image) -> bytes | None:
    """A WebP file of an RGB or RGBA picture, colours under alpha 0 kept; None where there is none:
    it is too large, or this Pillow has no WebP."""
    if max(image.size) > MAX_SIDE or not features.check("webp"):
        return None
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=100, method=METHOD, exact=True,
               icc_profile=None, exif=b"", xmp=b"")  # fmt: skip
    return buffer.getvalue()


def check_size(data: bytes, size: tuple[int, int]) -> None:
    """ValueError unless `data` claim to be a lossless WebP file of `size` (width, height).

    Looked at before a decoder is asked, as that takes memory for a canvas as soon as it is opened.
    """
    if len(data) < 25 or (data[:4], data[8:16], data[20]) != (b"RIFF", b"WEBPVP8L", 0x2F):
        msg = "it is no lossless WebP file"
        raise ValueError(msg)
    bits = int.from_bytes(data[21:25], "little")
    if ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1) != size:
        msg = "it has another size"
        raise ValueError(msg)


def from_bytes(data: bytes, size: tuple[int, int]) -> Image.Image:
    """The picture of a lossless WebP file that has to have this size.

    Takes memory for the picture whatever `Image.MAX_IMAGE_PIXELS` is, so `size` must be trusted.
    UnsupportedError where this Pillow has no WebP; ValueError, OSError, EOFError or SyntaxError
    for damaged data.
    """
    check_size(data, size)
    if not features.check("webp"):
        msg = "this .mlic file has lossless tiles, which need a Pillow with WebP: update Pillow"
        raise UnsupportedError(msg)
    from PIL.WebPImagePlugin import WebPImageFile

    opened: ImageFile.ImageFile = WebPImageFile(io.BytesIO(data))
    with opened as image:
        if image.size != size:
            msg = "it has another size"
            raise ValueError(msg)
        image.load()
        return image.copy()
