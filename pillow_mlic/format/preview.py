"""The preview of a picture: a small lossy WebP file, so that a thumbnail costs no network.

picture -> data of a PREVIEW chunk (to_bytes) -> a small picture (from_bytes)
"""

import io

from PIL import Image, features

SMALLEST_PICTURE = 500_000
"""Pictures with fewer pixels have no preview: decoding them is quick enough."""
SHARE = 0.02
"""A preview may take this share of the rest of the file ..."""
LEAST_BYTES = 600
"""... or this many bytes, whichever is more."""
MAX_BYTES = 1 << 16
"""Longer previews are neither written nor read."""
MAX_SIDE = 512
SIDES = (MAX_SIDE, 384, 256, 192, 128, 96, 64)
QUALITIES = (80, 60, 40)
"""WebP's; a preview gets the largest side with which its file fits at one of these."""

_START = b"\x9d\x01\x2a"


def to_bytes(image: Image.Image, file_bytes: float) -> bytes | None:
    """The best preview for a file that has `file_bytes` without it, or None.

    `image` is in mode L or RGB; pictures with transparency and small ones have no preview. Raises
    ValueError where Pillow cannot write WebP.
    """
    if image.mode not in ("L", "RGB") or image.width * image.height < SMALLEST_PICTURE:
        return None
    if not features.check("webp"):
        msg = "a preview is a WebP file, which this Pillow cannot write; leave out `preview`"
        raise ValueError(msg)
    most = limit(file_bytes)
    largest = image.resize(_scaled(image.size, MAX_SIDE), Image.Resampling.LANCZOS, reducing_gap=3)
    for side in SIDES:
        small = largest.resize(_scaled(image.size, side), Image.Resampling.LANCZOS)
        for quality in QUALITIES:
            buffer = io.BytesIO()
            small.convert("RGB").save(buffer, "WEBP", quality=quality, method=6, exact=False)
            if buffer.tell() <= most:
                return buffer.getvalue()
    return None


def limit(file_bytes: float) -> float:
    """Most bytes of the preview of a file that has `file_bytes` without it."""
    return min(max(SHARE * file_bytes, LEAST_BYTES), MAX_BYTES)


def size_of(data: bytes, size: tuple[int, int]) -> tuple[int, int] | None:
    """The size of the preview of a picture of `size`; None where `data` are no preview of it.

    Looked at here, as a decoder takes memory for a canvas as soon as it is opened: only lossy WebP
    in the simple layout, in the shape of the picture and no larger than it may be.
    """
    if len(data) < 30 or len(data) > MAX_BYTES:
        return None
    if (data[:4], data[8:16], data[23:26]) != (b"RIFF", b"WEBPVP8 ", _START):
        return None
    width, height = (int.from_bytes(data[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    side = max(width, height)
    return (width, height) if side <= MAX_SIDE and _scaled(size, side) == (width, height) else None


def from_bytes(data: bytes, size: tuple[int, int], mode: str) -> Image.Image | None:
    """The preview of a picture of `size` in `mode`; None where `data` are no preview of it."""
    if size_of(data, size) is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            return image.convert(mode) if _scaled(size, max(image.size)) == image.size else None
    except (OSError, ValueError, SyntaxError, EOFError):
        return None


def _scaled(size: tuple[int, int], side: int) -> tuple[int, int]:
    """`size` so that its longer side is `side`."""
    longest = max(size)
    width, height = (max(1, (2 * each * side + longest) // (2 * longest)) for each in size)
    return width, height
