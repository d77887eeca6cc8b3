"""The integer walk for the engine of torch: choosing symbols and estimating bits by its tensors.

The walk itself is NumPy's and runs on the CPU, whatever the engine's device. Torch multiplies its
matrices, so that torch's number of threads holds here, too: two pools of threads would disturb each
other.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..entropy.payload import PayloadError, SymbolMismatchError
from ..entropy.rounding import Rounding
from ..format.header import quality_code
from ..integers.coders import FirstSlices, StepDecoder, StepEncoder, Symbols
from ..integers.grain import GrainSteps
from ..integers.network import CodingStep
from ..models.base import Select
from ..models.layers import checkerboard
from ..models.layers.quantise import gaussian_bits
from ..packs import Pack
from .arithmetic import whole_float32
from .base import CodedTile, Floats, LatentArrays, TileStream
from .torch_walk import undecodable

_CPU = torch.device("cpu")


def encode(
    latents: LatentArrays,
    quality: float,
    pack: Pack,
    rounding: Rounding | None = None,
    estimate: bool = False,
) -> list[CodedTile]:
    """Code B tiles of one size; see base.Engine."""
    choose = None if rounding is None else partial(_chosen, rounding)
    coder = _Estimating(StepEncoder(latents.y, latents.z, pack.tables, choose), estimate)
    z_size = (latents.z.shape[1], latents.z.shape[2])
    y_hat = pack.need_integers().walk(quality_code(quality), z_size, len(latents.y), coder, product)
    payloads = coder.encoder.payloads()
    bits = coder.bits / len(payloads)
    return [
        CodedTile(TileStream(payload, bits), y_hat[i, None]) for i, payload in enumerate(payloads)
    ]


def decode(
    payloads: Sequence[bytes],
    pack: Pack,
    quality: float,
    z_size: tuple[int, int],
    texture: Floats | None = None,
) -> Floats:
    """Latents (B, H/16, W/16, M) of B tiles of one size, with texture; see base.Engine.

    DecodeError where payloads do not give the symbols that were encoded.
    """
    network = pack.need_integers()
    try:
        decoder = StepDecoder(payloads, pack.tables, network.symbols(z_size))
        shape = (len(payloads), 4 * z_size[0], 4 * z_size[1], network.channels[0])
        grains = None if texture is None else GrainSteps(decoder, shape)
        code = quality_code(quality)
        y_hat = network.walk(code, z_size, len(payloads), grains or decoder, product)
        decoder.finish()
    except (PayloadError, SymbolMismatchError) as error:
        raise undecodable(error, pack) from error
    if grains is not None and texture is not None:
        grains.add_to(y_hat, decoder.checksums, texture)
    return y_hat


def decode_slices(
    payload: bytes, pack: Pack, quality: float, z_size: tuple[int, int], slices: int
) -> Floats:
    """Latents (1, H/16, W/16, M) of a tile from its first slices, of which there is no checksum."""
    network = pack.need_integers()
    try:
        decoder = StepDecoder([payload], pack.tables, network.symbols(z_size))
        coder = FirstSlices(decoder, slices)
        return network.walk(quality_code(quality), z_size, 1, coder, product)
    except (PayloadError, SymbolMismatchError) as error:
        raise undecodable(error, pack) from error


def product(x: Floats, weight: Floats) -> Floats:
    """A matrix product by torch on the CPU, in whole float32; see integers.check.Product."""
    with whole_float32(_CPU), torch.autocast("cpu", enabled=False):
        return cast(Floats, torch.mm(torch.from_numpy(x), torch.from_numpy(weight)).numpy())


def scales(step: CodingStep) -> NDArray[np.float32]:
    """The standard deviations of a step in quantisation steps, (B, h, w, c)."""
    octaves = np.asarray(step.logarithm, np.float32) / np.float32(256)
    return np.broadcast_to(np.exp2(octaves), step.classes.shape)


class _Estimating:
    """An encoder, and the bits that the model expects its symbols to take."""

    def __init__(self, encoder: StepEncoder, estimate: bool) -> None:
        self.encoder = encoder
        self.bits = 0.0
        self._estimate = estimate

    def __call__(self, step: CodingStep) -> Symbols:
        symbols = self.encoder(step)
        if self._estimate:
            scale = torch.from_numpy(scales(step).copy())
            self.bits += float(gaussian_bits(torch.from_numpy(symbols), scale).double().sum())
        return symbols


def _chosen(
    rounding: Rounding, step: CodingStep, exact: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Symbols of a step as `rounding` has them."""

    def tensor(values: NDArray[np.floating[Any]]) -> Tensor:
        return torch.from_numpy(np.array(values, np.float32)).to(rounding.device)

    mean = np.zeros_like(exact) if step.mean is None else step.mean / step.step
    symbols = rounding(
        tensor(exact),
        tensor(mean),
        tensor(scales(step)),
        tensor(1 / (step.unit * step.step)),
        selected(step),
    )
    return np.asarray(symbols.cpu().numpy())


def selected(step: CodingStep) -> Select:
    """What picks the latents of a step; see models.base.Coder."""
    channels = step.channels
    if channels is None:
        return lambda latents: latents.z
    return lambda latents: checkerboard.take(latents.y[..., channels], step.half)
