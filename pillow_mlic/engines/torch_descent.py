"""Latents of one tile on their way to better ones, with torch's gradients (`coding.refinement`)."""

from typing import cast

import numpy as np
import torch
from torch import Tensor

from ..entropy.annealing import AnnealedCoder, StepSizes, temperature
from ..entropy.relaxed import RelaxedCoder
from ..models.base import Latents, TableCoder
from ..models.published import SingleQualityNetwork
from ..packs import Pack
from .arithmetic import gradients, memory_errors
from .base import Floats, LatentArrays


class TorchDescent:
    """Latents moved by Adam in units of their quantisation steps; see base.Descent.

    So one learning rate suits all channels and qualities. Noise comes from a generator of its own:
    the same latents and seed give the same result. Subclasses say how symbols are relaxed, and how
    long steps are.
    """

    def __init__(
        self, pack: Pack, latents: Latents, quality: Tensor, steps: int, seed: int
    ) -> None:
        self._model = pack.model(quality.device)
        self._tables = pack.tables
        self._steps = steps
        self._generator = torch.Generator().manual_seed(seed)
        self._z_size = latents.z_size
        with torch.inference_mode(False):
            self._start = Latents(latents.y.clone(), latents.z.clone())
            self._quality = quality.clone()
            measure = StepSizes(self._start)
            with torch.no_grad():
                self._model.entropy(self._quality, self._z_size, measure)
            self._sizes = measure.sizes
            self._shift = Latents(
                *(torch.zeros_like(part).requires_grad_(True) for part in self._start)
            )
            self._adam = torch.optim.Adam(self._shift)
        self._bits = self._y_hat = torch.empty(0)

    def relaxed(self, step: int) -> Floats:
        """See base.Descent."""
        device = self._quality.device
        with memory_errors(device), gradients(device):
            for group in self._adam.param_groups:
                group["lr"] = self._rate(step)
            self._bits, self._y_hat = self._walk(self._moved(), step)
        return _array(self._y_hat.detach())

    def move(self, gradient: Floats) -> None:
        """See base.Descent."""
        device = self._quality.device
        with memory_errors(device), gradients(device):
            slope = torch.from_numpy(np.array(gradient)).to(device)
            self._adam.zero_grad()
            torch.autograd.backward([self._bits, self._y_hat], [None, slope])
            self._adam.step()

    def latents(self) -> LatentArrays:
        """See base.Descent."""
        device = self._quality.device
        with memory_errors(device), gradients(device, enabled=False):
            return LatentArrays(*map(_array, self._moved()))

    def _walk(self, latents: Latents, step: int) -> tuple[Tensor, Tensor]:
        """Bits of the relaxed symbols, and the latents that they stand for."""
        raise NotImplementedError

    def _rate(self, step: int) -> float:
        """The learning rate of a step, in quantisation steps."""
        raise NotImplementedError

    def _moved(self) -> Latents:
        each = zip(self._start, self._shift, self._sizes, strict=True)
        return Latents(*(origin + steps * size for origin, steps, size in each))


class AnnealedDescent(TorchDescent):
    """For the squared error: a long way, under symbols that are annealed (`entropy.annealing`)."""

    def _rate(self, step: int) -> float:
        del step  # all are of one length, which was chosen on two validation pictures
        return 0.02

    def _walk(self, latents: Latents, step: int) -> tuple[Tensor, Tensor]:
        warmth = temperature(step, self._steps)
        coder = AnnealedCoder(latents, self._tables, warmth, self._generator)
        y_hat = self._model.entropy(self._quality, self._z_size, coder)
        return coder.bits, y_hat


class GentleDescent(TorchDescent):
    """For measures that bend within a step: a short way, under symbols relaxed as in training.

    Latents must not wander, a tenth of a step in all, not a third: Adam moves those without a
    gradient, too. So the more steps there are, the smaller they are, and they become smaller over
    the second half.
    """

    reach = 0.06
    """How far a latent gets, in quantisation steps, if all of its steps have one direction."""

    def _rate(self, step: int) -> float:
        return self.reach * self._left(step) / sum(map(self._left, range(self._steps)))

    def _left(self, step: int) -> float:
        """The length of a step, beside that of the longest."""
        return min(1.0, 2 * (self._steps - step) / self._steps)

    def _walk(self, latents: Latents, step: int) -> tuple[Tensor, Tensor]:
        del step  # all steps are alike
        model = self._model
        noise = Latents(*map(self._noise, latents))
        prior = model.prior if isinstance(model, SingleQualityNetwork) else None
        coder = RelaxedCoder(latents, noise, prior)
        y_hat = model.entropy(self._quality, self._z_size, cast(TableCoder, coder))
        assert isinstance(coder.bits, Tensor)
        return coder.bits.sum(), y_hat

    def _noise(self, like: Tensor) -> Tensor:
        """Uniform, drawn on the CPU: the same sequence on every device."""
        return (torch.rand(like.shape, generator=self._generator) - 0.5).to(like)


def _array(tensor: Tensor) -> Floats:
    return cast(Floats, tensor.cpu().numpy())
