"""Grain: random values for latents whose symbols are zero, the same ones wherever they are drawn.

A symbol of zero says that the latent lies within half a step of its mean, and the entropy part says
with what spread. A decoder may show the mean, or a value drawn from that law: then grain, skin and
foliage look alive. Values come from an integer table and a counter-based generator, keyed by the
tile's checksum of symbols: no state, so any part can be drawn alone (docs/format.md, "Texture").
"""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..entropy import everywhere
from ..entropy.everywhere import Doubles
from ..entropy.tables import LEVELS, SCALE_MAX, SCALE_MIN
from .network import CodingStep, StepCoder, put

RESOLUTION = 256
"""Values are in 256ths of a quantisation step."""
BYTES = 8
"""Values of as many channels come from one number of the generator."""
FINER, QUARTER = 14, 64
"""Symbols of class 0 are always zero, but their latents are not: as many classes of smaller scales,
each a quarter of an octave, in 256ths of an octave. What is smaller still has no grain."""
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


class GrainSteps:
    """A coder that notes, beside what `coder` does, what grain is made of: see network.StepCoder.

    shape (B, h, w, C): that of the latents; `first`: the scale that class 0 ends with, as a
    logarithm in 256ths of an octave.
    """

    def __init__(self, coder: StepCoder, shape: tuple[int, int, int, int], first: int) -> None:
        self._coder = coder
        self._first = first
        self._laws = np.zeros(shape, np.uint8)
        self._sizes = np.zeros(shape[-1])

    def __call__(self, step: CodingStep) -> NDArray[np.int32]:
        symbols = self._coder(step)
        if step.channels is not None:
            found = np.where(symbols == 0, laws(step, self._first), np.uint8(0))
            put(found, step.half, self._laws[..., step.channels])
            self._sizes[step.channels] = step.unit * step.step
        return symbols

    def add_to(
        self, y_hat: NDArray[np.float32], keys: Sequence[int], strength: NDArray[np.float32]
    ) -> None:
        """Add grain to latents (B, h, w, C): `strength` (B, h, w), 0..1, times what is drawn.

        `keys`: the CRC-32 of each tile's symbols.
        """
        unit = (self._sizes / RESOLUTION).astype(np.float32)
        for tile, key in enumerate(keys):
            values = grain(self._laws[tile], key) * unit
            y_hat[tile] += values * strength[tile][..., None]


def laws(step: CodingStep, first: int) -> NDArray[np.uint8]:
    """Which row of `table` each latent of a step has, (B, h, w, c), if its symbol is zero."""
    below = np.clip(first - step.logarithm, 0, FINER * QUARTER).astype(np.uint16)
    return np.where(step.classes > 0, step.classes, _finer()[below])


def grain(laws: NDArray[np.uint8], key: int) -> NDArray[np.int8]:
    """Values for a tile's latents, from their rows of `table`, (h, w, C) each.

    In 256ths of a quantisation step. `key`: the CRC-32 of the tile's symbols.
    """
    height, width, channels = laws.shape
    numbers = random_bytes(height * width, channels, key).reshape(laws.shape)
    return table()[laws, numbers]


def random_bytes(places: int, channels: int, key: int) -> NDArray[np.uint8]:
    """Random bytes (places, channels): splitmix64 of a counter, 8 bytes a number, lowest first."""
    groups = -(-channels // BYTES)
    counter = np.arange(places * groups, dtype=np.uint64)
    with np.errstate(over="ignore"):  # modulo 2^64 is what is meant
        z = (counter + np.uint64(key << 32) + np.uint64(1)) * np.uint64(_GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    z ^= z >> np.uint64(31)
    return z.astype("<u8").view(np.uint8).reshape(places, groups * BYTES)[:, :channels]


@functools.cache
def table() -> NDArray[np.int8]:
    """(79, 256): for each row the quantiles (2 j + 1) / 512 of a law; row 0 is all zeros.

    Row k is normal with the k-th scale of the Gaussian tables, rows after these with ever smaller
    ones, all cut to half a step. Made of operations that give the same bits everywhere.
    """
    steps = np.arange(LEVELS) / (LEVELS - 1)
    first, last, two = (everywhere.log(np.array(x)) for x in (SCALE_MIN, SCALE_MAX, 2.0))
    finer = first - two * (np.arange(FINER) + 0.5) * QUARTER / 256
    scales = everywhere.exp(np.concatenate((first + (last - first) * steps, finer)))[:, None]
    half = RESOLUTION // 2
    # P(0 < x < edge) for edges between whole 256ths, as a share of P(0 < x < half a step).
    edges = (np.arange(half) + 0.5) / RESOLUTION
    inside = _below(np.array([[0.5]]), scales)
    shares = _below(edges[None], scales) / inside
    wanted = (np.arange(half) + 0.5) / half
    upper = np.array([np.searchsorted(row, wanted) for row in shares])
    upper = np.minimum(upper, half - 1)
    found = np.zeros((1 + len(scales), 2 * half), np.int8)
    found[1:, half:] = upper
    found[1:, half - 1 :: -1] = -upper
    return found


@functools.cache
def _finer() -> NDArray[np.uint8]:
    """Rows of `table` by how far a scale lies below those of class 1, 256ths of an octave."""
    rows = 1 + LEVELS + np.arange(FINER * QUARTER + 1) // QUARTER
    rows[-1] = 0
    return rows.astype(np.uint8)


def _below(edge: Doubles, scale: Doubles) -> Doubles:
    """P(0 < x < edge) for normal laws with these scales."""
    root_two = np.sqrt(np.array(2.0))
    return 0.5 * (1 - everywhere.erfc(edge / (scale * root_two)))
