"""The range coder in C (_rans.c), the backend "c": results and errors of its twin, rans.py.

It is built when the package is installed where there is a C compiler. Every read and write is
checked against its buffer, so that it may be given any stream. It lets go of the interpreter lock
while it codes.
"""

import numpy as np

from . import rans
from .rows import TOO_FAR, Ints, Rows

try:
    from . import _rans
except ImportError:  # installed without a compiler
    _rans = None  # type: ignore[assignment]

_REFUSALS = {1: rans.TOO_EARLY, 2: rans.ESCAPE_TOO_LONG}
"""What _rans.decode returns for streams that no encoder wrote."""


def available() -> bool:
    """Whether _rans.c was built."""
    return _rans is not None


def encode(symbols: Ints, indexes: Ints, rows: Rows) -> bytes:
    """The stream of one or more symbols, each coded with the row of its index.

    ValueError for a symbol that is too far away from its row.
    """
    data = _rans.encode(symbols, indexes, rows.counts, rows.starts, rows.offsets)
    if data is None:
        raise ValueError(TOO_FAR)
    return data


class CDecoder:
    """Reads a stream of two or more words; refuses whatever an encoder cannot have written."""

    def __init__(self, data: bytes, rows: Rows) -> None:
        self._data = data
        self._rows = rows
        self._state, self._position = int.from_bytes(data[:8], "little"), 2

    def take(self, indexes: Ints) -> Ints:
        """The next symbols, one for each row index; StreamError at the data's end."""
        rows = self._rows
        symbols = np.empty(len(indexes), np.int32)
        refusal, self._state, self._position = _rans.decode(
            symbols,
            indexes,
            self._state,
            self._position,
            self._data,
            rows.counts,
            rows.starts,
            rows.offsets,
        )
        if refusal:
            raise rans.StreamError(_REFUSALS[refusal])
        return symbols

    def finish(self) -> None:
        """Raise StreamError unless state and position are exactly where the encoder began."""
        if self._state != rans.STATE_MIN or 4 * self._position != len(self._data):
            raise rans.StreamError(rans.WRONG_END)
