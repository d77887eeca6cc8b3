"""Files on their way to the disk, each with its progress, and their end in a sentence."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from . import words
from .file_jobs import Written
from .progress import JobProgress
from .worker import JobFunction, Ticket, Worker


class Saves:
    """`changed` is called at every step, `say` with the outcome and whether it is a failure."""

    def __init__(self, changed: Callable[[], None], say: Callable[[str, bool], None]) -> None:
        self.running: dict[Path, JobProgress] = {}
        self._tickets: dict[Path, tuple[Worker, Ticket]] = {}
        self._changed = changed
        self._say = say

    def start(
        self, worker: Worker, job: JobFunction, target: Path, before: int | None, **arguments: Any
    ) -> None:
        """Have a file written. `before`: bytes of the picture's own file, to compare with."""
        if target in self.running:
            self._say(f"{target.name} is being written already", True)
            return
        self.running[target] = JobProgress()
        ticket = worker.submit(
            job,
            priority=-1,
            done=partial(self._done, target, before),
            failed=partial(self._failed, target),
            progress=partial(self._heard, target),
            target=target,
            **arguments,
        )
        self._tickets[target] = worker, ticket
        self._changed()

    def stop(self) -> bool:
        """Write none of them; -> whether there was one."""
        stopped = list(self.running)
        for target in stopped:
            worker, ticket = self._tickets.pop(target)
            worker.cancel(ticket)
            del self.running[target]
            self._say(f"{target.name} was not saved: stopped", False)
        self._changed()
        return bool(stopped)

    def text(self) -> str:
        """Saving photo.mlic: writing, 40 %; nothing while nothing is saved."""
        return "; ".join(f"Saving {t.name}: {p.text()}" for t, p in self.running.items())

    def _heard(self, target: Path, stage: Any) -> None:
        self.running[target].hear(stage)
        self._changed()

    def _over(self, target: Path) -> None:
        del self.running[target], self._tickets[target]
        self._changed()

    def _done(self, target: Path, before: int | None, written: Written) -> None:
        size, note = written
        more = f", {words.change(before, size)} than the original" if before else ""
        larger = bool(before) and size > (before or 0)
        told = f"{words.bytes_text(size)}{more}" + (f"; {note}" if note else "")
        self._say(f"Saved {target.name}: {told}", larger)
        self._over(target)

    def _failed(self, target: Path, reason: str) -> None:
        self._say(f"{target.name} was not saved: {reason}", True)
        self._over(target)
