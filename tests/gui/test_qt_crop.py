"""A rectangle is drawn with the mouse, pulled, moved, and cut to."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

from pillow_mlic_gui import cropping
from pillow_mlic_gui.cropping import Grip
from pillow_mlic_gui.qt.window import Window
from pillow_mlic_gui.state import Layout

from .conftest import settle

points = st.tuples(st.floats(-50, 200), st.floats(-50, 200))
SIZE = (96, 64)


def inside(box: tuple[int, int, int, int]) -> bool:
    return 0 <= box[0] < box[2] <= SIZE[0] and 0 <= box[1] < box[3] <= SIZE[1]


@given(points, points, points, st.sampled_from([Grip(0, 0), *cropping.CORNERS_AND_SIDES]))
def test_rectangles_stay_in_the_picture(start, end, by, grip: Grip) -> None:
    box = cropping.drawn(start, end, SIZE)
    assert inside(box)
    after = cropping.pulled(box, grip, by, SIZE)
    assert inside(after)
    if grip == (0, 0):
        assert (after[2] - after[0], after[3] - after[1]) == (box[2] - box[0], box[3] - box[1])
    if grip.across == 0 and grip != (0, 0):
        assert (after[0], after[2]) == (box[0], box[2])


def test_a_side_pulled_beyond_the_other_turns_the_rectangle() -> None:
    assert cropping.pulled((10, 10, 30, 30), Grip(1, 0), (-40, 5), SIZE) == (0, 10, 10, 30)
    assert cropping.pulled((10, 10, 30, 30), Grip(-1, -1), (2.4, 3.6), SIZE) == (12, 14, 30, 30)


def test_grips() -> None:
    box = (100.0, 100.0, 300.0, 200.0)
    for grip in cropping.CORNERS_AND_SIDES:
        x, y = cropping.spot(box, grip)
        assert cropping.grip_at(box, x + 4, y - 4, 6) == grip
    assert cropping.grip_at(box, 200, 150, 6) == (0, 0)
    assert cropping.grip_at(box, 90, 150, 6) is None
    assert cropping.grip_at((0, 0, 5, 5), 4, 1, 6) == (1, -1)  # the nearer of two


def drag(window: Window, start: tuple[int, int], end: tuple[int, int]) -> None:
    """From one point of the picture to another, as a mouse does."""
    tool = window.crop
    first, last = (window.canvas.point_of(*point).toPoint() for point in (start, end))
    QTest.mouseMove(tool, first)
    QTest.mousePress(tool, Qt.MouseButton.LeftButton, pos=first)
    QTest.mouseMove(tool, (first + last) / 2)
    QTest.mouseMove(tool, last)
    QTest.mouseRelease(tool, Qt.MouseButton.LeftButton, pos=last)


@pytest.fixture
def cutting(opened: Window, qtbot) -> Window:
    opened.activateWindow()
    qtbot.keyClick(opened.canvas, Qt.Key.Key_M)
    assert opened.crop.isVisible()
    return opened


def test_draw_pull_move_and_cut(cutting: Window, qtbot) -> None:
    window, tool = cutting, cutting.crop
    assert [number for _, number, _, _ in window.canvas.panes()] == [0], "the original alone"
    assert not any(button.isVisible() for button in window.canvas.buttons)
    drag(window, (20, 10), (60, 50))
    assert tool.box == (20, 10, 60, 50)
    drag(window, (60, 50), (70, 40))  # the lower right corner
    assert tool.box == (20, 10, 70, 40)
    drag(window, (20, 25), (30, 60))  # the left side, which only moves across
    assert tool.box == (30, 10, 70, 40)
    drag(window, (50, 25), (40, 30))  # all of it
    assert tool.box == (20, 15, 60, 45)
    qtbot.keyClick(tool, Qt.Key.Key_Right)
    qtbot.keyClick(tool, Qt.Key.Key_Down, Qt.KeyboardModifier.ShiftModifier)
    assert tool.box == (21, 25, 61, 55)
    assert window.state == window.session.state
    before = window.session.picture.raster.level(0)[25:55, 21:61].copy()
    qtbot.keyClick(tool, Qt.Key.Key_Return)
    assert not tool.isVisible()
    qtbot.waitUntil(lambda: window.session.picture.raster.size == (40, 30), timeout=20_000)
    assert np.array_equal(window.session.picture.raster.level(0), before)
    settle(qtbot, window)
    assert window.session.shown[1].raster.size == (40, 30)
    # A cut of the cut.
    qtbot.keyClick(window.canvas, Qt.Key.Key_M)
    drag(window, (10, 10), (40, 30))
    qtbot.mouseDClick(tool, Qt.MouseButton.LeftButton, pos=window.canvas.point_of(20, 20).toPoint())
    qtbot.waitUntil(lambda: window.session.picture.raster.size == (30, 20), timeout=20_000)
    assert window.session.reshaping.shape.crop == (31, 35, 61, 55)


def test_sides_are_shown(cutting: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    from pillow_mlic_gui.qt import marks

    monkeypatch.setattr(marks, "tag", lambda _painter, text, *_: said.append(text))
    drag(cutting, (20, 10), (60, 50))
    cutting.crop.grab()
    assert said[-1] == "40 × 40"


@pytest.mark.parametrize("how", ["escape", "key", "window", "file", "blind"])
def test_it_can_be_left(cutting: Window, qtbot, how: str, small_photo) -> None:
    window = cutting
    drag(window, (20, 10), (60, 50))
    if how == "escape":
        qtbot.keyClick(window.crop, Qt.Key.Key_Escape)
    elif how == "key":
        qtbot.keyClick(window.crop, Qt.Key.Key_M)
    elif how == "window":
        window.panel.setFocus()
        window.stop()
    elif how == "file":
        other = small_photo.with_name("other.png")
        other.write_bytes(small_photo.read_bytes())
        window.open([other])
    else:
        window.actions_["blind"].trigger()
    qtbot.waitUntil(lambda: not window.crop.isVisible(), timeout=20_000)
    settle(qtbot, window)
    assert window.session.picture.raster.size == SIZE
    assert not window.actions_["crop"].isChecked()
    if how != "blind":
        assert window.state.layout == Layout.SPLIT
        assert len(list(window.canvas.panes())) == 2


def test_wheel_and_middle_button_move_the_picture(cutting: Window, qtbot) -> None:
    canvas, tool = cutting.canvas, cutting.crop
    drag(cutting, (20, 10), (60, 50))
    before = canvas.view
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    QTest.mousePress(tool, Qt.MouseButton.MiddleButton, pos=middle)
    QTest.mouseMove(tool, middle + QPoint(30, 20))
    QTest.mouseRelease(tool, Qt.MouseButton.MiddleButton, pos=middle + QPoint(30, 20))
    assert (before.x - canvas.view.x) * canvas.view.zoom == pytest.approx(30, abs=1)
    assert tool.box == (20, 10, 60, 50)
    cutting.resize(1000, 700)
    qtbot.waitUntil(lambda: tool.size() == canvas.size())
