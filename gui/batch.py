"""Many files, one after another: what is waiting, done, failed and why, and how long it takes."""

import enum
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from PIL import Image

from pillow_mlic.conversion import InputFile, find, output_of
from pillow_mlic.files import bytes_text

from . import choices, file_jobs, words
from .file_jobs import Conversion, Converted
from .progress import LOADING, Stage
from .worker import Ticket, Worker

AT_ONCE = 64
"""Files that are measured in one job."""


class Status(enum.StrEnum):
    """How far one file is."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Existing(enum.StrEnum):
    """What to do if the file to be written exists already."""

    SKIP = "skip"
    REPLACE = "replace"
    KEEP_BOTH = "keep both"


@dataclass
class QueuedFile:
    """One file of the queue; sizes in bytes, progress 0..1."""

    file: InputFile
    status: Status = Status.WAITING
    target: Path | None = None
    progress: float = 0.0
    before: int = 0
    after: int = 0
    pixels: int = 0
    """0 while they are not known."""
    reason: str = ""
    """Why it was not written."""
    notes: tuple[str, ...] = ()
    """What was lost."""

    @property
    def source(self) -> Path:
        """The file that is converted."""
        return self.file.path


@dataclass(frozen=True)
class ConversionOrder(Conversion):
    """What to do with all of them. Without `folder` outputs lie beside their sources; `suffix` is
    added to their names."""

    folder: Path | None = None
    suffix: str = ""
    existing: Existing = Existing.SKIP


@dataclass
class Clock:
    """Time spent working, pauses left out."""

    now: Callable[[], float] = time.monotonic
    _spent: float = 0.0
    _since: float | None = field(default=None)

    def run(self, running: bool) -> None:
        """Go on, or stand."""
        if self._since is not None:
            self._spent += self.now() - self._since
        self._since = self.now() if running else None

    @property
    def seconds(self) -> float:
        """Spent so far."""
        return self._spent + (self.now() - self._since if self._since is not None else 0.0)


class Batch:
    """The queue. `changed` is called with the changed item, or None if the whole has changed."""

    def __init__(
        self,
        worker: Worker,
        changed: Callable[[QueuedFile | None], None],
        now: Callable[[], float] = time.monotonic,
        reader: Worker | None = None,
    ) -> None:
        self.items: list[QueuedFile] = []
        self.paused = False
        self.running = False
        self._worker = worker
        self._changed = changed
        self._now = now
        self._reader = reader
        """Tells how many pixels there are."""
        self._clock = Clock(now)
        self._order: ConversionOrder | None = None
        self._begun = 0.0
        """The share that was done when the work began, and what took no time since."""
        self._working = False
        """Whether pixels are being worked on: networks are loaded."""
        self._ticket: Ticket | None = None

    # ---- the list --------------------------------------------------------------------------------

    def add(self, paths: Iterable[Path]) -> int:
        """Add files, and those in folders, unless they are in the list; -> how many were new."""
        have = {item.source for item in self.items}
        fresh = [i for i in map(QueuedFile, expand(paths)) if i.source not in have]
        self.items += fresh
        for item in fresh:
            item.before = item.source.stat().st_size if item.source.is_file() else 0
        for start in range(0, len(fresh) if self._reader is not None else 0, AT_ONCE):
            self._measure(fresh[start : start + AT_ONCE])
        self._changed(None)
        return len(fresh)

    def _measure(self, items: list[QueuedFile]) -> None:
        """Find out how many pixels these have."""

        def done(pixels: list[int]) -> None:
            for item, count in zip(items, pixels, strict=True):
                item.pixels = count
            self._changed(None)

        assert self._reader is not None
        sources = [item.source for item in items]
        self._reader.submit(file_jobs.measure, priority=1, done=done, sources=sources)

    def remove(self, items: Iterable[QueuedFile]) -> None:
        """Take files that are not being worked on off the list."""
        gone = [item for item in items if item.status != Status.WORKING]
        self.items = [item for item in self.items if item not in gone]
        self._changed(None)

    def clear(self) -> None:
        """Empty the list, unless it is being worked on."""
        if not self.running:
            self.items.clear()
            self._changed(None)

    # ---- the work --------------------------------------------------------------------------------

    def start(self, order: ConversionOrder) -> None:
        """Work on all files that are not done in this way."""
        again = order != self._order
        self._order = order
        self._clock = Clock(self._now)
        for item in self.items:
            if again or item.status != Status.DONE:
                item.status, item.progress, item.reason = Status.WAITING, 0.0, ""
                item.notes = ()
        self.running, self.paused = True, False
        self._working = False
        self._begun = self.progress
        self._next()

    def pause(self, paused: bool) -> None:
        """Pause, even in the middle of a file, or go on."""
        if self.running and paused != self.paused:
            self.paused = paused
            self._clock.run(self._working and not paused)
            self._worker.pause(paused)
            self._changed(None)

    def cancel(self) -> None:
        """Stop; what is done stays done."""
        if not self.running:
            return
        self._worker.cancel(self._ticket)
        self._worker.pause(False)
        for item in self.items:
            if item.status in (Status.WAITING, Status.WORKING):
                item.status, item.progress = Status.CANCELLED, 0.0
        self._end()

    def _end(self) -> None:
        self.running = self.paused = False
        self._ticket = None
        self._clock.run(False)
        self._changed(None)

    def _next(self) -> None:
        order = self._order
        assert order is not None
        waiting = (item for item in self.items if item.status == Status.WAITING)
        known, all_of_it = self._pixels_a_byte, self._weights
        for item in waiting:
            target = self._target(item, order)
            if target is None:
                item.status = Status.SKIPPED
                item.reason = f"{item.target} is there already" if item.target else ""
                self._begun += self._weight(item, known) / all_of_it
                continue
            item.target, item.status = target, Status.WORKING
            self._ticket = self._worker.submit(
                file_jobs.convert,
                done=partial(self._done, item),
                failed=partial(self._failed, item),
                progress=partial(self._progress, item),
                source=item.source,
                how=order,
                target=target,
            )
            self._changed(None)
            return
        self._end()

    def _target(self, item: QueuedFile, order: ConversionOrder) -> Path | None:
        """Where to write; None if that exists already and is to be skipped."""
        suffix = choices.choice(order.codec).suffix
        target = output_of(item.file, order.folder, suffix)
        stem = target.stem + order.suffix
        target = item.target = target.with_name(stem + suffix)
        taken = {i.target for i in self.items if i is not item and i.status == Status.DONE}
        taken |= {i.source for i in self.items}
        if target in taken or order.existing == Existing.KEEP_BOTH:
            number = 2
            while target.exists() or target in taken:
                target = target.with_name(f"{stem} ({number}){suffix}")
                number += 1
            return target
        if target.exists() and order.existing == Existing.SKIP:
            return None
        return target

    def _done(self, item: QueuedFile, outcome: Converted) -> None:
        item.status, item.progress = Status.DONE, 1.0
        item.before, item.after, written, item.notes = outcome
        if not written:
            item.status = Status.SKIPPED
            item.reason = f"it would not be smaller: {bytes_text(item.after)}"
        self._changed(item)
        self._next()

    def _failed(self, item: QueuedFile, reason: str) -> None:
        item.status, item.reason, item.progress = Status.FAILED, reason, 0.0
        self._changed(item)
        self._next()

    def _progress(self, item: QueuedFile, stage: Stage) -> None:
        item.progress = stage.share
        working = stage.phase != LOADING
        if working != self._working:
            self._working = working
            self._clock.run(working and not self.paused)
        self._changed(item)

    # ---- where it stands -------------------------------------------------------------------------

    @property
    def progress(self) -> float:
        """Share of the work done, by pixels; by bytes as long as they are not known."""
        open_ = (Status.WAITING, Status.WORKING, Status.CANCELLED)
        known = self._pixels_a_byte
        done = (
            self._weight(item, known) * (item.progress if item.status in open_ else 1.0)
            for item in self.items
        )
        return sum(done) / self._weights if self.items else 0.0

    @property
    def _pixels_a_byte(self) -> float:
        """Of the files whose pixels are known; 1 if there are none."""
        measured = [item for item in self.items if item.pixels]
        have = sum(item.before for item in measured)
        return sum(item.pixels for item in measured) / have if have else 1.0

    @staticmethod
    def _weight(item: QueuedFile, pixels_a_byte: float) -> float:
        """How much work a file is."""
        return item.pixels or max(item.before * pixels_a_byte, 1.0)

    @property
    def _weights(self) -> float:
        known = self._pixels_a_byte
        return sum(self._weight(item, known) for item in self.items)

    @property
    def time_left(self) -> float | None:
        """Estimated seconds, from the speed so far; None while that is too short to tell."""
        share, spent = self.progress, self._clock.seconds
        if not self.running or share <= self._begun or spent < 1:
            return None
        return spent * (1 - share) / (share - self._begun)

    def of(self, status: Status) -> list[QueuedFile]:
        """Files with that status."""
        return [item for item in self.items if item.status == status]

    def summary(self) -> str:
        """The outcome in a sentence or two."""
        done = self.of(Status.DONE)
        if not self.items:
            return "Drop pictures or folders here."
        if not done and not self.running and not self.of(Status.FAILED):
            total = sum(item.before for item in self.items)
            return f"{_files(len(self.items))}, {bytes_text(total)}"
        before, after = (sum(getattr(i, name) for i in done) for name in ("before", "after"))
        parts = [f"{len(done)} of {_files(len(self.items))} done"]
        if done:
            saved = f"{bytes_text(abs(before - after))} {'saved' if after <= before else 'more'}"
            parts[0] += f": {bytes_text(before)} → {bytes_text(after)}, {saved}"
            parts[0] += f" ({words.change(before, after)})"
        if any(item.notes for item in done):
            parts.append(f"{sum(bool(item.notes) for item in done)} not whole")
        for status in (Status.SKIPPED, Status.FAILED, Status.CANCELLED):
            if self.of(status):
                parts.append(f"{len(self.of(status))} {status}")
        return "; ".join(parts)

    def report(self) -> str:
        """The summary, and every file that was not written, or not whole, with the reason."""
        lines = [self.summary()]
        told = ((i.source, "; ".join([i.reason, *i.notes]).strip("; ")) for i in self.items)
        lines += [f"{source}: {text}" for source, text in told if text]
        return "\n".join(lines)


def is_picture(path: Path) -> bool:
    """Whether a name ends as those of files do that Pillow reads."""
    Image.init()
    return path.suffix.lower() in Image.registered_extensions()


def expand(paths: Iterable[Path]) -> list[InputFile]:
    """Files, and the pictures in folders below.

    Files are taken as they are: a wrong one fails later with a reason.
    """
    Image.init()
    return find(paths, set(Image.registered_extensions()), strict=False)


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"
