"""What the integer walk's distributions say of symbols: scales, and the bits to expect."""

import math

import numpy as np
from numpy.typing import NDArray

from ..entropy.everywhere import erfc, log
from ..entropy.tables import SCALE_MIN
from .coders import Symbols
from .network import CodingStep

_LEAST_LIKELIHOOD = 1e-9


def scales(step: CodingStep) -> NDArray[np.float32]:
    """The standard deviations of a step in quantisation steps, (B, h, w, c)."""
    octaves = np.asarray(step.logarithm, np.float32) / np.float32(256)
    return np.broadcast_to(np.exp2(octaves), step.classes.shape)


def bits_of(symbols: Symbols, step: CodingStep) -> NDArray[np.float64]:
    """Bits of a unit interval around each symbol under the normal law of its scale."""
    inverse = 1 / (np.maximum(scales(step), SCALE_MIN).astype(np.float64) * math.sqrt(2))
    away = np.abs(symbols)
    likelihood = 0.5 * (erfc((away - 0.5) * inverse) - erfc((away + 0.5) * inverse))
    return -log(np.maximum(likelihood, _LEAST_LIKELIHOOD)) / math.log(2)
