"""What the data of a TILE chunk hold: a learned tile, or its pixels without loss."""

import enum

from .container import Chunk
from .header import Header
from .layout import ChunkType, DamagedError, UnsupportedError, damage


class TileKind(enum.IntEnum):
    """The first byte of the data of a TILE chunk, which says what follows; not in version 1."""

    LEARNED = 0
    WEBP = 1
    PALETTE = 2


def chunk_of(header: Header, payload: bytes) -> Chunk:
    """The TILE chunk of a learned tile."""
    kind = b"" if header.version == 1 else bytes([TileKind.LEARNED])
    return Chunk(ChunkType.TILE, kind + payload)


def payload_of(header: Header, data: bytes) -> bytes:
    """The payload of a learned tile, from the data of its chunk; ContainerError if it is none."""
    if header.version == 1:
        return data
    kind = data[0] if data else None
    if kind == TileKind.LEARNED:
        return data[1:]
    if kind in (TileKind.WEBP, TileKind.PALETTE):
        msg = (
            "this .mlic file has lossless tiles, which this version cannot decode: "
            "update pillow-mlic"
        )
        raise UnsupportedError(msg)
    msg = damage("a tile is empty" if kind is None else f"a tile has kind {kind}")
    raise DamagedError(msg)
