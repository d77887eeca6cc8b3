"""The header of a .mlic file, which comes before its chunks (docs/format.md)."""

import binascii
import struct
from dataclasses import dataclass
from typing import BinaryIO

from . import leb128
from .geometry import Grid, area
from .layout import (
    BOUND_TYPES,
    KNOWN_TYPES,
    MAX_METADATA_BYTES,
    VERSION,
    VERSIONS,
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

SIGNATURE = b"\x8aMLC\r\n\x1a\n"
MODES = ("L", "LA", "RGB", "RGBA")
MAX_SIDE = 16_777_215
MAX_QUALITY_CODE = 57_344
GUARD_BANDS = (1e-9, 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3)
ARITHMETIC_FLOAT64, ARITHMETIC_INTEGER = 0, 1
"""How the entropy part decides: in float64 with a guard band, or in integers."""
MAX_TEXTURE = 200
"""Full strength of texture; 0 is none."""
MAX_TILE_CODE = 6
"""A tile's side is at most 4096 pixels, which bounds the memory that a network takes for one."""
MAX_LOSSLESS_TILE_CODE = 8
"""16384 pixels where no tile is learned: pixels that lie far apart may be alike."""
MAX_TILE_RATE = 16
"""Most bytes a pixel in a tile, its sides rounded up to multiples of 64; no model needs 14."""
MAX_ALPHA_RATE = 2
"""Most bytes a pixel in ALPHA, besides ALPHA_ALLOWANCE."""
ALPHA_ALLOWANCE = 1024

_QUALITY_STEPS = 8192
_PACK_SIZE = 8
_HEADER_PREFIX = 40
_HEADER_TAILS = {
    1: struct.Struct(f">B{_PACK_SIZE}sHBH"),
    2: struct.Struct(f">B{_PACK_SIZE}sHBBBH"),
}
_MAX_LENGTH = (1 << 7 * leb128.MAX_BYTES) - 1


def quality_code(quality: float) -> int:
    """Return the header's integer for a quality from 1 to 8, in steps of 1/8192."""
    if not 1 <= quality <= 8:
        msg = f"quality is {quality}, but must be from 1 (smallest file) to 8 (closest picture)"
        raise ValueError(msg)
    return round((quality - 1) * _QUALITY_STEPS)


def storable(quality: float) -> float:
    """The quality nearest to this one that a header can hold."""
    return 1 + quality_code(quality) / _QUALITY_STEPS


def tile_code(side: int) -> int:
    """Return the header's integer for the side of a tile, 64 << code."""
    return (side // 64).bit_length() - 1


@dataclass(frozen=True, slots=True)
class Header:
    """The fields of a header.

    `pack` is the start of the weight pack's identity, zeros where no tile is learned (model 0).
    `quality_code` comes from `quality_code`, `guard_code` is an index into `GUARD_BANDS` (0 with
    integers), and a tile's side is `64 << tile_code` pixels; `texture` is a strength in 1/200.
    Raises ValueError where a field is out of range.
    """

    mode: str
    width: int
    height: int
    model: int
    pack: bytes
    quality_code: int
    guard_code: int = 0
    tile_code: int = 4
    arithmetic: int = ARITHMETIC_FLOAT64
    texture: int = 0
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            msg = f"mode is {self.mode!r}, but must be one of {', '.join(MODES)}"
            raise ValueError(msg)
        if not isinstance(self.pack, bytes) or len(self.pack) != _PACK_SIZE:
            msg = f"pack must be {_PACK_SIZE} bytes, the start of the weight pack's SHA-256"
            raise ValueError(msg)
        check_range("width", self.width, 1, MAX_SIDE)
        check_range("height", self.height, 1, MAX_SIDE)
        check_range("model", self.model, 0, 255)
        check_range("quality_code", self.quality_code, 0, MAX_QUALITY_CODE)
        check_range("guard_code", self.guard_code, 0, len(GUARD_BANDS) - 1)
        check_range("version", self.version, VERSIONS[0], VERSIONS[-1])
        newest = self.version > 1
        learned = self.model or not newest
        most = MAX_TILE_CODE if learned else MAX_LOSSLESS_TILE_CODE
        check_range("tile_code", self.tile_code, 0, most)
        check_range("arithmetic", self.arithmetic, 0, ARITHMETIC_INTEGER if newest else 0)
        check_range("texture", self.texture, 0, MAX_TEXTURE if newest else 0)
        if self.texture and self.arithmetic != ARITHMETIC_INTEGER:
            msg = "there is texture, but nothing was decided in integers"
            raise ValueError(msg)
        if self.arithmetic == ARITHMETIC_INTEGER:
            check_range("guard_code with integers", self.guard_code, 0, 0)

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
        """Size of the header in the file, signature included: 27 to 33 bytes (25 to 31)."""
        return len(self.to_bytes())

    def longest(self, kind: int, index: int) -> int:
        """Most bytes that the data of chunk `index` of type `kind` may have."""
        if kind == ChunkType.TILE:
            return MAX_TILE_RATE * area(self.grid.box(index))
        if kind == ChunkType.ALPHA:
            return MAX_ALPHA_RATE * self.width * self.height + ALPHA_ALLOWANCE
        return MAX_METADATA_BYTES if kind in KNOWN_TYPES[self.version] else _MAX_LENGTH

    def to_bytes(self) -> bytes:
        """Return signature and header as they stand in the file."""
        if self.version == 1:
            codes = bytes([self.tile_code << 4 | self.guard_code])
        else:
            codes = bytes([self.tile_code << 4 | self.arithmetic, self.guard_code, self.texture])
        body = b"".join(
            (
                SIGNATURE,
                bytes([self.version << 4 | MODES.index(self.mode)]),
                leb128.encode(self.width),
                leb128.encode(self.height),
                bytes([self.model]),
                self.pack,
                self.quality_code.to_bytes(2, "big"),
                codes,
            )
        )
        return body + _header_crc(body).to_bytes(2, "big")

    def covered(self, kind: int, index: int) -> bytes:
        """What the CRC of chunk `index` of type `kind` covers between its type byte and its data.

        That is the header's own CRC and, for a tile, its number; in version 1 nothing. (For a tile,
        `container` adds the CRC of the tile before.)
        """
        if self.version == 1 or kind not in BOUND_TYPES:
            return b""
        number = index.to_bytes(8, "big") if kind == ChunkType.TILE else b""
        return self.to_bytes()[-2:] + number


def is_mlic(prefix: bytes) -> bool:
    """Whether a file that begins with these bytes (8 or more) is a .mlic file of any version."""
    return prefix[: len(SIGNATURE)] == SIGNATURE


def prefix_problem(prefix: bytes) -> str | None:
    """Why a .mlic file with this beginning (9 bytes or more) cannot be read; None if it can."""
    version_byte = prefix[len(SIGNATURE) : len(SIGNATURE) + 1]
    if not is_mlic(prefix) or not version_byte:
        return None
    version = version_byte[0] >> 4
    if version in VERSIONS:
        return None
    return (
        f"this .mlic file has format version {version}, but this program reads versions "
        f"{' and '.join(map(str, VERSIONS))}: update pillow-mlic"
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
    if len(data) < position:
        msg = cut_short("in its header")
        raise TruncatedError(msg)
    version, mode = data[position - 1] >> 4, data[position - 1] & 0x0F
    width, position = number(data, position, "its header")
    height, position = number(data, position, "its header")
    tail = _HEADER_TAILS[version]
    end = position + tail.size
    if len(data) < end:
        msg = cut_short("in its header")
        raise TruncatedError(msg)
    model, pack, quality, codes, *others, crc = tail.unpack_from(data, position)
    if crc != _header_crc(data[: end - 2]):
        msg = damage("the checksum of its header does not match")
        raise DamagedError(msg)
    if mode >= len(MODES):
        msg = damage(f"its header has mode {mode}, which does not exist")
        raise DamagedError(msg)
    low = codes & 0x0F
    arithmetic, guard, texture = (low, *others) if version > 1 else (ARITHMETIC_FLOAT64, low, 0)
    if arithmetic > ARITHMETIC_INTEGER:
        msg = (
            f"this .mlic file needs arithmetic {arithmetic}, which this program does not know: "
            "update pillow-mlic"
        )
        raise UnsupportedError(msg)
    try:
        header = Header(
            mode=MODES[mode],
            width=width,
            height=height,
            model=model,
            pack=pack,
            quality_code=quality,
            guard_code=guard,
            tile_code=codes >> 4,
            arithmetic=arithmetic,
            texture=texture,
            version=version,
        )
    except ValueError as error:
        msg = damage(f"its header is wrong: {error}")
        raise DamagedError(msg) from error
    fp.seek(start + end)
    return header


def _signature_error(data: bytes) -> ContainerError:
    """Return the error for a file that does not begin with the signature."""
    if SIGNATURE.startswith(data):
        return TruncatedError(cut_short("in its header"))
    if data.startswith(SIGNATURE[:4]):
        return DamagedError(damage("its signature was changed, as a transfer in text mode does"))
    return DamagedError("this is not a .mlic file, its signature is missing: check the file name")


def _header_crc(data: bytes) -> int:
    return binascii.crc_hqx(data, 0xFFFF)
