"""A tile's latents to its payload, with plain or with rate-distortion optimised rounding.

latents -> first pass -> gradient of the error -> rounding -> walk -> check of the error -> payload
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..engines.base import CodedTile, ErrorBits, Floats, LatentArrays, RoundingArrays
from .around import Around
from .coding import Coding
from .transforms import Source, Transforms

DEARER, SPOILT = 1.5, 256.0
"""Optimised rounding has spoilt a latent's 16x16 pixels where their error costs more than so many
times what it cost before, and so many bits, one for each pixel. What rounding gives up in one place
for a smaller file is 90 bits at most (Kodak)."""
NEAR = 5
"""Latents, along a side, that are then rounded as ever, the spoilt one's in the middle."""
CHECKS = 4
"""Attempts of which the last may spoil nothing, or the whole tile is rounded as ever."""


class TileEncoder:
    """Codes tiles of B pictures of one size (of one without that dimension)."""

    def __init__(
        self, source: Source, transforms: Transforms, coding: Coding, estimate: bool = False
    ) -> None:
        self._source = source
        self._transforms = transforms
        self._coding = coding
        self._estimate = estimate

    def code(
        self, latents: LatentArrays, rounding: RoundingArrays | None = None
    ) -> list[CodedTile]:
        """Code a tile of each picture, to the nearest symbols or as `rounding` says."""
        coding = self._coding
        return coding.engine.encode(latents, coding.quality, coding.guard, rounding, self._estimate)

    def optimised(self, latents: LatentArrays, around: Around, rounds: int) -> list[CodedTile]:
        """Code the tile `around.box` of each picture, its rounding optimised in `rounds`.

        Where optimised rounding turns out to spoil the picture, it is taken back.
        """
        engine, quality = self._coding.engine, self._coding.quality
        first = engine.first_pass(latents, quality)
        plain = bits = self._errors(first.y_hat, around, True)
        for _ in range(rounds - 1):
            first = engine.first_pass(latents, quality, RoundingArrays(first, bits.gradient))
            bits = self._errors(first.y_hat, around, True)
        spoilt = np.zeros_like(plain.cells)
        for _ in range(CHECKS):
            coded = self.code(latents, RoundingArrays(first, bits.gradient * (1 - spoilt)))
            after = self._errors(np.concatenate([tile.y_hat for tile in coded]), around, False)
            worse = after.cells > DEARER * plain.cells + SPOILT
            if not worse.any():
                return coded
            spoilt = np.maximum(spoilt, _near(worse))
        return self.code(latents)

    def _errors(self, y_hat: Floats, around: Around, differentiate: bool) -> ErrorBits:
        around.put(y_hat)
        return self._transforms.errors(self._source, around, differentiate)


def _near(worse: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> Floats:
    """1 where any of (B, h, w, 1) is true within `NEAR` latents: what spoils pixels may be any
    latent near them."""
    side = NEAR // 2
    padded = np.pad(worse, ((0, 0), (side, side), (side, side), (0, 0)))
    windows = sliding_window_view(padded, (NEAR, NEAR), axis=(1, 2))
    return np.asarray(windows.any(axis=(-2, -1)), np.float32)
