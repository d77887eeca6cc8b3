"""The two coders that a model's entropy part is walked with: one writes symbols, one reads them.

Both see the same steps in the same order (models.base.Coder). A batch holds one tile a sample;
every tile has a stream of its own.

A network on a GPU waits for every copy. So a step of the encoder is one download (its symbols, and
what decides about each of them in one integer), a step of the decoder one download of these
integers and one upload of symbols, for all tiles together.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..models.base import Latents, Select
from ..models.layers.quantise import gaussian_bits
from . import indexes, range_coder
from .indexes import ABOVE_ONE, Thresholds
from .payload import Corrections, Indexes, Payload, SymbolMismatchError, check_symbols, checksum
from .rounding import Rounding
from .rows import Ints
from .tables import PRECISION, Tables

NOT_FINITE = "the network gave numbers that are not finite: its weights are broken"

_IS_NEAR, _IS_CHOSEN = 1, 2
_BROKEN = -1


class _Facts(NamedTuple):
    """What decides about each value of a step; (B, n) on the CPU."""

    places: Indexes
    is_near: NDArray[np.bool_]
    is_chosen: NDArray[np.bool_]

    @classmethod
    def of(cls, codes: NDArray[np.integer]) -> Self:
        """From the integers of `_codes`; ValueError where the network's numbers are not finite."""
        codes = codes.reshape(len(codes), -1).astype(np.int64)
        if np.any(codes == _BROKEN):
            raise ValueError(NOT_FINITE)
        return cls(codes >> 2, (codes & _IS_NEAR) > 0, (codes & _IS_CHOSEN) > 0)


def _codes(
    values: Tensor, tables: Thresholds, chosen: Tensor | None = None, guard: float | None = None
) -> Tensor:
    """Place of each value, whether it is near a threshold and whether it is `chosen`, in one."""
    at = indexes.places(values, tables)
    codes = 4 * at + (_IS_CHOSEN if chosen is None else _IS_CHOSEN * chosen)
    return codes if guard is None else codes + _IS_NEAR * indexes.near(values, at, tables, guard)


def _only_finite(codes: Tensor, *values: Tensor) -> Tensor:
    """The codes, but `_BROKEN` where one of the values is not finite."""
    for each in values:
        codes = torch.where(torch.isfinite(each), codes, _BROKEN)
    return codes


def _download(*tensors: Tensor) -> NDArray[np.int32]:
    """Integers in one copy: (number of tensors, B, n)."""
    together = torch.stack([tensor.flatten(1).to(torch.int32) for tensor in tensors])
    return np.asarray(together.cpu().numpy(), np.int32)


def _rows(
    classes: Indexes, tables: Tables, chosen: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Ints]:
    """Which of the `chosen` symbols are coded, and the table rows of those."""
    rows = (classes - tables.skip).astype(np.int32)
    coded = (rows >= 0) & chosen
    return coded, rows[coded]


