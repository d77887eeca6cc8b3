"""Pictures on their way in: read by a worker, kept for going back, and the next one read ahead."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from . import jobs
from .pictures import Picture
from .requests import Desk
from .worker import Ticket, Worker

AHEAD = 1
"""Priority of a picture that is not asked for yet."""


class FileStamp(NamedTuple):
    """What changes when a file is written: time in nanoseconds, and bytes."""

    modified: int
    size: int


class BrokenFile(NamedTuple):
    """A picture that could not be read, and why."""

    name: str
    path: Path | None
    reason: str


def stamp_of(path: Path) -> FileStamp | None:
    """The stamp of a file; None if it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return FileStamp(found.st_mtime_ns, found.st_size)


class Shelf:
    """Pictures that were opened from files, the least recently used dropped.

    `drop` is called with every picture that leaves.
    """

    def __init__(
        self, drop: Callable[[Picture], None], most: int = 12, most_bytes: int = 1_500_000_000
    ) -> None:
        self._kept: OrderedDict[Path, tuple[FileStamp, Picture]] = OrderedDict()
        self._drop = drop
        self._most = most
        self._most_bytes = most_bytes

    def put(self, picture: Picture, stamp: FileStamp) -> None:
        """Keep a picture, as its file was then."""
        assert picture.path is not None
        self.remove(picture.path)
        self._kept[picture.path] = stamp, picture
        while len(self._kept) > self._most or (
            len(self._kept) > 2 and self._bytes > self._most_bytes
        ):
            self.remove(next(iter(self._kept)))

    def get(self, path: Path) -> Picture | None:
        """The picture of a file that has not changed since."""
        if path not in self._kept:
            return None
        stamp, picture = self._kept[path]
        if stamp != stamp_of(path):
            return None
        self._kept.move_to_end(path)
        return picture

    def holds(self, picture: Picture) -> bool:
        """Whether that picture is kept."""
        return any(kept is picture for _, kept in self._kept.values())

    def remove(self, path: Path) -> None:
        """Keep the picture of a file no longer."""
        if path in self._kept:
            self._drop(self._kept.pop(path)[1])

    def clear(self) -> None:
        """Keep none."""
        for path in list(self._kept):
            self.remove(path)

    @property
    def _bytes(self) -> int:
        return sum(picture.raster.bytes for _, picture in self._kept.values())


class _Reading(NamedTuple):
    """A picture that a worker is reading."""

    source: Path | bytes
    worker: Worker
    ticket: Ticket


class PictureOpener:
    """`opened` is called with the picture that was asked for last, `failed` with one that cannot be
    read, `drop` with pictures that are kept no longer."""

    def __init__(
        self,
        desk: Desk,
        pictures: Worker,
        opened: Callable[[Picture], None],
        failed: Callable[[BrokenFile], None],
        drop: Callable[[Picture], None],
    ) -> None:
        self.name: str | None = None
        """Of the picture that is being opened."""
        self.shelf = Shelf(drop)
        self._desk = desk
        self._pictures = pictures
        self._opened = opened
        self._failed = failed
        self._reading: _Reading | None = None
        self._ahead: _Reading | None = None

    def open(self, source: Path | bytes, name: str) -> None:
        """Have a picture read, unless it is kept; the newest call wins."""
        self.cancel()
        kept = self.shelf.get(source) if isinstance(source, Path) else None
        if kept is not None:
            self._opened(kept)
            return
        self.name = name
        if self._ahead is not None and self._ahead.source == source:
            self._reading, self._ahead = self._ahead, None
        else:
            self._reading = self._read(source, name, priority=-1)

    def cancel(self) -> None:
        """Stay with the picture that is shown."""
        if self._reading is not None:
            self._reading.worker.cancel(self._reading.ticket)
        self._reading = self.name = None

    def read_ahead(self, path: Path | None) -> None:
        """This picture is likely to be asked for next; None: none is."""
        if self._ahead is not None:
            if self._ahead.source == path:
                return
            self._ahead.worker.cancel(self._ahead.ticket)
            self._ahead = None
        reading = self._reading is not None and self._reading.source == path
        if path is not None and not reading and path.is_file() and self.shelf.get(path) is None:
            self._ahead = self._read(path, path.name, AHEAD)

    def close(self) -> None:
        """Read nothing, keep nothing."""
        self.cancel()
        self.read_ahead(None)
        self.shelf.clear()

    def _read(self, source: Path | bytes, name: str, priority: int) -> _Reading:
        path = source if isinstance(source, Path) else None
        stamp = stamp_of(path) if path is not None else None

        def done(picture: Picture) -> None:
            if path is not None and stamp is not None:
                self.shelf.put(picture, stamp)
            if self._over(source):
                self._opened(picture)

        def failed(reason: str) -> None:
            if self._over(source):
                self._failed(BrokenFile(name, path, reason))

        worker = self._desk.reader_for(path) if path is not None else self._pictures
        arguments: dict[str, Any] = {"source": source, "name": name}
        ticket = worker.submit(
            jobs.open_picture,
            priority=priority,
            done=done,
            failed=failed,
            target=self._desk.new_file(),
            **arguments,
        )
        return _Reading(source, worker, ticket)

    def _over(self, source: Path | bytes) -> bool:
        """A picture is read, or cannot be; -> whether it was asked for."""
        if self._reading is not None and self._reading.source == source:
            self._reading = self.name = None
            return True
        self._ahead = None
        return False
