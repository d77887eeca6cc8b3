"""The open picture, cut and resized: what is compared and saved instead of it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from . import jobs
from .pictures import Picture
from .raster import Raster
from .reshape import NO_RESHAPE, Reshape
from .worker import Ticket, Worker


class Reshaping:
    """`shown` is called with the picture in another shape, `say` with a failure."""

    def __init__(
        self,
        worker: Worker,
        new_file: Callable[[], Path],
        shown: Callable[[Picture], None],
        say: Callable[[str, bool], None],
    ) -> None:
        self.base: Picture | None = None
        """The picture as it was opened."""
        self.shape = NO_RESHAPE
        """What the picture that is shown is of it."""
        self._worker = worker
        self._new_file = new_file
        self._shown = shown
        self._say = say
        self._ticket: Ticket | None = None

    def begin(self, picture: Picture | None) -> None:
        """Another picture is open, or none."""
        self._worker.cancel(self._ticket)
        self._ticket = None
        self.base, self.shape = picture, NO_RESHAPE

    def start(self, shape: Reshape) -> None:
        """Have the picture in this shape; the newest call wins."""
        self._worker.cancel(self._ticket)
        self._ticket = None
        base = self.base
        if base is None or shape == self.shape:
            return
        if shape == NO_RESHAPE:
            self.shape = shape
            self._shown(base)
            return

        def done(raster: Raster) -> None:
            self.shape = shape
            self._shown(dataclasses.replace(base, raster=raster))

        self._ticket = self._worker.submit(
            jobs.reshape,
            priority=-1,
            done=done,
            failed=lambda reason: self._say(f"{base.name}: {reason}", True),
            source=base.raster,
            shape=shape,
            target=self._new_file(),
        )
