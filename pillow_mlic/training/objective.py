"""The loss: rate + lambda x distortion over all qualities at once, with relaxed quantisation."""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..models.base import Coder, Latents, Select
from ..models.layers.quality import QUALITIES, lambda_of
from ..models.layers.quantise import gaussian_bits, round_straight_through

LAMBDA_UNIT = 0.02


class Trainable(Protocol):
    """The parts of a model that training needs."""

    def latents(self, x: Tensor, quality: Tensor) -> Latents: ...
    def entropy(self, quality: Tensor, z_size: tuple[int, int], coder: Coder) -> Tensor: ...
    def synthesis(self, y: Tensor, quality: Tensor) -> Tensor: ...


class RelaxedCoder:
    """Rate from uniform noise, symbols from straight-through rounding; sums bits per sample."""

    def __init__(self, latents: Latents, noise: Latents) -> None:
        self.latents = latents
        self.noise = noise
        self.bits: Tensor | float = 0.0

    def __call__(self, mean: Tensor, scale: Tensor, gain: Tensor, select: Select) -> Tensor:
        deviation = select(self.latents) * gain - mean
        bits = gaussian_bits(deviation + select(self.noise), scale)
        self.bits = self.bits + bits.sum(dim=(1, 2, 3))
        return round_straight_through(deviation)


class Figures(NamedTuple):
    """Batch results: `loss` is what is minimised, the others (B,) are for people."""

    loss: Tensor
    bpp: Tensor
    mse: Tensor


def rate_distortion(
    model: Trainable, x: Tensor, quality: Tensor, noise: Latents, exponent: float
) -> Figures:
    """Loss of pictures (B, H, W, 3) in 0..1 at `quality` (B,).

    Per sample (lambda / 0.02)^exponent * (bpp + lambda * 255^2 * MSE): with an exponent of 0 high
    qualities, whose losses are large numbers, would take all of the network's attention.
    """
    latents = model.latents(x, quality)
    coder = RelaxedCoder(latents, noise)
    y_hat = model.entropy(quality, (latents.z.shape[1], latents.z.shape[2]), coder)
    x_hat = model.synthesis(y_hat, quality)
    mse = _SquaredNorm.apply(x_hat - x) * (255**2 / x[0].numel())
    assert isinstance(coder.bits, Tensor)
    bpp = coder.bits / (x.shape[1] * x.shape[2])
    lam = lambda_of(quality)
    weight = (lam / LAMBDA_UNIT) ** exponent
    return Figures((weight * (bpp + lam * mse)).mean(), bpp.detach(), mse.detach())


class _SquaredNorm(torch.autograd.Function):
    """Sum of squares of each sample; one product forward and one backward, where pow takes five."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x * x).flatten(1).sum(1)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return x * (2 * grads[0])[:, None, None, None]


def stratified_qualities(count: int, generator: torch.Generator) -> Tensor:
    """`count` qualities in [1, 8], one from each of `count` equal strata, on generator's device."""
    device = generator.device
    places = torch.arange(count, device=device)
    share = (places + torch.rand(count, generator=generator, device=device)) / count
    return 1 + (QUALITIES - 1) * share
