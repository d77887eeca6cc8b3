"""Which requests give what the user wants to compare."""

from collections.abc import Callable

from . import choices
from .jobs import NO_EFFORT, CodedPicture, Effort
from .raster import Raster
from .requests import Request
from .state import Goal, GoalKind, Match, State

Known = Callable[[Request], CodedPicture | None]


def plan(
    state: State, source: Raster, known: Known, metadata_bytes: int = 0
) -> dict[int, Request | None]:
    """A request for every version, those in view first; None while the reference is not known.

    `metadata_bytes` will be added on saving: a limit in bytes holds for the file with them.
    """
    reference = state.reference
    first = _request(state, source, reference.number, reference.goal, metadata_bytes)
    model = known(first)
    order = [v.number for v in state.versions]
    order.sort(key=lambda number: (number != reference.number, number not in state.shown))
    wanted: dict[int, Request | None] = {}
    for number in order:
        version = state.version(number)
        assert version is not None
        if version.path is not None:
            wanted[number] = Request(source, version.codec, path=version.path)
        elif number == reference.number:
            wanted[number] = first
        elif state.match == Match.FREE:
            wanted[number] = _request(state, source, number, version.goal, metadata_bytes)
        elif model is None:
            wanted[number] = None
        else:
            wanted[number] = _request(state, source, number, common_goal(state.match, model), 0)
    return wanted


def common_goal(match: Match, model: CodedPicture) -> Goal:
    """The goal that the other versions get from the reference."""
    if match == Match.SIZE:
        return Goal(GoalKind.NEAR_BYTES, model.size)
    return Goal(GoalKind.PSNR, round(model.psnr, 2))


def _request(state: State, source: Raster, number: int, goal: Goal, metadata_bytes: int) -> Request:
    version = state.version(number)
    assert version is not None
    if goal.kind == GoalKind.MAX_BYTES:
        goal = Goal(goal.kind, max(goal.value - metadata_bytes, 1))
    mlic = choices.choice(version.codec).refinable
    effort = Effort(state.refine, state.texture) if mlic else NO_EFFORT
    return Request(source, version.codec, goal, state.device, effort=effort)
