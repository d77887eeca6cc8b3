"""A tile's latents to its payload, with plain or with rate-distortion optimised rounding.

latents -> first pass -> gradient of the error -> rounding -> walk -> check of the error -> payload
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..engines.base import CodedTile, ErrorBits, Floats, LatentArrays, Pixels, RoundingArrays
from ..format.geometry import Box, overlap, pieces, within
from ..models.lambdas import lambda_at
from .around import Around
from .coding import Coding
from .transforms import SIDE, Source, Transforms

DEARER, SPOILT = 1.5, 256.0
"""Optimised rounding has spoilt the 16x16 pixels of a latent if their error costs more than DEARER
times what it cost before, plus SPOILT bits (one for each pixel). Where it works as intended, the
error of one place costs at most 90 bits more (Kodak)."""
TAME = 50.0
"""Bits. Where the gradient foretells less than this of the move of each latent, nothing is spoilt,
and nobody looks: with such moves the error of no place of 102 tiles came to more than 88 bits over
DEARER times what it had been (Kodak and validation photographs, qualities 3 and 5)."""
NEAR = 5
"""Side of the square of latents around a spoilt one that are then rounded to the nearest."""
CHECKS = 4
"""Attempts. If the last one still spoils something, the whole tile is rounded to the nearest."""


class TileEncoder(NamedTuple):
    """Codes tiles of B pictures of one size, the `source`."""

    source: Source
    transforms: Transforms
    coding: Coding
    estimate: bool = False

    def code(
        self, latents: LatentArrays, rounding: RoundingArrays | None = None
    ) -> list[CodedTile]:
        """Code a tile of each picture, to the nearest symbols or as `rounding` says."""
        coding = self.coding
        return coding.engine.encode(latents, coding.quality, coding.guard, rounding, self.estimate)

    def optimised(self, latents: LatentArrays, around: Around, rounds: int) -> list[CodedTile]:
        """Code the tile `around.box` of each picture, its rounding optimised in `rounds`.

        Where that turns out to spoil the picture, it is taken back.
        """
        engine, quality = self.coding.engine, self.coding.quality
        first = engine.first_pass(latents, quality)
        plain = bits = self._errors(first.y_hat, around, True)
        for _ in range(rounds - 1):
            first = engine.first_pass(latents, quality, RoundingArrays(first, bits.gradient))
            bits = self._errors(first.y_hat, around, True)
        spoilt = np.zeros_like(plain.cells)
        for _ in range(CHECKS):
            gradient = bits.gradient * (1 - spoilt)
            coded = self.code(latents, RoundingArrays(first, gradient))
            y_hat = np.concatenate([tile.y_hat for tile in coded])
            if np.abs(gradient * (y_hat - first.y_hat)).max(initial=0) < TAME:
                around.put(y_hat)
                return coded
            after = self._errors(y_hat, around, False)
            worse = after.cells > DEARER * plain.cells + SPOILT
            if not worse.any():
                return coded
            spoilt = np.maximum(spoilt, _near(worse))
        return self.code(latents)

    def compared(self, around: Around, touched: Box) -> Iterator[tuple[Pixels, Pixels]]:
        """What a single picture is and what `around` makes of it, in `touched`: (h, w, 3) each,
        region by region, without padding."""
        grid = self.transforms.grid
        whole = self.coding.engine.halo is None
        for part in [touched] if whole else pieces(touched, SIDE):
            pixels = self.transforms.synthesise(
                lambda box: around.y_hat[:, *within(box, around.outer)], part
            )
            inside = overlap(part, (0, 0, grid.width, grid.height))
            if inside is not None:
                original = self.source[within(inside, (0, 0, 0, 0), 1)]
                yield original, pixels[within(inside, part, 1)]

    def _errors(self, y_hat: Floats, around: Around, differentiate: bool) -> ErrorBits:
        around.put(y_hat)
        return self.transforms.errors(self.source, around, differentiate)


def squared_bits(original: Pixels, shown: Pixels, quality: float) -> float:
    """Lambda x squared error, in bits: the sum over pixels of the mean over planes.

    Both (h, w, 3), or (h, w) of grey.
    """
    difference = original.astype(np.float32) - shown
    squares = float(np.square(difference).mean(dtype=np.float64))
    return lambda_at(quality) * squares * original.shape[0] * original.shape[1]


def _near(worse: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> Floats:
    """1 where any of (B, h, w, 1) is true in the square of side `NEAR` around: any latent near
    spoilt pixels may be the cause."""
    side = NEAR // 2
    padded = np.pad(worse, ((0, 0), (side, side), (side, side), (0, 0)))
    windows = sliding_window_view(padded, (NEAR, NEAR), axis=(1, 2))
    return np.asarray(windows.any(axis=(-2, -1)), np.float32)
