"""Symbols that are not yet decided: stochastic Gumbel annealing of latents.

A latent v (in quantisation steps from its mean) lies between two integers. While it is refined its
symbol is a mixture of both, drawn anew in every step at temperature t:

    p(up) ~ exp(-atanh(1 - f) / t), p(down) ~ exp(-atanh(f) / t)              f = v - floor(v)
    symbol = floor(v) + sigmoid((log p(up) - log p(down) + noise) / t)

with logistic noise, the difference of two Gumbel variables: a relaxed one-hot sample. As t falls,
mixtures turn into single integers, and in the end into the nearest one. Yang, Bamler and Mandt,
arXiv 2006.04240; MLICv2, equation 14.
"""

import math

import numpy as np
import torch
from torch import Tensor

from ..models.base import Latents, Select
from ..models.layers.quantise import gaussian_bits
from .tables import PRECISION, Tables

HOTTEST = 0.5
COOLING = 3.0
"""The temperature ends at e^-COOLING."""
_EDGE = 1e-5
"""Fractions keep this distance from 0 and 1, where the inverse hyperbolic tangent is infinite."""


def temperature(step: int, steps: int) -> float:
    """Of step 0 .. steps - 1: min(0.5, e^(-3 step / steps)).

    For 3000 steps that is min(0.5, e^(-0.001 step)), the schedule of MLICv2 (section 3.5), where
    the minus sign is missing although the text says that the temperature decreases. Fewer steps
    run through the same temperatures, faster.
    """
    return min(HOTTEST, math.exp(-COOLING * step / steps))


class StepSizes:
    """A coder that rounds, and notes how much of a latent one quantisation step is."""

    def __init__(self, latents: Latents) -> None:
        self._latents = latents
        counts = [part.numel() for part in latents]
        places = torch.arange(sum(counts), device=latents.y.device).split(counts)
        self._places = Latents(*map(torch.Tensor.view_as, places, latents))
        self._sizes = latents.y.new_ones(sum(counts))
        """Of y and then of z."""

    @property
    def sizes(self) -> Latents:
        """In the shapes of y and z."""
        parts = self._sizes.split([part.numel() for part in self._latents])
        return Latents(*map(torch.Tensor.view_as, parts, self._latents))

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        del scale, coded
        places = select(self._places).flatten()  # what `select` picks from these tells where
        self._sizes[places] = (1 / gain).expand(mean.shape).flatten()
        return (select(self._latents) * gain - mean).round()

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        return odds > 1

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior, in steps of size one; see models.base.TableCoder."""
        return (select(self._latents) - mean).round()


class AnnealedCoder:
    """Relaxed symbols, and in `bits` the sum of what they would cost. For gradients."""

    def __init__(
        self, latents: Latents, tables: Tables, warmth: float, generator: torch.Generator
    ) -> None:
        self.bits = latents.y.new_zeros(())
        self._latents = latents
        self._tables = tables
        self._temperature = warmth
        self._generator = generator

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        del coded  # what is left out is decided afterwards, of refined latents: MLICv2, section 3.5
        symbols = self._relax(select(self._latents) * gain - mean)
        bits = gaussian_bits(symbols, scale)
        if self._tables.skip:  # what is below the first threshold is not coded
            above = scale > float(self._tables.thresholds[0])
            symbols, bits = symbols * above, bits * above
        self.bits = self.bits + bits.sum()
        return symbols

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        return odds > 1

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior; see models.base.TableCoder."""
        symbols = self._relax(select(self._latents) - mean)
        costs, offsets = _fixed_costs(self._tables)
        places = symbols + 1.0 - torch.from_numpy(offsets).to(symbols)
        places = places.clamp(0, costs.shape[1] - 1.001)
        low = places.detach().floor()
        rows = torch.arange(len(costs), device=symbols.device).expand(symbols.shape)
        table = torch.from_numpy(costs).to(symbols)
        before, after = table[rows, low.long()], table[rows, low.long() + 1]
        self.bits = self.bits + (before + (places - low) * (after - before)).sum()
        return symbols

    def _relax(self, exact: Tensor) -> Tensor:
        floor = exact.detach().floor()
        up = (exact - floor).clamp(_EDGE, 1 - _EDGE)
        # Drawn on the CPU: the same sequence on every device.
        uniform = torch.rand(exact.shape, generator=self._generator).clamp_(1e-7, 1 - 1e-7)
        noise = uniform.logit().to(exact)
        odds = (torch.atanh(up) - torch.atanh(1 - up)) / self._temperature
        return floor + torch.sigmoid((odds + noise) / self._temperature)


def _fixed_costs(tables: Tables) -> "tuple[np.ndarray, np.ndarray]":
    """Bits (C, n) of each channel's values from (offset - 1) on, escapes outside; offsets (C,)."""
    rows = tables.cdfs[tables.first_fixed :]
    width = max(map(len, rows))
    costs = np.empty((len(rows), width))
    for cost, cdf in zip(costs, rows, strict=True):
        bits = PRECISION - np.log2(np.diff(cdf))
        escape = bits[-1] + PRECISION  # as table_bits counts it
        cost[:] = escape
        cost[1 : len(bits)] = bits[:-1]
    return costs, tables.offsets[tables.first_fixed :]
