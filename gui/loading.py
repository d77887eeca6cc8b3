"""The network is loaded before it is needed."""

from collections.abc import Callable
from typing import Any

from . import jobs
from .measures import LATER
from .progress import JobProgress, Stage
from .worker import Worker


class NetworkLoading:
    """What drafts need first, the rest later. `changed` is called at every step, `say` with a
    failure."""

    def __init__(
        self, worker: Worker, changed: Callable[[], None], say: Callable[[str, bool], None]
    ) -> None:
        self.progress: JobProgress | None = None
        """While it is loaded."""
        self._worker = worker
        self._changed = changed
        self._say = say

    def start(self, codec: str, device: str | None, ready: Callable[[list[str]], None]) -> None:
        """Load; `ready` is called with the devices there are."""
        progress = self.progress = JobProgress()
        model: dict[str, Any] = {"codec": codec, "device": device}

        def done(devices: list[str]) -> None:
            self.progress = None
            ready(devices)
            self._changed()
            self._worker.submit(jobs.warm_up, priority=LATER, **model)

        def failed(reason: str) -> None:
            self.progress = None
            self._say(f".mlic cannot be used: {reason}", True)
            self._changed()

        def heard(stage: Stage) -> None:
            progress.hear(stage)
            self._changed()

        self._worker.submit(
            jobs.warm_up,
            priority=-2,
            done=done,
            failed=failed,
            progress=heard,
            draft=True,
            **model,
        )
