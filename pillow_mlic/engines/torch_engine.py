"""The engine that knows every model and every device of torch, and gradients."""

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..entropy import rounding as entropy_rounding
from ..entropy.annealing import AnnealedCoder, StepSizes, temperature
from ..entropy.slices import slices_of
from ..entropy.walk import EncodingCoder
from ..format.geometry import LATENT
from ..models.base import Latents, Model
from ..models.layers.quality import error_price
from ..packs import Pack
from . import torch_walk
from .arithmetic import entropy_device, gradients, memory_errors, plain_arithmetic
from .base import (
    CodedTile,
    ErrorBits,
    FirstPass,
    Floats,
    LatentArrays,
    Pixels,
    RoundingArrays,
    TileStream,
)

REFINEMENT_RATE = 0.02
"""Learning rate of Adam, in quantisation steps; chosen on two validation pictures."""


class TorchFirstPass:
    """What `TorchEngine.first_pass` gives: y_hat, and the coder that noted each step."""

    def __init__(self, coder: entropy_rounding.FirstWalk, y_hat: Tensor) -> None:
        self.coder = coder
        self._y_hat = y_hat

    @property
    def y_hat(self) -> Floats:
        """See base.FirstPass."""
        return _array(self._y_hat)


class TorchEngine:
    """A pack's network on one of torch's devices; see base.Engine."""

    def __init__(self, pack: Pack, device: torch.device) -> None:
        self._pack = pack
        self._device = device

    # ---- what there is -----------------------------------------------------------------------

    @property
    def device(self) -> str:
        """See base.Engine."""
        return str(self._device)

    @property
    def model(self) -> Model:
        """The network in float32, for callers that need torch anyway."""
        return self._pack.model(self._device)

    @property
    def channels(self) -> tuple[int, int]:
        """See base.Engine."""
        return self.model.channels

    @property
    def halo(self) -> int | None:
        """See base.Engine."""
        return self.model.halo

    @functools.cached_property
    def slices(self) -> int:
        """See base.Engine."""
        return slices_of(self._pack.canonical(torch.device("cpu")))

    # ---- transforms --------------------------------------------------------------------------

    def analysis(self, pixels: Pixels, quality: float) -> Floats:
        """See base.Engine."""
        with self._plain():
            return _array(self.model.analysis(self._values(pixels), self._q(quality, len(pixels))))

    def hyper_analysis(self, y: Floats) -> Floats:
        """See base.Engine."""
        with self._plain():
            return _array(self.model.hyper_analysis(self._tensor(y)))

    def synthesis(self, y_hat: Floats, quality: float) -> Pixels:
        """See base.Engine."""
        with self._plain():
            x = self.model.synthesis(self._tensor(y_hat), self._q(quality, len(y_hat)))
            x = x.mul(255).nan_to_num(0).round_().clamp_(0, 255)
            return cast(Pixels, x.to(torch.uint8).cpu().numpy())

    def errors(
        self, pixels: Pixels, y_hat: Floats, quality: float, differentiate: bool
    ) -> ErrorBits:
        """See base.Engine."""
        with memory_errors(self._device), gradients(self._device, differentiate):
            y = self._tensor(y_hat).requires_grad_(differentiate)
            x = self._values(pixels)
            q = self._q(quality, len(y))
            errors = (self.model.synthesis(y, q) - x).square()
            change = torch.autograd.grad(errors.sum(), y)[0] if differentiate else y[..., :0]
            sums = F.avg_pool2d(errors.detach().sum(-1), LATENT, divisor_override=1)
            price = error_price(q).view(-1, 1, 1, 1)
            return ErrorBits(_array(sums[..., None] * price), _array(change.detach() * price))

    # ---- the entropy part --------------------------------------------------------------------

    def first_pass(
        self, latents: LatentArrays, quality: float, rounding: RoundingArrays | None = None
    ) -> FirstPass:
        """See base.Engine."""
        with self._plain():
            coder = entropy_rounding.FirstWalk(self._latents(latents), self._rounding(rounding))
            q = self._q(quality, len(latents.y))
            return TorchFirstPass(coder, self.model.entropy(q, _z_size(latents), coder))

    def encode(
        self,
        latents: LatentArrays,
        quality: float,
        guard: float,
        rounding: RoundingArrays | None = None,
        estimate: bool = False,
    ) -> list[CodedTile]:
        """See base.Engine. The walk is in float64."""
        where = entropy_device(self._device)
        with self._plain():
            coder = EncodingCoder(
                Latents(*(part.to(where) for part in self._latents(latents))),
                self._pack.tables,
                guard,
                estimate,
                self._rounding(rounding),
            )
            q = torch.full((len(latents.y),), quality, device=self._device)
            q = q.to(where, torch.float64)
            y_hat = self._pack.canonical(where).entropy(q, _z_size(latents), coder)
            decoded = _array(y_hat.float())
        payloads = coder.payloads()
        bits = coder.estimated_bits / len(payloads)
        return [
            CodedTile(TileStream(payload.to_bytes(), bits), decoded[i, None])
            for i, payload in enumerate(payloads)
        ]

    def decode(
        self, payloads: Sequence[bytes], z_size: tuple[int, int], quality: float, guard: float
    ) -> Floats:
        """See base.Engine."""
        with self._plain():
            return _array(
                torch_walk.decode(payloads, self._pack, quality, z_size, guard, self._device)
            )

    def decode_slices(
        self, payload: bytes, z_size: tuple[int, int], quality: float, slices: int
    ) -> Floats:
        """See base.Engine."""
        with self._plain():
            return _array(
                torch_walk.decode_slices(
                    [payload], self._pack, quality, z_size, slices, self._device
                )
            )

    def descent(
        self, latents: LatentArrays, quality: float, steps: int, seed: int
    ) -> "TorchDescent":
        """See base.Engine."""
        with memory_errors(self._device):
            return TorchDescent(
                self.model, self._pack, self._latents(latents), self._q(quality, 1), steps, seed
            )

    # ---- arrays and tensors ------------------------------------------------------------------

    @contextmanager
    def _plain(self) -> Iterator[None]:
        with memory_errors(self._device), plain_arithmetic(self._device):
            yield

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _latents(self, latents: LatentArrays) -> Latents:
        return Latents(self._tensor(latents.y), self._tensor(latents.z))

    def _values(self, pixels: Pixels) -> Tensor:
        """(B, H, W, 3) in 0..1."""
        return self._tensor(pixels).float().div_(255)

    def _q(self, quality: float, count: int) -> Tensor:
        return torch.full((count,), quality, device=self._device)

    def _rounding(self, rounding: RoundingArrays | None) -> entropy_rounding.Rounding | None:
        if rounding is None:
            return None
        assert isinstance(rounding.first, TorchFirstPass)  # an engine's own
        return entropy_rounding.Rounding(rounding.first.coder, self._tensor(rounding.gradient))


