"""Zoom and place of the picture, shared by all panes; and where the panes are.

Lengths on screen are in device pixels, so that zoom 1 is one picture pixel a screen pixel at any
scaling of the desktop.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import NamedTuple

from .state import Layout

HIGHEST = 32.0
LOWEST = 1 / 64
STEP = math.sqrt(2)
"""From one zoom level to the next: two steps double."""


class ScreenBox(NamedTuple):
    """A rectangle on the screen: left, top, width, height."""

    left: float
    top: float
    width: float
    height: float

    def holds(self, x: float, y: float) -> bool:
        """Whether a point lies inside."""
        return 0 <= x - self.left < self.width and 0 <= y - self.top < self.height


@dataclass(frozen=True)
class View:
    """The picture's point (`x`, `y`) lies at the middle of a pane, enlarged `zoom` times.

    `fitted` views follow the size of the window.
    """

    zoom: float = 1.0
    x: float = 0.0
    y: float = 0.0
    fitted: bool = True

    def origin(self, pane: ScreenBox) -> tuple[float, float]:
        """Where the picture's corner is on screen, on whole screen pixels."""
        return (
            round(pane.left + pane.width / 2 - self.x * self.zoom),
            round(pane.top + pane.height / 2 - self.y * self.zoom),
        )

    def to_picture(self, pane: ScreenBox, x: float, y: float) -> tuple[float, float]:
        """Screen -> picture."""
        left, top = self.origin(pane)
        return (x - left) / self.zoom, (y - top) / self.zoom

    def to_screen(self, pane: ScreenBox, x: float, y: float) -> tuple[float, float]:
        """Picture -> screen."""
        left, top = self.origin(pane)
        return left + x * self.zoom, top + y * self.zoom

    def zoomed(self, zoom: float, pane: ScreenBox, x: float, y: float) -> "View":
        """Another zoom, the screen's point (x, y) staying where it is in the picture."""
        zoom = min(max(zoom, LOWEST), HIGHEST)
        if abs(zoom - 1) < 1e-6:
            zoom = 1.0
        at_x, at_y = self.to_picture(pane, x, y)
        return View(
            zoom,
            at_x - (x - pane.left - pane.width / 2) / zoom,
            at_y - (y - pane.top - pane.height / 2) / zoom,
            fitted=False,
        )

    def panned(self, right: float, down: float) -> "View":
        """The picture moved by screen pixels."""
        return dataclasses.replace(
            self, x=self.x - right / self.zoom, y=self.y - down / self.zoom, fitted=False
        )

    def carried(self, before: tuple[int, int], after: tuple[int, int]) -> "View":
        """The same zoom at the same place of another picture, by sizes (width, height)."""
        return dataclasses.replace(
            self, x=self.x * after[0] / before[0], y=self.y * after[1] / before[1]
        )

    def kept(self, size: tuple[int, int]) -> "View":
        """The view moved so that the middle of the pane is inside the picture."""
        return dataclasses.replace(
            self, x=min(max(self.x, 0), size[0]), y=min(max(self.y, 0), size[1])
        )


def fit(size: tuple[int, int], pane: ScreenBox, margin: float = 0) -> View:
    """The whole picture, as large as the pane allows; enlarged by whole numbers only, so that its
    pixels are squares of one size."""
    width, height = size
    zoom = min(
        max(pane.width - 2 * margin, 1) / width, max(pane.height - 2 * margin, 1) / height, HIGHEST
    )
    zoom = math.floor(zoom) if zoom >= 1 else max(zoom, LOWEST)
    return View(float(zoom), width / 2, height / 2, fitted=True)


def next_zoom(zoom: float, up: bool) -> float:
    """The next level of the ladder ... 50 %, 71 %, 100 %, 141 %, 200 % ... 3200 %."""
    place = math.log(zoom) / math.log(STEP)
    level = math.floor(place + 1e-6) + 1 if up else math.ceil(place - 1e-6) - 1
    return float(min(max(STEP**level, LOWEST), HIGHEST))


def panes(
    layout: Layout, count: int, width: float, height: float, gap: float = 0
) -> list[ScreenBox]:
    """Where the panes are in a window: one over the other in split view and flicker."""
    if layout != Layout.SIDE:
        return [ScreenBox(0, 0, width, height)] * 2
    columns = 2 if count == 4 or (count > 2 and width < 1.6 * height) else count
    rows = -(-count // columns)
    boxes = []
    for number in range(count):
        row, column = divmod(number, columns)
        left, right = (round((width + gap) * c / columns) for c in (column, column + 1))
        top, bottom = (round((height + gap) * r / rows) for r in (row, row + 1))
        boxes.append(ScreenBox(left, top, right - left - gap, bottom - top - gap))
    return boxes
