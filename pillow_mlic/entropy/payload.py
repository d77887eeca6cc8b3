"""The bytes of one tile: checksum of the symbols, corrections, range-coded stream."""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..format import leb128
from .range_coder import StreamDecoder, StreamError

CHECKSUM_BYTES = 4

Indexes = NDArray[np.int64]


class Corrections(NamedTuple):
    """Listed latents: ascending flat positions and the side (1 above, 0 below) of each."""

    positions: Indexes
    sides: Indexes


NO_CORRECTIONS = Corrections(np.zeros(0, np.int64), np.zeros(0, np.int64))


class SymbolMismatchError(ValueError):
    """The decoded symbols are not those that were encoded (checksum, or an impossible stream)."""


class PayloadError(ValueError):
    """The bytes are no tile payload."""


@dataclass(frozen=True)
class Payload:
    """What a tile's chunk holds; `corrections` count positions over the whole tile."""

    checksum: int
    corrections: Corrections
    stream: bytes

    def to_bytes(self) -> bytes:
        """Serialise: CRC-32, number of corrections, gap and side of each, stream."""
        gaps = np.diff(self.corrections.positions, prepend=0)
        numbers = (gaps * 2 + self.corrections.sides).tolist()
        parts = [self.checksum.to_bytes(CHECKSUM_BYTES, "big"), leb128.encode(len(numbers))]
        parts += [leb128.encode(number) for number in numbers]
        return b"".join([*parts, self.stream])

    @classmethod
    def from_bytes(cls, data: bytes, total: int) -> "Payload":
        """Parse the payload of a tile of `total` symbols; PayloadError where it cannot be one."""
        if len(data) <= CHECKSUM_BYTES:
            msg = "the tile is too short"
            raise PayloadError(msg)
        try:
            count, at = leb128.decode(data, CHECKSUM_BYTES)
        except ValueError as error:
            raise PayloadError(str(error)) from error
        if count > min(total, len(data) - at):
            msg = "more corrections than latents, or than bytes"
            raise PayloadError(msg)
        values, at = _numbers(data, at, count)
        positions = np.cumsum(values >> 1)  # at most 2^25 of less than 2^34: no overflow
        if count and positions[-1] >= total:
            msg = "a correction beyond the last latent"
            raise PayloadError(msg)
        if np.any(np.diff(positions) <= 0):
            msg = "two corrections of one latent"
            raise PayloadError(msg)
        checksum = int.from_bytes(data[:CHECKSUM_BYTES], "big")
        return cls(checksum, Corrections(positions, values & 1), data[at:])


def _numbers(data: bytes, at: int, count: int) -> tuple[NDArray[np.int64], int]:
    """`count` LEB128 numbers from `at`, and the position behind them; uses little memory."""
    places = np.frombuffer(data, np.uint8, min(len(data) - at, leb128.MAX_BYTES * count), at)
    ends = np.flatnonzero(places < 0x80)[:count]
    lengths = np.diff(ends, prepend=-1)
    if len(ends) < count or np.any(lengths > leb128.MAX_BYTES):
        msg = "a correction is cut short or too long"
        raise PayloadError(msg)
    if np.any((places[ends] == 0) & (lengths > 1)):
        msg = "a correction is not in its shortest form"
        raise PayloadError(msg)
    starts = ends - lengths + 1
    values = np.zeros(count, np.int64)
    for group in range(leb128.MAX_BYTES):
        longer = lengths > group
        bits = places[starts[longer] + group].astype(np.int64) & 0x7F
        values[longer] |= bits << 7 * group
    return values, at + (int(ends[-1]) + 1 if count else 0)


def check_symbols(
    checksums: Iterable[int],
    symbols: Iterable[Sequence[NDArray[np.int32]]],
    streams: Iterable[StreamDecoder],
) -> None:
    """Raise SymbolMismatchError unless every tile gave exactly the symbols that went in.

    Of each tile the checksum of its payload, its symbols step by step, and its stream, read.
    """
    for crc, steps, stream in zip(checksums, symbols, streams, strict=True):
        if checksum(steps) != crc:
            msg = "the checksum of the decoded symbols is wrong"
            raise SymbolMismatchError(msg)
        try:
            stream.finish()
        except StreamError as error:
            raise SymbolMismatchError(str(error)) from error


def checksum(steps: Sequence[NDArray[np.int32]]) -> int:
    """CRC-32 of all symbols of a tile as little-endian 32-bit integers in coding order."""
    crc = 0
    for symbols in steps:
        crc = zlib.crc32(np.ascontiguousarray(symbols, "<i4").data, crc)
    return crc
