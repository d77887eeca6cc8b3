"""From scales to table rows, and the guard band that makes the choice the same everywhere.

The encoder's choice, made in float64, is the truth. A decoder's scale differs from it by a tiny
relative amount; that matters only next to a threshold. So the encoder lists every latent whose
scale lies within a relative distance `guard` of a threshold, with the side it is on, and a
decoder takes the listed side there and its own choice elsewhere.
"""

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


def classify(scale: Tensor, tables: Thresholds) -> Indexes:
    """Class of each scale: the number of thresholds strictly below it. Any shape -> flat."""
    thresholds = torch.from_numpy(tables.thresholds).to(scale.device)
    # Widening to float64 is exact, so a float32 scale is compared as it is.
    return torch.bucketize(scale.double().flatten(), thresholds).cpu().numpy()


def near_thresholds(
    scale: Tensor, classes: Indexes, tables: Thresholds, guard: float
) -> Corrections:
    """What the encoder lists: latents whose scale lies within `guard` of a threshold."""
    values = scale.double().flatten().cpu().numpy()
    bounds = np.concatenate([[0.0], tables.thresholds, [np.inf]])
    below, above = bounds[classes], bounds[classes + 1]
    # A decoder's deviation is relative to its scale, this distance to the threshold: twice the
    # guard band squared is more than the difference.
    guard *= 1 + 2 * guard
    just_above = (classes > 0) & (values - below <= guard * below)
    just_below = (classes < len(tables.thresholds)) & (above - values <= guard * above)
    positions = np.flatnonzero(just_above | just_below)
    return Corrections(positions, just_above[positions].astype(np.int64))


def correct(
    classes: Indexes, scale: Tensor, corrections: Corrections, tables: Thresholds
) -> Indexes:
    """Classes, with those of listed latents replaced: by the listed side of the nearest
    threshold."""
    if not len(corrections.positions):
        return classes
    values = scale.double().flatten().cpu().numpy()[corrections.positions]
    logs = np.log(np.maximum(values, np.finfo(np.float64).tiny))
    middles = 0.5 * (np.log(tables.thresholds[1:]) + np.log(tables.thresholds[:-1]))
    nearest = np.searchsorted(middles, logs)
    classes = classes.copy()
    classes[corrections.positions] = nearest + corrections.sides
    return classes
