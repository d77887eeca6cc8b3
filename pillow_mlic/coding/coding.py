"""The one value that says how a picture is coded. Saving makes it from options, opening from a
header."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..engines import Needs, engine_for
from ..engines.base import Engine
from ..format.geometry import Grid
from ..format.header import ARITHMETIC_INTEGER
from ..settings import whole

if TYPE_CHECKING:
    from ..format.container import Header
    from ..packs import Pack


@dataclass(frozen=True)
class Coding:
    """How a picture is coded. A search makes one per trial by `dataclasses.replace`."""

    pack: "Pack"
    quality: float
    """1 to 8, as a header can say it."""
    tile: int
    """Side of a tile in pixels."""
    guard: float | None
    """Guard band of the entropy part's decisions, relative to the scale; None: it decides in
    integers."""
    engine: Engine

    @classmethod
    def of_header(cls, header: "Header", pack: "Pack", engine: Engine) -> "Coding":
        """The coding of a file with this header; DecodeError where the pack lacks its integers."""
        guard = None if header.arithmetic == ARITHMETIC_INTEGER else header.guard
        if guard is None:
            pack.need_integers()
        return cls(pack, header.quality, header.tile_size, guard, engine)

    def grid(self, size: tuple[int, int]) -> Grid:
        """The tiles of a picture of `size` (width, height)."""
        return Grid(*size, self.tile)

    def on_cpu(self) -> "Coding":
        """The same on the CPU."""
        needs = Needs(gradients=True, floats=self.guard is not None)
        return replace(self, engine=engine_for(self.pack, "cpu", needs))


def checked_slices(slices: object, coding: Coding) -> int:
    """ValueError where the weights do not have so many slices."""
    most = coding.engine.slices
    count = whole(slices)
    if count is None or not 0 <= count <= most:
        msg = f"slices is {slices!r}, but {coding.pack.file.model} has {most}: give 0 to {most}"
        raise ValueError(msg)
    return count
