"""The bytes of one tile: checksum of the symbols, corrections, range-coded stream."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import leb128
from .indexes import Corrections

CHECKSUM_BYTES = 4


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
            if count > min(total, len(data)):
                msg = "more corrections than latents"
                raise PayloadError(msg)
            numbers = []
            for _ in range(count):
                number, at = leb128.decode(data, at)
                numbers.append(number)
        except PayloadError:
            raise
        except ValueError as error:
            raise PayloadError(str(error)) from error
        values = np.array(numbers, dtype=np.int64)
        positions = np.cumsum(values >> 1)
        if count and positions[-1] >= total:
            msg = "a correction beyond the last latent"
            raise PayloadError(msg)
        if np.any(np.diff(positions) <= 0):
            msg = "two corrections of one latent"
            raise PayloadError(msg)
        checksum = int.from_bytes(data[:CHECKSUM_BYTES], "big")
        return cls(checksum, Corrections(positions, values & 1), data[at:])


def checksum(steps: Sequence[NDArray[np.int32]]) -> int:
    """CRC-32 of all symbols of a tile as little-endian 32-bit integers in coding order."""
    crc = 0
    for symbols in steps:
        crc = zlib.crc32(symbols.astype("<i4").tobytes(), crc)
    return crc
