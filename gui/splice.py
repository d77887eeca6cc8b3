"""Metadata put into a finished file; the coded pixels stay as they are.

The entries of JPEG and WebP are those that Pillow writes into a tiny file of the same kind.
"""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, cast

from PIL import Image

from pillow_mlic.format import container, metadata
from pillow_mlic.format.container import Chunk
from pillow_mlic.format.layout import ChunkType

METADATA = (ChunkType.ICC, ChunkType.EXIF, ChunkType.XMP)
VP8X_ALPHA = 0x10
VP8X_ENTRIES = 0x20 | 0x08 | 0x04
"""Flags of a WebP file: transparency; colour profile, EXIF and XMP."""


def splice(data: bytes, format_: str, entries: dict[str, bytes]) -> bytes | None:
    """The file with these entries (options of `Image.save`); None where its kind cannot be
    changed without encoding again."""
    if not entries:
        return data
    kinds = {"MLIC": _mlic, "JPEG": _jpeg, "WEBP": _webp}
    return kinds[format_](data, entries) if format_ in kinds else None


def _mlic(data: bytes, entries: dict[str, bytes]) -> bytes:
    source = io.BytesIO(data)
    header = container.read_header(source)
    chunks = [
        Chunk(place.type, container.read_chunk(source, place))
        for place in list(container.scan(source, header, len(data)))
    ]
    mode = header.mode
    fresh = metadata.chunks_of(Image.new(mode, (1, 1)), mode, dict(entries))
    kept = [chunk for chunk in chunks if chunk.type not in METADATA]
    target = io.BytesIO()
    container.write(cast(BinaryIO, target), header, [*fresh, *kept])
    return target.getvalue()


def _tiny(format_: str, entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, format=format_, **entries)
    return buffer.getvalue()


def _jpeg(data: bytes, entries: dict[str, bytes]) -> bytes:
    """SOI, what Pillow writes before the tables of a tiny file, and the picture's own rest."""
    head = _tiny("JPEG", entries)
    return head[: _end_of_entries(head)] + data[_end_of_entries(data) :]


def _end_of_entries(data: bytes) -> int:
    """Where the APPn segments at the beginning end."""
    at = 2
    while data[at] == 0xFF and 0xE0 <= data[at + 1] <= 0xEF:
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return at


def _webp(data: bytes, entries: dict[str, bytes]) -> bytes:
    """RIFF with VP8X, profile, the picture's own chunks, EXIF and XMP."""
    fresh = dict(_riff(_tiny("WEBP", entries)))
    own = dict(_riff(data))
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
    # A file without VP8X has transparency only where it is lossless: its header has the bit.
    alpha = own[b"VP8X"][0] & VP8X_ALPHA if b"VP8X" in own else 0
    if b"VP8L" in own and own[b"VP8L"][4] & 0x10:
        alpha = VP8X_ALPHA
    flags = fresh[b"VP8X"][0] & VP8X_ENTRIES | alpha
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    chunks = {b"VP8X": bytes([flags, 0, 0, 0]) + size}
    for kind in (b"ICCP", b"ALPH", b"VP8 ", b"VP8L", b"EXIF", b"XMP "):
        source = fresh if kind in (b"ICCP", b"EXIF", b"XMP ") else own
        if kind in source:
            chunks[kind] = source[kind]
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(chunk)) + chunk + bytes(len(chunk) % 2)
        for kind, chunk in chunks.items()
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a still WebP file: kind and content."""
    at = 12
    while at + 8 <= len(data):
        length = struct.unpack_from("<I", data, at + 4)[0]
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
