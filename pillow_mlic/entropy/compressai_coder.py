"""The range coder of CompressAI's extension module `compressai.ans`: the backend "compressai".

The extension trusts its arguments and never looks for the end of its input, so that everything it
gets has passed through the checks of range_coder.py, and every stream is followed by as much
padding as it could consume.

It holds the interpreter lock while it works. It is called with at most CALL_SYMBOLS symbols at a
time, so that other threads get a turn; only the last step of encoding (`flush`) is one call for the
whole stream.
"""

import functools
import importlib.machinery
import importlib.util
import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from .. import process
from . import rans
from .rows import Ints, Rows, escaped, too_far

CALL_SYMBOLS = 1 << 16
"""Most symbols that one call of the extension gets."""

MOST_PADDING = 1 << 25
"""Most words of padding behind a stream (128 MiB); where more are needed, the twin decodes.

Photographs need less (tiles of 2048 pixels at 8 bits a pixel), forged streams may need many times
their own length.
"""

_EXTENSION = "compressai.ans"
_loading = process.Lock()

# What follows the data in the extension's buffer, and what is decoded to see whether it comes
# next (CompressaiDecoder.finish). The row has many intervals of many widths.
_SENTINEL = 0x4D4C4943
_PROBES = 16
_PROBE_ROW = [i * i for i in range(256)] + [(1 << 16) - 1, 1 << 16]


# --- finding the extension ------------------------------------------------------------------


@functools.cache
def _find_extension() -> ModuleType | None:
    """The extension, loaded without running `compressai/__init__.py`; None where it is missing.

    That file imports torchvision, which takes seconds and fails beside a CPU build of torch. The
    words of the stream are little-endian and the extension's are the machine's own.
    """
    if sys.byteorder != "little":
        return None
    if _EXTENSION in sys.modules:
        return sys.modules[_EXTENSION]
    try:
        package = importlib.util.find_spec(_EXTENSION.partition(".")[0])
    except ValueError:  # a stand-in without a spec
        return None
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder) / f"ans{suffix}"
            if path.is_file():
                return _load_extension(path)
    return None


def _load_extension(path: Path) -> ModuleType | None:
    spec = importlib.util.spec_from_file_location(_EXTENSION, path)
    if spec is None or spec.loader is None:
        return None
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError:  # built for another Python
        return None
    finally:
        # Loading enters the module there. Left alone, it would keep a later `import compressai`
        # from getting its attribute `ans`.
        sys.modules.pop(_EXTENSION, None)
    return module


def _extension() -> ModuleType | None:
    with _loading:
        return _find_extension()


def available() -> bool:
    """Whether the extension is here and works."""
    return _extension() is not None


def _loaded() -> ModuleType:
    extension = _extension()
    if extension is None:
        raise ImportError(_EXTENSION)
    return extension


# --- coding ---------------------------------------------------------------------------------


def _marshal(indexes: Ints, rows: Rows) -> tuple[list[int], list[list[int]], list[int], list[int]]:
    """Arguments of one call of the extension, which copies all tables: only the rows in use."""
    used = np.zeros(len(rows), np.bool_)
    used[indexes] = True
    place = np.cumsum(used) - 1
    lists = [rows.lists[row] for row in np.flatnonzero(used).tolist()]
    return place[indexes].tolist(), lists, [len(row) for row in lists], [0] * len(lists)


def encode(symbols: Ints, indexes: Ints, rows: Rows) -> bytes:
    """The stream of one or more symbols, each coded with the row of its index.

    ValueError for a symbol that is too far away from its row.
    """
    # The extension's output buffer has one word for each thing coded (n of them, n >= number of
    # symbols). Its state loses 32 bits a word spilt and gains at most 16 bits a thing, starting
    # at its minimum: no two puts in a row spill, nor does the first, so n // 2 words are spilt
    # and two more written at the end. That fits from n = 3; with fewer it corrupts the heap.
    if len(symbols) < 4:
        return rans.encode(symbols, indexes, rows)
    values = rows.values(symbols, indexes)
    coder = _loaded().BufferedRansEncoder()
    for start in range(0, len(values), CALL_SYMBOLS):
        part = slice(start, start + CALL_SYMBOLS)
        coder.encode_with_indexes(values[part].tolist(), *_marshal(indexes[part], rows))
    stream: bytes = coder.flush()
    return stream


