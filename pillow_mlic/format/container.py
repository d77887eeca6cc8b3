"""Bytes <-> header and chunks of a .mlic file, as specified in docs/format.md.

A file is a signature and header (at most 33 bytes), then chunks: metadata, alpha, tiles.
This module knows nothing of pictures, models or range coding; it uses the standard library
and LEB128 only. It reads and writes both versions of the format; the package writes version 2.

    header = read_header(fp)
    for place in scan(fp, header, file_size):
        data = read_chunk(fp, place)
"""

import zlib
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from . import leb128
from .header import (
    ARITHMETIC_FLOAT64,
    ARITHMETIC_INTEGER,
    GUARD_BANDS,
    MAX_LOSSLESS_TILE_CODE,
    MAX_QUALITY_CODE,
    MAX_SIDE,
    MAX_TEXTURE,
    MAX_TILE_CODE,
    MODES,
    SIGNATURE,
    Header,
    is_mlic,
    prefix_problem,
    quality_code,
    read_header,
    storable,
    tile_code,
)
from .layout import (
    CRC_SIZE,
    CRITICAL,
    CRITICAL_TYPES,
    KNOWN_TYPES,
    LAST,
    MAX_METADATA_BYTES,
    TYPE_MASK,
    VERSION,
    ChunkType,
    ContainerError,
    DamagedError,
    TruncatedError,
    UnsupportedError,
    check_range,
    cut_short,
    damage,
    number,
)

__all__ = [
    "ARITHMETIC_FLOAT64",
    "ARITHMETIC_INTEGER",
    "GUARD_BANDS",
    "MAX_LOSSLESS_TILE_CODE",
    "MAX_METADATA_BYTES",
    "MAX_QUALITY_CODE",
    "MAX_SIDE",
    "MAX_TEXTURE",
    "MAX_TILE_CODE",
    "MODES",
    "SIGNATURE",
    "Chunk",
    "ChunkPlace",
    "ChunkType",
    "ContainerError",
    "DamagedError",
    "Header",
    "TruncatedError",
    "UnsupportedError",
    "check_chunk",
    "is_mlic",
    "prefix_problem",
    "quality_code",
    "read_chunk",
    "read_header",
    "read_start",
    "scan",
    "scan_metadata",
    "size",
    "storable",
    "tile_code",
    "write",
]

MAX_OTHER_CHUNKS = 255
"""Most chunks that are not tiles; keeps a hostile file from filling memory with empty ones."""

_MIN_CHUNK_SIZE = 1 + 1 + CRC_SIZE
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk to be written. Types outside `ChunkType` are allowed and never critical."""

    type: int
    data: bytes

    def __post_init__(self) -> None:
        check_range("chunk type", self.type, 1, TYPE_MASK)

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
    covered: bytes
    """What the CRC covers before the data."""
    chained: int | None = None
    """Where the CRC of the tile before is stored; the CRC of a tile of version 2 covers it, too."""

    @property
    def critical(self) -> bool:
        """Whether a reader must know the chunk."""
        return bool(self.covered[0] & CRITICAL)

    @property
    def last(self) -> bool:
        """Whether the file ends with it."""
        return bool(self.covered[0] & LAST)


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
    are there, also the one that it ends in (`read_start`). With `tiles`, only the TILE chunks of
    these indexes are listed.
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

    Arguments and errors as for `scan`; of the first critical chunk only the type is checked.
    """
    start = fp.tell()
    try:
        return list(_walk(fp, header, file_size, metadata_only=True))
    finally:
        fp.seek(start)


def read_chunk(fp: BinaryIO, place: ChunkPlace) -> bytes:
    """Read the data of a chunk found by `scan` and check its CRC-32."""
    return b"".join(_checked_blocks(fp, place, place.length))


def read_start(fp: BinaryIO, place: ChunkPlace) -> bytes:
    """What there is of the data of a chunk in a file that ends early; nothing is checked."""
    fp.seek(place.offset)
    return fp.read(place.length)


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
    tiles = 0
    before = bytes(CRC_SIZE)
    for place, chunk in enumerate(chunks, 1):
        type_byte = _type_byte(chunk.type, critical=chunk.critical, last=place == len(chunks))
        head = type_byte + leb128.encode(len(chunk.data))
        covered = type_byte + header.covered(chunk.type, tiles)
        if chunk.type == ChunkType.TILE and header.version > 1:
            covered += before
        crc = zlib.crc32(chunk.data, zlib.crc32(covered)).to_bytes(CRC_SIZE, "big")
        if chunk.type == ChunkType.TILE:
            tiles, before = tiles + 1, crc
        fp.write(head)
        fp.write(chunk.data)
        fp.write(crc)
        size += len(head) + len(chunk.data) + CRC_SIZE
    return size


def size(header: Header, chunks: Sequence[Chunk]) -> int:
    """How many bytes `write` would write."""
    overheads = (1 + len(leb128.encode(len(chunk.data))) + CRC_SIZE for chunk in chunks)
    return header.byte_length + sum(overheads) + sum(len(chunk.data) for chunk in chunks)


