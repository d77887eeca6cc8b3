"""The range coder: symbols and the table row of each to bytes, and back.

Two backends write and read the same bytes: "compressai", the extension module `compressai.ans`
(tens of nanoseconds a symbol), and "numpy", its twin in rans.py (under a microsecond). The
extension trusts its arguments and never looks for the end of its input, so that everything it
gets passes through the checks of this module.

The extension holds the interpreter lock while it works. It is called with at most CALL_SYMBOLS
symbols at a time, so that other threads get a turn; only the last step of encoding (`flush`) is
one call for the whole stream.
"""

import functools
import importlib.machinery
import importlib.util
import os
import struct
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from . import rans
from .rans import CdfTables, Rows, StreamError

__all__ = ["CdfTables", "Decoder", "StreamError", "available_backends", "encode"]

CALL_SYMBOLS = 1 << 16
"""Most symbols that one call of the extension gets."""

BACKENDS = ("compressai", "numpy")
"""Names of the backends, the preferred one first."""

MOST_PADDING = 1 << 25
"""Most words of padding behind a stream (128 MiB); where more are needed, the twin decodes.

Photographs need less (tiles of 2048 pixels at 8 bits a pixel), forged streams may need many times
their own length.
"""

ENVIRONMENT_VARIABLE = "MLIC_RANGE_CODER"
"""Forces a backend where the caller names none."""

_EXTENSION = "compressai.ans"
_loading = threading.Lock()

# What follows the data in the extension's buffer, and what is decoded to see whether it comes
# next (_ExtensionDecoder.finish). The row has many intervals of many widths.
_SENTINEL = 0x4D4C4943
_PROBES = 16
_PROBE_ROW = [i * i for i in range(256)] + [(1 << 16) - 1, 1 << 16]


# --- finding and choosing a backend ---------------------------------------------------------


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


def available_backends() -> tuple[str, ...]:
    """Names of the backends that work here, the preferred one first."""
    return BACKENDS if _extension() is not None else BACKENDS[1:]


def _choose(backend: str | None) -> ModuleType | None:
    """The extension if that is the backend to use, None for the twin."""
    name = backend or os.environ.get(ENVIRONMENT_VARIABLE) or None
    if name is not None and name not in BACKENDS:
        msg = f"there is no range coder {name!r}; choose one of {', '.join(BACKENDS)}"
        raise ValueError(msg)
    extension = _extension() if name != "numpy" else None
    if extension is None and name == "compressai":
        msg = "the range coder 'compressai' needs the package compressai, which is not installed"
        raise ImportError(msg)
    return extension


# --- arguments ------------------------------------------------------------------------------


def _flat_integers(array: NDArray[np.integer[Any]], what: str) -> NDArray[np.integer[Any]]:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        msg = f"{what} must be a flat array of integers, not {array.dtype} of shape {array.shape}"
        raise ValueError(msg)
    return array


def _row_indexes(array: NDArray[np.integer[Any]], rows: Rows) -> NDArray[np.intp]:
    indexes = _flat_integers(array, "row indexes").astype(np.intp)
    if len(indexes) and not 0 <= indexes.min() <= indexes.max() < len(rows.lists):
        msg = f"row indexes must be 0 to {len(rows.lists) - 1}"
        raise ValueError(msg)
    return indexes


def _too_far(values: NDArray[np.integer[Any]], lengths: NDArray[np.int64]) -> bool:
    """Whether any value needs more digits than an escape has."""
    reach = rans.RAW_END // 2
    return bool(np.any((values < -reach) | (values >= reach + lengths)))


def _marshal(
    indexes: NDArray[np.intp], rows: Rows
) -> tuple[list[int], list[list[int]], list[int], list[int]]:
    """Arguments of one call of the extension, which copies all tables: only the rows in use."""
    used = np.zeros(len(rows.lists), np.bool_)
    used[indexes] = True
    place = np.cumsum(used) - 1
    lists = [rows.lists[row] for row in np.flatnonzero(used).tolist()]
    return place[indexes].tolist(), lists, [len(row) for row in lists], [0] * len(lists)


# --- encoding -------------------------------------------------------------------------------


def encode(
    steps: Sequence[tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]]],
    tables: CdfTables,
    backend: str | None = None,
) -> bytes:
    """One stream of several coding steps, each (symbols, row indexes), flat and equally long.

    Steps may be empty; no symbols at all make b"". Any symbol can be coded that lies within
    2^27 of its row's range. The bytes depend neither on the backend nor on how the symbols are
    cut into steps. Raises ValueError for arguments that cannot be coded.
    """
    extension = _choose(backend)
    rows = rans.rows_of(tables)
    indexes = np.concatenate([_row_indexes(i, rows) for _, i in steps] or [np.zeros(0, np.intp)])
    symbols = [_flat_integers(s, "symbols").astype(np.int64) for s, _ in steps]
    if any(len(s) != len(i) for s, (_, i) in zip(symbols, steps, strict=True)):
        msg = "every symbol needs one row index"
        raise ValueError(msg)
    values = np.concatenate(symbols or [np.zeros(0, np.int64)]) - rows.offsets[indexes]
    if _too_far(values, rows.lengths[indexes]):
        msg = "a symbol is more than 2^27 away from its table row"
        raise ValueError(msg)
    # The extension's output buffer has one word for each thing coded (n of them, n >= number of
    # symbols). Its state loses 32 bits a word spilt and gains at most 16 bits a thing, starting
    # at its minimum: no two puts in a row spill, nor does the first, so n // 2 words are spilt
    # and two more written at the end. That fits from n = 3; with fewer it corrupts the heap.
    if extension is None or len(values) < 4:
        return rans.encode(values, indexes, rows)
    coder = extension.BufferedRansEncoder()
    for start in range(0, len(values), CALL_SYMBOLS):
        part = slice(start, start + CALL_SYMBOLS)
        coder.encode_with_indexes(values[part].tolist(), *_marshal(indexes[part], rows))
    stream: bytes = coder.flush()
    return stream


