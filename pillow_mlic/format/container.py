"""Bytes <-> header and chunks of a .mlic file, as specified in docs/format.md.

A file is a signature and header (at most 31 bytes), then chunks: metadata, alpha, tiles.
This module knows nothing of pictures, models or range coding; it uses the standard library
and LEB128 only.

    header = read_header(fp)
    for place in scan(fp, header, file_size):
        data = read_chunk(fp, place)
"""

import binascii
import enum
import struct
import zlib
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import MlicError
from . import leb128
from .geometry import Grid, area

SIGNATURE = b"\x8aMLC\r\n\x1a\n"
VERSION = 1
MODES = ("L", "LA", "RGB", "RGBA")
MAX_SIDE = 16_777_215
MAX_QUALITY_CODE = 57_344
GUARD_BANDS = (1e-9, 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3)
MAX_TILE_CODE = 6
"""A tile's side is at most 4096 pixels: what decoding one tile takes is bounded."""
MAX_OTHER_CHUNKS = 255
"""Most chunks that are not tiles; keeps a hostile file from filling memory with empty ones."""
MAX_METADATA_BYTES = 1 << 24
"""Longest metadata chunk, as these are read when a file is opened."""
MAX_TILE_RATE = 16
"""Most bytes a pixel in a tile, whose sides count in full multiples of 64; no model needs 14."""
MAX_ALPHA_RATE = 2
"""Most bytes a pixel in ALPHA, besides ALPHA_ALLOWANCE."""
ALPHA_ALLOWANCE = 1024

_QUALITY_STEPS = 8192
_PACK_SIZE = 8
_HEADER_PREFIX = 40
_HEADER_TAIL = struct.Struct(f">B{_PACK_SIZE}sHBH")
_MAX_LENGTH = (1 << 7 * leb128.MAX_BYTES) - 1
_CRC_SIZE = 4
_MIN_CHUNK_SIZE = 1 + 1 + _CRC_SIZE
_LAST = 0x80
_CRITICAL = 0x40
_TYPE_MASK = 0x3F
_BLOCK = 1 << 20


class ContainerError(MlicError):
    """The bytes are not a .mlic file that this version can read."""


class TruncatedError(ContainerError):
    """The file ends early."""


class DamagedError(ContainerError):
    """A checksum or a field is wrong."""


class UnsupportedError(ContainerError):
    """The file needs a newer version of this program."""


class ChunkType(enum.IntEnum):
    """The chunk types of format version 1."""

    TILE = 1
    ALPHA = 2
    ICC = 3
    EXIF = 4
    XMP = 5
    PREVIEW = 6


CRITICAL_TYPES = frozenset({ChunkType.TILE, ChunkType.ALPHA})
_KNOWN_TYPES = frozenset(ChunkType)


def quality_code(quality: float) -> int:
    """Return the header's integer for a quality from 1 to 8, in steps of 1/8192."""
    if not 1 <= quality <= 8:
        msg = f"quality is {quality}, but must be from 1 (smallest file) to 8 (closest picture)"
        raise ValueError(msg)
    return round((quality - 1) * _QUALITY_STEPS)


def storable(quality: float) -> float:
    """The quality nearest to this one that a header can say."""
    return 1 + quality_code(quality) / _QUALITY_STEPS