def reader(data: bytes, total: int, rows: Rows) -> "CompressaiDecoder | rans.RansDecoder":
    """What reads `total` symbols or fewer; the twin where too much padding would be needed."""
    escapes = most_escapes(len(data) // 4, rows)
    padded = data + struct.pack("<I", _SENTINEL)
    padding = padding_words(np.frombuffer(padded, "<u4"), total, escapes)
    if padding > MOST_PADDING:
        return rans.RansDecoder(data, rows)
    return CompressaiDecoder(padded + bytes(4 * padding), escapes, rows)


class CompressaiDecoder:
    """CompressAI's decoder behind a buffer that it cannot leave (see padding_words).

    padded: the data, the sentinel and the padding; escapes: most escaped values let through.
    """

    def __init__(self, padded: bytes, escapes: int, rows: Rows) -> None:
        self._rows = rows
        self._escapes_left = escapes
        self._coder = _loaded().RansDecoder()
        self._coder.set_stream(padded)

    def take(self, indexes: Ints) -> Ints:
        """The next symbols, one for each row index."""
        parts = [
            self._take(indexes[start : start + CALL_SYMBOLS])
            for start in range(0, len(indexes), CALL_SYMBOLS)
        ]
        return self._rows.symbols(np.concatenate(parts), indexes)

    def _take(self, indexes: Ints) -> Ints:
        values = np.array(self._coder.decode_stream(*_marshal(indexes, self._rows)), np.int32)
        lengths = self._rows.lengths[indexes]
        self._escapes_left -= int(np.count_nonzero(escaped(values, lengths)))
        if self._escapes_left < 0:
            msg = "the stream holds more escaped values than its length allows"
            raise rans.StreamError(msg)
        if too_far(values, lengths):
            msg = "the stream holds an escaped value that is too large"
            raise rans.StreamError(msg)
        return values

    def finish(self) -> None:
        """Raise StreamError unless a few symbols more are what follows a genuine end."""
        probes = [0] * _PROBES, [_PROBE_ROW], [len(_PROBE_ROW)], [0]
        if self._coder.decode_stream(*probes) != _after_the_end():
            raise rans.StreamError(rans.WRONG_END)


@functools.cache
def _after_the_end() -> list[int]:
    """The symbols that the probes give right after the last symbol of a genuine stream."""
    rows = Rows([np.array(_PROBE_ROW)], np.zeros(1, np.int32))
    rest = struct.pack("<QI", rans.STATE_MIN, _SENTINEL) + bytes(4 * _PROBES)
    values: list[int] = rans.RansDecoder(rest, rows).take(np.zeros(_PROBES, np.int32)).tolist()
    return values


# How far can the extension read? Let e = floor(log2(state)). Decoder refuses a first state outside
# [2^31, 2^63), so 31 <= e <= 62 after every operation:
# - taking a symbol lowers e by at most 16 (state -> count * (state >> 16) + ..., count >= 1), and
#   by at least 16 - ceil(log2(count)), for the new state is below count * ((state >> 16) + 1);
# - taking a digit lowers e by exactly 4;
# - one word is read when e < 31, which raises e by exactly 32.
# (1) So S symbols and D digits read at most (16 S + 4 D + 31) / 32 words.
# (2) W words of a genuine stream, which ends with e = 31, hold at most
#     32 W / (20 - ceil(log2(count))) escapes of that count: a flag and at least one digit each.
# An escape reads digits until one is not 15, sums them to n, and reads n more.
# (3) At most 8 digits are taken before the first word is read in an escape, and the next 8 are the
#     digits of that word, and so on. A run of 15s goes on only through words of ones: with
#     at most `run` of those in a row it has at most 8 + 8 run + 7 digits, n <= 120 run + 239.
# Now count the zero words read after the data. One is the first. What is left of the symbol that
# read it is at most one digit (0, ending the run) and n more: D <= 120 run + 240. A later escape
# has at most 8 digits that are not 0, so at most 9 before n <= 120 more: D <= 129. With (1), and
# E escapes among the symbols left:
#     1 + (16 S + 4 (120 run + 240 + 129 E) + 31) / 32  <=  S / 2 + 15 run + 17 E + 32.
# E is at most S. It is also at most what (2) allows, plus one call's worth: a later escape has its
# first digits that are not 0 among 8, the first of which is the number, so its value stays below
# 2^28 and outside the row, where _take counts it, and gives up when there are too many.


def most_escapes(words: int, rows: Rows) -> int:
    """Most escaped values that a genuine stream of so many words can hold; (2) above."""
    widest = max(row[-1] - row[-2] for row in rows.lists)
    return 32 * words // (20 - (widest - 1).bit_length())


def padding_words(data: NDArray[np.uint32], total: int, escapes: int) -> int:
    """Zero words that the extension needs after the data; the proof is above.

    total: most symbols taken; escapes: most escapes let through before giving up.
    """
    late = min(total, escapes + CALL_SYMBOLS) + _PROBES
    return (total + _PROBES) // 2 + 15 * _longest_run(data) + 17 * late + 32


def _longest_run(words: NDArray[np.uint32]) -> int:
    """Length of the longest run of words that are all ones."""
    others = np.flatnonzero(words != 0xFFFFFFFF)
    return int(np.diff(others, prepend=-1, append=len(words)).max()) - 1