class TorchDescent:
    """Latents of one tile, moved by Adam in units of their quantisation steps.

    In these units one learning rate suits all channels and qualities. Noise of the relaxed symbols
    comes from a generator of its own: the same latents and seed give the same result.
    """

    def __init__(
        self, model: Model, pack: Pack, latents: Latents, quality: Tensor, steps: int, seed: int
    ) -> None:
        self._model = model
        self._tables = pack.tables
        self._steps = steps
        self._generator = torch.Generator().manual_seed(seed)
        self._z_size = latents.z_size
        with torch.inference_mode(False):
            self._start = Latents(latents.y.clone(), latents.z.clone())
            self._quality = quality.clone()
            measure = StepSizes(self._start)
            with torch.no_grad():
                model.entropy(self._quality, self._z_size, measure)
            self._sizes = measure.sizes
            self._shift = Latents(
                *(torch.zeros_like(part).requires_grad_(True) for part in self._start)
            )
            self._adam = torch.optim.Adam(self._shift, lr=REFINEMENT_RATE)
        self._rate = self._y_hat = torch.empty(0)

    def relaxed(self, step: int) -> Floats:
        """See base.Descent."""
        device = self._quality.device
        with memory_errors(device), gradients(device):
            coder = AnnealedCoder(
                self._moved(), self._tables, temperature(step, self._steps), self._generator
            )
            self._y_hat = self._model.entropy(self._quality, self._z_size, coder)
            self._rate = coder.bits
        return _array(self._y_hat.detach())

    def move(self, gradient: Floats) -> None:
        """See base.Descent."""
        device = self._quality.device
        with memory_errors(device), gradients(device):
            slope = torch.from_numpy(np.array(gradient)).to(device)
            self._adam.zero_grad()
            torch.autograd.backward([self._rate, self._y_hat], [None, slope])
            self._adam.step()

    def latents(self) -> LatentArrays:
        """See base.Descent."""
        with torch.inference_mode(False), torch.no_grad():
            return LatentArrays(*map(_array, self._moved()))

    def _moved(self) -> Latents:
        each = zip(self._start, self._shift, self._sizes, strict=True)
        return Latents(*(origin + steps * size for origin, steps, size in each))


def _array(tensor: Tensor) -> Floats:
    return cast(Floats, tensor.cpu().numpy())


def _z_size(latents: LatentArrays) -> tuple[int, int]:
    return latents.z.shape[1], latents.z.shape[2]
