"""The rows of a model's tables as all range coders want them: checked, and laid out once.

A row's first interval is the symbol `offset`, its last one the escape: a symbol outside the row.
Coders work with *values*, symbols relative to the offset: 0 is the row's first symbol, and the
number of its ordinary symbols (its *length*) is the escape.
"""

import functools
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]

RAW_END = 1 << 28
"""Escaped values have at most 7 digits of 4 bits: on 8 CompressAI's encoder never returns."""

_OFFSET_END = 1 << 30


class CdfTables(Protocol):
    """Integer tables: `cdfs[row]` counts from 0 to 65536, `offsets[row]` is its first symbol."""

    @property
    def cdfs(self) -> Sequence[NDArray[np.integer[Any]]]:
        """Cumulative counts, one array a row; the last interval is the escape."""

    @property
    def offsets(self) -> NDArray[np.integer[Any]]:
        """The symbol of each row's first interval."""


class Rows:
    """The rows of a table object, checked and laid out for coding."""

    def __init__(
        self, cdfs: Sequence[NDArray[np.integer[Any]]], offsets: NDArray[np.integer[Any]]
    ) -> None:
        """Raise ValueError unless every row is one that all backends can trust."""
        if len(cdfs) == 0 or np.shape(offsets) != (len(cdfs),):
            msg = f"{len(cdfs)} table rows with offsets of shape {np.shape(offsets)}"
            raise ValueError(msg)
        for row, cdf in enumerate(cdfs):
            if np.ndim(cdf) != 1 or len(cdf) < 3 or cdf[0] != 0 or cdf[-1] != 1 << 16:
                msg = f"table row {row} must count from 0 to 65536 in two or more intervals"
                raise ValueError(msg)
            if not np.all(cdf[1:] > cdf[:-1]):
                msg = f"table row {row} must increase strictly"
                raise ValueError(msg)
        if np.any((offsets <= -_OFFSET_END) | (offsets >= _OFFSET_END)):
            msg = "table offsets must be within +-2^30"
            raise ValueError(msg)
        sizes = [len(cdf) for cdf in cdfs]
        self.counts = np.concatenate([np.asarray(cdf, np.uint32) for cdf in cdfs])
        """All rows one after another."""
        self.starts = np.cumsum([0, *sizes], dtype=np.int64)
        """Where each row starts in `counts`, and the end of the last one."""
        self.lengths = np.diff(self.starts) - 2
        """Ordinary symbols of each row, which is also the number of its escape."""
        self.offsets = np.ascontiguousarray(offsets, np.int32)

    def __len__(self) -> int:
        return len(self.lengths)

    @functools.cached_property
    def lists(self) -> list[list[int]]:
        """The counts of each row as Python's integers."""
        return [row.tolist() for row in np.split(self.counts, self.starts[1:-1])]

    def values(self, symbols: Ints, indexes: Ints) -> NDArray[np.int64]:
        """Symbols relative to their rows; ValueError for one with more digits than escapes have."""
        values = symbols.astype(np.int64) - self.offsets[indexes]
        if too_far(values, self.lengths[indexes]):
            raise ValueError(TOO_FAR)
        return values

    def symbols(self, values: Ints, indexes: Ints) -> Ints:
        """The symbols of values: the opposite of `values`."""
        return values + self.offsets[indexes]


TOO_FAR = "a symbol is more than 2^27 away from its table row"


def too_far(values: NDArray[np.integer[Any]], lengths: NDArray[np.int64]) -> bool:
    """Whether any value needs more digits than an escape has."""
    reach = RAW_END // 2
    return bool(np.any((values < -reach) | (values >= reach + lengths)))


def escaped(values: NDArray[np.integer[Any]], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which values lie outside their row of `lengths` symbols."""
    outside: NDArray[np.bool_] = (values < 0) | (values >= lengths)
    return outside


_laid_out: dict[int, tuple[weakref.ref[CdfTables], Rows]] = {}


def rows_of(tables: CdfTables) -> Rows:
    """The Rows of a table object, kept as long as the object lives."""
    key = id(tables)
    known = _laid_out.get(key)
    if known is not None and known[0]() is tables:
        return known[1]
    rows = Rows(tables.cdfs, tables.offsets)
    _laid_out[key] = (weakref.ref(tables, lambda _: _laid_out.pop(key, None)), rows)
    return rows
