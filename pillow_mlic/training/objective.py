"""The loss: rate + lambda x distortion over all qualities at once, with relaxed quantisation."""

import contextlib
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..distortion.costs import cost, mse
from ..entropy.relaxed import RelaxedCoder
from ..models.base import HasHyperpriorStage, Latents, Model, Select
from ..models.lambdas import QUALITIES
from ..models.layers.quality import lambda_of
from ..models.layers.quantise import gaussian_bits
from ..models.published import SingleQualityNetwork

LAMBDA_UNIT = 0.02


class SelectionCoder:
    """Rounds, and adds up the loss of the decisions about what to code (MLICv2, equation 13).

    Cross entropy between the last odds and whether the symbol is other than zero, weighted by the
    symbol's size + 1: skipping a large one does more harm. `loss` is a mean over latents.
    """

    def __init__(self, latents: Latents) -> None:
        self.bits: Tensor | float = 0.0
        self._latents = latents
        self._odds = torch.empty(0)
        self._losses: list[Tensor] = []

    @property
    def loss(self) -> Tensor:
        """Mean over latents."""
        return torch.cat(self._losses).mean()

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        assert coded is not None  # a model without decisions has nothing to learn here
        symbols = (select(self._latents) * gain - mean).round().detach()
        entropy = F.binary_cross_entropy_with_logits(
            self._odds.log(), (symbols != 0).to(mean.dtype), reduction="none"
        )
        self._losses.append(((symbols.abs() + 1) * entropy / 2).flatten())
        self.bits = self.bits + (gaussian_bits(symbols, scale) * coded).sum(dim=(1, 2, 3))
        return symbols * coded

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        self._odds = odds
        return odds > 1

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior, not counted; see models.base.TableCoder."""
        return (select(self._latents) - mean).round()


class Figures(NamedTuple):
    """Batch results: `loss` is what is minimised, the others (B,) are for people."""

    loss: Tensor
    bpp: Tensor
    mse: Tensor


def rate_distortion(
    model: Model,
    x: Tensor,
    quality: Tensor,
    noise: Latents,
    exponent: float,
    distortion: str = "psnr",
    hyperprior_only: bool = False,
    draw: torch.Generator | None = None,
) -> Figures:
    """Loss of pictures (B, H, W, 3) in 0..1 at `quality` (B,).

    Per sample (lambda / 0.02)^exponent * (bpp + the cost of the distortion, see
    `distortion.costs`). With an exponent of 0 the large losses of high qualities would dominate
    training. `hyperprior_only` leaves out all contexts. `draw`: see `distortion.costs.cost`.
    """
    latents = model.latents(x, quality)
    prior = model.prior if isinstance(model, SingleQualityNetwork) else None
    coder = RelaxedCoder(latents, noise, prior)
    entropy = model.entropy
    if hyperprior_only:
        assert isinstance(model, HasHyperpriorStage)
        entropy = model.hyperprior_only
    # Networks with a prior have latents and means in one type; bfloat16 would not do.
    plain = torch.autocast(x.device.type, enabled=False) if prior else contextlib.nullcontext()
    with plain:
        y_hat = entropy(quality, latents.z_size, coder)
    x_hat = model.synthesis(y_hat, quality)
    assert isinstance(coder.bits, Tensor)
    bpp = coder.bits / (x.shape[1] * x.shape[2])
    weight = (lambda_of(quality) / LAMBDA_UNIT) ** exponent
    loss = weight * (bpp + cost(distortion, x_hat, x, quality, draw))
    return Figures(loss.mean(), bpp.detach(), mse(x_hat.detach(), x))


def selection(model: Model, x: Tensor, quality: Tensor) -> Figures:
    """Loss of the networks that choose which symbols are coded; all others must be frozen."""
    with torch.no_grad():
        latents = model.latents(x, quality)
    coder = SelectionCoder(latents)
    y_hat = model.entropy(quality, latents.z_size, coder)
    with torch.no_grad():
        error = mse(model.synthesis(y_hat, quality), x)
    assert isinstance(coder.bits, Tensor)
    return Figures(coder.loss, coder.bits.detach() / (x.shape[1] * x.shape[2]), error)


def stratified_qualities(count: int, generator: torch.Generator) -> Tensor:
    """`count` qualities in [1, 8], one from each of `count` equal strata, on generator's device."""
    device = generator.device
    places = torch.arange(count, device=device)
    share = (places + torch.rand(count, generator=generator, device=device)) / count
    return 1 + (QUALITIES - 1) * share
