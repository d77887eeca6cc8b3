"""The part of a large picture that is looked at: it is encoded first, and compared at once."""

import math
from typing import NamedTuple

from pillow_mlic.format.geometry import Box

from .raster import Raster
from .view_transform import ScreenBox, View

LARGE = 2_000_000
"""Pixels of pictures that are encoded as a whole only after the part in view."""
MOST = 512 * 1024
"""Pixels of the part: about a second of work."""
STEP = 64
"""Its borders are multiples of this, so that it covers whole pixels at every zoom."""


class PartInView(NamedTuple):
    """A part of the picture, and its pixels."""

    box: Box
    raster: Raster


def part_in_view(size: tuple[int, int], view: View, pane: ScreenBox) -> Box:
    """The middle of what is in view, in the pane's shape, at most `MOST` pixels of it."""
    width = min(pane.width / view.zoom, size[0])
    height = min(pane.height / view.zoom, size[1])
    shrink = min(math.sqrt(MOST / (width * height)), 1.0)
    left, right = _span(view.x, width * shrink, size[0])
    top, bottom = _span(view.y, height * shrink, size[1])
    return left, top, right, bottom


def _span(middle: float, length: float, whole: int) -> tuple[int, int]:
    """From and to along one side: multiples of STEP, or the picture's end."""
    long = min(max(int(length) // STEP, 1) * STEP, whole)
    start = round((middle - long / 2) / STEP) * STEP
    start = min(max(start, 0), (whole - long) // STEP * STEP)
    return start, start + long


def shows(old: Box, new: Box) -> bool:
    """Whether a part that is there is what another one would show: half of it, or more."""
    width = min(old[2], new[2]) - max(old[0], new[0])
    height = min(old[3], new[3]) - max(old[1], new[1])
    area = (new[2] - new[0]) * (new[3] - new[1])
    return width > 0 and height > 0 and 2 * width * height >= area
