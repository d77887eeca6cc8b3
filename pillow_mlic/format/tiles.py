"""What the data of a TILE chunk hold: a learned tile, or its pixels without loss."""

import enum
from typing import BinaryIO, NamedTuple

from .container import Chunk, ChunkPlace
from .header import Header
from .layout import ChunkType, DamagedError, damage


class TileKind(enum.IntEnum):
    """The first byte of the data of a TILE chunk, which says what follows; not in version 1."""

    LEARNED = 0
    WEBP = 1
    PALETTE = 2


class LosslessTile(NamedTuple):
    """The pixels of a tile without loss; see `format.lossless`."""

    kind: TileKind
    """WEBP or PALETTE."""
    data: bytes
    mode: str
    """Of its pixels: L or RGB; with alpha where the ALPHA chunk says so."""


class CutTile(NamedTuple):
    """How the payload of a learned tile begins in a file that ends early."""

    start: bytes


AnyTile = bytes | LosslessTile
"""The payload of a learned tile, or a lossless tile."""
ReadTile = AnyTile | CutTile
"""A tile as it is read."""


def chunk_of(header: Header, tile: AnyTile) -> Chunk:
    """The TILE chunk of a tile."""
    if isinstance(tile, LosslessTile):
        return Chunk(ChunkType.TILE, bytes([tile.kind]) + tile.data)
    kind = b"" if header.version == 1 else bytes([TileKind.LEARNED])
    return Chunk(ChunkType.TILE, kind + tile)


def tile_of(header: Header, data: bytes) -> AnyTile:
    """The tile in the data of a chunk; DamagedError if it is none."""
    if header.version == 1:
        return data
    kind = kind_of(header, data[:1])
    if kind == TileKind.LEARNED:
        return data[1:]
    return LosslessTile(kind, data[1:], header.mode.removesuffix("A"))


def cut_tile_of(header: Header, data: bytes) -> CutTile | None:
    """The tile whose chunk begins with these data; None where it is not learned: a lossless tile
    is whole or nothing."""
    if header.version > 1:
        if data[:1] != bytes([TileKind.LEARNED]):
            return None
        data = data[1:]
    return CutTile(data)


def kind_of(header: Header, start: bytes) -> TileKind:
    """The kind of a tile whose chunk has data with this first byte; DamagedError if it is none."""
    if header.version == 1:
        return TileKind.LEARNED
    try:
        return TileKind(start[0])
    except (IndexError, ValueError) as error:
        msg = damage(f"a tile has kind {start[0]}" if start else "a tile is empty")
        raise DamagedError(msg) from error


def read_kind(fp: BinaryIO, header: Header, place: ChunkPlace) -> TileKind:
    """The kind of a tile by its first byte alone: its checksum is not looked at."""
    fp.seek(place.offset)
    return kind_of(header, fp.read(min(1, place.length)))
