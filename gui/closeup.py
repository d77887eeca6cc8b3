"""The part in view of a large picture: cut out, encoded first and compared, the whole later."""

from collections.abc import Callable, Container

from pillow_mlic.format.geometry import Box

from . import jobs, parts
from .jobs import CodedPicture
from .matching import plan_part
from .parts import PartInView
from .pictures import Picture
from .requests import Desk, Request
from .state import State
from .worker import Ticket, Worker


class CloseUp:
    """`changed` is called when another part is there."""

    def __init__(self, worker: Worker, desk: Desk, changed: Callable[[], None]) -> None:
        self.part: PartInView | None = None
        self.requests: dict[int, Request] = {}
        self.shown: dict[int, CodedPicture] = {}
        self._worker = worker
        self._desk = desk
        self._changed = changed
        self._cutting: tuple[Box, Ticket] | None = None

    def look(self, picture: Picture, box: Box) -> None:
        """This part is in view; it is cut out, unless what is there shows the same."""
        there = self._cutting[0] if self._cutting else self.part.box if self.part else None
        if picture.pixels <= parts.LARGE or (there is not None and parts.shows(there, box)):
            return
        if self._cutting is not None:
            self._worker.cancel(self._cutting[1])
        ticket = self._worker.submit(
            jobs.cut,
            priority=-1,
            done=self._cut,
            source=picture.raster,
            box=box,
            target=self._desk.new_file(),
        )
        self._cutting = box, ticket

    def _cut(self, part: PartInView) -> None:
        self._cutting = None
        self._drop()
        self.part = part
        self._changed()

    @property
    def cutting(self) -> bool:
        """Whether a part is about to be there."""
        return self._cutting is not None

    def plan(self, state: State, picture: Picture) -> list[Request]:
        """What is wanted of the part, if there is one."""
        self.requests = {}
        if self.part is not None:
            known = self._desk.cache.get
            self.requests = plan_part(state, self.part.raster, picture.raster, known)
        found = {n: self._desk.cache.get(r) for n, r in self.requests.items()}
        kept = {n: c for n, c in self.shown.items() if n in self.requests}
        self.shown = kept | {n: c for n, c in found.items() if c is not None}
        return list(self.requests.values())

    def qualities(self, failed: Container[Request]) -> dict[int, float]:
        """Of the versions of the part, once all are there but those that failed."""
        there = {n: r for n, r in self.requests.items() if r not in failed}
        if any(self._desk.cache.get(request) is None for request in there.values()):
            return {}
        known = {number: self.shown[number].quality for number in there if number in self.shown}
        return {number: quality for number, quality in known.items() if quality is not None}

    def estimate(self, number: int, picture: Picture) -> int | None:
        """Bytes of the whole, if the part is like the rest."""
        coded = self.shown.get(number)
        return round(coded.bpp * picture.pixels / 8) if coded is not None else None

    def clear(self) -> None:
        """The picture is another."""
        if self._cutting is not None:
            self._worker.cancel(self._cutting[1])
            self._cutting = None
        self._drop()

    def _drop(self) -> None:
        if self.part is not None:
            self._desk.cache.drop(self.part.raster)
            self.part.raster.delete()
        self.part = None
        self.requests, self.shown = {}, {}
