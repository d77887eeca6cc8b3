"""Pictures to payloads and back, for tests of the steps between."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pillow_mlic.coding.coding import Coding
from pillow_mlic.coding.decoder import Decoder
from pillow_mlic.coding.encoder import Encoded, Encoder
from pillow_mlic.coding.transforms import Transforms
from pillow_mlic.engines import Needs, engine_for
from pillow_mlic.format.geometry import Grid
from pillow_mlic.packs import Pack

Pixels = NDArray[np.uint8]


def coding_of(pack: Pack, quality: float, tile: int = 1024, guard: float | None = 1e-9) -> Coding:
    return Coding(pack, quality, tile, guard, engine_for(pack, "cpu", Needs(gradients=True)))


def encode(picture: Any, coding: Coding, **options: Any) -> Encoded:
    return Encoder(coding, **options).encode(picture)


def decode(tiles: list[bytes], size: tuple[int, int], coding: Coding) -> Pixels:
    return Decoder(coding, size).decode(dict(enumerate(tiles)))


def transforms_of(pack: Pack, grid: Grid, quality: float) -> Transforms:
    return Transforms(engine_for(pack, "cpu", Needs(gradients=True)), grid, quality)
