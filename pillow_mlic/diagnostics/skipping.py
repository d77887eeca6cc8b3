"""What selective compression (MLICv2, section 3.4.4) saves: symbols, bytes and time.

Every picture is coded twice with the same weights, with and without the networks that decide which
symbols are coded. Times are those of this process; it should have the machine to itself.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import packs
from ..coding.transforms import Transforms
from ..conversion import read_rgb
from ..engines import Needs, engine_for
from ..engines.arithmetic import entropy_device, plain_arithmetic
from ..engines.base import Pixels
from ..engines.torch_walk import EXACT_GUARD, walk
from ..entropy.rows import Ints
from ..entropy.walk import DecodingCoder, EncodingCoder
from ..format.geometry import Box, Grid
from ..models.base import Latents, Model, Selective

TILE = 1024


@dataclass
class Costs:
    """Sums over pictures; times in seconds."""

    latents: int = 0
    coded: int = 0
    """Symbols of latents in the streams."""
    size: int = 0
    """Bytes."""
    encoding: float = 0.0
    decoding: float = 0.0
    coder_encoding: float = 0.0
    """The range coder's share, too."""
    coder_decoding: float = 0.0
    squared_error: float = 0.0
    """Mean over the values of a picture."""


class SkippingRow(NamedTuple):
    """One pack: sums with and without selective compression."""

    quality: float
    selective: Costs
    plain: Costs

    @property
    def skipped(self) -> float:
        """The share of latents without a symbol in the stream."""
        return 1 - self.selective.coded / self.selective.latents


def measure(
    pictures: Sequence[Path],
    name: str,
    device: torch.device,
    say: Callable[[str], object] = lambda _: None,
) -> list[SkippingRow]:
    """A row for each installed pack of this name, or of the model of this name, by quality.

    ValueError where there is none with selective compression.
    """
    known = [p for p in packs.installed() if name in (p.name, p.model)]
    files = {p.quality or 0.0: p for p in reversed(known) if p.config.get("selective")}
    if not files:
        packs.find(name)  # says what is missing if there is nothing at all
        msg = (
            f"the weights of {name!r} have no selective compression; train it with "
            "`mlic train --stage selection --from WEIGHTS`"
        )
        raise ValueError(msg)
    rows = []
    for quality, file in sorted(files.items()):
        pack = packs.load(file)
        plain = pack.with_model(_without_selection(pack.model(torch.device("cpu"))))
        row = SkippingRow(quality, Costs(), Costs())
        for path in pictures:
            say(f"{path.name} with {file.name}")
            pixels = np.asarray(read_rgb(path, say))
            for which, sums in ((pack, row.selective), (plain, row.plain)):
                _code(pixels, which, quality, device, sums)
        rows.append(row)
    return rows


def _without_selection(model: Model) -> Model:
    assert isinstance(model, Selective)  # as its configuration says
    return model.without_selection()


def _code(
    pixels: Pixels, pack: packs.Pack, quality: float, device: torch.device, sums: Costs
) -> None:
    """Code one picture, and add what it cost to `sums`."""
    model: Model = pack.model(device)
    where = entropy_device(device)
    height, width = pixels.shape[:2]
    grid = Grid(width, height, TILE)
    transforms = Transforms(engine_for(pack, str(device), Needs(floats=True)), grid, quality)
    q = torch.tensor([quality], device=device)
    exact = torch.tensor([quality], dtype=torch.float64, device=where)
    error = 0.0
    with plain_arithmetic(device):
        for box in grid.boxes():
            start = time.perf_counter()
            y = torch.from_numpy(transforms.analyse(pixels, box)).to(device)
            latents = Latents(y, model.hyper_analysis(y))
            coder = EncodingCoder(
                Latents(*(part.to(where) for part in latents)), pack.tables, EXACT_GUARD
            )
            pack.canonical(where).entropy(exact, latents.z_size, coder)
            walked = time.perf_counter()
            (payload,) = coder.payloads()
            done = time.perf_counter()
            sums.encoding += done - start
            sums.coder_encoding += done - walked
            sums.latents += y.numel()
            sums.coded += coder.count() - latents.z.numel()
            data = payload.to_bytes()
            sums.size += len(data)

            _Timed.seconds = 0.0
            start = time.perf_counter()
            y_hat = walk([data], pack, quality, latents.z_size, True, device, _Timed).to(device)
            x_hat = model.synthesis(y_hat, q)
            sums.decoding += time.perf_counter() - start
            sums.coder_decoding += _Timed.seconds
            error += _error(x_hat, pixels, box)
    sums.squared_error += error / pixels.size


def _error(x_hat: Tensor, pixels: Pixels, box: Box) -> float:
    """Sum of squared errors of a tile, in squared grey levels."""
    left, top, right, bottom = box
    original = pixels[top:bottom, left:right].astype(np.float64)
    decoded = x_hat[0, : original.shape[0], : original.shape[1]].clamp(0, 1) * 255
    return float(np.square(decoded.round().cpu().numpy() - original).sum())


class _Timed(DecodingCoder):
    """Adds up the seconds of the range coder, over all instances: `torch_walk.walk` makes them."""

    seconds = 0.0

    def _take(self, tile: int, rows: Ints) -> Ints:
        start = time.perf_counter()
        values = super()._take(tile, rows)
        _Timed.seconds += time.perf_counter() - start
        return values


def table(rows: Sequence[SkippingRow], pictures: int) -> str:
    """The rows as Markdown; savings are in per cent of what it costs without."""
    lines = [
        "| quality | skipped | bytes saved | encoding saved | decoding saved "
        "| range encoder saved | range decoder saved | PSNR lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        with_, without = row.selective, row.plain
        saved = [
            _saved(with_.size, without.size),
            _saved(with_.encoding, without.encoding),
            _saved(with_.decoding, without.decoding),
            _saved(with_.coder_encoding, without.coder_encoding),
            _saved(with_.coder_decoding, without.coder_decoding),
        ]
        errors = [max(c.squared_error / pictures, 1e-9) for c in (with_, without)]
        lost = 10 * np.log10(errors[0] / errors[1])
        lines.append(
            f"| {row.quality:g} | {row.skipped:.2%} | {' | '.join(saved)} | {lost:.3f} dB |"
        )
    return "\n".join(lines)


def _saved(with_: float, without: float) -> str:
    return f"{1 - with_ / without:+.2%}"
