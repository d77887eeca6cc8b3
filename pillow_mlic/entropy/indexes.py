"""From scales to table rows, and the guard band that makes the choice the same everywhere.

The encoder's choice, made in float64, is the truth. A decoder's scale differs from it by a tiny
relative amount; that matters only next to a threshold. So the encoder lists every latent whose
scale lies within a relative distance `guard` of a threshold, with the side it is on, and a
decoder takes the listed side there and its own choice elsewhere.

Everything about a value that decides is one small integer, its place: how many of the thresholds
and of the middles between neighbouring ones lie below it.

    thresholds      t0      t1      t2
    places       0 | 1 : 2 | 3 : 4 | 5          class = (place + 1) // 2, the thresholds below it
                                                nearest threshold = place // 2

So places are found where the network runs, and one copy of integers tells a coder all.
"""

import functools
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .payload import Corrections, Indexes


class Thresholds(Protocol):
    """The thresholds between classes of values; `tables.Tables` has some."""

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Positive and increasing."""
        ...


class Decision(NamedTuple):
    """Two classes with one threshold: a value is above it or not."""

    thresholds: NDArray[np.float64]


ABOVE_ONE = Decision(np.ones(1))


def places(values: Tensor, tables: Thresholds) -> Tensor:
    """Place of each value, integers in the shape and on the device of `values`."""
    # Widening to float64 is exact, so a float32 scale is compared as it is.
    wide = values.double().contiguous()
    return torch.bucketize(wide, _on_device(tables, values.device).borders)


def near(values: Tensor, at: Tensor, tables: Thresholds, guard: float) -> Tensor:
    """Which values, at these places, lie within `guard` of a threshold: those an encoder lists."""
    nearest = _on_device(tables, values.device).thresholds[at // 2]
    # A decoder's deviation is relative to its scale, this distance to the threshold: twice the
    # guard band squared is more than the difference.
    return (values.double() - nearest).abs() <= guard * (1 + 2 * guard) * nearest


def classes(at: Indexes) -> Indexes:
    """Class of each place: the number of thresholds strictly below the value."""
    return (at + 1) // 2


def listed(at: Indexes, is_near: NDArray[np.bool_]) -> Corrections:
    """What the encoder lists of values at these places (flat): the near ones, with sides."""
    positions = np.flatnonzero(is_near)
    return Corrections(positions, (at[positions] % 2).astype(np.int64))


def correct(at: Indexes, corrections: Corrections) -> Indexes:
    """Classes of places (flat); those of listed values by the listed side of the nearest
    threshold."""
    found = classes(at)
    positions, sides = corrections
    found[positions] = at[positions] // 2 + sides
    return found


class _Bounds(NamedTuple):
    """Thresholds, and these with the middles between them, in float64 on a device."""

    thresholds: Tensor
    borders: Tensor


def _on_device(tables: Thresholds, device: torch.device) -> _Bounds:
    return _bounds(tables.thresholds.tobytes(), device)


@functools.lru_cache(maxsize=64)
def _bounds(thresholds: bytes, device: torch.device) -> _Bounds:
    exact = np.frombuffer(thresholds)
    borders = np.empty(2 * len(exact) - 1)
    borders[0::2] = exact
    borders[1::2] = np.sqrt(exact[1:]) * np.sqrt(exact[:-1])
    with torch.inference_mode(False):
        return _Bounds(*(torch.from_numpy(np.array(x)).to(device) for x in (exact, borders)))
