"""Names of the parts of a .mlic file, and the errors of reading one; see docs/format.md."""

import enum

from ..errors import MlicError
from . import leb128

VERSION = 2
VERSIONS = (1, 2)
"""Versions that are read."""
CRC_SIZE = 4
CRITICAL = 0x40
"""The bit of a chunk's first byte that is set if a reader must know the chunk."""
LAST = 0x80
"""The bit of a chunk's first byte that is set if the file ends with it."""
TYPE_MASK = 0x3F
MAX_METADATA_BYTES = 1 << 24
"""Longest metadata chunk, as these are read when a file is opened."""


class ContainerError(MlicError):
    """The bytes are not a .mlic file that this version can read."""


class TruncatedError(ContainerError):
    """The file ends early."""


class DamagedError(ContainerError):
    """A checksum or a field is wrong."""


class UnsupportedError(ContainerError):
    """The file needs a newer version of this program."""


class ChunkType(enum.IntEnum):
    """The chunk types; TEXTURE is of version 2."""

    TILE = 1
    ALPHA = 2
    ICC = 3
    EXIF = 4
    XMP = 5
    PREVIEW = 6
    TEXTURE = 7


CRITICAL_TYPES = frozenset({ChunkType.TILE, ChunkType.ALPHA})
_FIRST_TYPES = (
    ChunkType.TILE,
    ChunkType.ALPHA,
    ChunkType.ICC,
    ChunkType.EXIF,
    ChunkType.XMP,
    ChunkType.PREVIEW,
)
KNOWN_TYPES = {1: frozenset(_FIRST_TYPES), 2: frozenset({*_FIRST_TYPES, ChunkType.TEXTURE})}
"""The chunk types of each version: a later one does not become part of an earlier version."""
BOUND_TYPES = frozenset({ChunkType.TILE, ChunkType.ALPHA, ChunkType.PREVIEW, ChunkType.TEXTURE})
"""Chunks whose CRC also covers the header's: they belong to this picture and to no other."""


def number(data: bytes, position: int, where: str) -> tuple[int, int]:
    """LEB128 number at `position` and the position behind it; `where` is for messages."""
    try:
        return leb128.decode(data, position)
    except ValueError as error:
        rest = data[position : position + leb128.MAX_BYTES]
        if len(rest) < leb128.MAX_BYTES and all(byte & 0x80 for byte in rest):
            msg = cut_short(f"in the middle of {where}")
            raise TruncatedError(msg) from error
        msg = damage(f"in {where}, {error}")
        raise DamagedError(msg) from error


def cut_short(where: str) -> str:
    """The sentence for a file that ends early."""
    return f"this .mlic file ends {where}: the download or copy was cut short; fetch it again"


def damage(what: str) -> str:
    """The sentence for a file in which something is wrong."""
    return f"this .mlic file is damaged ({what}): fetch it again or use a backup"


def check_range(name: str, value: int, low: int, high: int) -> None:
    """ValueError unless `value` is an integer from `low` to `high`."""
    if not isinstance(value, int) or not low <= value <= high:
        msg = f"{name} is {value}, but must be an integer from {low} to {high}"
        raise ValueError(msg)
