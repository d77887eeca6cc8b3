"""A tile's latents to its payload, and the best of several ways to code it.

latents -> rounds of optimised rounding -> walk in float64 -> check -> payload    Encoder.tiles
latents -> refinement -> Encoder.tile -> bytes, pixels -> R + lambda D            best
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..entropy.rounding import FirstWalk, Rounding
from ..entropy.walk import EncodingCoder
from ..models.base import Latents, Model
from ..models.layers.quality import error_price, lambda_of
from .refinement import Refiner
from .regions import (
    SIDE,
    Box,
    Error,
    Grid,
    Pixels,
    Source,
    analyse,
    error_of,
    overlap,
    pieces,
    synthesise,
    within,
)

if TYPE_CHECKING:
    from ..packs import Pack

Show = Callable[[Pixels], Pixels]
"""Makes of decoded pixels (h, w, 3) what is seen of them: (h, w, 3), or (h, w) of grey."""

ROUNDS = 4
"""Of optimised rounding that end a refinement."""
DEARER, SPOILT = 1.5, 256.0
"""Optimised rounding has spoilt a latent's 16x16 pixels where their error costs more than so many
times what it cost before, and so many bits, one for each pixel. What rounding gives up in one place
for a smaller file is 90 bits at most (Kodak)."""
NEAR = 5
"""Latents, along a side, that are then rounded as ever, the spoilt one's in the middle."""
CHECKS = 4
"""Attempts of which the last may spoil nothing, or the whole tile is rounded as ever."""
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
    """Latents of tiles to payloads.

    `quality` (B,) is on the device that does the work; `picture` is a source of B pictures of one
    size (of one without that dimension).
    """

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
        """`tiles` for a single picture."""
        (trial,) = self.tiles(latents, around, outer, box, rounds)
        return trial

    def tiles(
        self, latents: Latents, around: Tensor, outer: Box, box: Box, rounds: int
    ) -> list[Trial]:
        """Code the tile `box` of each picture, its rounding optimised in so many `rounds`.

        For these `around` holds the latents in `outer`, and is overwritten within `box`. Where
        the optimised rounding then turns out to spoil the picture, it is taken back.
        """
        if rounds == 0:
            return self._trials(latents, None)
        rows, columns = within(box, outer)
        price = error_price(self.quality).view(-1, 1, 1, 1)

        def error(y_hat: Tensor, differentiate: bool) -> Error:
            """In bits."""
            around[:, rows, columns] = y_hat
            found = error_of(
                self.picture,
                around,
                outer,
                box,
                self.model,
                self.grid,
                self.quality,
                differentiate,
            )
            return Error(found.cells * price, found.gradient * price)

        walk = FirstWalk(latents)
        first = before = error(self.model.entropy(self.quality, latents.z_size, walk), True)
        for _ in range(rounds - 1):
            walk = FirstWalk(latents, Rounding(walk, before.gradient))
            before = error(self.model.entropy(self.quality, latents.z_size, walk), True)
        spoilt = torch.zeros_like(first.cells)
        for _ in range(CHECKS):
            trials = self._trials(latents, Rounding(walk, before.gradient * (1 - spoilt)))
            after = error(torch.cat([trial.y_hat for trial in trials]), False)
            worse = (after.cells > DEARER * first.cells + SPOILT).float()
            if not worse.any():
                return trials
            # What spoils pixels may be any latent near them.
            near = F.max_pool2d(worse.permute(0, 3, 1, 2), NEAR, 1, NEAR // 2)
            spoilt = torch.maximum(spoilt, near.permute(0, 2, 3, 1))
        return self._trials(latents, None)

    def _trials(self, latents: Latents, rounding: Rounding | None) -> list[Trial]:
        """Walk in float64 and write."""
        device = self.quality.device
        where = entropy_device(device)
        coder = EncodingCoder(
            Latents(latents.y.to(where), latents.z.to(where)),
            self.pack.tables,
            self.guard,
            self.estimate,
            rounding,
        )
        exact = self.quality.to(where, torch.float64)
        y_hat = self.pack.canonical(where).entropy(exact, latents.z_size, coder).float().to(device)
        payloads = coder.payloads()
        bits = coder.estimated_bits / len(payloads)
        return [
            Trial(Coded(payload.to_bytes(), bits), y_hat[i, None])
            for i, payload in enumerate(payloads)
        ]

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
