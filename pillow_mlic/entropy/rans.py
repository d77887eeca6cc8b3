"""CompressAI's rANS bit stream in plain Python and NumPy: the backend "numpy".

The checked twin of _rans.c and of the extension module `compressai.ans` (same bytes, both
directions), and the coder where both are missing. A 64-bit state in [2^31, 2^63) takes symbols
whose probabilities are counts out of 2^16 and spills 32-bit words. Symbols are put last first, so
that they come out first first; the stream begins with the final state. The coder is that of Duda
(arXiv:1311.2540) in Giesen's form (ryg_rans, rans64.h).

A value (rows.py) outside its row is coded as the row's escape and then as 4-bit digits: how many,
and the digits of 2 (value - length) or -2 value - 1, lowest first.
"""

from bisect import bisect_right

import numpy as np

from .rows import RAW_END, Ints, Rows, escaped

STATE_MIN = 1 << 31
"""The state at which encoding starts and decoding ends; no state is smaller."""

STATE_END = 1 << 63
"""No state is as large."""

TOO_EARLY = "the stream ends too early"
ESCAPE_TOO_LONG = "the stream holds an escaped value of 8 digits or more"
WRONG_END = "the stream does not end where its symbols do"

_WORD = (1 << 32) - 1


class StreamError(ValueError):
    """A stream that no encoder wrote."""


def encode(symbols: Ints, indexes: Ints, rows: Rows) -> bytes:
    """The stream of one or more symbols, each coded with the row of its index.

    ValueError for a symbol that is too far away from its row.
    """
    values, lengths = rows.values(symbols, indexes), rows.lengths[indexes]
    outside = escaped(values, lengths)
    at = rows.starts[indexes] + np.where(outside, lengths, values)
    starts = rows.counts[at]
    raw = np.where(values < 0, -2 * values - 1, 2 * (values - lengths))
    puts = zip(
        starts[::-1].tolist(),
        (rows.counts[at + 1] - starts)[::-1].tolist(),
        np.where(outside, raw, -1)[::-1].tolist(),
        strict=True,
    )
    state = STATE_MIN
    words: list[int] = []
    for start, count, escape in puts:
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

    def take(self, indexes: Ints) -> Ints:
        """The next symbols, one for each row index; StreamError at the data's end."""
        try:
            values = np.array(self._take(indexes.tolist()), np.int32)
        except IndexError:
            raise StreamError(TOO_EARLY) from None
        return self._rows.symbols(values, indexes)

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
            raise StreamError(ESCAPE_TOO_LONG)
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
            raise StreamError(WRONG_END)
