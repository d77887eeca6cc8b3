"""The open picture: takes settings and outcomes, and gives requests and texts.

change(state) -> plan -> desk -> workers -> outcome -> plan ... and `changed()` at every step
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pillow_mlic.format.container import is_mlic as is_mlic_file

from . import choices, jobs, words
from .curves import Curves
from .jobs import CodedPicture
from .matching import plan
from .pictures import Picture
from .rd_points import RdPoints
from .requests import Desk, Request, Workers
from .state import ORIGINAL, GoalKind, History, Lens, Match, State
from .worker import Ticket

LATER = 1
"""Priority of further measures: behind what the user waits for."""


class Session:
    """See the module. `changed` is called after every visible change, `say` with sentences for the
    user and whether they report a failure.
    """

    def __init__(
        self,
        workers: Workers,
        folder: Path,
        state: State,
        changed: Callable[[], None],
        say: Callable[[str, bool], None],
    ) -> None:
        self.workers = workers
        self.state = state
        self.picture: Picture | None = None
        self.opening: str | None = None
        self.requests: dict[int, Request | None] = {}
        self.shown: dict[int, CodedPicture] = {}
        self.failures: dict[int, str] = {}
        self.progress: dict[int, float] = {}
        self.points = RdPoints()
        self.desk = Desk(workers, folder, self._outcome, self._failure, self._progress)
        self.desk.cache.in_use = self.shown.values
        self.curves = Curves(self.desk, self.points, changed)
        self._changed = changed
        self._say = say
        self._history = History()
        self._opening: tuple[Ticket, bool] | None = None
        self._similarities: dict[Path, float | None] = {}
        self._similarity_tickets: dict[Path, Ticket] = {}
        self._bits: dict[Path, NDArray[np.float32] | None] = {}
        self._failed: dict[Request, str] = {}
        self.saves_running = 0

    # ---- pictures --------------------------------------------------------------------------------

    def open(self, source: Path | bytes, name: str | None = None) -> None:
        """Open a file, or the bytes of one; the newest call wins."""
        self.cancel_opening()
        name = name or (source.name if isinstance(source, Path) else "picture")
        self.opening = name
        neural = isinstance(source, Path) and source.suffix.lower() == ".mlic"

        def failed(reason: str) -> None:
            self.opening = self._opening = None
            self._say(f"{name}: {reason}", True)
            self._changed()

        worker = self.workers.neural if neural else self.workers.pictures
        target = self.desk.new_file()
        self._opening = (
            worker.submit(
                jobs.open_picture,
                priority=-1,
                done=self._opened,
                failed=failed,
                source=source,
                name=name,
                target=target,
            ),
            neural,
        )
        self._changed()

    def cancel_opening(self) -> None:
        """Stay with the picture that is shown."""
        if self._opening is not None:
            ticket, neural = self._opening
            (self.workers.neural if neural else self.workers.pictures).cancel(ticket)
            self.opening = self._opening = None
            self._changed()

    def _opened(self, picture: Picture) -> None:
        self.opening = self._opening = None
        self._forget()
        old = self.picture
        self.picture = picture
        self.state = self.state.without_files()
        for note in picture.notes:
            self._say(f"{picture.name}: {note}", False)
        self._replan()
        if old is not None:
            old.raster.delete()

    def _forget(self) -> None:
        self.curves.stop()
        for ticket in self._similarity_tickets.values():
            self.workers.pictures.cancel(ticket)
        self._similarity_tickets.clear()
        self._similarities.clear()
        self._bits.clear()
        self._failed.clear()
        self.shown.clear()
        self.points.clear()
        self.desk.want([])
        self.desk.cache.clear()

    # ---- settings --------------------------------------------------------------------------------

    def change(self, state: State, kind: str = "") -> None:
        """Take over new settings. Changes of one `kind` in a row are undone together."""
        if state != self.state:
            self._history.note(self.state, kind or str(object()))
            self._take(state)

    def undo(self) -> None:
        """Back to the settings before the last change."""
        self._take(self._history.undo(self.state) or self.state)

    def redo(self) -> None:
        """Take back the last undo."""
        self._take(self._history.redo(self.state) or self.state)

    def _take(self, state: State) -> None:
        self.state = state
        self._failed.clear()  # what failed with other settings may be tried again
        self._replan()

    # ---- requests and outcomes -------------------------------------------------------------------

    def _replan(self) -> None:
        """Compare what is wanted with what is there, and ask for the rest."""
        if self.picture is not None:
            picture = self.picture
            self.requests = plan(
                self.state,
                picture.raster,
                self.desk.cache.get,
                picture.metadata_bytes(self.state.keep_metadata),
            )
            self.failures.clear()
            for number, request in self.requests.items():
                coded = self.desk.cache.get(request) if request else None
                if coded is not None:
                    self.shown[number] = coded
                if request in self._failed:
                    self.failures[number] = self._failed[request]
            for number in list(self.shown):
                stale = self.shown[number].codec
                version = self.state.version(number)
                if version is None or version.codec != stale or number in self.failures:
                    del self.shown[number]
            wanted = [r for r in self.requests.values() if r and r not in self._failed]
            self.desk.want(wanted)
            self.progress = {
                number: self.progress.get(number, 0.0)
                for number, request in self.requests.items()
                if request in self.desk.progressing()
            }
            self._measure()
        self._changed()

    def _numbers(self, request: Request) -> list[int]:
        return [number for number, r in self.requests.items() if r == request]

    def _outcome(self, request: Request, coded: CodedPicture) -> None:
        if coded.codec != choices.FILE and not request.effort.refine:  # curves are of plain files
            self.points.add(coded.codec, coded.quality, coded.bpp, coded.psnr)
        for number in self._numbers(request):
            self.progress.pop(number, None)
        self._replan()

    def _failure(self, request: Request, reason: str) -> None:
        self._failed[request] = reason
        for number in self._numbers(request):
            self.progress.pop(number, None)
        self._replan()

    def _progress(self, request: Request, share: float) -> None:
        for number in self._numbers(request):
            self.progress[number] = share
        self._changed()

    def current(self, number: int) -> bool:
        """Whether the shown outcome of a version is the wanted one."""
        request = self.requests.get(number)
        coded = self.desk.cache.get(request) if request is not None else None
        return coded is not None and self.shown.get(number) is coded

    @property
    def busy(self) -> bool:
        """Whether anything shown is about to be replaced."""
        return self.opening is not None or any(
            request is not None and not self.current(number) and number not in self.failures
            for number, request in self.requests.items()
        )

    # ---- further measures ------------------------------------------------------------------------

    def _measure(self) -> None:
        """Request MS-SSIM of the shown versions, and bit maps if they are shown."""
        assert self.picture is not None
        current = {c.raster.path: c for n, c in self.shown.items() if self.current(n)}
        for path in list(self._similarity_tickets):
            if path not in current:
                self.workers.pictures.cancel(self._similarity_tickets.pop(path))
        for path, coded in current.items():
            if path not in self._similarities and path not in self._similarity_tickets:
                self._similarity_tickets[path] = self.workers.pictures.submit(
                    jobs.similarity,
                    priority=LATER,
                    done=partial(self._similar, path),
                    failed=partial(self._dissimilar, path),
                    first=self.picture.raster,
                    second=coded.raster,
                )
            if self.state.lens == Lens.BITS and self.has_bits(coded) and path not in self._bits:
                self._bits[path] = None
                self.workers.neural.submit(
                    jobs.bit_map,
                    priority=LATER,
                    done=partial(self._mapped, path),
                    failed=lambda reason: self._say(f"no bit map: {reason}", True),
                    data=coded.data,
                    device=self.state.device,
                )

    @staticmethod
    def has_bits(coded: CodedPicture) -> bool:
        """Whether a version has a bit map: .mlic files have."""
        return is_mlic_file(coded.data)

    def _similar(self, path: Path, value: float | None) -> None:
        self._similarity_tickets.pop(path, None)
        self._similarities[path] = value
        self._changed()

    def _dissimilar(self, path: Path, reason: str) -> None:
        del reason  # a dash says enough
        self._similar(path, None)

    def _mapped(self, path: Path, bits: NDArray[np.float32]) -> None:
        self._bits[path] = bits
        self._changed()

    def similarity(self, coded: CodedPicture) -> float | None:
        """MS-SSIM of a version, if it is known."""
        return self._similarities.get(coded.raster.path)

    def bits(self, number: int) -> NDArray[np.float32] | None:
        """The bit map of a version, if it is known."""
        coded = self.shown.get(number)
        return self._bits.get(coded.raster.path) if coded is not None else None

    def start_curves(self) -> None:
        """Measure every codec in use at its ladder of qualities, behind all other work."""
        if self.picture is not None:
            used = [v.codec for v in self.state.versions if v.path is None]
            self.curves.start(self.picture, used, self.state.device)

    # ---- saving ----------------------------------------------------------------------------------

    def can_save(self, number: int) -> bool:
        """Whether there is a file of that version at the wanted quality."""
        return number != ORIGINAL and self.current(number)

    def suggested_name(self, number: int) -> str:
        """A file name for a version: photo.mlic."""
        assert self.picture is not None
        coded = self.shown[number]
        version = self.state.version(number)
        if version is not None and version.path is not None:
            return Path(version.path).name
        return Path(self.picture.name).stem + choices.choice(coded.codec).suffix

    def save(self, number: int, target: Path) -> None:
        """Write a version as a file, with metadata if they are kept."""
        assert self.picture is not None
        coded = self.shown[number]
        is_file = coded.codec == choices.FILE
        request = self.requests.get(number)

        def done(size: int) -> None:
            self.saves_running -= 1
            self._say(f"Saved {target.name}: {words.bytes_text(size)}", False)
            self._changed()

        def failed(reason: str) -> None:
            self.saves_running -= 1
            self._say(f"{target.name} was not saved: {reason}", True)
            self._changed()

        self.saves_running += 1
        self.desk.worker_for(coded.codec).submit(
            jobs.save,
            priority=-1,
            done=done,
            failed=failed,
            source=self.picture.raster,
            coded=coded.data,
            codec=coded.codec,
            quality=coded.quality,
            device=self.state.device,
            metadata={} if is_file else self.picture.metadata(self.state.keep_metadata),
            target=target,
            effort=request.effort if request is not None else jobs.NO_EFFORT,
        )
        self._changed()

    # ---- words -----------------------------------------------------------------------------------

    def name(self, number: int) -> str:
        """What a version is called."""
        version = self.state.version(number)
        if version is None:
            return "Original"
        if version.path is not None:
            return Path(version.path).name
        return choices.choice(version.codec).label

    def waiting_words(self, number: int) -> str:
        """What is said over the original that stands in for a version: encoding .mlic, 34 %."""
        share = self.progress.get(number, 0.0)
        return f"Original – {self.name(number)} is at {share:.0%}"

    def headline(self) -> tuple[str, list[tuple[int, str]]]:
        """How the versions compare: "At the same 41 kB", and for each its number and words.

        While the reference is not known both are empty.
        """
        reference = self.shown.get(self.state.reference.number)
        if reference is None:
            return "", []
        parts = []
        for version in self.state.versions:
            coded = self.shown.get(version.number)
            if coded is not None and self.current(version.number):
                parts.append((version.number, self._comparison(coded, reference)))
        if self.state.match == Match.SIZE:
            return f"At the same {words.bytes_text(reference.size)}", parts
        if self.state.match == Match.PSNR:
            return f"At the same {words.psnr(reference.psnr)}", parts
        return "", parts

    def _comparison(self, coded: CodedPicture, reference: CodedPicture) -> str:
        size, psnr = words.bytes_text(coded.size), words.psnr(coded.psnr)
        if self.state.match == Match.SIZE:
            near = abs(coded.size - reference.size) <= 0.05 * reference.size
            return psnr if near else f"{psnr} at {size}"
        if self.state.match == Match.PSNR:
            near = abs(coded.psnr - reference.psnr) <= 0.3 or coded is reference
            return size if near else f"{size} at {psnr}"
        return f"{size}, {psnr}"

    def goal_words(self, number: int) -> str:
        """How a version's file was chosen: its quality, or the goal of the search."""
        version = self.state.version(number)
        if version is None or version.path is not None:
            return ""
        if number == self.state.reference.number or self.state.match == Match.FREE:
            goal = version.goal
            if goal.kind == GoalKind.MAX_BYTES:
                return f"at most {words.bytes_text(goal.value)}"
            if goal.kind == GoalKind.PSNR:
                return f"for {goal.value:g} dB"
            return ""
        return "same size" if self.state.match == Match.SIZE else "same PSNR"
