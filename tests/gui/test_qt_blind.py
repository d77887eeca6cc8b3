"""The blind test as it is done: nothing on the screen says which version is which."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt

from pillow_mlic_gui import blind
from pillow_mlic_gui.qt.window import Window
from pillow_mlic_gui.state import Lens, Match

from ..conftest import photograph
from .conftest import settle


def key(qtbot, window: Window, name: Qt.Key) -> None:
    qtbot.keyClick(window.canvas, name)
    window.refresh()


@pytest.fixture
def two(window: Window, qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Window:
    """Two photographs, the first of which is open, and a test that takes all sizes."""
    monkeypatch.setattr(blind, "NEAR", 1e9)
    for name in "ab":
        photograph(96, 64).save(tmp_path / f"{name}.png")
    window.open([tmp_path / "a.png"])
    settle(qtbot, window)
    return window


def test_names_are_hidden_and_the_choices_told(two: Window, qtbot) -> None:
    window = two
    window._set("lens", Lens.DIFFERENCE)
    window._set("match", Match.PSNR)
    window.refresh()
    assert not window.actions_["blind-better"].isEnabled()
    key(qtbot, window, Qt.Key.Key_T)
    settle(qtbot, window)
    test = window.session.blind
    assert (window.state.lens, window.state.match) == (Lens.PICTURE, Match.SIZE)
    assert test.pair is not None
    for part in (window.panel, window.headline, window.inspector, *window.canvas.buttons):
        assert not part.isVisible()
    assert not window.actions_["difference"].isEnabled()
    assert not window.actions_["save"].isEnabled()
    shown = test.shown
    assert [number for _, number, _, _ in window.canvas.panes()] == [shown]
    window.canvas.grab()
    key(qtbot, window, Qt.Key.Key_Space)
    assert test.shown != shown
    better = next(c.codec for c in test.pair if c.number == test.shown)
    key(qtbot, window, Qt.Key.Key_Return)
    assert test.verdicts[0].better == better
    key(qtbot, window, Qt.Key.Key_Backspace)
    assert test.verdicts[1].better == blind.SAME
    while window.session.picture.name == "a.png":
        key(qtbot, window, Qt.Key.Key_Return)
        qtbot.waitUntil(lambda: window.session.opening is None, timeout=20_000)
    count = len(window.state.versions)
    assert len(test.verdicts) == count * (count - 1) / 2
    settle(qtbot, window)
    assert test.left == count * (count - 1) / 2  # the next picture's
    key(qtbot, window, Qt.Key.Key_Return)
    key(qtbot, window, Qt.Key.Key_Escape)
    assert window.session.blind is None
    text = window.blind_result.informativeText()
    assert "better in" in text
    assert "% to " in text
    window.blind_result.close()
    window.refresh()
    assert window.panel.isVisible()
    assert window.headline.isVisible()
    assert window.actions_["difference"].isEnabled()
    assert not window.actions_["blind-better"].isEnabled()
    assert len(blind.read(window.memory.beside("blind-test.csv"))) == len(test.verdicts)


def test_keys_count_wherever_the_focus_was(two: Window, qtbot) -> None:
    two.activateWindow()
    two.panel.compare.list.setFocus()
    two.actions_["blind"].trigger()
    settle(qtbot, two)
    qtbot.waitUntil(lambda: two.focusWidget() is two.canvas)
    shown = two.session.blind.shown
    qtbot.keyClick(two.focusWidget(), Qt.Key.Key_Space)
    assert two.session.blind.shown != shown


def test_files_that_are_not_compared_are_passed_over(two: Window, qtbot, tmp_path: Path) -> None:
    (tmp_path / "a2.png").write_text("no picture")
    (tmp_path / "a1.mlic").write_bytes(two.session.shown[1].data)
    two.opened_files.look_again()
    key(qtbot, two, Qt.Key.Key_T)
    for name in ("a1.mlic", "a2.png"):
        key(qtbot, two, Qt.Key.Key_PageDown)
        qtbot.waitUntil(lambda: two.session.opening is None, timeout=20_000)
        two.refresh()
        assert name in two.windowTitle()
        assert "no two versions" in blind.words(two.session.blind)
        two.canvas.grab()
    key(qtbot, two, Qt.Key.Key_PageDown)
    qtbot.waitUntil(lambda: two.session.opening is None, timeout=20_000)
    settle(qtbot, two)
    assert two.session.blind.pair is not None


def test_without_equal_sizes_there_is_no_test(two: Window, qtbot, monkeypatch) -> None:
    monkeypatch.setattr(blind, "NEAR", -1.0)
    key(qtbot, two, Qt.Key.Key_T)
    settle(qtbot, two)
    assert "about the same size" in two.banner.label.text()
    assert two.session.blind.pair is None
    two.banner.hide()
    key(qtbot, two, Qt.Key.Key_Escape)
    assert two.session.blind is None
    assert two.blind_result is None
