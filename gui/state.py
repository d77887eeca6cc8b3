"""The user's settings as one immutable value: a change makes a new one.

So undo is a list, requests can be compared with the current wishes, and settings are JSON.
"""

import dataclasses
import enum
from dataclasses import dataclass
from typing import Any

from pillow_mlic.evaluation.codecs import is_mlic

from . import choices

ORIGINAL = 0
"""The number that stands for the original among the versions of a picture."""
MAX_PANES = 4
GAINS = (1, 2, 4, 8, 16, 32)
REFINEMENTS = (0, 30, 100, 300)
"""Steps in which .mlic files can be refined."""
TEXTURES = (0.0, "auto", 0.25, 0.5, 0.75, 1.0)
"""Strengths of texture of .mlic files; "auto": as it suits the picture."""


class GoalKind(enum.StrEnum):
    """What a codec's quality must meet."""

    QUALITY = "quality"
    MAX_BYTES = "max-bytes"
    NEAR_BYTES = "near-bytes"
    PSNR = "psnr"


@dataclass(frozen=True)
class Goal:
    """A quality, or what to search one for: bytes at most, bytes about, or PSNR in dB."""

    kind: GoalKind
    value: float


class Layout(enum.StrEnum):
    """How versions share the window."""

    SPLIT = "split"
    SIDE = "side"
    FLICKER = "flicker"


class Lens(enum.StrEnum):
    """What is shown of the versions: picture, difference or bit map."""

    PICTURE = "picture"
    DIFFERENCE = "difference"
    BITS = "bits"


class Match(enum.StrEnum):
    """What the codecs share: the size or the PSNR of the reference, or nothing."""

    SIZE = "size"
    PSNR = "psnr"
    FREE = "free"


class FolderOrder(enum.StrEnum):
    """How the pictures of a folder follow each other."""

    NAME = "name"
    DATE = "date"


class Theme(enum.StrEnum):
    """Colours of the window."""

    SYSTEM = "system"
    LIGHT = "light"
    DARK = "dark"


@dataclass(frozen=True)
class Version:
    """One way to keep the picture. `path` is set for a file of the user's (codec "file")."""

    number: int
    codec: str
    goal: Goal
    path: str | None = None


@dataclass(frozen=True)
class State:
    """All settings.

    `slots` are the numbers of the versions in panes A, B, C and D; the first two are the sides of
    the split view and of flicker, the first `panes` are shown side by side.
    """

    versions: tuple[Version, ...]
    slots: tuple[int, int, int, int]
    selected: int
    panes: int = 2
    layout: Layout = Layout.SPLIT
    lens: Lens = Lens.PICTURE
    match: Match = Match.SIZE
    gain: int = 8
    device: str | None = None
    refine: int = 0
    texture: float | str = 0.0
    keep_metadata: bool = True
    published: bool = True
    theme: Theme = Theme.SYSTEM
    order: FolderOrder = FolderOrder.NAME

    def version(self, number: int) -> Version | None:
        """The version of that number; None for the original and for one that is gone."""
        return next((v for v in self.versions if v.number == number), None)

    @property
    def reference(self) -> Version:
        """The version that the others are matched to: the first .mlic one, or else the first."""
        coded = [v for v in self.versions if v.codec != choices.FILE]
        return next((v for v in coded if is_mlic(v.codec)), coded[0])

    @property
    def edited(self) -> Version:
        """The version whose quality the controls set."""
        chosen = self.version(self.selected)
        if self.match != Match.FREE or chosen is None or chosen.codec == choices.FILE:
            return self.reference
        return chosen

    @property
    def shown(self) -> tuple[int, ...]:
        """The versions in view, in order of their panes."""
        return self.slots[: self.panes if self.layout == Layout.SIDE else 2]

    # ---- changes ---------------------------------------------------------------------------------

    def put(self, slot: int, number: int) -> "State":
        """Show a version in a pane. If another pane shows it already, the two trade places."""
        slots = list(self.slots)
        if number in slots[: len(self.shown)]:
            slots[slots.index(number)] = slots[slot]
        slots[slot] = number
        return self.replace(slots=tuple(slots))

    def swap(self) -> "State":
        """Trade A and B."""
        a, b, *rest = self.slots
        return self.replace(slots=(b, a, *rest))

    def select(self, number: int) -> "State":
        """Choose a version for saving and editing, and show it in pane B, unless it is in view."""
        state = self.replace(selected=number)
        return state if number in state.shown else state.put(1, number)

    def aim(self, number: int, goal: Goal) -> "State":
        """Give a version another goal."""
        return self.replace(
            versions=tuple(
                dataclasses.replace(v, goal=goal) if v.number == number else v
                for v in self.versions
            )
        )

    def use_codec(self, number: int, codec: str) -> "State":
        """Give a version another codec, and that codec's usual quality if the scale differs."""

        def changed(version: Version) -> Version:
            if version.number != number:
                return version
            same_scale = is_mlic(version.codec) and is_mlic(codec)
            goal = version.goal
            if not same_scale and goal.kind == GoalKind.QUALITY:
                goal = Goal(GoalKind.QUALITY, choices.choice(codec).default)
            return dataclasses.replace(version, codec=codec, goal=goal)

        return self.replace(versions=tuple(changed(v) for v in self.versions))

    def add(self, codec: str, goal: Goal, path: str | None = None) -> "State":
        """One more version, selected and shown in pane B."""
        number = max(v.number for v in self.versions) + 1
        versions = (*self.versions, Version(number, codec, goal, path))
        return self.replace(versions=versions).select(number)

    def remove(self, number: int) -> "State":
        """Without that version; the reference stays."""
        if number in (ORIGINAL, self.reference.number):
            return self
        versions = tuple(v for v in self.versions if v.number != number)
        slots = tuple(ORIGINAL if slot == number else slot for slot in self.slots)
        selected = self.reference.number if self.selected == number else self.selected
        return self.replace(versions=versions, slots=slots, selected=selected)

    def without_files(self) -> "State":
        """Without versions that are files: they belong to one picture."""
        state = self
        for version in self.versions:
            if version.codec == choices.FILE:
                state = state.remove(version.number)
        return state

    def replace(self, **changes: Any) -> "State":
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    # ---- settings --------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Plain values that `from_json` understands."""
        return dataclasses.asdict(self.without_files())


