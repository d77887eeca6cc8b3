"""Latents to payloads and back through a pack's entropy part in integers: the same in all engines.

All in NumPy, on the CPU. How symbols are chosen, if not to the nearest, is the engine's matter, and
so is what multiplies matrices (integers.check.Product).
"""

from collections.abc import Sequence

import numpy as np

from ..entropy import range_coder
from ..entropy.payload import PayloadError, SymbolMismatchError
from ..errors import DecodeError
from ..format.header import quality_code
from ..integers.check import Product
from ..integers.coders import (
    AsFarAsItGoes,
    Choose,
    FirstSlices,
    StepDecoder,
    StepEncoder,
    Symbols,
    cut,
)
from ..integers.estimate import bits_of
from ..integers.grain import GrainSteps
from ..integers.network import CodingStep, StepCoder
from ..packs import Pack
from .base import CodedTile, Floats, LatentArrays, TileStream


def encode(
    latents: LatentArrays,
    quality: float,
    pack: Pack,
    choose: Choose | None = None,
    estimate: bool = False,
    product: Product = np.matmul,
) -> list[CodedTile]:
    """Code B tiles of one size, to the nearest symbols or those of `choose`; see base.Engine."""
    coder = _Estimating(StepEncoder(latents.y, latents.z, pack.tables, choose), estimate)
    z_size = (latents.z.shape[1], latents.z.shape[2])
    network = pack.need_integers()
    y_hat = network.walk(quality_code(quality), z_size, len(latents.y), coder, product)
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
    product: Product = np.matmul,
) -> Floats:
    """Latents (B, H/16, W/16, M) of B tiles of one size, with texture; see base.Engine.

    DecodeError where payloads do not give the symbols that were encoded.
    """
    network = pack.need_integers()
    try:
        decoder = StepDecoder(payloads, pack.tables, network.symbols(z_size))
        shape = (len(payloads), 4 * z_size[0], 4 * z_size[1], network.channels[0])
        grains = None if texture is None else GrainSteps(decoder, shape, network.first)
        code = quality_code(quality)
        y_hat = network.walk(code, z_size, len(payloads), grains or decoder, product)
        decoder.finish()
    except (PayloadError, SymbolMismatchError) as error:
        raise undecodable(error, pack) from error
    if grains is not None and texture is not None:
        grains.add_to(y_hat, decoder.checksums, texture)
    return y_hat


def decode_slices(
    payload: bytes,
    pack: Pack,
    quality: float,
    z_size: tuple[int, int],
    slices: int | None,
    product: Product = np.matmul,
) -> Floats:
    """Latents (1, H/16, W/16, M) of a tile from its first slices, of which there is no checksum.

    None: as many as a payload that is cut has; see base.Engine.
    """
    network = pack.need_integers()
    total = network.symbols(z_size)
    try:
        if slices is None:
            decoder = StepDecoder([cut(payload)], pack.tables, total, range_coder.exact_backend())
            coder: StepCoder = AsFarAsItGoes(decoder)
        else:
            coder = FirstSlices(StepDecoder([payload], pack.tables, total), slices)
        return network.walk(quality_code(quality), z_size, 1, coder, product)
    except (PayloadError, SymbolMismatchError) as error:
        raise undecodable(error, pack) from error


def undecodable(reason: Exception, pack: Pack) -> DecodeError:
    """What is raised where whole bytes do not give the symbols that were encoded."""
    msg = (
        f"the file's bytes are whole but do not decode ({reason}): it was not written by these "
        f"weights ({pack.file.name}, {pack.hash.hex()}) or by a broken encoder; "
        "decode it where it was made, and report it"
    )
    return DecodeError(msg)


class _Estimating:
    """An encoder, and the bits that the model expects its symbols to take."""

    def __init__(self, encoder: StepEncoder, estimate: bool) -> None:
        self.encoder = encoder
        self.bits = 0.0
        self._estimate = estimate

    def __call__(self, step: CodingStep) -> Symbols:
        symbols = self.encoder(step)
        if self._estimate:
            self.bits += float(bits_of(symbols, step).sum())
        return symbols