def _fixed_rows(mean: Tensor, tables: Tables) -> Ints:
    """Table rows of a step (h, w, C) of a factorised prior: one a channel."""
    channels = mean.shape[-1]
    if channels != tables.fixed:
        msg = f"the tables have {tables.fixed} fixed rows, the model {channels} hyper latents"
        raise ValueError(msg)
    rows = np.arange(tables.first_fixed, tables.first_fixed + channels, dtype=np.int32)
    return np.tile(rows, mean.numel() // channels)


def table_bits(values: Ints, rows: Ints, tables: Tables) -> NDArray[np.float64]:
    """Bits (B, n) of (B, n) symbols by their tables' counts; escapes count as 16 bits more."""
    bits = np.empty(values.shape)
    for row in np.unique(rows):
        cdf = tables.cdfs[row]
        place = values[:, rows == row] - tables.offsets[row]
        outside = (place < 0) | (place >= len(cdf) - 2)
        place = np.where(outside, len(cdf) - 2, place)
        bits[:, rows == row] = PRECISION - np.log2(np.diff(cdf)[place]) + 16 * outside
    return bits


def _round(exact: Tensor) -> Tensor:
    return exact.round().clamp(-range_coder.LARGEST, range_coder.LARGEST)


def _upload(values: NDArray[Any], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """(B, n) in the shape and on the device of `like`, and in its type unless told."""
    there = torch.from_numpy(values).to(like.device)
    return there.view(like.shape).to(dtype or like.dtype)


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
        self._rounding = rounding
        self._estimate = estimate
        self._gaussian_bits = latents.y.new_zeros((), dtype=torch.float64)
        self._table_bits = 0.0
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
        exact = select(self._latents) * gain - mean
        if self._rounding is not None:
            exact = self._rounding(exact, mean, scale, gain, select)
        symbols = _round(exact)
        codes = _codes(scale, self._tables, coded, self._guard)
        kept = (codes & _IS_CHOSEN) > 0
        if self._tables.skip:  # class 0 is that of places below the first threshold
            kept &= codes >> 2 > 0
        # One that is not finite must not hide behind one that is not coded.
        codes = _only_finite(codes, scale, exact)
        symbols = torch.where(kept, symbols, 0.0)
        values, found = _download(symbols, codes)
        facts = _Facts.of(found)
        for tile in range(len(values)):
            classes = self._note(tile, facts)
            is_coded, rows = _rows(classes, self._tables, facts.is_chosen[tile])
            self._put(tile, values[tile], is_coded, rows)
        self._position += values.shape[1]
        if self._estimate:
            bits = gaussian_bits(symbols, scale)
            self._gaussian_bits += (bits if coded is None else bits * coded).sum()
        return symbols

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        codes = _only_finite(_codes(odds, ABOVE_ONE, guard=self._guard), odds)
        (found,) = _download(codes)
        facts = _Facts.of(found)
        for tile in range(len(found)):
            self._note(tile, facts)
        self._position += found.shape[1]
        return odds > 1

    def _note(self, tile: int, facts: _Facts) -> Indexes:
        """Classes of a step's values; those next to a threshold are noted for the decoder."""
        near = indexes.listed(facts.places[tile], facts.is_near[tile])
        self._corrections[tile].append(near._replace(positions=near.positions + self._position))
        return indexes.classes(facts.places[tile])

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior; see models.base.TableCoder."""
        exact = select(self._latents) - mean
        symbols = _round(exact)
        values, codes = _download(symbols, _only_finite(torch.zeros_like(symbols), exact))
        _Facts.of(codes)
        rows = _fixed_rows(mean[0], self._tables)
        for tile, tile_values in enumerate(values):
            self._put(tile, tile_values, np.ones(len(rows), dtype=np.bool_), rows)
        self._position += values.shape[1]
        if self._estimate:
            self._table_bits += float(table_bits(values, rows, self._tables).sum())
        return symbols

    def _put(self, tile: int, values: Ints, coded: NDArray[np.bool_], rows: Ints) -> None:
        """Note a step's symbols, (n,); those that are not coded are zero."""
        self._symbols[tile].append(values)
        self._coded[tile].append((values[coded], rows))

    @property
    def estimated_bits(self) -> float:
        """Bits of all tiles so far as the model expects them; 0 unless they were asked for."""
        if not self._estimate:
            return 0.0  # a GPU would be waited for
        return float(self._gaussian_bits) + self._table_bits

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
        facts = _Facts.of(_download(_codes(scale, self._tables, coded))[0])
        values: Ints = np.zeros(facts.places.shape, np.int32)
        for tile, tile_values in enumerate(values):
            classes = self._corrected(tile, facts)
            kept, rows = _rows(classes, self._tables, facts.is_chosen[tile])
            tile_values[kept] = self._take(tile, rows)
            self._symbols[tile].append(tile_values)
        self._position += values.shape[1]
        return _upload(values, scale)

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        facts = _Facts.of(_download(_codes(odds, ABOVE_ONE))[0])
        sides = np.stack([self._corrected(tile, facts) for tile in range(len(odds))])
        self._position += sides.shape[1]
        return _upload(sides > 0, odds, torch.bool)

    def _corrected(self, tile: int, facts: _Facts) -> Indexes:
        """Classes of a step's values, those listed as the encoder had them."""
        places = facts.places[tile]
        return indexes.correct(places, self._listed(tile, len(places)))

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols of a factorised prior; see models.base.TableCoder."""
        del select  # a decoder reads what an encoder computes from this
        rows = _fixed_rows(mean[0], self._tables)
        values = np.stack([self._take(tile, rows) for tile in range(len(mean))])
        for symbols, tile_values in zip(self._symbols, values, strict=True):
            symbols.append(tile_values)
        self._position += values.shape[1]
        return _upload(values, mean)

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
