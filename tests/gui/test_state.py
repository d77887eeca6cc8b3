"""Settings as values."""

import json

import pytest

from pillow_mlic_gui import choices, state
from pillow_mlic_gui.state import (
    ORIGINAL,
    Goal,
    GoalKind,
    History,
    Layout,
    Match,
    State,
    Version,
    default_state,
    from_json,
)


def test_first_start_shows_mlic_against_avif() -> None:
    first = default_state()
    a, b = (first.version(number) for number in first.shown)
    assert (a.codec, b.codec) == ("mlic", "avif")
    assert first.match == Match.SIZE
    assert first.reference is a


def test_json_there_and_back() -> None:
    changed = default_state().replace(
        layout=Layout.SIDE, panes=3, gain=16, device="cpu", refine=100, texture=0.25
    )
    changed = changed.aim(1, Goal(GoalKind.MAX_BYTES, 5000)).swap()
    assert from_json(json.loads(json.dumps(changed.to_json()))) == changed


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        {},
        {"versions": []},
        {**default_state().to_json(), "layout": "circle"},
        {**default_state().to_json(), "slots": [1, 2, 99, 0]},
        {**default_state().to_json(), "panes": 7},
        {**default_state().to_json(), "gain": 3},
        {**default_state().to_json(), "refine": 31},
        {**default_state().to_json(), "texture": 2.0},
        {
            **default_state().to_json(),
            "versions": [{"number": 1, "codec": "gif", "goal": {"kind": "quality", "value": 1}}],
        },
    ],
)
def test_what_cannot_be_read_counts_as_not_there(broken: object) -> None:
    assert from_json(broken) == default_state()


def test_a_version_in_view_trades_places() -> None:
    first = default_state()
    assert first.put(0, 2).slots[:2] == (2, 1)
    assert first.put(0, ORIGINAL).slots[:2] == (ORIGINAL, 2)
    assert first.swap().slots[:2] == (2, 1)


def test_selecting_shows_on_the_right() -> None:
    chosen = default_state().select(4)
    assert (chosen.selected, chosen.slots[1]) == (4, 4)
    assert chosen.select(1).slots == chosen.slots  # it is in view already


def test_adding_and_removing() -> None:
    grown = default_state().add("webp", Goal(GoalKind.QUALITY, 20))
    number = grown.selected
    assert grown.version(number).codec == "webp"
    assert grown.slots[1] == number
    smaller = grown.remove(number)
    assert smaller.version(number) is None
    assert smaller.slots[1] == ORIGINAL
    assert smaller.selected == smaller.reference.number
    assert grown.remove(grown.reference.number) == grown


def test_files_belong_to_one_picture() -> None:
    with_file = default_state().add(choices.FILE, Goal(GoalKind.QUALITY, 0), "a.webp")
    assert with_file.without_files().versions == default_state().versions
    assert from_json(with_file.to_json()).versions == default_state().versions


def test_controls_edit_the_reference_unless_free() -> None:
    chosen = default_state().select(2)
    assert chosen.edited.codec == "mlic"
    assert chosen.replace(match=Match.FREE).edited.codec == "avif"
    assert chosen.replace(match=Match.FREE, selected=ORIGINAL).edited.codec == "mlic"


def test_another_codec_gets_its_usual_quality() -> None:
    changed = default_state().use_codec(1, "jpeg").version(1)
    assert changed.goal == Goal(GoalKind.QUALITY, choices.choice("jpeg").default)


def test_the_reference_is_mlic_if_there_is_one() -> None:
    goal = Goal(GoalKind.QUALITY, 50)
    versions = (Version(1, "webp", goal), Version(2, "mlic", goal))
    assert State(versions, (1, 2, 0, 0), 1).reference.number == 2
    assert State(versions[:1], (1, 0, 0, 0), 1).reference.number == 1


def test_undo_and_redo() -> None:
    history = History()
    first = default_state()
    second, third = first.swap(), first.swap().replace(gain=2)
    history.note(first, "a")
    history.note(second, "b")
    assert history.undo(third) == second
    assert history.undo(second) == first
    assert history.undo(first) is None
    assert history.redo(first) == second
    assert history.redo(second) == third
    assert history.redo(third) is None


def test_changes_of_one_kind_are_undone_together() -> None:
    history = History()
    states = [default_state().aim(1, Goal(GoalKind.QUALITY, q)) for q in (1, 2, 3)]
    for before in states[:2]:
        history.note(before, "aim 1")
    assert history.undo(states[2]) == states[0]


def test_choices_know_their_codecs() -> None:
    labels = {c.codec: c.label for c in choices.choices()}
    assert labels["mlic"] == ".mlic"
    assert {"jpeg", "webp", "avif"} <= set(labels)
    with pytest.raises(ValueError, match="cannot be used here"):
        choices.choice("gif")
    assert state.MAX_PANES == 4
