"""Symbols with gradients, as in training: rate from uniform noise, values from rounding."""

from torch import Tensor, ones_like
from torch import bool as boolean

from ..models.base import Latents, Select
from ..models.layers.factorised import FactorisedPrior
from ..models.layers.quantise import gaussian_bits, round_straight_through


class RelaxedCoder:
    """Rate from uniform noise, symbols from straight-through rounding; sums bits per sample.

    Everything is coded: what may be skipped is decided by weights that are trained last.
    """

    def __init__(
        self, latents: Latents, noise: Latents, prior: FactorisedPrior | None = None
    ) -> None:
        self.latents = latents
        self.noise = noise
        self.prior = prior
        self.bits: Tensor | float = 0.0

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        del coded
        deviation = select(self.latents) * gain - mean
        bits = gaussian_bits(deviation + select(self.noise), scale)
        self.bits = self.bits + bits.sum(dim=(1, 2, 3))
        return round_straight_through(deviation)

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        return ones_like(odds, dtype=boolean)

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior; see models.base.TableCoder."""
        assert self.prior is not None  # models that call this have one
        z = select(self.latents)
        likelihood = self.prior.likelihood(z + select(self.noise))
        self.bits = self.bits - likelihood.log2().sum(dim=(1, 2, 3))
        return round_straight_through(z - mean)
