"""The open picture: takes settings and outcomes, and gives requests and texts.

change(state) -> plan -> desk -> workers -> outcome -> plan ... and `changed()` at every step
"""

from collections.abc import Callable
from pathlib import Path

from pillow_mlic.format.geometry import Box

from . import choices
from .bitmap import BitMap
from .blind import BlindTest
from .closeup import CloseUp
from .curves import Curves
from .jobs import CodedPicture
from .loading import NetworkLoading
from .measures import Measures
from .opening import BrokenFile, PictureOpener
from .pictures import Picture
from .precedence import Precedence
from .progress import JobProgress, Stage
from .raster import Raster
from .rd_points import RdPoints
from .requests import Desk, Request, Workers
from .reshaping import Reshaping
from .saves import Saves
from .state import ORIGINAL, History, Lens, State

STOPPED = "stopped; F5 starts it again"


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
        self.broken: BrokenFile | None = None
        """What was asked for instead of `picture`, and cannot be read."""
        self.next_file: Callable[[], Path | None] = lambda: None
        """Which file is likely to be asked for next."""
        self.comparing = True
        """Whether versions are made; not of a .mlic file until that is asked for."""
        self.requests: dict[int, Request] = {}
        self.shown: dict[int, CodedPicture] = {}
        self.failures: dict[int, str] = {}
        self.progress: dict[int, JobProgress] = {}
        self.points = RdPoints()
        self.blind: BlindTest | None = None
        """While versions are shown without their names."""
        self.desk = Desk(workers, folder, self._outcome, self._failure, self._progress)
        self.desk.cache.in_use = self.shown.values
        self.closeup = CloseUp(workers.pictures, self.desk, self._replan)
        self._order = Precedence(self.desk, self.closeup)
        self.curves = Curves(self.desk, self.points, changed)
        self._changed = changed
        self.say = say
        self._history = History()
        self.reshaping = Reshaping(workers.pictures, self.desk.new_file, self._reshaped, say)
        self._opening = PictureOpener(
            self.desk, workers.pictures, self._opened, self._cannot_open, self._drop
        )
        self.measures = Measures(workers, changed, say)
        self.saves = Saves(changed, say)
        self._network = NetworkLoading(workers.neural, changed, say)
        self._failed: dict[Request, str] = {}

    # ---- pictures --------------------------------------------------------------------------------

    @property
    def opening(self) -> str | None:
        """The name of the picture that is being opened."""
        return self._opening.name

    def open(self, source: Path | bytes, name: str | None = None) -> None:
        """Open a file, or the bytes of one; the newest call wins."""
        name = name or (source.name if isinstance(source, Path) else "picture")
        self._opening.open(source, name)
        self._changed()

    def cancel_opening(self) -> None:
        """Stay with the picture that is shown."""
        self._opening.cancel()
        self._changed()

    def _opened(self, picture: Picture) -> None:
        self._begin(picture)
        self.comparing = not picture.coded
        self.state = self.state.without_files()
        for note in picture.notes:
            self.say(f"{picture.name}: {note}", False)
        self._replan()
        self._opening.read_ahead(self.next_file())

    def _cannot_open(self, broken: BrokenFile) -> None:
        self._begin(None)
        self.broken = broken
        self._opening.read_ahead(self.next_file())
        self._changed()

    def _begin(self, picture: Picture | None) -> None:
        """Another picture is open."""
        before = self.reshaping.base
        self.reshaping.begin(picture)
        self._turn_to(picture)
        if before is not None and before is not picture and not self._opening.shelf.holds(before):
            self._drop(before)

    def _reshaped(self, picture: Picture) -> None:
        self._turn_to(picture)
        self._replan()

    def _turn_to(self, picture: Picture | None) -> None:
        """Leave a picture; what is known of it stays if it is kept."""
        self.curves.stop()
        self.measures.stop()
        self.closeup.clear()
        self._order.clear()
        for kept in (
            self._failed,
            self.shown,
            self.requests,
            self.failures,
            self.progress,
        ):
            kept.clear()
        self.desk.want([])
        old, self.picture, self.broken = self.picture, picture, None
        self.points.turn_to(picture.raster.path if picture is not None else None)
        kept_on = old is self.reshaping.base or old is picture
        if old is not None and not kept_on and not self._opening.shelf.holds(old):
            self._drop(old)

    def _drop(self, picture: Picture) -> None:
        """Forget a picture, and all that was made of it."""
        self.measures.forget(self.desk.cache.drop(picture.raster))
        self.points.forget(picture.raster.path)
        picture.raster.delete()

    def reread(self) -> bool:
        """Read the picture's file again if it has changed, or could not be read; -> whether."""
        if self.broken is not None and self.broken.path is not None:
            self.open(self.broken.path)
            return True
        path = self.picture.path if self.picture is not None else None
        if path is None or not path.is_file() or self._opening.shelf.get(path) is not None:
            return False
        self.open(path)
        return True

    def close(self) -> None:
        """Stop all work, and forget all pictures."""
        self._opening.close()
        self._begin(None)
        self.measures.clear()
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
            self.requests = self._plan(self.picture)
            self.failures.clear()
            for number, request in self.requests.items():
                coded = self.desk.cache.get(request)
                if coded is not None:
                    self.shown[number] = coded
                if request in self._failed:
                    self.failures[number] = self._failed[request]
            for number in list(self.shown):
                stale = self.shown[number].codec
                version = self.state.version(number)
                failed = self.failures.get(number, STOPPED) != STOPPED
                if version is None or version.codec != stale or failed:
                    del self.shown[number]
            self.desk.want(
                self._order.ordered(self.requests, self.state, self.picture, self._failed)
            )
            self.progress = {
                number: self.progress.get(number) or JobProgress()
                for number, request in self.requests.items()
                if request in self.desk.progressing()
            }
            self._measure()
        self._changed()

    def _plan(self, picture: Picture) -> dict[int, Request]:
        return self._order.plan(self.state, picture, self._failed) if self.comparing else {}

    def look(self, box: Box) -> None:
        """This part of the picture is in view: if it is large, this is encoded first."""
        if self.picture is not None and self.comparing and self._unfinished():
            self.closeup.look(self.picture, box)
            if self.closeup.cutting and not self._order.begun:
                self._replan()  # what was begun of the whole waits

    def part_of(self, number: int) -> CodedPicture | None:
        """A version of the part in view, where the whole is not there yet."""
        return None if number in self.shown else self.closeup.shown.get(number)

    def compare(self) -> None:
        """Make versions of a .mlic file, too."""
        self.comparing = True
        self._replan()

    def _numbers(self, request: Request) -> list[int]:
        return [number for number, r in self.requests.items() if r == request]

    def _outcome(self, request: Request, coded: CodedPicture) -> None:
        assert self.picture is not None
        plain = coded.codec != choices.FILE and not request.effort.refine
        if plain and request.source == self.picture.raster:  # curves are of plain, whole files
            self.points.add(coded.codec, coded.quality, coded.bpp, coded.psnr)
        for number in self._numbers(request):
            self.progress.pop(number, None)
        self._replan()

    def _failure(self, request: Request, reason: str) -> None:
        self._failed[request] = reason
        for number in self._numbers(request):
            self.progress.pop(number, None)
        self._replan()

    def _progress(self, request: Request, stage: Stage) -> None:
        for number in self._numbers(request):
            self.progress[number].hear(stage)
        self._changed()

    def warm_up(self, ready: Callable[[list[str]], None]) -> None:
        """Load the model before it is needed; `ready` is called with the devices there are."""
        self._network.start(self.state.reference.codec, self.state.device, ready)

    # ---- stopping --------------------------------------------------------------------------------

    def stop(self) -> bool:
        """Stop the nearest thing that runs: opening, saving, encoding, measuring.

        -> whether there was any. What was stopped starts again with other settings, or `resume`.
        """
        if self.opening is not None:
            self.cancel_opening()
            return True
        if self.saves.running:
            return self.saves.stop()
        unfinished = self._unfinished()
        self._failed |= dict.fromkeys(self.closeup.requests.values(), STOPPED)
        for number in unfinished:
            self.stop_version(number)
        if unfinished or not self.curves.left:
            return bool(unfinished)
        self.curves.stop()
        self._changed()
        return True

    def stop_version(self, number: int) -> None:
        """Stop making one version."""
        request = self.requests.get(number)
        if request is not None and not self.current(number):
            self._failed[request] = STOPPED
            self._replan()

    def resume(self) -> None:
        """Try again what failed or was stopped."""
        self._failed.clear()
        self._replan()

    def current(self, number: int) -> bool:
        """Whether the shown outcome of a version is the wanted one."""
        request = self.requests.get(number)
        coded = self.desk.cache.get(request) if request is not None else None
        return coded is not None and self.shown.get(number) is coded

    @property
    def loading(self) -> bool:
        """Whether the network is being loaded."""
        return self._network.progress is not None

    @property
    def busy(self) -> bool:
        """Whether anything shown is about to be replaced."""
        return self.opening is not None or bool(self._unfinished())

    def _unfinished(self) -> list[int]:
        return [
            number
            for number, request in self.requests.items()
            if request is not None and not self.current(number) and number not in self.failures
        ]

    # ---- further measures ------------------------------------------------------------------------

    def _measure(self) -> None:
        """Request MS-SSIM of the shown versions, SSIMULACRA2 once all are there, and bit maps if
        they are shown."""
        assert self.picture is not None
        original = self.picture.raster
        current = [coded for number, coded in self.shown.items() if self.current(number)]
        whole = [(original, coded) for coded in current]
        unfinished, part = self._unfinished(), self.closeup.part
        parts = list(self.closeup.shown.values()) if part is not None and unfinished else []
        self.measures.want(whole + [(part.raster, coded) for coded in parts if part is not None])
        self.measures.want_scores([] if unfinished else whole)
        if self.state.lens == Lens.BITS:
            self.measures.want_bits(current, self.state.device)

    def bits(self, number: int) -> BitMap | None:
        """The bit map of a version, if it is known."""
        coded = self.shown.get(number)
        return self.measures.bits(coded) if coded is not None else None

    def start_curves(self) -> None:
        """Measure every codec in use at its ladder of qualities, behind all other work."""
        if self.picture is not None and self.comparing:
            used = [v.codec for v in self.state.versions if v.path is None]
            self.curves.start(self.picture, used, self.state.device)

    # ---- saving ----------------------------------------------------------------------------------

    def can_save(self, number: int) -> bool:
        """Whether there is a file of that version at the wanted quality."""
        return number != ORIGINAL and self.current(number)

    def raster(self, number: int) -> Raster | None:
        """The pixels of a version, or of the original, if they are there."""
        if number == ORIGINAL:
            return self.picture.raster if self.picture is not None else None
        coded = self.shown.get(number)
        return coded.raster if coded is not None else None

    # ---- words -----------------------------------------------------------------------------------

    def name(self, number: int) -> str:
        """What a version is called."""
        version = self.state.version(number)
        if version is None:
            return "Original"
        if version.path is not None:
            return Path(version.path).name
        return choices.choice(version.codec).label
