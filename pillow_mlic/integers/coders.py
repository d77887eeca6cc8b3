"""The coders that the integer walk is walked with: one writes symbols, one reads them.

A batch holds one tile a sample; every tile has a stream of its own. Their payloads are a CRC-32 of
the symbols and the stream: there is nothing to correct (docs/format.md).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..entropy import range_coder
from ..entropy.payload import (
    CHECKSUM_BYTES,
    PayloadError,
    SymbolMismatchError,
    check_symbols,
    checksum,
)
from ..entropy.tables import Tables
from .network import CodingStep, take

Symbols = NDArray[np.int32]
Choose = Callable[[CodingStep, NDArray[np.float64]], NDArray[Any]]
"""Symbols near the exact numbers of a step, (B, h, w, c), by something else than rounding."""


class StepEncoder:
    """Computes symbols from latents y and z (B, h, w, C); `payloads()` gives the bytes."""

    def __init__(
        self,
        y: NDArray[np.float32],
        z: NDArray[np.float32],
        tables: Tables,
        choose: Choose | None = None,
    ) -> None:
        self._y, self._z = y, z
        self._tables = tables
        self._choose = choose
        self._symbols: list[list[Symbols]] = [[] for _ in y]
        self._coded: list[list[tuple[Symbols, Symbols]]] = [[] for _ in y]

    def __call__(self, step: CodingStep) -> Symbols:
        """See network.StepCoder."""
        whole = step.channels is None
        latents = self._z if whole else take(self._y[..., step.channels], step.half)
        exact = latents / step.unit
        if step.mean is not None:
            exact -= step.mean
        exact /= step.step
        if not np.isfinite(exact).all():
            msg = "the network gave latents that are not finite: its weights are broken"
            raise ValueError(msg)
        chosen = np.rint(exact) if self._choose is None else self._choose(step, exact)
        symbols = np.clip(chosen, -range_coder.LARGEST, range_coder.LARGEST).astype(np.int32)
        symbols *= step.classes > 0
        for tile, (values, classes) in enumerate(zip(symbols, step.classes, strict=True)):
            coded = classes > 0
            self._symbols[tile].append(values)
            self._coded[tile].append((values[coded], classes[coded].astype(np.int32) - 1))
        return symbols

    def payloads(self) -> list[bytes]:
        """What was coded, one payload a tile."""
        return [
            checksum(symbols).to_bytes(CHECKSUM_BYTES, "big")
            + range_coder.encode(coded, self._tables)
            for symbols, coded in zip(self._symbols, self._coded, strict=True)
        ]


class StepDecoder:
    """Reads symbols from one payload a tile; `finish()` checks that they are the right ones.

    `total`: symbols of a tile, at most; `backend`: of the range coder. Raises PayloadError or
    SymbolMismatchError.
    """

    def __init__(
        self, payloads: Sequence[bytes], tables: Tables, total: int, backend: str | None = None
    ) -> None:
        if any(len(payload) < CHECKSUM_BYTES for payload in payloads):
            msg = "the tile is too short"
            raise PayloadError(msg)
        self._checksums = [int.from_bytes(p[:CHECKSUM_BYTES], "big") for p in payloads]
        self._symbols: list[list[Symbols]] = [[] for _ in payloads]
        try:
            self._streams = [
                range_coder.StreamDecoder(p[CHECKSUM_BYTES:], total, tables, backend)
                for p in payloads
            ]
        except range_coder.StreamError as error:
            raise SymbolMismatchError(str(error)) from error

    def __call__(self, step: CodingStep) -> Symbols:
        """See network.StepCoder."""
        out = np.zeros(step.classes.shape, np.int32)
        for tile, (values, classes) in enumerate(zip(out, step.classes, strict=True)):
            coded = classes > 0
            try:
                values[coded] = self._streams[tile].take(classes[coded].astype(np.int32) - 1)
            except range_coder.StreamError as error:
                raise SymbolMismatchError(str(error)) from error
            self._symbols[tile].append(values)
        return out

    @property
    def checksums(self) -> list[int]:
        """The CRC-32 of each tile's symbols, as the payloads have it."""
        return self._checksums

    def finish(self) -> None:
        """Raise SymbolMismatchError unless every tile gave exactly the symbols that went in."""
        check_symbols(self._checksums, self._symbols, self._streams)


class FirstSlices:
    """Reads hyper latents and the first `slices` slices by `decoder`; other symbols are zero."""

    def __init__(self, decoder: StepDecoder, slices: int) -> None:
        self._decoder = decoder
        self._steps = 1 + 2 * slices

    def __call__(self, step: CodingStep) -> Symbols:
        """See network.StepCoder."""
        if self._steps == 0:
            return np.zeros(step.classes.shape, np.int32)
        self._steps -= 1
        return self._decoder(step)


def cut(payload: bytes) -> bytes:
    """The beginning of a payload without the word that its file ends in."""
    return payload[: len(payload) // 4 * 4]


class AsFarAsItGoes:
    """Reads the steps that the cut payload of `decoder` has; all other symbols are zero.

    SymbolMismatchError where it does not even have the hyper latents.
    """

    def __init__(self, decoder: StepDecoder) -> None:
        self._decoder = decoder
        self._ended = False

    def __call__(self, step: CodingStep) -> Symbols:
        """See network.StepCoder."""
        if not self._ended:
            try:
                return self._decoder(step)
            except SymbolMismatchError:
                if step.channels is None:
                    raise
                self._ended = True
        return np.zeros(step.classes.shape, np.int32)


class ZeroSteps:
    """A coder without a stream, all of whose symbols are zero: for walks that are only timed."""

    def __call__(self, step: CodingStep) -> Symbols:
        """See network.StepCoder."""
        return np.zeros(step.classes.shape, np.int32)
