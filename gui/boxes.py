"""Boxes, of which AVIF and JPEG XL files consist: length, kind, content (ISO/IEC 14496-12, 4.2)."""

import struct
from collections.abc import Iterable
from typing import NamedTuple

HEAD = 8
"""Bytes before a box's content: length and kind."""


class FileBox(NamedTuple):
    """A box: its kind, four letters, and its content."""

    kind: bytes
    content: bytes

    @property
    def size(self) -> int:
        """Bytes of the whole box."""
        return HEAD + len(self.content)


def read(data: bytes) -> list[FileBox]:
    """The boxes that fill `data`; ValueError where they do not, or have long lengths."""
    found, at = [], 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at) if at + HEAD <= len(data) else (0, b"")
        if not HEAD <= length <= len(data) - at:
            msg = f"no box that can be read at byte {at}"
            raise ValueError(msg)
        found.append(FileBox(kind, data[at + HEAD : at + length]))
        at += length
    return found


def write(boxes: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Kinds and contents as bytes."""
    return b"".join(struct.pack(">I4s", HEAD + len(c), kind) + c for kind, c in boxes)
