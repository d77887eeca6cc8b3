"""The engine that knows every model and every device of torch, and gradients."""

import functools
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..distortion import costs
from ..distortion.costs import LEAST_SIDES
from ..entropy import rounding as entropy_rounding
from ..entropy.slices import slices_of
from ..entropy.walk import EncodingCoder
from ..format.geometry import LATENT
from ..models.base import Latents, Model
from ..models.defaults import plain_defaults
from ..models.layers.quality import error_price
from ..packs import Pack
from . import integer_walk, torch_integers, torch_walk
from .arithmetic import (
    entropy_device,
    gradients,
    has_fast_bf16,
    memory_errors,
    plain_arithmetic,
    whole_float32,
)
from .base import (
    CodedTile,
    Descent,
    ErrorBits,
    FirstPass,
    Floats,
    LatentArrays,
    Pixels,
    RoundingArrays,
    TileStream,
)
from .torch_descent import AnnealedDescent, GentleDescent

COARSE = 4.0
"""Up to this quality errors of 0.2 grey levels are lost in those of the rounding. They take 0.005
dB of what optimised rounding gains at quality 3, but 0.1 dB at quality 8 (Kodak)."""


class TorchFirstPass:
    """What `TorchEngine.first_pass` gives: y_hat, and the coder that noted each step."""

    def __init__(self, coder: entropy_rounding.FirstWalk, y_hat: Tensor) -> None:
        self.coder = coder
        self._y_hat = y_hat

    @functools.cached_property
    def y_hat(self) -> Floats:
        """See base.FirstPass."""
        return _array(self._y_hat)