def _checked_blocks(fp: BinaryIO, place: ChunkPlace, block: int) -> Iterator[bytes]:
    """Yield the data in blocks; ContainerError at their end unless they are whole."""
    name = _name(place.type, place.index)
    crc = zlib.crc32(place.covered)
    if place.chained is not None:
        fp.seek(place.chained)
        crc = zlib.crc32(fp.read(CRC_SIZE), crc)
    fp.seek(place.offset)
    left = place.length
    while left:
        data = fp.read(min(left, block))
        if not data:
            break
        crc = zlib.crc32(data, crc)
        left -= len(data)
        yield data
    stored = fp.read(CRC_SIZE)
    if left or len(stored) < CRC_SIZE:
        msg = cut_short(f"in the middle of {name}")
        raise TruncatedError(msg)
    if int.from_bytes(stored, "big") != crc:
        msg = damage(f"the checksum of {name} does not match")
        raise DamagedError(msg)


def _walk(
    fp: BinaryIO, header: Header, file_size: int, *, metadata_only: bool = False
) -> Iterator[ChunkPlace]:
    """Yield every chunk up to the last, checking all that can be checked without its data.

    With `metadata_only` the walk ends where the first critical chunk begins.
    """
    seen: Counter[int] = Counter()
    position = fp.tell()
    before: int | None = None
    last = False
    while not last:
        fp.seek(position)
        head = fp.read(min(1 + leb128.MAX_BYTES, max(file_size - position, 0)))
        if not head:
            msg = cut_short(_missing(header, seen))
            raise TruncatedError(msg)
        kind = head[0] & TYPE_MASK
        critical = bool(head[0] & CRITICAL)
        last = bool(head[0] & LAST)
        _check_kind(header, kind, critical=critical)
        if metadata_only and critical:
            return
        problem = _misplaced(header, kind, seen)
        if problem is not None:
            msg = damage(problem)
            raise DamagedError(msg)
        total = header.grid.count if kind == ChunkType.TILE else None
        name = _name(kind, seen[kind], total)
        length, head_size = number(head, 1, name)
        if length > header.longest(kind, seen[kind]):
            msg = damage(f"{name} claims to have {length} bytes, more than it can need")
            raise DamagedError(msg)
        offset = position + head_size
        position = offset + length + CRC_SIZE
        covered = head[:1] + header.covered(kind, seen[kind])
        chained = None
        if kind == ChunkType.TILE:
            if header.version > 1:
                covered += bytes(CRC_SIZE) if before is None else b""
                chained = before
            before = position - CRC_SIZE
        yield ChunkPlace(kind, seen[kind], offset, length, covered, chained)
        if position > file_size:
            msg = cut_short(f"in the middle of {name}")
            raise TruncatedError(msg)
        seen[kind] += 1
    if seen[ChunkType.TILE] < header.grid.count:
        msg = cut_short(_missing(header, seen))
        raise TruncatedError(msg)


def _check_kind(header: Header, kind: int, *, critical: bool) -> None:
    """Refuse a chunk type that no reader of this version may accept."""
    if kind == 0:
        msg = damage("a chunk has type 0, which does not exist")
        raise DamagedError(msg)
    if kind in KNOWN_TYPES[header.version]:
        if critical != (kind in CRITICAL_TYPES):
            msg = damage(f"the critical flag of {ChunkType(kind).name} is wrong")
            raise DamagedError(msg)
    elif critical:
        msg = (
            f"this .mlic file needs chunk type {kind}, which this program does not know: "
            "update pillow-mlic"
        )
        raise UnsupportedError(msg)


def _misplaced(header: Header, kind: int, seen: Counter[int]) -> str | None:
    """Why a chunk of type `kind` must not follow those counted in `seen`."""
    tiles = seen[ChunkType.TILE]
    problem = None
    if kind == ChunkType.TILE:
        if tiles == header.grid.count:
            problem = f"there are more tiles than the {tiles} that the picture has"
        elif header.has_alpha and not seen[ChunkType.ALPHA]:
            problem = f"mode {header.mode} needs an ALPHA chunk before the first tile"
    elif seen.total() - tiles >= MAX_OTHER_CHUNKS:
        problem = f"there are more than {MAX_OTHER_CHUNKS} chunks beside the tiles"
    elif kind in KNOWN_TYPES[header.version]:
        name = ChunkType(kind).name
        if seen[kind]:
            problem = f"there is more than one {name} chunk"
        elif tiles or seen[ChunkType.ALPHA]:
            problem = f"the {name} chunk comes too late"
        elif kind == ChunkType.ALPHA and not header.has_alpha:
            problem = f"there is an ALPHA chunk, but mode {header.mode} has no alpha"
    return problem


def _missing(header: Header, seen: Counter[int]) -> str:
    """What is missing in a file that ends after the chunks counted in `seen`."""
    tiles = seen[ChunkType.TILE]
    if tiles < header.grid.count:
        return f"before tile {tiles + 1} of {header.grid.count}"
    return "before its last chunk"


def _name(kind: int, index: int, total: int | None = None) -> str:
    """Name a chunk for a message."""
    if kind == ChunkType.TILE:
        return f"tile {index + 1}" if total is None else f"tile {index + 1} of {total}"
    if kind in KNOWN_TYPES[VERSION]:
        return f"its {ChunkType(kind).name} chunk"
    return f"a chunk of type {kind}"


def _type_byte(kind: int, *, critical: bool, last: bool) -> bytes:
    return bytes([kind | CRITICAL * critical | LAST * last])
