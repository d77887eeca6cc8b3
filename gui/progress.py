"""How far a job is, in words, and how long it will take."""

import time
from collections.abc import Callable
from typing import NamedTuple

from . import words

LOADING = "loading the network"
SOON = 1.0
"""Seconds of work before the rest is estimated."""


class Stage(NamedTuple):
    """What a job reports: the share that is done, 0..1, and what it is doing."""

    share: float
    phase: str = ""


class JobProgress:
    """What was heard of one job. Loading a network does not count as work."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.share = 0.0
        self.phase = ""
        self._now = now
        self._since: float | None = None
        self._first = 0.0

    def hear(self, stage: Stage) -> None:
        """The job has reported."""
        if self._since is None or self.phase == LOADING:
            self._since, self._first = self._now(), stage.share
        self.share, self.phase = stage

    @property
    def started(self) -> bool:
        """Whether anything was heard."""
        return self._since is not None

    @property
    def seconds(self) -> float:
        """Spent on it so far."""
        return self._now() - self._since if self._since is not None else 0.0

    @property
    def left(self) -> float | None:
        """Estimated seconds, from the speed so far; None while that is too little to tell."""
        done = self.share - self._first
        if self.seconds < SOON or done <= 0 or self.phase == LOADING:
            return None
        return self.seconds * (1 - self.share) / done

    def text(self) -> str:
        """refining 3 of 30, 12 %, 40 s left; or the time spent, where nothing else is known."""
        parts = [self.phase or "working"]
        if self.share > 0:
            parts.append(f"{100 * self.share:.0f} %")
        if self.left is not None:
            parts.append(f"{words.duration(self.left)} left")
        elif self.phase != LOADING and self.seconds >= 2 * SOON:
            parts.append(f"for {words.duration(self.seconds)}")
        return ", ".join(parts)


def joint(works: "list[JobProgress]") -> tuple[float, float | None]:
    """Share and seconds left of jobs that run beside each other or wait: the slowest counts."""
    if not works:
        return 1.0, None
    left = [work.left for work in works if work.left is not None]
    return sum(work.share for work in works) / len(works), max(left, default=None)