def default_state() -> State:
    """What a first start shows: .mlic against AVIF at the same size."""
    names = [c.codec for c in choices.choices()]
    codecs = [c for c in (choices.MLIC, "avif", "jxl", "webp", "jpeg") if c in names]
    versions = tuple(
        Version(number, codec, Goal(GoalKind.QUALITY, choices.choice(codec).default))
        for number, codec in enumerate(codecs, start=1)
    )
    last = len(versions)
    return State(versions=versions, slots=(1, 2, last, ORIGINAL), selected=1)


def from_json(data: Any) -> State:
    """The state from `to_json`; the default if `data` cannot be understood."""
    try:
        versions = tuple(
            Version(
                int(v["number"]),
                str(v["codec"]),
                Goal(GoalKind(v["goal"]["kind"]), float(v["goal"]["value"])),
            )
            for v in data["versions"]
        )
        state = State(
            versions=versions,
            slots=tuple(int(number) for number in data["slots"]),  # type: ignore[arg-type]
            selected=int(data["selected"]),
            panes=int(data["panes"]),
            layout=Layout(data["layout"]),
            lens=Lens(data["lens"]),
            match=Match(data["match"]),
            gain=int(data["gain"]),
            device=data["device"],
            refine=int(data.get("refine", 0)),
            texture=data.get("texture", 0.0),
            keep_metadata=bool(data["keep_metadata"]),
            published=bool(data["published"]),
            theme=Theme(data["theme"]),
            order=FolderOrder(data.get("order", FolderOrder.NAME)),
        )
        problem = _problem(state)
    except (KeyError, TypeError, ValueError):
        return default_state()
    return default_state() if problem else state


def _problem(state: State) -> bool:
    """Whether the state names something that is not available here."""
    known = {c.codec for c in choices.choices()}
    numbers = {v.number for v in state.versions} | {ORIGINAL}
    return (
        not state.versions
        or len(numbers) != len(state.versions) + 1
        or any(v.codec not in known for v in state.versions)
        or len(state.slots) != MAX_PANES
        or not numbers.issuperset((*state.slots, state.selected))
        or not 2 <= state.panes <= MAX_PANES
        or state.gain not in GAINS
        or state.refine not in REFINEMENTS
        or state.texture not in TEXTURES
        or not (state.device is None or isinstance(state.device, str))
    )


class History:
    """Earlier and undone states. Changes of one kind in a row count as one."""

    def __init__(self, limit: int = 100) -> None:
        self._past: list[State] = []
        self._future: list[State] = []
        self._kind: str | None = None
        self._limit = limit

    def note(self, before: State, kind: str) -> None:
        """Remember the state `before` a change of this kind."""
        if kind != self._kind or not self._past:
            self._past = [*self._past[-self._limit + 1 :], before]
        self._kind = kind
        self._future.clear()

    def undo(self, now: State) -> State | None:
        """The state before the last change, if there is one."""
        return self._step(now, self._past, self._future)

    def redo(self, now: State) -> State | None:
        """The state that `undo` left, if there is one."""
        return self._step(now, self._future, self._past)

    def _step(self, now: State, source: list[State], other: list[State]) -> State | None:
        self._kind = None
        if not source:
            return None
        other.append(now)
        return source.pop()
