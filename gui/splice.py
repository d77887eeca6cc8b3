"""Metadata put into a finished file; the coded pixels stay as they are.

The entries of JPEG and WebP are those that Pillow writes into a tiny file of the same kind; AVIF is
in `splice_avif`. What came of it is opened with Pillow, and given away only if it says the same.
"""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, cast

from PIL import Image

from pillow_mlic.errors import PICTURE_ERRORS
from pillow_mlic.format import container, metadata
from pillow_mlic.format.container import Chunk
from pillow_mlic.format.metadata import JPEG_PREFIX, is_exif

from . import boxes, splice_avif
from .boxes import FileBox

VP8X_ALPHA = 0x10
VP8X_ENTRIES = 0x20 | 0x08 | 0x04
"""Flags of a WebP file: transparency; colour profile, EXIF and XMP."""


JXL_HEAD = boxes.write([(b"JXL ", b"\r\n\x87\n"), (b"ftyp", b"jxl \0\0\0\0jxl ")])
"""How a JPEG XL file in boxes begins."""
JXL_CODESTREAM = b"\xff\n"
"""How one without boxes begins."""


def splice(data: bytes, format_: str, entries: dict[str, bytes]) -> bytes | None:
    """The file with these entries (options of `Image.save`); None where it cannot be changed
    without encoding again: its kind takes none, or it is built as no encoder here builds them."""
    if not entries:
        return data
    kinds = {
        "MLIC": _mlic,
        "JPEG": _jpeg,
        "WEBP": _webp,
        "AVIF": splice_avif.splice,
        "JXL": _jxl,
    }
    if format_ not in kinds:
        return None
    try:
        made = kinds[format_](data, entries)
        return made if _holds(made, data, format_, entries) else None
    except (*PICTURE_ERRORS, LookupError, RuntimeError):  # libavif's are of the last kind
        return None


def _holds(made: bytes, data: bytes, format_: str, entries: dict[str, bytes]) -> bool:
    """Whether Pillow finds the same picture in both files, and these entries in the new one."""
    formats = [format_]
    with Image.open(io.BytesIO(data), formats=formats) as before:
        shape = before.size, before.mode
    with Image.open(io.BytesIO(made), formats=formats) as after:
        found = dict(after.info)
        if (after.size, after.mode) != shape:
            return False
    if format_ == "JXL":  # of which Pillow's plugin reads no XMP
        found["xmp"] = dict(boxes.read(made)).get(b"xml ")
    plain = {name: value.removeprefix(JPEG_PREFIX) for name, value in entries.items()}
    return all(_bytes(found.get(name)).removeprefix(JPEG_PREFIX) == plain[name] for name in plain)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else b""


def _mlic(data: bytes, entries: dict[str, bytes]) -> bytes:
    source = io.BytesIO(data)
    header = container.read_header(source)
    chunks = [
        Chunk(place.type, container.read_chunk(source, place))
        for place in list(container.scan(source, header, len(data)))
    ]
    mode = header.mode
    fresh = metadata.chunks_of(Image.new(mode, (1, 1)), mode, dict(entries))
    kept = [chunk for chunk in chunks if chunk.type not in metadata.NAMES]
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


def _jxl(data: bytes, entries: dict[str, bytes]) -> bytes:
    """Signature, kind, EXIF, XMP and the picture's own code; ValueError with a profile, which lies
    within that code. (Pillow's plugin leaves out the four bytes before EXIF, where other programs
    look for the length of what is before it.)"""
    if "icc_profile" in entries or not data.startswith(JXL_CODESTREAM):
        msg = "this JPEG XL file takes no entries afterwards"
        raise ValueError(msg)
    made = []
    if "exif" in entries:
        block = entries["exif"].removeprefix(JPEG_PREFIX)
        if not is_exif(block):
            msg = "this is no EXIF"
            raise ValueError(msg)
        made.append(FileBox(b"Exif", bytes(4) + block))
    if "xmp" in entries:
        made.append(FileBox(b"xml ", entries["xmp"]))
    return JXL_HEAD + boxes.write([*made, FileBox(b"jxlc", data)])
