"""Rate-distortion optimised rounding: the encoder may pick a neighbour of the nearest integer.

The analysis is trained so that rounding each latent by itself is about the best for the latent by
itself. But every latent has a rounding error, and its neighbours' errors say in which direction an
error of its own would cancel theirs. So the picture is coded twice: once plainly, which gives the
gradient of its error; then each symbol s, among the nearest integer and its two neighbours,
minimises

    bits(s) + g t + CURVATURE t^2        t = s - (symbol of the first time), in quantisation steps

with g the gradient of lambda times the squared error. Decoders know nothing of it. The result can
be the starting point of another round: a few rounds gain about a percent.
"""

import torch
from torch import Tensor

from ..models.base import Latents, Select
from ..models.layers.quantise import SCALE_MIN, gaussian_bits

CURVATURE = 12.0
"""Bits per squared step. An error of one step in one latent costs 4 to 8 bits at every quality
(measured); the rest is caution, for neighbours will move too. Chosen on the validation pictures."""


class FirstWalk:
    """A coder that rounds, or chooses as `rounding` says, and notes what each symbol stands for."""

    def __init__(self, latents: Latents, rounding: "Rounding | None" = None) -> None:
        self.values: list[Tensor] = []
        self._latents = latents
        self._rounding = rounding

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        exact = select(self._latents) * gain - mean
        if self._rounding is None:
            symbols = exact.round()
        else:
            symbols = self._rounding(exact, mean, scale, gain, select)
        if coded is not None:
            symbols = symbols * coded
        self.values.append(mean + symbols)
        return symbols

    def values_on(self, device: torch.device) -> list[Tensor]:
        """What each symbol stands for, step by step, on another device by one copy."""
        if not self.values or self.values[0].device == device:
            return self.values
        flat = torch.cat([step.flatten() for step in self.values]).to(device)
        parts = flat.split([step.numel() for step in self.values])
        return [part.view(step.shape) for part, step in zip(parts, self.values, strict=True)]

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        return odds > 1

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior; see models.base.TableCoder."""
        return (select(self._latents) - mean).round()


class Rounding:
    """Chooses symbols, step by step in the order of the first walk.

    `gradient` (B, H/16, W/16, M), on the device of this walk: bits that the error costs more for a
    unit of y. Hyper latents have no part in the error: they are rounded to the nearest integer.
    """

    def __init__(self, first: FirstWalk, gradient: Tensor) -> None:
        self._values = iter(first.values_on(gradient.device))
        self._gradient = Latents(gradient, gradient.new_empty(0))

    def __call__(
        self, exact: Tensor, mean: Tensor, scale: Tensor, gain: Tensor, select: Select
    ) -> Tensor:
        """Integers near `exact`, latents in steps from their `mean`; all (B, h, w, C)."""
        symbols = exact.round()
        first = next(self._values)
        gradient = select(self._gradient)
        if gradient.numel() == 0:
            return symbols
        coded = scale > SCALE_MIN  # what is below will be zero
        dtype = first.dtype
        parts = (symbols, gradient / gain.to(dtype), first - mean.to(dtype), scale)
        if scale.device.type == "cpu":
            places = coded.flatten().nonzero().squeeze(1)
            chosen = _chosen(*(x.to(dtype).flatten()[places] for x in parts))
            found = symbols.flatten()
            found[places] = chosen.to(symbols.dtype)
            return found.view(symbols.shape)
        # A GPU looks at all of them, as it would have to wait for the number of those coded.
        chosen = _chosen(*(x.to(dtype) for x in parts))
        return torch.where(coded, chosen.to(symbols.dtype), symbols)


def _chosen(nearest: Tensor, slope: Tensor, start: Tensor, spread: Tensor) -> Tensor:
    """The cheapest of the nearest integers and their neighbours; all tensors have one shape.

    `slope`: bits for a step; `start`: where the first walk ended; `spread`: standard deviations.
    """
    choice, least = nearest, torch.full_like(nearest, torch.inf)
    for candidate in (nearest, nearest - 1, nearest + 1):
        step = candidate - start
        cost = gaussian_bits(candidate, spread) + slope * step + CURVATURE * step.square()
        better = cost < least
        least = torch.where(better, cost, least)
        choice = torch.where(better, candidate, choice)
    return choice
