"""The worker processes, and the way from their threads into the window's."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from ..worker import Worker


class Poster(QObject):
    """Runs what other threads post in the thread that it was made in."""

    _posted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._open = True
        self._posted.connect(self._run, Qt.ConnectionType.QueuedConnection)

    def post(self, work: Callable[[], None]) -> None:
        """From any thread."""
        if self._open:
            self._posted.emit(work)

    def close(self) -> None:
        """Whatever is still on its way is dropped."""
        self._open = False

    def _run(self, work: object) -> None:
        if self._open and callable(work):
            work()


class WorkerProcesses:
    """One process for pictures and measures, one for Pillow's codecs, one that runs networks.

    Others start when they are first needed, and load weights for themselves: two that make large
    pictures as a whole, so that the part in view need not wait for it; and one for batches, so that
    the window stays quick while hundreds of files are converted.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._poster = Poster()
        self._environ = dict(environ or {})
        self.pictures = self._worker(1.0)
        self.peers = self._worker(1.0)
        self.neural = self._worker(8.0)  # a new one would have to load weights again
        self.peers_whole = self._worker(1.0)
        self.neural_whole = self._worker(8.0)
        self._batch: Worker | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="mlic-view-", ignore_cleanup_errors=True)

    @property
    def folder(self) -> Path:
        """The folder for files of pixels; it is removed when the program ends."""
        return Path(self._folder.name)

    @property
    def batch(self) -> Worker:
        """The worker for batches."""
        if self._batch is None:
            self._batch = self._worker(8.0)
        return self._batch

    def _worker(self, patience: float) -> Worker:
        return Worker(self._poster.post, environ=self._environ, patience=patience)

    def close(self) -> None:
        """End all processes."""
        self._poster.close()
        whole = (self.peers_whole, self.neural_whole)
        for worker in (self.pictures, self.peers, self.neural, *whole, self._batch):
            if worker is not None:
                worker.close()
        self._folder.cleanup()
