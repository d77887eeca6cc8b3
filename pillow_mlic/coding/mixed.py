"""How large the tiles of a picture are that may get both kinds, learned and lossless."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from .encoder import Encoded
from .work import Progress

SMALLER = (256, 128)
"""Sides of tiles that are tried after the usual one, so that a page with a photograph in it gets
both kinds."""


class Sided(NamedTuple):
    """A picture that was encoded in tiles of some side."""

    side: int
    encoded: Encoded


def sides_for(tile: int, size: tuple[int, int]) -> list[int]:
    """The sides to try for a picture of `size` where `tile` is the usual one."""
    return [tile, *(side for side in SMALLER if side < min(tile, max(size)))]


def best_side(
    sides: Sequence[int],
    encode: Callable[[int, Progress], Encoded],
    progress: Progress | None = None,
) -> Sided:
    """The first of `sides`, or a later one as long as each costs less than the one before it.

    A picture that is all lossless in large tiles has no photograph worth a tile of its own.
    """
    best: Sided | None = None
    for number, side in enumerate(sides):

        def tell(share: float, number: int = number) -> None:
            if progress is not None:
                progress((number + share) / len(sides))

        tried = Sided(side, encode(side, tell))
        if best is not None and tried.encoded.cost >= best.encoded.cost:
            break
        best = tried
        if not best.encoded.payloads:
            break
    if progress is not None:
        progress(1.0)
    assert best is not None
    return best
