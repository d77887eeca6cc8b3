"""The integer tables of published models, exactly as CompressAI computes them.

All in float32 where CompressAI's are, since its rounding decides single counts.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .tables import LEVELS, SCALE_MAX, SCALE_MIN, TOTAL, Ints, Tables

if TYPE_CHECKING:
    from ..models.layers.factorised import FactorisedPrior

WIDEST = 4096
"""Widest tail of a prior, in steps; published ones reach some dozens."""

TAIL_SCALES = 6.109410204869
"""Minus the 5e-10 quantile of the normal law: how many scales a row reaches."""


def published_tables(prior: "FactorisedPrior") -> Tables:
    """Gaussian rows for 64 scales, then a row for each channel of `prior`.

    The level of a scale is the smallest that is not below it, the last for those above all.
    """
    levels = torch.exp(torch.linspace(math.log(SCALE_MIN), math.log(SCALE_MAX), LEVELS))
    gaussian = [_gaussian_row(level) for level in levels]
    factorised = _prior_rows(prior)
    cdfs, offsets = zip(*gaussian, *factorised, strict=True)
    return Tables(
        thresholds=levels[:-1].double().numpy(),
        cdfs=list(cdfs),
        offsets=np.array(offsets, dtype=np.int32),
        skip=False,
        fixed=len(factorised),
    )


def _gaussian_row(level: Tensor) -> tuple[Ints, int]:
    centre = int(torch.ceil(level * TAIL_SCALES))
    distance = torch.arange(-centre, centre + 1).abs().float()
    upper = _cumulative((0.5 - distance) / level)
    lower = _cumulative((-0.5 - distance) / level)
    tail = 2 * lower[:1]
    return quantise_pmf(torch.cat([upper - lower, tail]).numpy()), -centre


def _cumulative(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(-(2**-0.5) * x)


@torch.no_grad()
def _prior_rows(prior: "FactorisedPrior") -> list[tuple[Ints, int]]:
    """Rows of all channels; symbols are relative to the channel's median."""
    quantiles = prior.quantiles.detach().float()
    median = quantiles[:, 0, 1]
    if (quantiles[:, 0] - median[:, None]).abs().max() > WIDEST:
        msg = f"the prior of the hyper latents reaches more than {WIDEST} steps from its median"
        raise ValueError(msg)
    below = torch.ceil(median - quantiles[:, 0, 0]).int().clamp(min=0)
    above = torch.ceil(quantiles[:, 0, 2] - median).int().clamp(min=0)
    lengths = (below + above + 1).tolist()
    steps = torch.arange(max(lengths))
    values = (steps[None, :] + (median - below)[:, None])[:, None, :]
    lower, upper = prior.logits(values - 0.5), prior.logits(values + 0.5)
    pmf = (torch.sigmoid(upper) - torch.sigmoid(lower))[:, 0]
    # As published: the upper tail is that behind the longest row, for every channel.
    tail = torch.sigmoid(lower[:, 0, :1]) + torch.sigmoid(-upper[:, 0, -1:])
    return [
        (quantise_pmf(torch.cat([pmf[c, :length], tail[c]]).numpy()), -int(below[c]))
        for c, length in enumerate(lengths)
    ]


def quantise_pmf(pmf: NDArray[np.float32]) -> Ints:
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
