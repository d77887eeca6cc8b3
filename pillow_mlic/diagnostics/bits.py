"""Where the bits of a .mlic file went, and what the contexts of a latent look at."""

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import packs
from ..coding.work import Progress
from ..engines import devices
from ..engines.arithmetic import entropy_device, plain_arithmetic
from ..engines.torch_integers import product, selected
from ..engines.torch_walk import decode, symbols_of
from ..entropy.payload import Payload, PayloadError, SymbolMismatchError
from ..entropy.tables import Tables
from ..entropy.walk import DecodingCoder, table_bits
from ..errors import DecodeError
from ..format import container, tiles
from ..format.container import ChunkPlace, ChunkType, Header
from ..format.geometry import HYPER_LATENT, LATENT, Box, size, within
from ..format.layout import DamagedError, damage
from ..integers.coders import StepDecoder
from ..integers.estimate import bits_of
from ..integers.network import CodingStep
from ..models.base import ContextMaps, Latents, Select
from ..models.layers.quantise import gaussian_bits


def bit_map(
    file: str | Path | BinaryIO,
    device: str | None = None,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Bits that each 16x16 block of a .mlic file's picture cost, (ceil(H/16), ceil(W/16)).

    By the entropy model's probabilities: -log2 p of the block's latents, and its share of the
    hyper latents. The bits of a lossless tile are spread evenly over it. Blocks of padding are left
    out; metadata and transparency do not count. Raises what opening and decoding the file would
    raise.
    """
    if isinstance(file, str | Path):
        with open(file, "rb") as opened:
            return bit_map(opened, device, progress)
    header = container.read_header(file)
    pack = packs.load(packs.find_header(header)) if header.model else None
    where = devices.resolve(device)
    grid = header.grid
    places = _tiles(file, header)
    bits = np.zeros(size(grid.padded, LATENT), np.float32)
    with plain_arithmetic(where):
        for place in places:
            if progress is not None:
                progress(place.index / grid.count)
            box = grid.box(place.index)
            tile = tiles.tile_of(header, container.read_chunk(file, place))
            shape = size(box, LATENT)
            found: NDArray[np.floating[Any]]
            if isinstance(tile, tiles.LosslessTile):
                found = _even_bits(tile, size(grid.shown(place.index)), shape)
            elif pack is None:
                msg = damage(f"tile {place.index + 1} needs a model, but the file names none")
                raise DamagedError(msg)
            elif header.arithmetic == container.ARITHMETIC_INTEGER:
                found = _integer_tile_bits(tile, pack, header.quality, shape)
            else:
                found = _tile_bits(tile, pack, header.quality, shape, where)
            bits[within(box, grid.padded)] = found
    if progress is not None:
        progress(1.0)
    return bits[: -(-header.height // LATENT), : -(-header.width // LATENT)]


def kind_map(file: BinaryIO) -> NDArray[np.uint8]:
    """The kind of the tile (`format.tiles.TileKind`) of each 16x16 block, (ceil(H/16), ceil(W/16)).

    From one byte of each tile; raises what opening the file would raise.
    """
    header = container.read_header(file)
    grid = header.grid
    kinds = np.zeros(size(grid.padded, LATENT), np.uint8)
    for place in _tiles(file, header):
        kind = tiles.read_kind(file, header, place)
        kinds[within(grid.box(place.index), grid.padded)] = kind
    return kinds[: -(-header.height // LATENT), : -(-header.width // LATENT)]


def context_maps(
    file: str | Path | BinaryIO, at: tuple[int, int], device: str | None = None
) -> tuple[Box, dict[str, NDArray[np.float32]]]:
    """What the contexts of the latent at pixel (x, y) look at, in its tile.

    -> the tile's box (left, top, right, bottom) in pixels, and by name maps (h/16, w/16) of the
    tile's latents or lists (C,) of channels; see models.base.ContextMaps. Raises ValueError if
    the pixel lies outside or the model has no such contexts, and the errors of opening and
    decoding.
    """
    if isinstance(file, str | Path):
        with open(file, "rb") as opened:
            return context_maps(opened, at, device)
    header = container.read_header(file)
    x, y = at
    if not (0 <= x < header.width and 0 <= y < header.height):
        msg = f"there is no pixel {x},{y} in a picture of {header.width} x {header.height}"
        raise ValueError(msg)
    grid = header.grid
    (index,) = grid.touched((x, y, x + 1, y + 1))
    box = left, top, _, _ = grid.box(index)
    (place,) = _tiles(file, header, {index})
    tile = tiles.tile_of(header, container.read_chunk(file, place))
    if isinstance(tile, tiles.LosslessTile):
        msg = "there are no contexts to show: this tile is lossless, no network coded it"
        raise ValueError(msg)
    pack = packs.load(packs.find_header(header))
    where = devices.resolve(device)
    model = pack.model(where)
    if not isinstance(model, ContextMaps):
        msg = f"{pack.file.model} has neither a global context nor reweighted ones to show"
        raise ValueError(msg)
    z_size = size(box, HYPER_LATENT)
    with plain_arithmetic(where):
        y_hat = decode([tile], pack, header.quality, z_size, header.guard, where).to(where)
        found = model.context_maps(y_hat, ((y - top) // LATENT, (x - left) // LATENT))
    maps = {name: weights.float().cpu().numpy() for name, weights in found.items()}
    return box, maps


def _tiles(file: BinaryIO, header: Header, indexes: set[int] | None = None) -> list[ChunkPlace]:
    """Where the tiles are, or those of some indexes; `file` stands just behind the header."""
    start = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(start)
    places = container.scan(file, header, end, tiles=indexes)
    return [place for place in places if place.type == ChunkType.TILE]


def _tile_bits(
    tile: bytes,
    pack: packs.Pack,
    quality: float,
    latents: tuple[int, int],
    device: torch.device,
) -> NDArray[np.float64]:
    """Bits of a tile with so many `latents` (height, width), in that shape."""
    height, width = latents
    z_size = (height // 4, width // 4)
    # The walk in float64 serves every guard band.
    where = entropy_device(device)
    model = pack.canonical(where)
    total = symbols_of(pack.model(where), z_size)
    recorder = _Recorder(
        Payload.from_bytes(tile, total), pack.tables, total, latents, model.channels
    )
    exact = torch.tensor([quality], dtype=torch.float64, device=where)
    try:
        model.entropy(exact, z_size, recorder)
        recorder.finish()
    except SymbolMismatchError as error:
        raise _no_bits(error) from error
    return recorder.places.bits.reshape(latents)


def _integer_tile_bits(
    tile: bytes, pack: packs.Pack, quality: float, latents: tuple[int, int]
) -> NDArray[np.float64]:
    """The same of a tile that was coded in integers."""
    network = pack.need_integers()
    height, width = latents
    z_size = (height // 4, width // 4)
    places = _Places(latents, network.channels)
    try:
        decoder = StepDecoder([tile], pack.tables, network.symbols(z_size))

        def recorder(step: CodingStep) -> NDArray[np.int32]:
            symbols = decoder(step)
            places.note(bits_of(symbols, step).flatten(), selected(step))
            return symbols

        network.walk(container.quality_code(quality), z_size, 1, recorder, product)
        decoder.finish()
    except (PayloadError, SymbolMismatchError) as error:
        raise _no_bits(error) from error
    return places.bits.reshape(latents)


def _even_bits(
    tile: tiles.LosslessTile, shown: tuple[int, int], latents: tuple[int, int]
) -> NDArray[np.float64]:
    """Bits of a lossless tile of so many pixels (height, width), by the pixels of each block."""
    rows, columns = (
        np.clip(pixels - LATENT * np.arange(blocks), 0, LATENT)
        for pixels, blocks in zip(shown, latents, strict=True)
    )
    pixels = np.outer(rows, columns)
    return 8 * len(tile.data) * pixels / pixels.sum()


def _no_bits(error: Exception) -> DecodeError:
    msg = f"the bits of this file cannot be told apart, as it does not decode: {error}"
    return DecodeError(msg)


class _Places:
    """Adds up the bits of a tile's symbols at the latents that they belong to."""

    def __init__(self, size: tuple[int, int], channels: tuple[int, int]) -> None:
        self.bits = np.zeros(size[0] * size[1])
        self._width = size[1]
        # What `select` picks from these tells the places of a step's symbols: those of latents
        # as they are, those of hyper latents (the first of 4x4 latents) as -1 - place.
        place = torch.arange(len(self.bits)).view(1, *size, 1)
        self._places = Latents(
            place.expand(-1, -1, -1, channels[0]),
            -1 - place[:, ::4, ::4].expand(-1, -1, -1, channels[1]),
        )

    def note(self, bits: NDArray[np.floating[Any]], select: Select) -> None:
        """The bits of one step, in the order of what `select` picks."""
        places = select(self._places).flatten().numpy()
        own = places >= 0
        self.bits += np.bincount(places[own], bits[own], len(self.bits))
        corners = np.bincount(-1 - places[~own], bits[~own], len(self.bits))
        for down in range(4):
            for right in range(4):
                self.bits += np.roll(corners, down * self._width + right) / 16


class _Recorder(DecodingCoder):
    """Decodes one tile and adds up the bits of its symbols at the latents that they belong to."""

    def __init__(
        self,
        payload: Payload,
        tables: Tables,
        total: int,
        size: tuple[int, int],
        channels: tuple[int, int],
    ) -> None:
        super().__init__([payload], tables, total)
        self.places = _Places(size, channels)

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        symbols = super().__call__(mean, scale, gain, select, coded)
        bits = gaussian_bits(symbols, scale)
        bits = bits if coded is None else bits * coded
        self.places.note(bits.flatten().cpu().numpy(), select)
        return symbols

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior; see models.base.TableCoder."""
        symbols = super().fixed(mean, select)
        first, channels = self._tables.first_fixed, mean.shape[-1]
        rows = np.tile(np.arange(first, first + channels, dtype=np.int32), mean.numel() // channels)
        values = self._symbols[0][-1][None]
        self.places.note(table_bits(values, rows, self._tables)[0], select)
        return symbols
