"""The integers' ranges and units, and the numbers that depend on quality.

Logarithms are to the base 2, as integers in units of 1/4096 ("octaves" / 4096). `Powers` turns
them into numbers by a table, without exp or log. Nothing here depends on a machine: there are
integers, and float64 or float32 numbers that IEEE 754 says the last bit of.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..entropy.everywhere import Doubles
from ..models.lambdas import QUALITIES

Integers = NDArray[np.integer[Any]]
Wholes = NDArray[np.float32]
"""Integers, too, wherever nothing else is said: float32 holds those up to 2^24."""

ACTIVATION = 2047
"""Largest input of a product, of either sign: 12 bits."""
BEFORE_LEAKY = 16_383
"""Largest input of a leaky ReLU; a tenth of its negative is a product's input."""
STREAM = 32_767
"""Largest number in a residual stream: 16 bits."""
STREAM_STEP = 16
"""A residual stream that enters a product is divided by this."""
EXACT = 1 << 24
"""float32 holds all integers up to here."""
OCTAVE = 4096
"""Units of logarithms in a factor of two."""
CLASS_STEP = 16
"""Scales are compared with thresholds in units of so many 4096ths of an octave."""
FRACTION = 64
"""Means are in so many parts of a context's unit."""
RESIDUAL = 256
"""Symbols and what residual prediction adds are in so many parts of a quantisation step."""
QUALITY_STEP = 8192
"""Units of a quality code from one quality to the next."""
MOST_OCTAVES = 40
"""Logarithms lie within so many octaves of 0."""


def at_quality(table: Integers, code: int) -> NDArray[np.int64]:
    """Rows of `table` (8, C) at a quality code (0 to 57344), linear between them: (C,)."""
    low = min(code // QUALITY_STEP, QUALITIES - 2)
    weight = code - low * QUALITY_STEP
    below, above = table[low].astype(np.int64), table[low + 1].astype(np.int64)
    return (below * (QUALITY_STEP - weight) + above * weight + QUALITY_STEP // 2) // QUALITY_STEP


class Powers:
    """Powers of two by a table of 4096 numbers: 2^(23 + i / 4096), rounded to integers."""

    def __init__(self, table: Integers) -> None:
        if table.shape != (OCTAVE,) or np.any(table < EXACT // 2) or np.any(table >= EXACT):
            msg = "its table of powers of two is none"
            raise ValueError(msg)
        self._table = table.astype(np.float64)

    def __call__(self, logarithm: Integers) -> Doubles:
        """2^(logarithm / 4096): numbers of 24 bits."""
        return np.ldexp(self._table[logarithm % OCTAVE], logarithm // OCTAVE - 23)


class Classes:
    """Classes of scales: the number of thresholds strictly below a scale.

    `thresholds` are logarithms in 256ths of an octave. All that is asked for lies in a table.
    """

    def __init__(self, thresholds: Integers) -> None:
        if thresholds.ndim != 1 or not 0 < len(thresholds) < 256:
            msg = "its thresholds in integers are none"
            raise ValueError(msg)
        most = MOST_OCTAVES * OCTAVE // CLASS_STEP
        if np.any(np.abs(thresholds) > most) or np.any(np.diff(thresholds) < 0):
            msg = "its thresholds in integers do not increase"
            raise ValueError(msg)
        self.count = len(thresholds) + 1
        self.first = int(thresholds[0])
        """The least threshold; what lies below belongs to class 0."""
        self.last = int(thresholds[-1]) + 1 - self.first
        """Where the table ends: all that lies above belongs to the highest class."""
        places = np.arange(self.first, self.first + self.last + 1)
        self._table = np.searchsorted(thresholds, places, side="left").astype(np.uint8)

    def __call__(self, logarithm: NDArray[Any]) -> NDArray[np.uint8]:
        """Of logarithms in 256ths of an octave, above `first`; all are from 0 to `last`."""
        return self._table[logarithm.astype(np.uint16)]


def class_logarithm(logarithm: Integers) -> NDArray[np.int64]:
    """From 4096ths to 256ths of an octave, to the nearest."""
    return (logarithm.astype(np.int64) + CLASS_STEP // 2) // CLASS_STEP
