"""Coders for walks of a published network, and their steps in the order of its streams."""

import numpy as np
import torch
from torch import Tensor

from pillow_mlic.models.base import Latents, Select


class SymbolCoder:
    """Computes symbols; keeps them and the scales of each step."""

    def __init__(self, latents: Latents) -> None:
        self.latents = latents
        self.symbols: list[Tensor] = []
        self.scales: list[Tensor] = []

    def __call__(self, mean: Tensor, scale: Tensor, gain: Tensor, select: Select) -> Tensor:
        self.symbols.append((select(self.latents) * gain - mean).round())
        self.scales.append(scale)
        return self.symbols[-1]


class PlaybackCoder:
    """Returns symbols that it was given, as a decoder does."""

    def __init__(self, steps: list[Tensor]) -> None:
        self.steps = iter(steps)

    def __call__(self, mean: Tensor, scale: Tensor, gain: Tensor, select: Select) -> Tensor:
        del mean, scale, gain, select
        return next(self.steps)


def in_stream_order(steps: list[Tensor]) -> Tensor:
    """Steps (1, H, W/2, C) one after the other, each channel by channel."""
    return torch.cat([one.permute(0, 3, 1, 2).flatten() for one in steps])


def indexes(scales: Tensor) -> Tensor:
    """Row of the Gaussian tables for each scale: the smallest of 64 levels not below it."""
    levels = torch.linspace(np.log(0.11), np.log(256), 64).exp()
    return torch.searchsorted(levels[:-1], scales.float().clamp(min=0.11))
