"""Pictures shared between processes: pixels in a file that all of them map.

The system keeps only the parts in use in memory, so five versions of a photograph of 100
megapixels need not fit there. After the picture the file has smaller ones for showing it, each half
as large as the one before.
"""

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pillow_mlic.format.geometry import Box

RasterPixels = NDArray[np.uint8]

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
SMALLEST = 512
"""The last picture of the pyramid is not larger than this in either direction."""
STRIP = 512
"""Rows written at a time."""


@dataclass(frozen=True)
class Raster:
    """A picture of `width` x `height` pixels of 1 (L), 3 (RGB) or 4 (RGBA) bytes in a file."""

    path: Path
    width: int
    height: int
    channels: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def mode(self) -> str:
        """Pillow's name for the kind of pixels."""
        return MODES[self.channels]

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def levels(self) -> list[tuple[int, int]]:
        """Sizes (width, height) in the pyramid, the picture itself first."""
        sizes = [self.size]
        while max(sizes[-1]) > SMALLEST:
            width, height = sizes[-1]
            sizes.append(((width + 1) // 2, (height + 1) // 2))
        return sizes

    @property
    def bytes(self) -> int:
        """Size of the file."""
        return sum(width * height for width, height in self.levels) * self.channels

    def level(self, number: int) -> RasterPixels:
        """Pixels (H, W, C) of one level, mapped, not to be written to."""
        sizes = self.levels
        offset = sum(width * height for width, height in sizes[:number]) * self.channels
        width, height = sizes[number]
        return np.memmap(
            self.path, np.uint8, mode="r", offset=offset, shape=(height, width, self.channels)
        )

    def image(self, box: Box | None = None) -> Image.Image:
        """The picture, or a part of it, in Pillow's own memory."""
        left, top, right, bottom = box or (0, 0, *self.size)
        pixels = np.ascontiguousarray(self.level(0)[top:bottom, left:right])
        return Image.frombytes(self.mode, (right - left, bottom - top), pixels)

    def delete(self) -> None:
        """Remove the file; who has it mapped keeps it."""
        with contextlib.suppress(OSError):
            self.path.unlink()


def write(image: Image.Image, path: Path) -> Raster:
    """Write a picture (L, RGB or RGBA) and its smaller versions to `path`."""
    channels = {mode: count for count, mode in MODES.items()}[image.mode]
    raster = Raster(path, *image.size, channels)
    with open(path, "wb") as file:
        for number in range(len(raster.levels)):
            if number:
                image = image.reduce(2)
            for top in range(0, image.height, STRIP):
                strip = image.crop((0, top, image.width, min(top + STRIP, image.height)))
                file.write(strip.tobytes())
    return raster


def level_for(zoom: float, count: int) -> int:
    """The level to draw from at `zoom` (screen pixels a picture pixel): never enlarged below 1."""
    return min(max(math.floor(math.log2(1 / zoom) + 1e-9), 0), count - 1)