def tile_code(side: int) -> int:
    """Return the header's integer for the side of a tile, 64 << code."""
    return (side // 64).bit_length() - 1


@dataclass(frozen=True, slots=True)
class Header:
    """What a .mlic file says of itself before its chunks.

    `pack` is the first 8 bytes of the SHA-256 of the weight pack. `quality_code` comes from
    `quality_code`, `guard_code` is an index into `GUARD_BANDS`, and a tile's side is
    `64 << tile_code` pixels. Raises ValueError where a field is out of range.
    """

    mode: str
    width: int
    height: int
    model: int
    pack: bytes
    quality_code: int
    guard_code: int = 0
    tile_code: int = 4

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            msg = f"mode is {self.mode!r}, but must be one of {', '.join(MODES)}"
            raise ValueError(msg)
        if not isinstance(self.pack, bytes) or len(self.pack) != _PACK_SIZE:
            msg = f"pack must be {_PACK_SIZE} bytes, the start of the weight pack's SHA-256"
            raise ValueError(msg)
        _check_range("width", self.width, 1, MAX_SIDE)
        _check_range("height", self.height, 1, MAX_SIDE)
        _check_range("model", self.model, 0, 255)
        _check_range("quality_code", self.quality_code, 0, MAX_QUALITY_CODE)
        _check_range("guard_code", self.guard_code, 0, len(GUARD_BANDS) - 1)
        _check_range("tile_code", self.tile_code, 0, MAX_TILE_CODE)

    @property
    def quality(self) -> float:
        """Quality from 1 to 8."""
        return 1 + self.quality_code / _QUALITY_STEPS

    @property
    def guard(self) -> float:
        """Guard band, relative to the scale."""
        return GUARD_BANDS[self.guard_code]

    @property
    def has_alpha(self) -> bool:
        """Whether the file has an ALPHA chunk."""
        return self.mode.endswith("A")

    @property
    def tile_size(self) -> int:
        """Side of a whole tile in pixels."""
        return 64 << self.tile_code

    @property
    def grid(self) -> Grid:
        """The picture cut into tiles."""
        return Grid(self.width, self.height, self.tile_size)

    @property
    def byte_length(self) -> int:
        """Size of the header in the file, signature included: 25 to 31 bytes."""
        return len(self.to_bytes())

    def longest(self, kind: int, index: int) -> int:
        """Most bytes that the data of chunk `index` of type `kind` may have."""
        if kind == ChunkType.TILE:
            return MAX_TILE_RATE * area(self.grid.box(index))
        if kind == ChunkType.ALPHA:
            return MAX_ALPHA_RATE * self.width * self.height + ALPHA_ALLOWANCE
        return MAX_METADATA_BYTES if kind in _KNOWN_TYPES else _MAX_LENGTH

    def to_bytes(self) -> bytes:
        """Return signature and header as they stand in the file."""
        body = b"".join(
            (
                SIGNATURE,
                bytes([VERSION << 4 | MODES.index(self.mode)]),
                leb128.encode(self.width),
                leb128.encode(self.height),
                bytes([self.model]),
                self.pack,
                self.quality_code.to_bytes(2, "big"),
                bytes([self.tile_code << 4 | self.guard_code]),
            )
        )
        return body + _header_crc(body).to_bytes(2, "big")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk to be written. Types outside `ChunkType` are allowed and never critical."""

    type: int
    data: bytes

    def __post_init__(self) -> None:
        _check_range("chunk type", self.type, 1, _TYPE_MASK)

    @property
    def critical(self) -> bool:
        """Whether a reader that does not know the type must refuse the file."""
        return self.type in CRITICAL_TYPES


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Where a chunk lies in a file; its data are neither read nor checked yet."""

    type: int
    """A `ChunkType`, or a number that this version does not know."""
    index: int
    """Number of chunks of this type before it; for a TILE the index of the tile."""
    offset: int
    """Position of the first byte of the data."""
    length: int
    """Size of the data in bytes."""
    critical: bool
    last: bool


def is_mlic(prefix: bytes) -> bool:
    """Whether a file that begins with these bytes (8 or more) is a .mlic file of any version."""
    return prefix[: len(SIGNATURE)] == SIGNATURE


def prefix_problem(prefix: bytes) -> str | None:
    """Return why a .mlic file that begins so (9 bytes or more) cannot be read, None if it may."""
    version_byte = prefix[len(SIGNATURE) : len(SIGNATURE) + 1]
    if not is_mlic(prefix) or not version_byte:
        return None
    version = version_byte[0] >> 4
    if version == VERSION:
        return None
    return (
        f"this .mlic file has format version {version}, but this program reads version {VERSION}: "
        "update pillow-mlic"
    )


def read_header(fp: BinaryIO) -> Header:
    """Read the header at the current position and leave `fp` just behind it.

    Reads 40 bytes at most; `fp` must be seekable. Raises ContainerError.
    """
    start = fp.tell()
    data = fp.read(_HEADER_PREFIX)
    if not is_mlic(data):
        raise _signature_error(data)
    problem = prefix_problem(data)
    if problem is not None:
        raise UnsupportedError(problem)
    position = len(SIGNATURE) + 1
    width, position = _number(data, position, "its header")
    height, position = _number(data, position, "its header")
    end = position + _HEADER_TAIL.size
    if len(data) < end:
        msg = _cut_short("in its header")
        raise TruncatedError(msg)
    model, pack, quality, codes, crc = _HEADER_TAIL.unpack_from(data, position)
    if crc != _header_crc(data[: end - 2]):
        msg = _damage("the checksum of its header does not match")
        raise DamagedError(msg)
    mode = data[len(SIGNATURE)] & 0x0F
    if mode >= len(MODES):
        msg = _damage(f"its header has mode {mode}, which does not exist")
        raise DamagedError(msg)
    try:
        header = Header(MODES[mode], width, height, model, pack, quality, codes & 0x0F, codes >> 4)
    except ValueError as error:
        msg = _damage(f"its header is wrong: {error}")
        raise DamagedError(msg) from error
    fp.seek(start + end)
    return header


def scan(
    fp: BinaryIO,
    header: Header,
    file_size: int,
    *,
    allow_truncated: bool = False,
    tiles: Container[int] | None = None,
) -> list[ChunkPlace]:
    """Find every chunk by seeking from head to head, without reading the data.

    `fp` stands just behind the header and is put back there. `file_size` is the position of
    the file's end; no chunk may reach beyond it. Types, order, number of tiles and the presence
    of alpha are checked; unknown chunks that are not critical are listed with the others.
    Raises ContainerError. With `allow_truncated`, a file that ends early gives the chunks that
    are whole. With `tiles`, of the TILE chunks only those of these indexes are listed.
    """
    start = fp.tell()
    if not allow_truncated and header.grid.count * _MIN_CHUNK_SIZE > file_size - start:
        msg = (
            f"this .mlic file has {file_size} bytes, too few for the {header.grid.count} tiles of "
            "its picture: the download or copy was cut short; fetch it again"
        )
        raise TruncatedError(msg)
    places: list[ChunkPlace] = []
    try:
        for place in _walk(fp, header, file_size):
            if tiles is None or place.type != ChunkType.TILE or place.index in tiles:
                places.append(place)
    except TruncatedError:
        if not allow_truncated:
            raise
    finally:
        fp.seek(start)
    return places


def scan_metadata(fp: BinaryIO, header: Header, file_size: int) -> list[ChunkPlace]:
    """Find the chunks before the first critical one: all metadata, no alpha, no tiles.

    Arguments and errors as for `scan`, but of the critical chunk only the type is looked at.
    """
    start = fp.tell()
    try:
        return list(_walk(fp, header, file_size, metadata_only=True))
    finally:
        fp.seek(start)


def read_chunk(fp: BinaryIO, place: ChunkPlace) -> bytes:
    """Read the data of a chunk found by `scan` and check its CRC-32."""
    return b"".join(_checked_blocks(fp, place, place.length))


def check_chunk(fp: BinaryIO, place: ChunkPlace) -> None:
    """Check the CRC-32 of a chunk found by `scan`, a block at a time: it may be of any length."""
    for _ in _checked_blocks(fp, place, _BLOCK):
        pass


def write(fp: BinaryIO, header: Header, chunks: Sequence[Chunk]) -> int:
    """Write a whole file and return its size in bytes.

    Order: metadata (each type once at most), ALPHA where the mode has alpha, every TILE in raster
    order; chunks of unknown types anywhere. Raises ValueError, before anything is written, where
    the chunks do not make a file that `scan` accepts.
    """
    seen: Counter[int] = Counter()
    for chunk in chunks:
        problem = _misplaced(header, chunk.type, seen)
        if problem is not None:
            msg = f"these chunks make no .mlic file: {problem}"
            raise ValueError(msg)
        longest = header.longest(chunk.type, seen[chunk.type])
        if len(chunk.data) > longest:
            name = _name(chunk.type, seen[chunk.type])
            msg = f"{name} has {len(chunk.data)} bytes, but may have {longest} at most: shorten it"
            raise ValueError(msg)
        seen[chunk.type] += 1
    if seen[ChunkType.TILE] < header.grid.count:
        msg = f"these chunks have {seen[ChunkType.TILE]} of the picture's {header.grid.count} tiles"
        raise ValueError(msg)

    head = header.to_bytes()
    fp.write(head)
    size = len(head)
    for number, chunk in enumerate(chunks, 1):
        type_byte = _type_byte(chunk.type, critical=chunk.critical, last=number == len(chunks))
        head = type_byte + leb128.encode(len(chunk.data))
        fp.write(head)
        fp.write(chunk.data)
        fp.write(_chunk_crc(type_byte, chunk.data).to_bytes(_CRC_SIZE, "big"))
        size += len(head) + len(chunk.data) + _CRC_SIZE
    return size


def size(header: Header, chunks: Sequence[Chunk]) -> int:
    """How many bytes `write` would write."""
    overheads = (1 + len(leb128.encode(len(chunk.data))) + _CRC_SIZE for chunk in chunks)
    return header.byte_length + sum(overheads) + sum(len(chunk.data) for chunk in chunks)


def _checked_blocks(fp: BinaryIO, place: ChunkPlace, block: int) -> Iterator[bytes]:
    """Yield the data in blocks; ContainerError at their end unless they are whole."""
    fp.seek(place.offset)
    name = _name(place.type, place.index)
    crc = zlib.crc32(_type_byte(place.type, critical=place.critical, last=place.last))
    left = place.length
    while left:
        data = fp.read(min(left, block))
        if not data:
            break
        crc = zlib.crc32(data, crc)
        left -= len(data)
        yield data
    stored = fp.read(_CRC_SIZE)
    if left or len(stored) < _CRC_SIZE:
        msg = _cut_short(f"in the middle of {name}")
        raise TruncatedError(msg)
    if int.from_bytes(stored, "big") != crc:
        msg = _damage(f"the checksum of {name} does not match")
        raise DamagedError(msg)


def _number(data: bytes, position: int, where: str) -> tuple[int, int]:
    """LEB128 number at `position` and the position behind it; `where` is for messages."""
    try:
        return leb128.decode(data, position)
    except ValueError as error:
        rest = data[position : position + leb128.MAX_BYTES]
        if len(rest) < leb128.MAX_BYTES and all(byte & 0x80 for byte in rest):
            msg = _cut_short(f"in the middle of {where}")
            raise TruncatedError(msg) from error
        msg = _damage(f"in {where}, {error}")
        raise DamagedError(msg) from error


def _walk(
    fp: BinaryIO, header: Header, file_size: int, *, metadata_only: bool = False
) -> Iterator[ChunkPlace]:
    """Yield every chunk up to the last, checking all that can be checked without its data.

    With `metadata_only` the walk ends where the first critical chunk begins.
    """
    seen: Counter[int] = Counter()
    position = fp.tell()
    last = False
    while not last:
        fp.seek(position)
        head = fp.read(min(1 + leb128.MAX_BYTES, max(file_size - position, 0)))
        if not head:
            msg = _cut_short(_missing(header, seen))
            raise TruncatedError(msg)
        kind = head[0] & _TYPE_MASK
        critical = bool(head[0] & _CRITICAL)
        last = bool(head[0] & _LAST)
        _check_kind(kind, critical=critical)
        if metadata_only and critical:
            return
        problem = _misplaced(header, kind, seen)
        if problem is not None:
            msg = _damage(problem)
            raise DamagedError(msg)
        total = header.grid.count if kind == ChunkType.TILE else None
        name = _name(kind, seen[kind], total)
        length, head_size = _number(head, 1, name)
        if length > header.longest(kind, seen[kind]):
            msg = _damage(f"{name} claims to have {length} bytes, more than it can need")
            raise DamagedError(msg)
        offset = position + head_size
        position = offset + length + _CRC_SIZE
        if position > file_size:
            msg = _cut_short(f"in the middle of {name}")
            raise TruncatedError(msg)
        yield ChunkPlace(kind, seen[kind], offset, length, critical, last)
        seen[kind] += 1
    if seen[ChunkType.TILE] < header.grid.count:
        msg = _cut_short(_missing(header, seen))
        raise TruncatedError(msg)


def _check_kind(kind: int, *, critical: bool) -> None:
    """Refuse a chunk type that no reader of this version may accept."""
    if kind == 0:
        msg = _damage("a chunk has type 0, which does not exist")
        raise DamagedError(msg)
    if kind in _KNOWN_TYPES:
        if critical != (kind in CRITICAL_TYPES):
            msg = _damage(f"the critical flag of {ChunkType(kind).name} is wrong")
            raise DamagedError(msg)
    elif critical:
        msg = (
            f"this .mlic file needs chunk type {kind}, which this program does not know: "
            "update pillow-mlic"
        )
        raise UnsupportedError(msg)


def _misplaced(header: Header, kind: int, seen: Counter[int]) -> str | None:
    """Return why a chunk of type `kind` must not follow those counted in `seen`."""
    tiles = seen[ChunkType.TILE]
    problem = None
    if kind == ChunkType.TILE:
        if tiles == header.grid.count:
            problem = f"there are more tiles than the {tiles} that the picture has"
        elif header.has_alpha and not seen[ChunkType.ALPHA]:
            problem = f"mode {header.mode} needs an ALPHA chunk before the first tile"
    elif seen.total() - tiles >= MAX_OTHER_CHUNKS:
        problem = f"there are more than {MAX_OTHER_CHUNKS} chunks beside the tiles"
    elif kind in _KNOWN_TYPES:
        name = ChunkType(kind).name
        if seen[kind]:
            problem = f"there is more than one {name} chunk"
        elif tiles or seen[ChunkType.ALPHA]:
            problem = f"the {name} chunk comes too late"
        elif kind == ChunkType.ALPHA and not header.has_alpha:
            problem = f"there is an ALPHA chunk, but mode {header.mode} has no alpha"
    return problem


def _missing(header: Header, seen: Counter[int]) -> str:
    """Say where a file ends that has only the chunks counted in `seen`."""
    tiles = seen[ChunkType.TILE]
    if tiles < header.grid.count:
        return f"before tile {tiles + 1} of {header.grid.count}"
    return "before its last chunk"


def _name(kind: int, index: int, total: int | None = None) -> str:
    """Name a chunk for a message."""
    if kind == ChunkType.TILE:
        return f"tile {index + 1}" if total is None else f"tile {index + 1} of {total}"
    if kind in _KNOWN_TYPES:
        return f"its {ChunkType(kind).name} chunk"
    return f"a chunk of type {kind}"


def _signature_error(data: bytes) -> ContainerError:
    """Return the error for a file that does not begin with the signature."""
    if SIGNATURE.startswith(data):
        return TruncatedError(_cut_short("in its header"))
    if data.startswith(SIGNATURE[:4]):
        return DamagedError(_damage("its signature was changed, as a transfer in text mode does"))
    return DamagedError("this is not a .mlic file, its signature is missing: check the file name")


def _cut_short(where: str) -> str:
    return f"this .mlic file ends {where}: the download or copy was cut short; fetch it again"


def _damage(what: str) -> str:
    return f"this .mlic file is damaged ({what}): fetch it again or use a backup"


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int) or not low <= value <= high:
        msg = f"{name} is {value}, but must be an integer from {low} to {high}"
        raise ValueError(msg)


def _type_byte(kind: int, *, critical: bool, last: bool) -> bytes:
    return bytes([kind | _CRITICAL * critical | _LAST * last])


def _header_crc(data: bytes) -> int:
    return binascii.crc_hqx(data, 0xFFFF)


def _chunk_crc(type_byte: bytes, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(type_byte))
