"""The two coders that a model's entropy part is walked with: one writes symbols, one reads them.

Both see the same steps in the same order (models.base.Coder). A batch holds one tile a sample;
every tile has a stream of its own.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models.base import Latents, Select
from ..models.layers.quantise import gaussian_bits
from . import range_coder
from .indexes import ABOVE_ONE, Thresholds, classify, correct, near_thresholds
from .payload import Corrections, Indexes, Payload, SymbolMismatchError, check_symbols, checksum
from .rounding import Rounding
from .rows import Ints
from .tables import PRECISION, Tables

NOT_FINITE = "the network gave numbers that are not finite: its weights are broken"


def _rows(
    classes: NDArray[np.int64], tables: Tables, chosen: Tensor | None
) -> tuple[NDArray[np.bool_], Ints]:
    """Which symbols are coded (of those `chosen`, if any are), and the table rows of those."""
    rows = (classes - tables.skip).astype(np.int32)
    coded = rows >= 0
    if chosen is not None:
        coded &= chosen.flatten().cpu().numpy()
    return coded, rows[coded]


def _decided(sides: list[Indexes], odds: Tensor) -> Tensor:
    """The tiles' decided sides, stacked, as booleans in the shape of `odds`."""
    return torch.from_numpy(np.stack(sides) > 0).view(odds.shape).to(odds.device)


def _tile(coded: Tensor | None, tile: int) -> Tensor | None:
    return None if coded is None else coded[tile]


