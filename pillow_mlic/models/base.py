"""What every model of the family offers to the codec and to the trainer.

    pixels -> analysis -> y -> hyper_analysis -> z          (encoder only)
    entropy(quality, z_size, coder) -> y_hat                (the same walk in encoder and decoder)
    y_hat -> synthesis -> pixels

`entropy` holds all that decides which distribution a symbol is coded with, and nothing else: a
copy of it in float64 is the canonical one.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor


class Latents(NamedTuple):
    """Latents y (B, H/16, W/16, M) and hyper latents z (B, H/64, W/64, Z), before quantisation."""

    y: Tensor
    z: Tensor


Select = Callable[[Latents], Tensor]
"""Picks the latents of one coding step, in coding order, from whole tensors."""


class Coder(Protocol):
    """Called by a model's entropy part once for each coding step, in coding order."""

    def __call__(self, mean: Tensor, scale: Tensor, gain: Tensor, select: Select) -> Tensor:
        """Symbols round(select(latents) * gain - mean) as floating point, in the shape of `mean`.

        `mean` and `scale` (same shape) are in quantisation steps; `gain` broadcasts to them and
        turns latents into quantisation steps. An encoder computes the symbols, a decoder reads
        them from the stream, training relaxes them.
        """
        ...
