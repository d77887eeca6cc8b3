"""Refinement: the encoder searches better latents for one picture (MLICv2, section 3.5).

    y, z of the analysis -> SGA: relaxed symbols -> R + lambda D -> gradient -> y, z -> ... -> y, z

Decoders know nothing of it. The rate is the model's estimate for relaxed symbols
(`entropy.annealing`), lambda that of the quality. Latents move in units of their quantisation
steps, so that one learning rate suits all channels and qualities.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..entropy.annealing import AnnealedCoder, StepSizes, temperature
from ..entropy.tables import Tables
from ..models.base import Latents, Model
from ..models.layers.quality import error_price
from .regions import HYPER_LATENT, LATENT, Box, Grid, Source, error_of, pieces, within

SIDE = 1024
"""Larger tiles are refined window by window of this side in pixels, each as if it were a tile."""
RATE = 0.02
"""Learning rate of Adam, in quantisation steps; chosen on two validation pictures."""
SEED = 0


@dataclass
class Refiner:
    """Refines the tiles of one picture in `steps` steps each.

    `report` is called with a number of pixels whenever so many have had another step; an exception
    that it raises ends the work. Each tile has a generator of its own for the noise: the same
    picture and settings give the same latents.
    """

    source: Source
    model: Model
    tables: Tables
    grid: Grid
    quality: Tensor
    steps: int
    report: Callable[[int], object]

    def tile(self, latents: Latents, around: Tensor, outer: Box, box: Box) -> Latents:
        """Better latents for the tile `box`, whose analysis gave `latents`.

        `around` (1, h/16, w/16, M): decoded latents in `outer`, which is `box` with its halo;
        those in `box` are overwritten.
        """
        generator = torch.Generator().manual_seed(SEED)
        refined = Latents(latents.y.clone(), latents.z.clone())
        for window in pieces(box, SIDE):
            parts = (within(window, box, LATENT), within(window, box, HYPER_LATENT))
            before = Latents(*(t[:, *part] for t, part in zip(latents, parts, strict=True)))
            after = self._window(before, around, outer, window, generator)
            for tensor, part, values in zip(refined, parts, after, strict=True):
                tensor[:, *part] = values
        return refined

    def _window(
        self, latents: Latents, around: Tensor, outer: Box, box: Box, generator: torch.Generator
    ) -> Latents:
        """`tile` for one window.

        The gradient of the error is taken region by region (`regions.error_of`) for latents
        cut off from the walk that made them, and handed to the walk afterwards. So what gradients
        need of the walk, and of each region's synthesis, is never in memory together.
        """
        rows, columns = within(box, outer)
        pixels = (box[2] - box[0]) * (box[3] - box[1])
        price = error_price(self.quality)
        with torch.inference_mode(False):
            start = Latents(latents.y.clone(), latents.z.clone())
            quality = self.quality.clone()
            measure = StepSizes(start)
            with torch.no_grad():
                self.model.entropy(quality, latents.z_size, measure)
            shift = Latents(*(torch.zeros_like(part).requires_grad_(True) for part in start))
            adam = torch.optim.Adam(shift, lr=RATE)

        def moved() -> Latents:
            each = zip(start, shift, measure.sizes, strict=True)
            return Latents(*(origin + steps * size for origin, steps, size in each))

        for step in range(self.steps):
            with torch.inference_mode(False), torch.enable_grad():
                warmth = temperature(step, self.steps)
                coder = AnnealedCoder(moved(), self.tables, warmth, generator)
                y_hat = self.model.entropy(quality, latents.z_size, coder)
            around[:, rows, columns] = y_hat.detach()
            error = error_of(
                self.source, around, outer, box, self.model, self.grid, self.quality, True
            )
            gradient = price * error.gradient
            with torch.inference_mode(False):
                adam.zero_grad()
                torch.autograd.backward([coder.bits, y_hat], [None, gradient.clone()])
                adam.step()
            self.report(pixels)
        with torch.inference_mode(False), torch.no_grad():
            return moved()
