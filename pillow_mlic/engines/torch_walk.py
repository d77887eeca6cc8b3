"""Payloads to latents with torch: the decoder's walk through a network's entropy part."""

import contextlib
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..entropy.payload import Payload, PayloadError, SymbolMismatchError
from ..entropy.slices import SliceDecoder
from ..entropy.tables import Tables
from ..entropy.walk import DecodingCoder
from ..errors import DecodeError
from ..models.base import Model
from ..packs import Pack
from .arithmetic import entropy_device, whole_float32
from .integer_walk import undecodable

EXACT_GUARD = 1e-9
"""At and below this guard band the decoder's entropy part runs in float64, too."""

MakeDecoder = Callable[[Sequence[Payload], Tables, int], DecodingCoder]


def decode(
    payloads: Sequence[bytes],
    pack: Pack,
    quality: float,
    z_size: tuple[int, int],
    guard: float,
    device: torch.device,
) -> Tensor:
    """Latents (B, H/16, W/16, M) of B tiles of one size, from their payloads.

    The walk runs in float64 if `guard` asks for it; in float32 otherwise, and then once more in
    float64 should the checksum disagree.
    """
    attempts = (True,) if guard <= EXACT_GUARD else (False, True)
    reason: Exception | None = None
    for exact in attempts:
        try:
            return walk(payloads, pack, quality, z_size, exact, device)
        except (SymbolMismatchError, PayloadError) as error:
            reason = error
    assert reason is not None
    raise undecodable(reason, pack)


def decode_slices(
    payloads: Sequence[bytes],
    pack: Pack,
    quality: float,
    z_size: tuple[int, int],
    slices: int | None,
    device: torch.device,
) -> Tensor:
    """`decode` of the first slices alone, or of what cut payloads have. In float64, as there is no
    checksum of a part."""
    channels = pack.model(device).channels[0]
    decoder = partial(SliceDecoder, channels=channels, slices=slices)
    try:
        return walk(payloads, pack, quality, z_size, True, device, decoder)
    except (SymbolMismatchError, PayloadError) as error:
        msg = f"the file's bytes are whole but do not decode: {error}"
        raise DecodeError(msg) from error


def walk(
    payloads: Sequence[bytes],
    pack: Pack,
    quality: float,
    z_size: tuple[int, int],
    exact: bool,
    device: torch.device,
    decoder: MakeDecoder = DecodingCoder,
) -> Tensor:
    """One walk in float64 (`exact`) or float32, -> latents on the entropy part's device.

    SymbolMismatchError where symbols are wrong.
    """
    where = entropy_device(device)
    total = symbols_of(pack.model(where), z_size)
    parsed = [Payload.from_bytes(data, total) for data in payloads]
    coder = decoder(parsed, pack.tables, total)
    model = pack.canonical(where) if exact else pack.model(where)
    dtype = torch.float64 if exact else torch.float32
    q = torch.full((len(parsed),), quality, dtype=dtype, device=where)
    with contextlib.nullcontext() if exact else whole_float32(where):
        y_hat = model.entropy(q, z_size, coder)
    coder.finish()
    return y_hat.float()


def symbols_of(model: Model, z_size: tuple[int, int]) -> int:
    """Latents, decisions about them and hyper latents of a tile with `z_size` (height, width)."""
    y, z = model.channels
    return z_size[0] * z_size[1] * (16 * y * (1 + model.decisions) + z)
