"""What is made of a picture, and in which order: of a large one the part in view goes first."""

from collections.abc import Container

from .closeup import CloseUp
from .matching import plan
from .pictures import Picture
from .requests import Desk, Request
from .state import State


class Precedence:
    """The whole of a large picture begins after the part in view; once it has, other parts are
    made beside it."""

    def __init__(self, desk: Desk, closeup: CloseUp) -> None:
        self.begun = False
        """Whether the whole of a large picture is being made."""
        self._desk = desk
        self._closeup = closeup
        self._first: Request | None = None
        """What the reference is to be."""
        self._starts: dict[int, float] = {}
        """Qualities of a large picture's versions until they are matched: those of a part of it."""

    def clear(self) -> None:
        """The picture is another."""
        self._first, self._starts, self.begun = None, {}, False

    def plan(
        self, state: State, picture: Picture, failed: Container[Request]
    ) -> dict[int, Request]:
        """What is wanted of the whole."""
        metadata_bytes = picture.metadata_bytes(state.keep_metadata)
        known = self._desk.cache.get
        wanted = plan(state, picture.raster, known, metadata_bytes, starts=self._starts)
        if wanted[state.reference.number] != self._first:
            self._first = wanted[state.reference.number]
            self._starts, self.begun = {}, False
        elif not self._starts and not self.begun:
            self._closeup.plan(state, picture)
            self._starts = self._closeup.qualities(failed)
        return plan(state, picture.raster, known, metadata_bytes, starts=self._starts)

    def ordered(
        self,
        whole: dict[int, Request],
        state: State,
        picture: Picture,
        failed: Container[Request],
    ) -> list[Request]:
        """Those requests for the `whole` that are to be met now, behind those for the part."""
        wanted = [r for r in whole.values() if r not in failed]
        missing = any(self._desk.cache.get(r) is None for r in wanted)
        if self._closeup.cutting and not self.begun:
            return []
        part: list[Request] = []
        if missing:
            part = self._closeup.plan(state, picture)
            part = [r for r in part if r not in failed]
        if any(self._desk.cache.get(r) is None for r in part) and not self.begun:
            return part
        self.begun = bool(part)
        return part + wanted
