"""Points of rate and distortion that are measured only for the chart."""

from collections.abc import Callable, Iterable

from pillow_mlic.evaluation import codecs

from . import jobs
from .pictures import Picture
from .rd_points import RdPoints
from .requests import Desk
from .worker import Ticket

LAST = 2
"""Priority behind everything else."""


class Curves:
    """Measures codecs at their ladders of qualities. `changed` is called at every step."""

    def __init__(self, desk: Desk, points: RdPoints, changed: Callable[[], None]) -> None:
        self._desk = desk
        self._points = points
        self._changed = changed
        self._tickets: list[tuple[str, Ticket]] = []
        self._all = 0

    @property
    def share(self) -> float:
        """The part of the points that is measured, 0..1."""
        return 1 - self.left / max(self._all, 1)

    @property
    def left(self) -> int:
        """Points that are still to come."""
        return len(self._tickets)

    def start(self, picture: Picture, used: Iterable[str], device: str | None) -> None:
        """Measure a picture with these codecs; points that are known are not repeated."""
        for codec in dict.fromkeys(used):
            for quality in codecs.create(codec).settings:
                if not self._points.has(codec, float(quality)):
                    self._start_point(picture, codec, float(quality), device)
        self._all = len(self._tickets)
        self._changed()

    def _start_point(
        self, picture: Picture, codec: str, quality: float, device: str | None
    ) -> None:
        def done(found: tuple[int, float]) -> None:
            size, psnr = found
            self._points.add(codec, quality, 8 * size / picture.pixels, psnr)
            over("")

        def over(_: str) -> None:
            self._tickets = [(c, t) for c, t in self._tickets if not t.finished]
            self._changed()

        ticket = self._desk.worker_for(codec).submit(
            jobs.point,
            priority=LAST,
            done=done,
            failed=over,
            source=picture.raster,
            codec=codec,
            quality=quality,
            device=device,
        )
        self._tickets.append((codec, ticket))

    def stop(self) -> None:
        """No further points."""
        tickets, self._tickets = self._tickets, []
        for codec, ticket in tickets:
            self._desk.worker_for(codec).cancel(ticket)
