"""Progressive decoding: the first slices of the latents from the stream, the rest by their means.

A slice is a run of channels that a model codes together, in one or more coding steps. The stream
holds them one after another, so those that are not wanted are never read. MLIC, appendix G, puts
zeros in their place; the means that the context model predicts are closer.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..models.base import Latents, Model, Select, ZeroCoder
from . import range_coder
from .payload import Payload, SymbolMismatchError
from .tables import Tables
from .walk import DecodingCoder


class SliceCounter:
    """Finds out, by what a coding step selects, which slice it belongs to; counts slices."""

    def __init__(self, channels: int) -> None:
        self.count = 0
        """Slices that have begun."""
        index = torch.arange(channels).view(1, 1, 1, -1).expand(1, 4, 4, -1)
        self._channels = Latents(index, torch.empty(0, dtype=torch.long))
        self._first: int | None = None

    def note(self, select: Select) -> int:
        """The slice, from 1, of the next coding step; 0 for hyper latents."""
        channels = select(self._channels)
        if not channels.numel():
            return 0
        first = int(channels.min())
        if first != self._first:
            self._first = first
            self.count += 1
        return self.count


class _CountingCoder(ZeroCoder):
    """Counts the slices of a walk."""

    def __init__(self, channels: int) -> None:
        self.counter = SliceCounter(channels)

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        self.counter.note(select)
        return super().__call__(mean, scale, gain, select, coded)


def slices_of(model: Model) -> int:
    """In how many slices a model (in float64) codes its latents."""
    coder = _CountingCoder(model.channels[0])
    with torch.inference_mode():
        model.entropy(torch.full((1,), 3.0, dtype=torch.float64), (1, 1), coder)
    return coder.counter.count


class SliceDecoder(DecodingCoder):
    """Reads hyper latents and the first `slices` slices; all other symbols are zero.

    The checksum is over all symbols, so that nothing is checked here. Without a number of `slices`,
    payloads are cut, and the steps that are there are read.
    """

    def __init__(
        self,
        payloads: Sequence[Payload],
        tables: Tables,
        total: int,
        *,
        channels: int,
        slices: int | None,
    ) -> None:
        if slices is None:
            payloads = [replace(p, stream=p.stream[: len(p.stream) // 4 * 4]) for p in payloads]
        super().__init__(
            payloads, tables, total, range_coder.exact_backend() if slices is None else None
        )
        self._counter = SliceCounter(channels)
        self._slices = slices
        self._ended = False

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        number = self._counter.note(select)
        if self._slices is not None and number > self._slices:
            self._ended = True
        if not self._ended:
            try:
                return super().__call__(mean, scale, gain, select, coded)
            except SymbolMismatchError:
                if self._slices is not None or not number:
                    raise
                self._ended = True
        return torch.zeros_like(mean)

    def finish(self) -> None:
        """Nothing to check."""
