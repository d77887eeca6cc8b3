"""Which requests give what the user wants to compare."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

from . import choices
from .jobs import NO_EFFORT, CodedPicture, Effort
from .raster import Raster
from .requests import Request
from .state import Goal, GoalKind, Match, State

Known = Callable[[Request], CodedPicture | None]


def plan(
    state: State,
    source: Raster,
    known: Known,
    metadata_bytes: int = 0,
    *,
    starts: Mapping[int, float] = MappingProxyType({}),
    draft: bool = False,
) -> dict[int, Request]:
    """A request for every version, those in view first.

    While the reference is not known, the others are made at the qualities `starts`, by number, or
    at their own defaults. A `draft` is rounded plainly. `metadata_bytes` will be added on saving: a
    limit in bytes holds for the file with them.
    """
    reference = state.reference

    def ask(number: int, goal: Goal) -> Request:
        request = _request(state, source, number, goal, metadata_bytes)
        mlic = choices.choice(request.codec).refinable
        effort = Effort(state.refine, state.texture, draft) if mlic else NO_EFFORT
        return dataclasses.replace(request, effort=effort)

    first = ask(reference.number, reference.goal)
    model = known(first)
    order = [v.number for v in state.versions]
    order.sort(key=lambda number: (number != reference.number, number not in state.shown))
    wanted: dict[int, Request] = {}
    for number in order:
        version = state.version(number)
        assert version is not None
        if version.path is not None:
            wanted[number] = Request(source, version.codec, path=version.path)
        elif number == reference.number:
            wanted[number] = first
        elif state.match == Match.FREE:
            wanted[number] = ask(number, version.goal)
        elif state.match == Match.SIZE and reference.goal.kind == GoalKind.MAX_BYTES:
            wanted[number] = ask(number, reference.goal)
        elif model is not None:
            wanted[number] = ask(number, common_goal(state.match, model))
        else:
            quality = starts.get(number, choices.choice(version.codec).default)
            wanted[number] = ask(number, Goal(GoalKind.QUALITY, quality))
    return wanted


def plan_part(state: State, part: Raster, whole: Raster, known: Known) -> dict[int, Request]:
    """Requests for the part of a picture that is in view, made in the quickest way.

    A limit in bytes is shared out by pixels.
    """
    share = part.pixels / whole.pixels
    for version in state.versions:
        if version.goal.kind == GoalKind.MAX_BYTES:
            goal = Goal(GoalKind.MAX_BYTES, max(version.goal.value * share, 1))
            state = state.aim(version.number, goal)
    wanted = plan(state.replace(refine=0), part, known, draft=True)
    return {n: r for n, r in wanted.items() if r.path is None}


def common_goal(match: Match, model: CodedPicture) -> Goal:
    """The goal that the other versions get from the reference: its size or its PSNR."""
    if match == Match.SIZE:
        return Goal(GoalKind.NEAR_BYTES, model.size)
    return Goal(GoalKind.PSNR, round(model.psnr, 2))


def _request(state: State, source: Raster, number: int, goal: Goal, metadata_bytes: int) -> Request:
    version = state.version(number)
    assert version is not None
    if goal.kind == GoalKind.MAX_BYTES:
        goal = Goal(goal.kind, max(goal.value - metadata_bytes, 1))
    return Request(source, version.codec, goal, state.device)
