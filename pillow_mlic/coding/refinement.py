"""Refinement: the encoder searches better latents for one picture (MLICv2, section 3.5).

    y, z of the analysis -> relaxed symbols -> R + lambda D -> gradient -> y, z -> ... -> y, z

Decoders know nothing of it. R is the model's estimate for relaxed symbols, D the distortion that
the pack was trained for, lambda that of the quality. At the end real bytes and real pixels are
compared, and each tile keeps the better of its plain and its refined latents.
"""

from collections.abc import Callable
from typing import NamedTuple

from ..engines.base import CodedTile, LatentArrays, Pixels
from ..format.geometry import HYPER_LATENT, LATENT, Box, area, pieces, within
from .around import Around
from .tiles import TileEncoder, squared_bits

WINDOW = 1024
"""Larger tiles are refined window by window of this side in pixels, each as if it were a tile."""
SEED = 0
ROUNDS = 4
"""Rounds of optimised rounding at the end of a refinement."""
LEAST_GAIN = 8.0
"""Bits that a tile must save to be replaced: its chunk's length may take a byte more."""

Show = Callable[[Pixels], Pixels]
"""Turns decoded pixels (h, w, 3) into those of the file's mode: (h, w, 3), or (h, w) of grey."""


class Refiner(NamedTuple):
    """Refines the tiles of one picture in `steps` steps each.

    After each step of a window `report` is called with the window's number of pixels; an exception
    that it raises ends the work. The same picture and settings give the same latents.
    """

    encoder: TileEncoder
    steps: int
    report: Callable[[int], object]

    def refined(self, latents: LatentArrays, around: Around) -> LatentArrays:
        """Better latents for the tile `around.box`, whose analysis gave `latents`."""
        found = LatentArrays(latents.y.copy(), latents.z.copy())
        for number, window in enumerate(pieces(around.box, WINDOW)):
            parts = (
                within(window, around.box, LATENT),
                within(window, around.box, HYPER_LATENT),
            )
            before = LatentArrays(*(a[:, *part] for a, part in zip(latents, parts, strict=True)))
            after = self._window(before, around._replace(box=window), SEED + number)
            for array, part, values in zip(found, parts, after, strict=True):
                array[:, *part] = values
        return found

    def _window(self, latents: LatentArrays, around: Around, seed: int) -> LatentArrays:
        """`refined` for one window.

        The gradient of the error is taken region by region, and not through the walk. So memory
        holds either what the gradient of the walk needs or that of one region's synthesis, never
        both.
        """
        source, transforms, coding, _ = self.encoder
        descent = coding.engine.descent(latents, coding.quality, self.steps, seed)
        for step in range(self.steps):
            around.put(descent.relaxed(step))
            if coding.pack.file.for_squared_error:
                gradient = transforms.errors(source, around, True).gradient
            else:
                gradient = transforms.cost_gradient(source, around)
            descent.move(gradient)
            self.report(area(around.box))
        return descent.latents()


class TileChoice(NamedTuple):
    """Chooses between a tile as it is and what refinement makes of it."""

    encoder: TileEncoder
    refiner: Refiner
    show: Show

    def best(self, coded: CodedTile, around: Around, touched: Box) -> CodedTile:
        """The tile `around.box` as it was `coded`, or a refined one if its R + lambda D is less.

        R is counted in real bytes, D on real pixels of the box `touched`: all pixels that depend on
        the tile's latents. `around` reaches a halo further.
        """
        encoder, coding = self.encoder, self.encoder.coding
        y = encoder.transforms.analyse(encoder.source, around.box)
        plain = LatentArrays(y, coding.engine.hyper_analysis(y))
        kept, least = coded, self._cost(coded, around, touched) - LEAST_GAIN
        refined = self.refiner.refined(plain, around)
        ways = [(refined, 0)]
        if coding.pack.file.for_squared_error:
            ways = [(plain, ROUNDS), *ways, (refined, ROUNDS)]
        for latents, rounds in ways:
            (trial,) = (
                encoder.optimised(latents, around, rounds) if rounds else encoder.code(latents)
            )
            if (cost := self._cost(trial, around, touched)) < least:
                least, kept = cost, trial
        return kept

    def _cost(self, tile: CodedTile, around: Around, touched: Box) -> float:
        """R + lambda D: bits of a tile, plus what the error of the pixels in `touched` costs."""
        around.put(tile.y_hat)
        return 8 * len(tile.stream.payload) + self._distortion(around, touched)

    def _distortion(self, around: Around, touched: Box) -> float:
        """What the error of the pixels in `touched` costs, in bits."""
        compared = self.encoder.compared(around, touched)
        return sum((self._bits(original, shown) for original, shown in compared), 0.0)

    def _bits(self, original: Pixels, shown: Pixels) -> float:
        """The cost in bits of the difference between `shown` and the original, (h, w, 3) each."""
        coding = self.encoder.coding
        if not coding.pack.file.for_squared_error:
            return coding.engine.cost(original[None], shown[None], coding.quality)
        return squared_bits(self.show(original), self.show(shown), coding.quality)
