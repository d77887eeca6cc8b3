"""Mutations of bytes without repair, and of fields and chunks with every checksum repaired."""

import binascii
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from pillow_mlic.format import container, leb128
from pillow_mlic.format.container import ChunkType
from pillow_mlic.format.layout import BOUND_TYPES

from .corpus import Seed

NUMBERS = [0, 1, 2, 3, 5, 63, 64, 65, 127, 128, 129, 255, 256, 1023, 4095, 4096, 16383, 16384]
LARGE = [65535, 65536, 2**20, 2**24 - 1, 2**24, 2**31 - 1, 2**32 - 1, 2**35 - 1]
BYTES = [0, 1, 0x7F, 0x80, 0xFF]


class Mutant(NamedTuple):
    """A file made from `seed`."""

    data: bytes
    seed: Seed
    repaired: bool
    """Whether checksums were made to fit, as only a forger would."""
    transplant: bool
    """Whether it has parts of other genuine files, or its own in other places, or lossless tiles
    that were forged."""
    alpha: bool
    """Whether the alpha plane was forged, which nothing but its own checksum could tell."""


# Bytes


def flip(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def poke(data: bytearray, random: Random) -> None:
    data[random.randrange(len(data))] = random.choice([*BYTES, random.randrange(256)])


def cut(data: bytearray, random: Random) -> None:
    del data[random.randrange(len(data)) :]


def drop(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    del data[start : start + random.choice([1, 2, 4, 8, random.randrange(1, 100)])]


def repeat(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    piece = data[start : start + random.choice([1, 4, 8, random.randrange(1, 100)])]
    data[start:start] = piece * random.choice([1, 1, 1, 2, 50])


def insert(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data) + 1)
    size = random.choice([1, 4, 8, random.randrange(1, 64)])
    data[start:start] = random.choice([random.randbytes(size), bytes(size), b"\xff" * size])


def exchange(data: bytearray, random: Random) -> None:
    size = random.randrange(1, 33)
    a, b = random.randrange(len(data)), random.randrange(len(data))
    if abs(a - b) >= size and max(a, b) + size <= len(data):
        data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def number(data: bytearray, random: Random) -> None:
    start = random.randrange(len(data))
    data[start : start + random.randrange(6)] = leb128.encode(random.choice(NUMBERS + LARGE))


RAW: Sequence[Callable[[bytearray, Random], None]] = (
    flip, flip, flip, poke, poke, cut, drop, repeat, insert, exchange, number,
)  # fmt: skip


def scramble(data: bytes, random: Random) -> bytes:
    """One to four mutations of bytes."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 3, 4])):
        if not changed:
            changed += random.randbytes(4)
        random.choice(RAW)(changed, random)
    return bytes(changed)


# Fields and chunks


@dataclass(frozen=True)
class Piece:
    """A chunk to be written, with a length that may be a lie."""

    kind: int
    data: bytes
    length: int | None = None
    honest: bool = True

    def to_bytes(self, covered: bytes = b"") -> bytes:
        """`covered`: what the CRC covers between type byte and data."""
        crc = zlib.crc32(self.data, zlib.crc32(bytes([self.kind]) + covered)) ^ (not self.honest)
        length = leb128.encode(len(self.data) if self.length is None else self.length)
        return bytes([self.kind]) + length + self.data + crc.to_bytes(4, "big")


@dataclass
class Parts:
    """A file in fields, none of which need be right."""

    version_mode: int
    width: int
    height: int
    model: int
    pack: bytes
    quality: int
    codes: int
    guard: int
    texture: int
    pieces: list[Piece]

    @classmethod
    def of(cls, seed: Seed) -> "Parts":
        h = seed.header
        mode = h.version << 4 | container.MODES.index(h.mode)
        codes = h.tile_code << 4 | (h.guard_code if h.version == 1 else h.arithmetic)
        pieces = [Piece(kind, data) for kind, data in seed.chunks]
        return cls(
            mode,
            h.width,
            h.height,
            h.model,
            h.pack,
            h.quality_code,
            codes,
            h.guard_code,
            h.texture,
            pieces,
        )

    @property
    def version(self) -> int:
        return self.version_mode >> 4 & 0x0F

    def to_bytes(self) -> bytes:
        body = container.SIGNATURE + bytes([self.version_mode & 0xFF])
        body += leb128.encode(self.width) + leb128.encode(self.height)
        body += bytes([self.model]) + self.pack + self.quality.to_bytes(2, "big")
        body += bytes([self.codes] if self.version == 1 else [self.codes, self.guard, self.texture])
        head_crc = binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")
        parts = [body, head_crc]
        tiles, before = 0, bytes(4)
        for piece in self.pieces:
            covered = b""
            kind = piece.kind & 0x3F
            if self.version > 1 and kind in BOUND_TYPES:
                covered = head_crc
                if kind == ChunkType.TILE:
                    covered += tiles.to_bytes(8, "big") + before
            parts.append(piece.to_bytes(covered))
            if kind == ChunkType.TILE:
                tiles, before = tiles + 1, parts[-1][-4:]
        return b"".join(parts)


def change_side(value: int, random: Random) -> int:
    near = value + random.choice([-64, -2, -1, 1, 2, 64])
    return random.choice([max(near, 0), random.choice(NUMBERS), random.choice(NUMBERS + LARGE)])


def change_header(parts: Parts, random: Random) -> None:
    """One field."""
    field = random.randrange(10)
    if field == 0:
        parts.width = change_side(parts.width, random)
    elif field == 1:
        parts.height = change_side(parts.height, random)
    elif field == 2:
        parts.model = random.choice([0, 1, 2, 3, 4, 255])
    elif field == 3:
        pack = bytearray(parts.pack)
        flip(pack, random)
        parts.pack = bytes(pack)
    elif field == 4:
        small = parts.quality + random.choice([-100, -1, 1, 100])
        parts.quality = random.choice([small % 65536, random.randrange(65536)])
    elif field == 5:
        parts.codes = parts.codes & 0x0F | random.randrange(16) << 4
    elif field == 6:
        parts.codes = parts.codes & 0xF0 | random.randrange(16)
    elif field == 7:
        parts.guard = random.choice([0, 1, 4, 10, 11, 255])
    elif field == 8:
        parts.texture = random.choice([0, 1, 200, 201, 255])
    else:
        same = parts.version_mode & 0xF0
        modes = [same | mode for mode in (0, 1, 2, 3, random.randrange(16))]
        parts.version_mode = random.choice([*modes, 0x12, 0x22, random.randrange(256)])


def change_payload(data: bytes, random: Random) -> bytes:
    """A tile's data with one part of it changed: symbol CRC, corrections or stream."""
    crc, at = bytearray(data[:4]), 4
    try:
        count, at = leb128.decode(data, at)
        listed = []
        for _ in range(min(count, 1000)):
            gap, at = leb128.decode(data, at)
            listed.append(gap)
    except ValueError:
        return scramble(data, random)
    stream = bytearray(data[at:])
    action = random.randrange(9)
    if action == 0:
        flip(crc, random)
    elif action == 1:
        count = random.choice([count + 1, max(count - 1, 0), random.choice(NUMBERS + LARGE)])
    elif action == 2:
        listed.insert(random.randrange(len(listed) + 1), random.choice([0, 1, 2, 3, 100, 2000]))
        count += 1
    elif action == 3 and listed:
        place = random.randrange(len(listed))
        listed[place] = random.choice([listed[place] ^ 1, listed[place] + 2, *NUMBERS, *LARGE])
    elif action == 4:
        stream += random.choice([bytes(4), b"\xff" * 4, random.randbytes(4)]) * random.randrange(99)
    elif action == 5:
        start = random.randrange(0, len(stream) + 1, 4)
        stream[start:] = b"\xff" * (len(stream) - start)
    elif action == 6:
        del stream[random.randrange(0, len(stream) + 1, 4) :]
    elif action == 7:
        stream[:8] = random.choice([bytes(8), b"\xff" * 7 + b"\x7f", random.randbytes(8)])
    elif stream:
        flip(stream, random)
    numbers = [count, *listed]
    return bytes(crc) + b"".join(map(leb128.encode, numbers)) + bytes(stream)


def change_lossless(data: bytes, random: Random) -> bytes:
    """The data of a lossless tile, its kind included: another size, count or index."""
    kind, rest = data[:1], bytearray(data[1:])
    action = random.randrange(6)
    if action == 0 and kind == b"\1" and len(rest) > 25:
        place = random.randrange(21, 25)  # the size in the WebP header
        rest[place] = random.choice([*BYTES, random.randrange(256)])
    elif action == 1 and kind == b"\1":
        rest[random.randrange(min(len(rest), 30))] ^= 1 << random.randrange(8)
    elif action < 3 and rest:
        rest[0] = random.choice([0, 1, 2, 3, 15, 16, 254, 255])
    elif action == 3:
        rows = random.choice([bytes(99), b"\xff" * 999, random.randbytes(360), bytes(1 << 22)])
        start = random.choice([2, 4, 7, 13, 16, 19])
        rest[start:] = zlib.compress(rows)
    else:
        rest[:] = scramble(bytes(rest), random)
    return kind + bytes(rest)


def change_piece(parts: Parts, random: Random, others: Sequence[Seed]) -> tuple[bool, bool]:
    """One chunk; -> whether that is a transplant, and whether it touches the alpha plane."""
    pieces = parts.pieces
    if not pieces:
        pieces.append(Piece(0xC1, b""))
    at = random.randrange(len(pieces))
    piece = pieces[at]
    type_ = piece.kind & 0x3F
    action = random.randrange(12)
    if action < 6:
        data = piece.data
        if type_ == ChunkType.TILE and random.random() < 0.8:
            kind = data[:1] if parts.version > 1 else b""
            if kind in (b"\1", b"\2"):
                data = change_lossless(data, random)
            else:
                data = kind + change_payload(data[len(kind) :], random)
            if kind and random.random() < 0.1:
                data = bytes([random.choice([1, 2, 3, 255])]) + data[1:]
        else:
            data = scramble(data, random)
        pieces[at] = replace(piece, data=data)
    elif action == 6:
        pieces[at] = replace(piece, kind=piece.kind ^ random.choice([0x80, 0x40, 1, 2, 4, 32]))
    elif action == 7:
        lie = random.choice([len(piece.data) + random.choice([-4, -1, 1, 4]), *NUMBERS, *LARGE])
        pieces[at] = replace(piece, length=max(lie, 0))
    elif action == 8:
        del pieces[at]
    elif action == 9:
        pieces.insert(random.randrange(len(pieces) + 1), piece)
    elif action == 10:
        kind, data = random.choice(random.choice(others).chunks)
        pieces[at] = Piece(kind, data)
        return True, type_ == ChunkType.ALPHA
    else:
        random.shuffle(pieces)
    return action in (9, 11), type_ == ChunkType.ALPHA


def forge(seed: Seed, others: Sequence[Seed], random: Random) -> Mutant:
    """A file with fields changed and checksums made to fit."""
    parts = Parts.of(seed)
    transplant, alpha = seed.lossless, False
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        if random.random() < 0.35:
            change_header(parts, random)
        else:
            moved, plane = change_piece(parts, random, others)
            transplant, alpha = transplant or moved, alpha or plane
    if parts.pieces and random.random() < 0.8:
        parts.pieces = [replace(p, kind=p.kind & 0x7F) for p in parts.pieces]
        parts.pieces[-1] = replace(parts.pieces[-1], kind=parts.pieces[-1].kind | 0x80)
    if parts.pieces and random.random() < 0.1:
        at = random.randrange(len(parts.pieces))
        parts.pieces[at] = replace(parts.pieces[at], honest=False)
    return Mutant(parts.to_bytes(), seed, True, transplant, alpha)


def mutate(seeds: Sequence[Seed], random: Random) -> Mutant:
    """Any mutation of any seed."""
    seed = random.choice(seeds)
    action = random.random()
    if action < 0.65:
        return forge(seed, seeds, random)
    if action < 0.7:
        other = random.choice(seeds).data
        start, stop = random.randrange(len(seed.data)), random.randrange(len(other))
        return Mutant(seed.data[:start] + other[stop:], seed, False, True, False)
    return Mutant(scramble(seed.data, random), seed, False, False, False)
