"""Latents to payloads and back through a pack's entropy part in integers: the same in all engines.

All in NumPy, on the CPU. How symbols are chosen, if not to the nearest, is the engine's matter.
"""

from collections.abc import Sequence

from ..entropy.payload import PayloadError, SymbolMismatchError
from ..errors import DecodeError
from ..format.header import quality_code
from ..integers.coders import Choose, FirstSlices, StepDecoder, StepEncoder, Symbols
from ..integers.estimate import bits_of
from ..integers.network import CodingStep
from ..packs import Pack
from .base import CodedTile, Floats, LatentArrays, TileStream


def encode(
    latents: LatentArrays,
    quality: float,
    pack: Pack,
    choose: Choose | None = None,
    estimate: bool = False,
) -> list[CodedTile]:
    """Code B tiles of one size, to the nearest symbols or those of `choose`; see base.Engine."""
    coder = _Estimating(StepEncoder(latents.y, latents.z, pack.tables, choose), estimate)
    z_size = (latents.z.shape[1], latents.z.shape[2])
    y_hat = pack.need_integers().walk(quality_code(quality), z_size, len(latents.y), coder)
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
    slices: int | None = None,
) -> Floats:
    """Latents (B, H/16, W/16, M) of B tiles of one size, or of their first slices alone.

    DecodeError where payloads do not give the symbols that were encoded.
    """
    network = pack.need_integers()
    try:
        decoder = StepDecoder(payloads, pack.tables, network.symbols(z_size))
        coder = decoder if slices is None else FirstSlices(decoder, slices)
        y_hat = network.walk(quality_code(quality), z_size, len(payloads), coder)
        if slices is None:  # there is no checksum of a part
            decoder.finish()
    except (PayloadError, SymbolMismatchError) as error:
        raise undecodable(error, pack) from error
    return y_hat


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
            self.bits += bits_of(symbols, step)
        return symbols
