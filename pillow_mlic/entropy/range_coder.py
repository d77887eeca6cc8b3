"""The range coder: symbols and the table row of each to bytes, and back.

Three backends write and read the same bytes: "c", this package's own (_rans.c, ten nanoseconds a
symbol), "compressai", CompressAI's extension module where that is installed (seventy), and
"numpy", plain Python (three hundred). The first one that works here is used. What they get has
passed through the checks of this module.
"""

import os
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from . import c_coder, compressai_coder, rans
from .rans import StreamError
from .rows import TOO_FAR, CdfTables, Ints, Rows, rows_of

LARGEST = 1 << 26
"""Symbols are cut off here; far beyond what any picture gives, well within the coder's escapes."""

__all__ = ["CdfTables", "StreamDecoder", "StreamError", "available_backends", "encode"]

ENVIRONMENT_VARIABLE = "MLIC_RANGE_CODER"
"""Forces a backend where the caller names none."""


# --- backends -------------------------------------------------------------------------------


class _Reader(Protocol):
    def take(self, indexes: Ints) -> Ints: ...

    def finish(self) -> None: ...


class _Backend(NamedTuple):
    available: Callable[[], bool]
    encode: Callable[[Ints, Ints, Rows], bytes]
    """Of symbols, row indexes and rows."""
    reader: Callable[[bytes, int, Rows], _Reader]
    """Of a stream, the most symbols that will be asked for, and rows."""
    remedy: str
    """What is to be done where it is not available."""


_BACKENDS = {
    "c": _Backend(
        c_coder.available,
        c_coder.encode,
        lambda data, _, rows: c_coder.CDecoder(data, rows),
        "was not built; install pillow-mlic again where there is a C compiler",
    ),
    "compressai": _Backend(
        compressai_coder.available,
        compressai_coder.encode,
        compressai_coder.reader,
        "needs the package compressai, which is not installed",
    ),
    "numpy": _Backend(
        lambda: True, rans.encode, lambda data, _, rows: rans.RansDecoder(data, rows), ""
    ),
}
"""The preferred one first."""


def available_backends() -> tuple[str, ...]:
    """Names of the backends that work here, the preferred one first."""
    return tuple(name for name, backend in _BACKENDS.items() if backend.available())


def exact_backend() -> str:
    """The preferred one of those that refuse a cut stream at its very end."""
    return next(name for name in available_backends() if name != "compressai")


def _choose(name: str | None) -> _Backend:
    name = name or os.environ.get(ENVIRONMENT_VARIABLE) or None
    if name is None:
        return next(backend for backend in _BACKENDS.values() if backend.available())
    if name not in _BACKENDS:
        msg = f"there is no range coder {name!r}; choose one of {', '.join(_BACKENDS)}"
        raise ValueError(msg)
    backend = _BACKENDS[name]
    if not backend.available():
        msg = f"the range coder {name!r} {backend.remedy}"
        raise ImportError(msg)
    return backend


# --- arguments ------------------------------------------------------------------------------


def _flat_integers(array: NDArray[np.integer[Any]], what: str) -> NDArray[np.integer[Any]]:
    if array.ndim != 1 or array.dtype.kind not in "iu":
        msg = f"{what} must be a flat array of integers, not {array.dtype} of shape {array.shape}"
        raise ValueError(msg)
    return array


def _within(array: NDArray[np.integer[Any]], low: int, high: int) -> bool:
    return not len(array) or low <= int(array.min()) <= int(array.max()) <= high


def _row_indexes(array: NDArray[np.integer[Any]], rows: Rows) -> Ints:
    if not _within(_flat_integers(array, "row indexes"), 0, len(rows) - 1):
        msg = f"row indexes must be 0 to {len(rows) - 1}"
        raise ValueError(msg)
    return np.ascontiguousarray(array, np.int32)


def _symbols(array: NDArray[np.integer[Any]]) -> Ints:
    if not _within(_flat_integers(array, "symbols"), -(1 << 31), (1 << 31) - 1):
        raise ValueError(TOO_FAR)
    return np.ascontiguousarray(array, np.int32)


def most_words(total: int) -> int:
    """Most words of a genuine stream of so many symbols: a symbol with an escape has 48 bits."""
    return 2 + 2 * total if total else 0


# --- both directions ------------------------------------------------------------------------


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
    coder = _choose(backend)
    rows = rows_of(tables)
    checked = [(_symbols(symbols), _row_indexes(indexes, rows)) for symbols, indexes in steps]
    if any(len(symbols) != len(indexes) for symbols, indexes in checked):
        msg = "every symbol needs one row index"
        raise ValueError(msg)
    if not any(len(symbols) for symbols, _ in checked):
        return b""
    symbols, indexes = (np.concatenate(parts) for parts in zip(*checked, strict=True))
    return coder.encode(symbols, indexes, rows)


class StreamDecoder:
    """Reads the symbols of one stream in the order of encoding, in steps of any size.

    data: the stream; total: the most symbols that will be asked for. b"" holds no symbols
    whatever the total. Raises StreamError for data that cannot be a stream. Whatever the data, no
    backend reads outside its memory. "c" and "numpy" take and refuse exactly the same streams;
    "compressai" refuses later, and may give other symbols for a damaged stream before it does.
    After an error the decoder gives nothing more.
    """

    def __init__(
        self, data: bytes, total: int, tables: CdfTables, backend: str | None = None
    ) -> None:
        coder = _choose(backend)
        self._rows = rows_of(tables)
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
        self._reader = coder.reader(data, total, self._rows)

    def take(self, indexes: NDArray[np.integer[Any]]) -> Ints:
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
        symbols = self._reader.take(which)
        self._left = left  # stays 0 after an error
        return symbols

    def finish(self) -> None:
        """Raise StreamError if the stream does not end here; nothing can be taken afterwards.

        Exact with "c" and "numpy". "compressai" tells neither position nor state; there, a few
        symbols more are decoded and compared with what follows a genuine end, as a checksum
        would be.
        """
        reader, self._reader, self._left = self._reader, None, 0
        if reader is not None:
            reader.finish()