class TorchEngine:
    """A pack's network on one of torch's devices; see base.Engine.

    With `half` pixels are made with blocks in bfloat16 where the device is fast at it. So is what
    an encoder looks at to choose symbols by gradients, always; and, with `quick`, its latents.
    """

    def __init__(
        self, pack: Pack, device: torch.device, half: bool = False, quick: bool = False
    ) -> None:
        self._pack = pack
        self._device = device
        self._half = half
        self._quick = quick

    # ---- what there is -----------------------------------------------------------------------

    @property
    def device(self) -> str:
        """See base.Engine."""
        return str(self._device)

    @property
    def model(self) -> Model:
        """The network in float32, for callers that need torch anyway."""
        with memory_errors(self._device):
            return self._pack.model(self._device)

    def _network(self, half: bool, whole: bool = False) -> Model:
        """The network for transforms, with `half` in bfloat16 where the device is fast at it."""
        if half and has_fast_bf16(str(self._device)):
            return self._pack.half(self._device, whole)
        return self.model

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
        if self._pack.integers is not None:
            return self._pack.integers.slices
        with plain_defaults():
            return slices_of(self._pack.canonical(torch.device("cpu")))

    # ---- transforms --------------------------------------------------------------------------

    def analysis(self, pixels: Pixels, quality: float) -> Floats:
        """See base.Engine."""
        with self._plain():
            model = self._network(self._quick, whole=quality <= COARSE)
            y = model.analysis(self._values(pixels), self._q(quality, len(pixels)))
            return _array(y.float())

    def hyper_analysis(self, y: Floats) -> Floats:
        """See base.Engine."""
        with self._plain():
            return _array(self.model.hyper_analysis(self._tensor(y)))

    def synthesis(self, y_hat: Floats, quality: float) -> Pixels:
        """See base.Engine."""
        with self._plain():
            model = self._network(self._half)
            x = model.synthesis(self._tensor(y_hat), self._q(quality, len(y_hat)))
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
            model = self._network(True, whole=quality <= COARSE)
            errors = (model.synthesis(y, q) - x).square()
            change = torch.autograd.grad(errors.sum(), y)[0] if differentiate else y[..., :0]
            sums = F.avg_pool2d(errors.detach().sum(-1), LATENT, divisor_override=1)
            price = error_price(q).view(-1, 1, 1, 1)
            return ErrorBits(_array(sums[..., None] * price), _array(change.detach() * price))

    def cost(self, pixels: Pixels, shown: Pixels, quality: float) -> float:
        """See base.Engine."""
        with self._plain():
            found = self._cost(self._values(shown), self._values(pixels), quality)
            return float(_array(found).sum())

    def cost_gradient(self, pixels: Pixels, y_hat: Floats, quality: float) -> Floats:
        """See base.Engine."""
        with memory_errors(self._device), gradients(self._device):
            y = self._tensor(y_hat).requires_grad_(True)
            model = self._network(True, whole=quality <= COARSE)
            shown = model.synthesis(y, self._q(quality, len(y)))
            # A part of the pixels tells enough, another in each step; it follows from the latents,
            # so that the same picture gives the same file.
            draw = torch.Generator().manual_seed(zlib.crc32(y_hat.tobytes()))
            cost = self._cost(shown, self._values(pixels), quality, draw)
            return _array(torch.autograd.grad(cost.sum(), y)[0])

    def _cost(
        self,
        shown: Tensor,
        original: Tensor,
        quality: float,
        draw: torch.Generator | None = None,
    ) -> Tensor:
        """Bits (B,). `draw`: see `distortion.costs.cost`."""
        distortion = self._pack.file.distortion
        area = original.shape[1] * original.shape[2]
        missing = [max(LEAST_SIDES[distortion] - side, 0) for side in original.shape[1:3]]
        if any(missing):
            size = (0, missing[1], 0, missing[0])
            shown, original = (
                F.pad(x.permute(0, 3, 1, 2), size, "replicate").permute(0, 2, 3, 1)
                for x in (shown, original)
            )
        q = self._q(quality, len(original))
        return area * costs.cost(distortion, shown, original, q, draw)

    # ---- the entropy part --------------------------------------------------------------------

    def first_pass(
        self, latents: LatentArrays, quality: float, rounding: RoundingArrays | None = None
    ) -> FirstPass:
        """See base.Engine."""
        with self._plain():
            chosen = self._rounding(rounding, self._device)
            coder = entropy_rounding.FirstWalk(self._latents(latents), chosen)
            q = self._q(quality, len(latents.y))
            return TorchFirstPass(coder, self.model.entropy(q, _z_size(latents), coder))

    def encode(
        self,
        latents: LatentArrays,
        quality: float,
        guard: float | None,
        rounding: RoundingArrays | None = None,
        estimate: bool = False,
    ) -> list[CodedTile]:
        """See base.Engine. The walk is in integers or in float64."""
        where = entropy_device(self._device)
        with self._plain():
            if guard is None:
                choose = torch_integers.chooser(self._rounding(rounding, torch_integers.CPU))
                return integer_walk.encode(
                    latents, quality, self._pack, choose, estimate, torch_integers.product
                )
            coder = EncodingCoder(
                self._latents(latents, where),
                self._pack.tables,
                guard,
                estimate,
                self._rounding(rounding, where),
            )
            q = torch.full((len(latents.y),), quality, dtype=torch.float64, device=where)
            y_hat = self._pack.canonical(where).entropy(q, _z_size(latents), coder)
            decoded = _array(y_hat.float())
        payloads = coder.payloads()
        bits = coder.estimated_bits / len(payloads)
        return [
            CodedTile(TileStream(payload.to_bytes(), bits), decoded[i, None])
            for i, payload in enumerate(payloads)
        ]

    def decode(
        self,
        payloads: Sequence[bytes],
        z_size: tuple[int, int],
        quality: float,
        guard: float | None,
        texture: Floats | None = None,
    ) -> Floats:
        """See base.Engine."""
        with self._plain():
            if guard is None:
                return integer_walk.decode(
                    payloads, self._pack, quality, z_size, texture, torch_integers.product
                )
            return _array(
                torch_walk.decode(payloads, self._pack, quality, z_size, guard, self._device)
            )

    def decode_slices(
        self,
        payload: bytes,
        z_size: tuple[int, int],
        quality: float,
        guard: float | None,
        slices: int | None,
    ) -> Floats:
        """See base.Engine."""
        with self._plain():
            if guard is None:
                return integer_walk.decode_slices(
                    payload, self._pack, quality, z_size, slices, torch_integers.product
                )
            return _array(
                torch_walk.decode_slices(
                    [payload], self._pack, quality, z_size, slices, self._device
                )
            )

    def descent(self, latents: LatentArrays, quality: float, steps: int, seed: int) -> Descent:
        """See base.Engine."""
        kind = AnnealedDescent if self._pack.file.for_squared_error else GentleDescent
        with memory_errors(self._device), plain_defaults():
            return kind(self._pack, self._latents(latents), self._q(quality, 1), steps, seed)

    # ---- arrays and tensors ------------------------------------------------------------------

    @contextmanager
    def _plain(self) -> Iterator[None]:
        where = self._device
        with memory_errors(where), plain_arithmetic(where), whole_float32(where):
            yield

    def _tensor(self, array: NDArray[Any], where: torch.device | None = None) -> Tensor:
        """On the engine's device, or `where` else."""
        tensor = torch.from_numpy(np.require(array, requirements=["C", "W"]))
        return tensor.to(where or self._device)

    def _latents(self, latents: LatentArrays, where: torch.device | None = None) -> Latents:
        return Latents(self._tensor(latents.y, where), self._tensor(latents.z, where))

    def _values(self, pixels: Pixels) -> Tensor:
        """(B, H, W, 3) in 0..1."""
        return self._tensor(pixels).float().div_(255)

    def _q(self, quality: float, count: int) -> Tensor:
        return torch.full((count,), quality, device=self._device)

    def _rounding(
        self, rounding: RoundingArrays | None, where: torch.device
    ) -> entropy_rounding.Rounding | None:
        """What chooses symbols in a walk that runs `where`."""
        if rounding is None:
            return None
        assert isinstance(rounding.first, TorchFirstPass)  # an engine's own
        gradient = self._tensor(rounding.gradient, where)
        return entropy_rounding.Rounding(rounding.first.coder, gradient)


def _array(tensor: Tensor) -> Floats:
    return cast(Floats, tensor.cpu().numpy())


def _z_size(latents: LatentArrays) -> tuple[int, int]:
    return latents.z.shape[1], latents.z.shape[2]
