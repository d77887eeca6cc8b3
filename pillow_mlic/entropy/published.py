"""The integer tables of published models.

A checkpoint that holds tables (`_quantized_cdf` ..., as CompressAI's `update()` makes them) keeps
its own. Where it has none they are made by CompressAI's procedure, but in arithmetic that gives the
same bits on every machine (`entropy.everywhere`): CompressAI's float32 differs in single counts of
one row in some hundred between generations of processors. Of the tables that CompressAI would make,
counts differ by 2 at most, in the few rows where float32 rounds the other way.
"""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import everywhere
from .everywhere import Doubles
from .rows import Ints
from .tables import LEVELS, SCALE_MAX, SCALE_MIN, TOTAL, Tables

if TYPE_CHECKING:
    from ..models.layers.factorised import FactorisedPrior, GaussianModel

WIDEST = 4096
"""Widest tail of a prior, in steps; published ones reach some dozens."""

TAIL_SCALES = 6.109410204869
"""Minus the 5e-10 quantile of the normal law: how many scales a row reaches."""


def published_tables(prior: "FactorisedPrior", conditional: "GaussianModel") -> Tables:
    """Gaussian rows for 64 scales, then a row for each channel of `prior`.

    The level of a scale is the smallest that is not below it; for scales above all levels it is the
    last. ValueError where a checkpoint's own tables are wrong.
    """
    levels = _stored_levels(conditional)
    if levels is None:
        levels = _levels()
    gaussian = _stored_rows(conditional) or [_gaussian_row(level) for level in levels.tolist()]
    factorised = _stored_rows(prior) or _prior_rows(prior)
    if len(gaussian) != len(levels) or len(factorised) != prior.quantiles.shape[0]:
        msg = "its count tables have another number of rows than the network needs"
        raise ValueError(msg)
    cdfs, offsets = zip(*gaussian, *factorised, strict=True)
    return Tables(
        thresholds=levels[:-1].astype(np.float64),
        cdfs=list(cdfs),
        offsets=np.array(offsets, dtype=np.int32),
        skip=False,
        fixed=len(factorised),
    )


def _levels() -> Doubles:
    """CompressAI's 64 scales: evenly spaced logarithms and their exponentials, each in float32."""
    logs = everywhere.log(np.array([SCALE_MIN, SCALE_MAX])).astype(np.float32)
    low, high = logs.astype(np.float64)
    step = float(np.float32((high - low) / (LEVELS - 1)))
    place = np.arange(LEVELS)
    # torch.linspace counts from the nearer end.
    spaced = np.where(place < LEVELS // 2, low + step * place, high - step * (LEVELS - 1 - place))
    exact = everywhere.exp(spaced.astype(np.float32).astype(np.float64))
    return exact.astype(np.float32).astype(np.float64)


def _stored_levels(conditional: "GaussianModel") -> Doubles | None:
    """The scales of a checkpoint's own tables, if it has any."""
    levels = _numbers(conditional.scale_table).astype(np.float64)
    if not len(levels) or not conditional._quantized_cdf.numel():
        return None
    if np.any(np.diff(levels) <= 0) or levels[0] <= 0:
        msg = "its table of scales does not rise"
        raise ValueError(msg)
    return levels


def _stored_rows(module: Any) -> list[tuple[Ints, int]]:
    """Rows and offsets of a checkpoint's own tables; none where it has none."""
    counts, lengths, offsets = (
        _numbers(part) for part in (module._quantized_cdf, module._cdf_length, module._offset)
    )
    if not counts.size:
        return []
    if counts.ndim != 2 or not len(counts) == len(lengths) == len(offsets):
        msg = "its count tables do not fit together"
        raise ValueError(msg)
    if np.any(lengths < 2) or np.any(lengths > counts.shape[1]):
        msg = "its count tables have rows of impossible lengths"
        raise ValueError(msg)
    return [
        (row[:length].astype(np.int32), int(offset))
        for row, length, offset in zip(counts, lengths, offsets, strict=True)
    ]


def _numbers(tensor: Any) -> NDArray[Any]:
    numbers: NDArray[Any] = tensor.detach().cpu().numpy()
    return numbers


def _gaussian_row(level: float) -> tuple[Ints, int]:
    centre = math.ceil(level * TAIL_SCALES)
    distance = np.abs(np.arange(-centre, centre + 1, dtype=np.float64))
    upper = _cumulative((0.5 - distance) / level)
    lower = _cumulative((-0.5 - distance) / level)
    return quantise_pmf(np.concatenate([upper - lower, 2 * lower[:1]])), -centre


def _cumulative(x: Doubles) -> Doubles:
    return 0.5 * everywhere.erfc(-math.sqrt(0.5) * x)


def _prior_rows(prior: "FactorisedPrior") -> list[tuple[Ints, int]]:
    """Rows of all channels; symbols are relative to the channel's median."""
    quantiles = _numbers(prior.quantiles)[:, 0].astype(np.float64)
    median = quantiles[:, 1]
    if np.abs(quantiles - median[:, None]).max() > WIDEST:
        msg = f"the prior of the hyper latents reaches more than {WIDEST} steps from its median"
        raise ValueError(msg)
    below = np.ceil(median - quantiles[:, 0]).clip(0).astype(int)
    above = np.ceil(quantiles[:, 2] - median).clip(0).astype(int)
    lengths = (below + above + 1).tolist()
    steps = np.arange(max(lengths), dtype=np.float64)
    values = (steps[None, :] + (median - below)[:, None])[:, None, :]
    lower, upper = _logits(prior, values - 0.5), _logits(prior, values + 0.5)
    pmf = (everywhere.sigmoid(upper) - everywhere.sigmoid(lower))[:, 0]
    # As published: the upper tail is that behind the longest row, for every channel.
    tail = everywhere.sigmoid(lower[:, 0, :1]) + everywhere.sigmoid(-upper[:, 0, -1:])
    return [
        (quantise_pmf(np.concatenate([pmf[c, :length], tail[c]])), -int(below[c]))
        for c, length in enumerate(lengths)
    ]


def _logits(prior: "FactorisedPrior", v: Doubles) -> Doubles:
    """What `FactorisedPrior.logits` computes, of v (C, 1, n)."""
    for i, (matrix, bias) in enumerate(zip(prior.matrices, prior.biases, strict=True)):
        weights = everywhere.softplus(_numbers(matrix).astype(np.float64))
        products = weights[:, :, :, None] * v[:, None]  # (C, out, in, n)
        total = products[:, :, 0]
        for part in range(1, products.shape[2]):  # one by one: the order decides the last bit
            total = total + products[:, :, part]
        v = total + _numbers(bias).astype(np.float64)
        if i < len(prior.factors):
            factor = everywhere.tanh(_numbers(prior.factors[i]).astype(np.float64))
            v = v + factor * everywhere.tanh(v)
    return v


def quantise_pmf(pmf: NDArray[np.floating[Any]]) -> Ints:
    """Probabilities (N,) -> cumulative counts (N + 1,), by CompressAI's procedure."""
    counts = np.floor(pmf.astype(np.float64) * TOTAL + 0.5).astype(np.int64)
    counts = counts * TOTAL // counts.sum()
    counts[-1] += TOTAL - counts.sum()
    for i in np.flatnonzero(counts == 0):
        # An empty symbol takes a count from the symbol with the smallest count above one.
        rich = np.where(counts > 1, counts, TOTAL + 1)
        counts[np.argmin(rich)] -= 1
        counts[i] += 1
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