def _fixed_rows(mean: Tensor, tables: Tables) -> Ints:
    """Table rows of a step (h, w, C) of a factorised prior: one a channel."""
    channels = mean.shape[-1]
    if channels != tables.fixed:
        msg = f"the tables have {tables.fixed} fixed rows, the model {channels} hyper latents"
        raise ValueError(msg)
    rows = np.arange(tables.first_fixed, tables.first_fixed + channels, dtype=np.int32)
    return np.tile(rows, mean.numel() // channels)


def table_bits(symbols: Tensor, rows: Ints, tables: Tables) -> NDArray[np.float64]:
    """Bits (B, h w C) of (B, h, w, C) symbols by their tables' counts; escapes as 16 bits more."""
    values = symbols.flatten(1).cpu().numpy().astype(np.int64)
    bits = np.empty(values.shape)
    for row in np.unique(rows):
        cdf = tables.cdfs[row]
        place = values[:, rows == row] - tables.offsets[row]
        outside = (place < 0) | (place >= len(cdf) - 2)
        place = np.where(outside, len(cdf) - 2, place)
        bits[:, rows == row] = PRECISION - np.log2(np.diff(cdf)[place]) + 16 * outside
    return bits


class EncodingCoder:
    """Computes symbols from latents; `payloads()` gives the bytes of each tile.

    The walk must run in float64: its choices are what every decoder will reproduce.
    """

    def __init__(
        self,
        latents: Latents,
        tables: Tables,
        guard: float,
        estimate: bool = False,
        rounding: Rounding | None = None,
    ) -> None:
        self.estimated_bits = 0.0
        self._rounding = rounding
        self._estimate = estimate
        self._latents = Latents(latents.y.double(), latents.z.double())
        self._tables = tables
        self._guard = guard
        tiles = latents.y.shape[0]
        self._symbols: list[list[Ints]] = [[] for _ in range(tiles)]
        self._coded: list[list[tuple[Ints, Ints]]] = [[] for _ in range(tiles)]
        self._corrections: list[list[Corrections]] = [[] for _ in range(tiles)]
        self._position = 0

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        if not torch.isfinite(scale).all():
            raise ValueError(NOT_FINITE)
        exact = select(self._latents) * gain - mean
        if self._rounding is not None:
            exact = self._rounding(exact, mean, scale, gain, select)
        symbols = self._round(exact)
        for tile, (tile_scale, tile_symbols) in enumerate(zip(scale, symbols, strict=True)):
            classes = self._classify(tile, tile_scale, self._tables)
            kept, rows = _rows(classes, self._tables, _tile(coded, tile))
            self._put(tile, tile_symbols, kept, rows)
        self._position += symbols[0].numel()
        if self._estimate:
            bits = gaussian_bits(symbols, scale)
            self.estimated_bits += float((bits if coded is None else bits * coded).sum())
        return symbols

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        if not torch.isfinite(odds).all():
            raise ValueError(NOT_FINITE)
        sides = [self._classify(tile, values, ABOVE_ONE) for tile, values in enumerate(odds)]
        self._position += odds[0].numel()
        return _decided(sides, odds)

    def _classify(self, tile: int, values: Tensor, thresholds: Thresholds) -> Indexes:
        """Classes of a step's values; those next to a threshold are noted for the decoder."""
        classes = classify(values, thresholds)
        near = near_thresholds(values, classes, thresholds, self._guard)
        self._corrections[tile].append(near._replace(positions=near.positions + self._position))
        return classes

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior; see models.base.TableCoder."""
        symbols = self._round(select(self._latents) - mean)
        rows = _fixed_rows(mean[0], self._tables)
        for tile, tile_symbols in enumerate(symbols):
            self._put(tile, tile_symbols, np.ones(len(rows), dtype=np.bool_), rows)
        self._position += symbols[0].numel()
        if self._estimate:
            self.estimated_bits += float(table_bits(symbols, rows, self._tables).sum())
        return symbols

    @staticmethod
    def _round(exact: Tensor) -> Tensor:
        if not torch.isfinite(exact).all():
            raise ValueError(NOT_FINITE)
        return exact.round().clamp(-range_coder.LARGEST, range_coder.LARGEST)

    def _put(self, tile: int, symbols: Tensor, coded: NDArray[np.bool_], rows: Ints) -> None:
        """Note a step's symbols; those that are not coded become zero, in `symbols`, too."""
        values = symbols.flatten().cpu().numpy().astype(np.int32)
        values[~coded] = 0
        self._symbols[tile].append(values)
        self._coded[tile].append((values[coded], rows))
        symbols.copy_(torch.from_numpy(values).view(symbols.shape))

    def count(self) -> int:
        """Symbols in the streams of all tiles so far."""
        return sum(len(rows) for coded in self._coded for _, rows in coded)

    def payloads(self) -> list[Payload]:
        """What was coded, one payload a tile."""
        return [
            Payload(
                checksum(symbols),
                Corrections(*(np.concatenate(part) for part in zip(*corrections, strict=True))),
                range_coder.encode(coded, self._tables),
            )
            for symbols, coded, corrections in zip(
                self._symbols, self._coded, self._corrections, strict=True
            )
        ]


class DecodingCoder:
    """Reads symbols from one payload a tile; `finish()` checks that they are the right ones."""

    def __init__(
        self, payloads: Sequence[Payload], tables: Tables, total: int, backend: str | None = None
    ) -> None:
        self._payloads = payloads
        self._tables = tables
        self._symbols: list[list[Ints]] = [[] for _ in payloads]
        self._position = 0
        try:
            self._streams = [
                range_coder.StreamDecoder(p.stream, total, tables, backend) for p in payloads
            ]
        except range_coder.StreamError as error:
            raise SymbolMismatchError(str(error)) from error

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        del mean, gain, select  # a decoder reads what an encoder computes from these
        out = torch.empty(scale.shape, dtype=scale.dtype)
        for tile, tile_scale in enumerate(scale):
            classes = self._classify(tile, tile_scale, self._tables)
            kept, rows = _rows(classes, self._tables, _tile(coded, tile))
            values = np.zeros(len(classes), dtype=np.int32)
            values[kept] = self._take(tile, rows)
            self._symbols[tile].append(values)
            out[tile] = torch.from_numpy(values).view(tile_scale.shape)
        self._position += scale[0].numel()
        return out.to(scale.device)

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        sides = [self._classify(tile, values, ABOVE_ONE) for tile, values in enumerate(odds)]
        self._position += odds[0].numel()
        return _decided(sides, odds)

    def _classify(self, tile: int, values: Tensor, thresholds: Thresholds) -> Indexes:
        """Classes of a step's values, those listed as the encoder had them."""
        classes = classify(values, thresholds)
        return correct(classes, values, self._listed(tile, len(classes)), thresholds)

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior; see models.base.TableCoder."""
        del select  # a decoder reads what an encoder computes from this
        rows = _fixed_rows(mean[0], self._tables)
        out = torch.empty(mean.shape, dtype=mean.dtype)
        for tile in range(len(mean)):
            values = self._take(tile, rows)
            self._symbols[tile].append(values)
            out[tile] = torch.from_numpy(values).view(mean.shape[1:])
        self._position += mean[0].numel()
        return out.to(mean.device)

    def _take(self, tile: int, rows: Ints) -> Ints:
        try:
            return self._streams[tile].take(rows)
        except range_coder.StreamError as error:
            raise SymbolMismatchError(str(error)) from error

    def _listed(self, tile: int, count: int) -> Corrections:
        """The tile's corrections within the current step of `count` latents."""
        positions, sides = self._payloads[tile].corrections
        low, high = np.searchsorted(positions, (self._position, self._position + count))
        return Corrections(positions[low:high] - self._position, sides[low:high])

    def finish(self) -> None:
        """Raise SymbolMismatchError unless every tile gave exactly the symbols that went in."""
        check_symbols(
            (payload.checksum for payload in self._payloads), self._symbols, self._streams
        )