# --- decoding -------------------------------------------------------------------------------


class _Reader(Protocol):
    def take(self, indexes: NDArray[np.intp]) -> NDArray[np.int32]: ...

    def finish(self) -> None: ...


class Decoder:
    """Reads the symbols of one stream in the order of encoding, in steps of any size.

    data: the stream; total: the most symbols that will be asked for. b"" holds no symbols
    whatever the total. Raises StreamError for data that cannot be a stream. Whatever the data, no
    backend reads outside its memory; what a damaged stream decodes to differs between backends:
    "numpy" refuses sooner. After an error the decoder gives nothing more.
    """

    def __init__(
        self, data: bytes, total: int, tables: CdfTables, backend: str | None = None
    ) -> None:
        extension = _choose(backend)
        self._rows = rans.rows_of(tables)
        self._left = total
        self._reader: _Reader | None = None
        if total < 0:
            msg = "the number of symbols cannot be negative"
            raise ValueError(msg)
        if len(data) == 0:
            return
        if len(data) % 4 or not 8 <= len(data) <= 4 * most_words(total):
            msg = f"{len(data)} bytes cannot be the stream of {total} symbols"
            raise StreamError(msg)
        if not rans.STATE_MIN <= struct.unpack_from("<Q", data)[0] < rans.STATE_END:
            msg = "the stream starts with an impossible state"
            raise StreamError(msg)
        if extension is not None:
            escapes = most_escapes(len(data) // 4, self._rows)
            padded = data + struct.pack("<I", _SENTINEL)
            padding = padding_words(np.frombuffer(padded, "<u4"), total, escapes)
            if padding <= MOST_PADDING:
                padded += bytes(4 * padding)
                self._reader = _ExtensionDecoder(extension, padded, escapes, self._rows)
                return
        self._reader = rans.RansDecoder(data, self._rows)

    def take(self, indexes: NDArray[np.integer[Any]]) -> NDArray[np.int32]:
        """The next symbols, one for each row index.

        Raises StreamError where the stream cannot be genuine, ValueError for a wrong index or
        more symbols than `total`.
        """
        which = _row_indexes(indexes, self._rows)
        if len(which) > self._left:
            msg = f"{len(which)} symbols asked for where {self._left} can be left"
            raise ValueError(msg)
        if len(which) == 0:
            return np.zeros(0, np.int32)
        if self._reader is None:
            msg = "the stream holds no symbols"
            raise StreamError(msg)
        left, self._left = self._left - len(which), 0
        values = self._reader.take(which)
        self._left = left  # stays 0 after an error
        symbols: NDArray[np.int32] = values + self._rows.offsets[which].astype(np.int32)
        return symbols

    def finish(self) -> None:
        """Raise StreamError if the stream does not end here; nothing can be taken afterwards.

        Exact with "numpy". "compressai" tells neither position nor state; there, a few symbols
        more are decoded and compared with what follows a genuine end, as a checksum would be.
        """
        reader, self._reader, self._left = self._reader, None, 0
        if reader is not None:
            reader.finish()


class _ExtensionDecoder:
    """CompressAI's decoder behind a buffer that it cannot leave (see padding_words).

    padded: the data, the sentinel and the padding; escapes: most escaped values let through.
    """

    def __init__(self, extension: ModuleType, padded: bytes, escapes: int, rows: Rows) -> None:
        self._rows = rows
        self._escapes_left = escapes
        self._coder = extension.RansDecoder()
        self._coder.set_stream(padded)

    def take(self, indexes: NDArray[np.intp]) -> NDArray[np.int32]:
        parts = [
            self._take(indexes[start : start + CALL_SYMBOLS])
            for start in range(0, len(indexes), CALL_SYMBOLS)
        ]
        return np.concatenate(parts)

    def _take(self, indexes: NDArray[np.intp]) -> NDArray[np.int32]:
        values = np.array(self._coder.decode_stream(*_marshal(indexes, self._rows)), np.int32)
        lengths = self._rows.lengths[indexes]
        self._escapes_left -= int(np.count_nonzero(rans.escaped(values, lengths)))
        if self._escapes_left < 0:
            msg = "the stream holds more escaped values than its length allows"
            raise StreamError(msg)
        if _too_far(values, lengths):
            msg = "the stream holds an escaped value that is too large"
            raise StreamError(msg)
        return values

    def finish(self) -> None:
        probes = [0] * _PROBES, [_PROBE_ROW], [len(_PROBE_ROW)], [0]
        if self._coder.decode_stream(*probes) != _after_the_end():
            msg = "the stream does not end where its symbols do"
            raise StreamError(msg)


@functools.cache
def _after_the_end() -> list[int]:
    """What the probes give when the last symbol was just taken from a genuine stream."""
    rows = Rows([np.array(_PROBE_ROW)], np.zeros(1, np.int32))
    rest = struct.pack("<QI", rans.STATE_MIN, _SENTINEL) + bytes(4 * _PROBES)
    values: list[int] = rans.RansDecoder(rest, rows).take(np.zeros(_PROBES, np.intp)).tolist()
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


def most_words(total: int) -> int:
    """Most words of a genuine stream of so many symbols: a symbol with an escape has 48 bits."""
    return 2 + 2 * total if total else 0


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
