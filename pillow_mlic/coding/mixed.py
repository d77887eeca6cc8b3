"""How large the tiles of a picture are that may get both kinds, learned and lossless."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..format.tiles import LosslessTile
from .content import DrawnParts
from .encoder import Encoded
from .work import Progress

SMALLER = (256, 128)
"""Sides of tiles that are tried after the usual one, so that a page with a photograph in it gets
both kinds."""


class Sided(NamedTuple):
    """A picture that was encoded in tiles of some side."""

    side: int
    encoded: Encoded


def sides_for(tile: int, content: DrawnParts) -> list[int]:
    """The sides to try for a picture of this content where `tile` is the usual one.

    Where all is drawn, smaller tiles would only be dearer.
    """
    if content.drawn.all():
        return [tile]
    return [tile, *(side for side in SMALLER if side < min(tile, max(content.image.size)))]


def best_side(
    sides: Sequence[int],
    encode: Callable[[int, Progress], Encoded],
    progress: Progress | None = None,
) -> Sided:
    """The side of `sides` that costs least; the first of those that cost the same.

    Where no tile of a smaller side is better without loss, still smaller ones are not tried.
    """
    best: Sided | None = None
    for number, side in enumerate(sides):

        def tell(share: float, number: int = number) -> None:
            if progress is not None:
                progress((number + share) / len(sides))

        tried = Sided(side, encode(side, tell))
        if best is None or tried.encoded.cost < best.encoded.cost:
            best = tried
        if number and not any(isinstance(tile, LosslessTile) for tile in tried.encoded.tiles):
            break
    if progress is not None:
        progress(1.0)
    assert best is not None
    return best
