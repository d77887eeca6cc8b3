"""Integer cumulative counts for a range of scales, and the thresholds that choose between them.

Tables are made once, when a pack is written, and stored in it as integers: what the range coder
sees never depends on a machine's arithmetic.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .rows import Ints

PRECISION = 16
TOTAL = 1 << PRECISION
SCALE_MIN, SCALE_MAX, LEVELS = 0.11, 256.0, 64
TAIL_QUANTILE = 6.1094
"""Rows reach this many scales from the mean: minus the 5e-10 quantile of the normal law."""


@dataclass(frozen=True, eq=False)
class Tables:
    """Cumulative counts of the Gaussian rows, and how a scale chooses among them.

    A scale's class is the number of `thresholds` strictly below it. With `skip` class 0 is not
    coded at all (its symbols are zero) and class k uses row k - 1; without, class k uses row k.
    The last `fixed` rows belong to the channels of a factorised prior.
    """

    thresholds: NDArray[np.float64]
    cdfs: list[Ints]
    offsets: Ints
    skip: bool
    fixed: int = 0

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def classes(self) -> int:
        """Number of classes that scales fall into."""
        return len(self.thresholds) + 1

    @property
    def first_fixed(self) -> int:
        """The row of the factorised prior's first channel."""
        return self.classes - self.skip


def _validate(tables: Tables) -> None:
    """The coder trusts its tables, so nothing may be wrong with them."""
    thresholds = tables.thresholds
    problem = None
    if thresholds.ndim != 1 or not np.all(np.isfinite(thresholds)) or np.any(thresholds <= 0):
        problem = "thresholds are not positive finite numbers"
    elif np.any(np.diff(thresholds) <= 0):
        problem = "thresholds do not increase"
    elif tables.fixed < 0 or len(tables.cdfs) != tables.first_fixed + tables.fixed:
        problem = f"{len(tables.cdfs)} rows for {tables.classes} classes"
    elif tables.offsets.shape != (len(tables.cdfs),) or np.any(
        np.abs(tables.offsets.astype(np.int64)) > 1 << 20
    ):
        problem = "offsets out of range"
    else:
        for row, cdf in enumerate(tables.cdfs):
            if not 3 <= len(cdf) <= TOTAL or cdf[0] != 0 or cdf[-1] != TOTAL:
                problem = f"row {row} does not run from 0 to {TOTAL}"
            elif np.any(cdf[1:] <= cdf[:-1]):  # differences of hostile numbers may overflow
                problem = f"row {row} does not increase strictly"
    if problem is not None:
        msg = f"the entropy tables of this weight pack are damaged: {problem}; install it again"
        raise ValueError(msg)


def scale_levels() -> NDArray[np.float64]:
    """The 64 log-spaced scales 0.11..256, in quantisation steps (Balle et al. 2018)."""
    return np.exp(np.linspace(math.log(SCALE_MIN), math.log(SCALE_MAX), LEVELS))


def gaussian_tables() -> Tables:
    """Tables of this project's own models.

    Thresholds lie halfway (in the log domain) between levels, so that no scale is coded with one
    more than 6 % off; below the smallest level a symbol is taken to be zero and not coded.
    """
    levels = scale_levels()
    halfway = np.sqrt(levels[1:] * levels[:-1])
    cdfs, offsets = zip(*(gaussian_row(level) for level in levels), strict=True)
    return Tables(
        thresholds=np.concatenate([levels[:1], halfway]),
        cdfs=list(cdfs),
        offsets=np.array(offsets, dtype=np.int32),
        skip=True,
    )


def gaussian_row(scale: float) -> tuple[Ints, int]:
    """Cumulative counts (2c + 3,) of N(0, scale^2) over -c..c and an escape, and the offset -c."""
    centre = math.ceil(scale * TAIL_QUANTILE)
    edges = (np.arange(centre + 2) - 0.5) / (scale * math.sqrt(2))
    upper = np.array([0.5 * math.erfc(edge) for edge in edges])
    half = upper[:-1] - upper[1:]
    pmf = np.concatenate([half[:0:-1], half, [2 * upper[-1]]])
    return quantise_pmf(pmf), -centre


def quantise_pmf(pmf: NDArray[np.float64]) -> Ints:
    """Probabilities (N,) -> cumulative counts (N + 1,) up to 65536, every count at least 1."""
    free = TOTAL - len(pmf)
    if free < 0:
        msg = f"a distribution of {len(pmf)} symbols cannot be held in {PRECISION} bits"
        raise ValueError(msg)
    exact = pmf / pmf.sum() * free
    counts = np.floor(exact).astype(np.int64)
    # Largest remainders take what rounding down has left over.
    rest = free - counts.sum()
    counts[np.argsort(counts - exact, kind="stable")[:rest]] += 1
    return np.concatenate([[0], np.cumsum(counts + 1)]).astype(np.int32)
