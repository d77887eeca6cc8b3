"""CompressAI's rANS bit stream in plain Python and NumPy.

The checked twin of the extension module `compressai.ans` (same bytes, both directions), and the
coder where that module is missing. A 64-bit state in [2^31, 2^63) takes symbols whose
probabilities are counts out of 2^16 and spills 32-bit words. Symbols are put last first, so that
they come out first first; the stream begins with the final state. The coder is that of Duda
(arXiv:1311.2540) in Giesen's form (ryg_rans, rans64.h).

Values here are relative: 0 is the first symbol of a table row. A value outside the row is coded
as the row's last interval (the escape) and then as 4-bit digits: how many, and the digits of
2 (value - length) or -2 value - 1, lowest first.
"""

import weakref
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

STATE_MIN = 1 << 31
"""The state at which encoding starts and decoding ends; no state is smaller."""

STATE_END = 1 << 63
"""No state is as large."""

RAW_END = 1 << 28
"""Escaped values have at most 7 digits: on 8 the extension's encoder never returns."""

_WORD = (1 << 32) - 1
_OFFSET_END = 1 << 30


class StreamError(ValueError):
    """A stream that no encoder wrote."""


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
        """Raise ValueError unless every row is one that both backends can trust."""
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
        self.counts = np.concatenate([np.asarray(cdf, np.int64) for cdf in cdfs])
        """All rows one after another."""
        self.lists: list[list[int]] = [cdf.tolist() for cdf in cdfs]
        sizes = np.array([len(cdf) for cdf in cdfs], np.int64)
        self.first = np.cumsum(sizes) - sizes
        """Where each row starts in `counts`."""
        self.lengths = sizes - 2
        """Ordinary symbols of each row, which is also the number of its escape."""
        self.offsets = np.asarray(offsets, np.int64)


_laid_out: dict[int, tuple[weakref.ref[CdfTables], Rows]] = {}


def rows_of(tables: CdfTables) -> Rows:
    """The Rows of a table object, made once as long as the object lives."""
    key = id(tables)
    known = _laid_out.get(key)
    if known is not None and known[0]() is tables:
        return known[1]
    rows = Rows(tables.cdfs, tables.offsets)
    _laid_out[key] = (weakref.ref(tables, lambda _: _laid_out.pop(key, None)), rows)
    return rows


def escaped(values: NDArray[np.integer[Any]], lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which values lie outside their row of `lengths` symbols."""
    outside: NDArray[np.bool_] = (values < 0) | (values >= lengths)
    return outside


def encode(values: NDArray[np.int64], indexes: NDArray[np.intp], rows: Rows) -> bytes:
    """The stream of relative values, each coded with the row of its index; b"" for none.

    Escaped values must stay below RAW_END (range_coder.encode checks that).
    """
    if len(values) == 0:
        return b""
    lengths = rows.lengths[indexes]
    outside = escaped(values, lengths)
    at = rows.first[indexes] + np.where(outside, lengths, values)
    starts = rows.counts[at]
    raw = np.where(values < 0, -2 * values - 1, 2 * (values - lengths))
    symbols = zip(
        starts[::-1].tolist(),
        (rows.counts[at + 1] - starts)[::-1].tolist(),
        np.where(outside, raw, -1)[::-1].tolist(),
        strict=True,
    )
    state = STATE_MIN
    words: list[int] = []
    for start, count, escape in symbols:
        if escape >= 0:
            digits = (escape.bit_length() + 3) // 4
            for digit in [escape >> 4 * i & 15 for i in reversed(range(digits))] + [digits]:
                if state >= 1 << 59:
                    words.append(state & _WORD)
                    state >>= 32
                state = state << 4 | digit
        if state >= count << 47:
            words.append(state & _WORD)
            state >>= 32
        quotient, rest = divmod(state, count)
        state = (quotient << 16) + rest + start
    words += [state >> 32, state & _WORD]
    return np.array(words[::-1], "<u4").tobytes()


class RansDecoder:
    """Reads a stream of two or more words; refuses whatever an encoder cannot have written."""

    def __init__(self, data: bytes, rows: Rows) -> None:
        self._rows = rows
        self._words: list[int] = np.frombuffer(data, "<u4").tolist()
        self._state: int = self._words[0] | self._words[1] << 32
        self._next = 2

    def take(self, indexes: NDArray[np.intp]) -> NDArray[np.int32]:
        """The next relative values, one for each row index; StreamError at the data's end."""
        try:
            return np.array(self._take(indexes.tolist()), np.int32)
        except IndexError:
            msg = "the stream ends too early"
            raise StreamError(msg) from None

    def _take(self, indexes: list[int]) -> list[int]:
        words, state, position = self._words, self._state, self._next
        lists = self._rows.lists
        values: list[int] = []
        for index in indexes:
            cdf = lists[index]
            count = state & 0xFFFF
            value = bisect_right(cdf, count) - 1
            start = cdf[value]
            state = (cdf[value + 1] - start) * (state >> 16) + count - start
            if state < STATE_MIN:
                state = state << 32 | words[position]
                position += 1
            if value == len(cdf) - 2:
                self._state, self._next = state, position
                raw = self._escape()
                value = -(raw >> 1) - 1 if raw & 1 else value + (raw >> 1)
                state, position = self._state, self._next
            values.append(value)
        self._state, self._next = state, position
        return values

    def _escape(self) -> int:
        """Number of digits, then the digits, lowest first."""
        digits = self._digit()
        if 1 << 4 * digits > RAW_END:
            msg = f"the stream holds an escaped value of {digits} digits or more"
            raise StreamError(msg)
        raw = 0
        for i in range(digits):
            raw |= self._digit() << 4 * i
        return raw

    def _digit(self) -> int:
        digit = self._state & 15
        self._state >>= 4
        if self._state < STATE_MIN:
            self._state = self._state << 32 | self._words[self._next]
            self._next += 1
        return digit

    def finish(self) -> None:
        """Raise StreamError unless state and position are exactly where the encoder began."""
        if self._state != STATE_MIN or self._next != len(self._words):
            msg = "the stream does not end where its symbols do"
            raise StreamError(msg)
