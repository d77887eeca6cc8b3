"""The rectangle that is cut out of a picture, as the mouse draws, moves and pulls it.

Boxes are (left, top, right, bottom) in whole pixels of the picture, never empty, never outside.
"""

from typing import NamedTuple

from pillow_mlic.format.geometry import Box


class Grip(NamedTuple):
    """What of a rectangle is held: its left (-1) or right (1) side, its upper (-1) or lower (1)
    one, a corner of both, or all of it (0, 0)."""

    across: int
    down: int


CORNERS_AND_SIDES = tuple(
    Grip(across, down) for across in (-1, 0, 1) for down in (-1, 0, 1) if (across, down) != (0, 0)
)


def drawn(start: tuple[float, float], end: tuple[float, float], size: tuple[int, int]) -> Box:
    """The rectangle between two points of a picture of this size (width, height)."""
    left, right = _span(start[0], end[0], size[0])
    top, bottom = _span(start[1], end[1], size[1])
    return left, top, right, bottom


def _span(one: float, other: float, length: int) -> tuple[int, int]:
    """From and to along a side, at least a pixel apart."""
    first = min(max(round(min(one, other)), 0), length - 1)
    return first, min(max(round(max(one, other)), first + 1), length)


def pulled(box: Box, grip: Grip, by: tuple[float, float], size: tuple[int, int]) -> Box:
    """The rectangle after its grip has been pulled so far, to the right and down."""
    left, top, right, bottom = box
    if grip == (0, 0):
        x = min(max(round(by[0]), -left), size[0] - right)
        y = min(max(round(by[1]), -top), size[1] - bottom)
        return left + x, top + y, right + x, bottom + y
    across = (left + by[0] * (grip.across < 0), right + by[0] * (grip.across > 0))
    down = (top + by[1] * (grip.down < 0), bottom + by[1] * (grip.down > 0))
    return drawn((across[0], down[0]), (across[1], down[1]), size)


def spot(box: tuple[float, float, float, float], grip: Grip) -> tuple[float, float]:
    """Where a grip of a rectangle is: a corner, or the middle of a side."""
    left, top, right, bottom = box
    x = (left, (left + right) / 2, right)[grip.across + 1]
    y = (top, (top + bottom) / 2, bottom)[grip.down + 1]
    return x, y


def grip_at(
    box: tuple[float, float, float, float], x: float, y: float, reach: float
) -> Grip | None:
    """What of a rectangle on the screen is held at a point; None outside of it.

    Corners go before sides, and both may be missed by `reach`.
    """
    left, top, right, bottom = box
    if not (left - reach <= x <= right + reach and top - reach <= y <= bottom + reach):
        return None
    across = _side(x, left, right, reach)
    down = _side(y, top, bottom, reach)
    return Grip(across, down)


def _side(at: float, first: float, last: float, reach: float) -> int:
    """Which of two sides is near: the nearer one if both are."""
    near = min((abs(at - first), -1), (abs(at - last), 1))
    return near[1] if near[0] <= reach else 0
