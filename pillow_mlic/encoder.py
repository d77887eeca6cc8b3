"""A tile's latents to its payload, and the best of several ways to code it.

latents -> rounds of optimised rounding -> walk in float64 -> payload          Encoder.tile
latents -> refinement -> Encoder.tile -> bytes, pixels -> R + lambda D         best
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .entropy.rounding import FirstWalk, Rounding
from .entropy.walk import EncodingCoder
from .models.base import Latents, Model
from .models.layers.quality import lambda_of
from .refinement import Refiner
from .regions import (
    SIDE,
    Box,
    Grid,
    Pixels,
    Source,
    analyse,
    error_gradient,
    overlap,
    pieces,
    synthesise,
    within,
)

if TYPE_CHECKING:
    from .packs import Pack

Show = Callable[[Pixels], Pixels]
"""Makes of decoded pixels (h, w, 3) what is seen of them: (h, w, 3), or (h, w) of grey."""

ROUNDS = 4
"""Of optimised rounding that end a refinement."""
LEAST_GAIN = 8.0
"""Bits that refinement must win: with fewer a chunk whose length takes a byte more might lose."""


def entropy_device(device: torch.device) -> torch.device:
    """Where the entropy part runs: the CPU where the device has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


class Coded(NamedTuple):
    """A coded tile: its bytes, and the model's estimate of its bits (0 unless asked for)."""

    payload: bytes
    bits: float


class Trial(NamedTuple):
    """A coded tile and the latents (1, h/16, w/16, M) that a decoder will have of it."""

    coded: Coded
    y_hat: Tensor


@dataclass
class Encoder:
    """Latents of tiles to payloads. `quality` (1,), on the device that does the work."""

    picture: Source
    pack: "Pack"
    grid: Grid
    quality: Tensor
    guard: float
    estimate: bool

    @property
    def model(self) -> Model:
        """The model in float32."""
        model: Model = self.pack.model(self.quality.device)
        return model

    def tile(self, latents: Latents, around: Tensor, outer: Box, box: Box, rounds: int) -> Trial:
        """Code the tile `box`, its rounding optimised in so many `rounds`.

        For these `around` holds the latents in `outer`, and is overwritten within `box`.
        """
        device = self.quality.device
        where = entropy_device(device)
        rows, columns = within(box, outer)
        z_size = (latents.z.shape[1], latents.z.shape[2])
        choose: Callable[[], Rounding] | None = None
        for _ in range(rounds):
            walk = FirstWalk(latents, choose and choose())
            around[:, rows, columns] = self.model.entropy(self.quality, z_size, walk)
            gradient = error_gradient(
                self.picture, around, outer, box, self.model, self.grid, self.quality
            )
            gradient *= lambda_of(self.quality) * (255**2 / 3)
            choose = partial(Rounding, walk, gradient)
        coder = EncodingCoder(
            Latents(latents.y.to(where), latents.z.to(where)),
            self.pack.tables,
            self.guard,
            self.estimate,
            choose and choose(),
        )
        exact = self.quality.to(where, torch.float64)
        y_hat = self.pack.canonical(where).entropy(exact, z_size, coder)
        (payload,) = coder.payloads()
        return Trial(Coded(payload.to_bytes(), coder.estimated_bits), y_hat.float().to(device))

    def squared_error(self, around: Tensor, outer: Box, box: Box, show: Show) -> float:
        """Sum over the picture's pixels in `box` of the mean over planes of the squared error.

        `around` (1, h/16, w/16, M): decoded latents in `outer`, which is `box` with its halo.
        """
        model, grid = self.model, self.grid
        total = 0.0
        for part in pieces(box, SIDE) if model.halo is not None else [box]:
            pixels = synthesise(
                lambda b: around[:, *within(b, outer)], part, model, grid, self.quality
            )
            inside = overlap(part, (0, 0, grid.width, grid.height))
            if inside is not None:
                left, top, right, bottom = inside
                original = show(self.picture[top:bottom, left:right]).astype(np.float32)
                shown = show(pixels[: bottom - top, : right - left])
                mean = np.square(original - shown).mean(dtype=np.float64)
                total += float(mean) * (bottom - top) * (right - left)
        return total


def best(
    encoder: Encoder,
    refiner: Refiner,
    coded: Coded,
    around: Tensor,
    outer: Box,
    touched: Box,
    box: Box,
    show: Show,
) -> Trial:
    """The tile `box` as it is `coded`, or refined where R + lambda D is less for it.

    R from real bytes, D from real pixels in `touched`, which is all that the tile's latents
    matter to. `around`: decoded latents in `outer`, which is `touched` with its halo; those in
    `box` are overwritten.
    """
    rows, columns = within(box, outer)

    def cost(trial: Trial) -> float:
        around[:, rows, columns] = trial.y_hat
        error = encoder.squared_error(around, outer, touched, show)
        return 8 * len(trial.coded.payload) + float(lambda_of(encoder.quality)) * error

    kept = Trial(coded, around[:, rows, columns].clone())
    least = cost(kept) - LEAST_GAIN
    y = analyse(encoder.picture, box, encoder.model, encoder.grid, encoder.quality)
    plain = Latents(y, encoder.model.hyper_analysis(y))
    refined = refiner.tile(plain, around, outer, box)
    for latents, rounds in ((plain, ROUNDS), (refined, 0), (refined, ROUNDS)):
        trial = encoder.tile(latents, around, outer, box, rounds)
        if (found := cost(trial)) < least:
            least, kept = found, trial
    return kept
