"""What is measured of versions after they are there: MS-SSIM, SSIMULACRA2, and bit maps if they are
shown."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pillow_mlic.format.container import is_mlic

from . import jobs, scoring
from .bitmap import BitMap
from .jobs import CodedPicture
from .raster import Raster
from .requests import Workers
from .scoring import Score
from .worker import JobFunction, Ticket, Worker

LATER = 1
"""Priority: behind what the user waits for."""
LAST = 2
"""Priority of what takes longest."""
MEASURES: dict[str, tuple[JobFunction, int]] = {
    "similarity": (jobs.similarity, LATER),
    "score": (scoring.score, LAST),
}
"""What is measured of a version and its original, and with which priority."""
Pairs = Iterable[tuple[Raster, CodedPicture]]


class Measures:
    """Kept by the file of a version's pixels. `changed` is called with every new one."""

    def __init__(
        self, workers: Workers, changed: Callable[[], None], say: Callable[[str, bool], None]
    ) -> None:
        self._workers = workers
        self._changed = changed
        self._say = say
        self._similarities: dict[Path, float | None] = {}
        self._scores: dict[Path, Score | None] = {}
        self._bits: dict[Path, BitMap | None] = {}
        self._tickets: dict[tuple[str, Path], tuple[Worker, Ticket]] = {}

    def want(self, pairs: Pairs) -> None:
        """MS-SSIM of these versions, each with its original, and of no others."""
        self._want("similarity", self._similarities, pairs)

    def want_scores(self, pairs: Pairs) -> None:
        """SSIMULACRA2 of these versions, each with its original, and of no others."""
        self._want("score", self._scores, pairs)

    def _want(self, kind: str, known: dict[Path, Any], pairs: Pairs) -> None:
        wanted = {coded.raster.path: (original, coded) for original, coded in pairs}
        for running, path in list(self._tickets):
            if running == kind and path not in wanted:
                self._cancel(kind, path)
        job, priority = MEASURES[kind]
        for path, (original, coded) in wanted.items():
            if path not in known and (kind, path) not in self._tickets:
                ticket = self._workers.pictures.submit(
                    job,
                    priority=priority,
                    done=partial(self._measured, kind, known, path),
                    failed=partial(self._unmeasured, kind, known, path),
                    first=original,
                    second=coded.raster,
                )
                self._tickets[kind, path] = self._workers.pictures, ticket

    def want_bits(self, versions: Iterable[CodedPicture], device: str | None) -> None:
        """Bit maps of those that have one."""
        for coded in versions:
            path = coded.raster.path
            if self.has_bits(coded) and path not in self._bits:
                self._bits[path] = None
                ticket = self._workers.neural.submit(
                    jobs.bit_map,
                    priority=LATER,
                    done=partial(self._mapped, path),
                    failed=lambda reason: self._say(f"no bit map: {reason}", True),
                    data=coded.data,
                    device=device,
                )
                self._tickets["bits", path] = self._workers.neural, ticket

    @staticmethod
    def has_bits(coded: CodedPicture) -> bool:
        """Whether a version has a bit map: .mlic files have."""
        return is_mlic(coded.data)

    def similarity(self, coded: CodedPicture) -> float | None:
        """MS-SSIM of a version, if it is known."""
        return self._similarities.get(coded.raster.path)

    def score(self, coded: CodedPicture) -> Score | None:
        """SSIMULACRA2 of a version, if it is known."""
        return self._scores.get(coded.raster.path)

    def bits(self, coded: CodedPicture) -> BitMap | None:
        """The bit map of a version, if it is known."""
        return self._bits.get(coded.raster.path)

    def stop(self) -> None:
        """Measure nothing more."""
        for kind, path in list(self._tickets):
            self._cancel(kind, path)
            if kind == "bits":
                self._bits.pop(path, None)

    def forget(self, versions: Iterable[CodedPicture]) -> None:
        """These will not be shown again."""
        for coded in versions:
            for known in (self._similarities, self._scores, self._bits):
                known.pop(coded.raster.path, None)

    def clear(self) -> None:
        """Stop, and forget all."""
        self.stop()
        self._similarities.clear()
        self._scores.clear()
        self._bits.clear()

    def _cancel(self, kind: str, path: Path) -> None:
        worker, ticket = self._tickets.pop((kind, path))
        worker.cancel(ticket)

    def _measured(self, kind: str, known: dict[Path, Any], path: Path, value: object) -> None:
        self._tickets.pop((kind, path), None)
        known[path] = value
        self._changed()

    def _unmeasured(self, kind: str, known: dict[Path, Any], path: Path, reason: str) -> None:
        del reason  # a dash, or nothing, says enough
        self._measured(kind, known, path, None)

    def _mapped(self, path: Path, bits: BitMap) -> None:
        self._tickets.pop(("bits", path), None)
        self._bits[path] = bits
        self._changed()
