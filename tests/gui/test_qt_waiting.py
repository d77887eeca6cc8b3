"""What is on the screen while versions are being made."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QWidget

from pillow_mlic_gui.progress import Stage
from pillow_mlic_gui.qt.window import Window
from pillow_mlic_gui.state import Goal, GoalKind
from pillow_mlic_gui.waiting import waiting_words

from ..conftest import photograph


def seen(widget: QWidget) -> NDArray[np.uint8]:
    """The pixels of a widget (H, W, RGB), as they are on the screen."""
    shot = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(shot.constBits(), np.uint8).reshape(shot.height(), -1)
    return rows[:, : 3 * shot.width()].reshape(shot.height(), shot.width(), 3).copy()


@pytest.fixture
def waiting(window: Window, qtbot, tmp_path: Path) -> Window:
    """A picture larger than the window, with versions that do not come."""
    window.session.desk.want = lambda requests: None
    window.session.desk.progressing = lambda: window.session.requests.values()
    photograph(1600, 1200).save(tmp_path / "large.png")
    window.open([tmp_path / "large.png"])
    qtbot.waitUntil(lambda: window.session.picture is not None, timeout=30_000)
    window.refresh()
    return window


@pytest.mark.parametrize("zoom", [0.2, 0.37, 0.5, 0.71, 1.0, 2.0])
def test_the_original_is_shown_at_every_zoom(waiting: Window, zoom: float) -> None:
    canvas = waiting.canvas
    canvas.zoom_to(zoom)
    box = canvas._pane_boxes()[0]
    left, top = (int(v) for v in canvas.view.origin(box))
    original = waiting.session.picture.raster.image()
    size = (round(1600 * zoom), round(1200 * zoom))
    wanted = np.asarray(original.resize(size, Image.Resampling.BILINEAR, reducing_gap=2))
    shot = seen(canvas)
    # A part on either side of the line, away from buttons, knob and label.
    x0, x1 = max(left, 0) + 20, min(left + size[0], shot.shape[1]) - 20
    y0, y1 = max(top, 0) + 70, min(top + size[1], shot.shape[0]) - 70
    line = round(canvas.split * shot.shape[1])
    for start, end in ((x0, line - 30), (line + 30, x1)):
        part = shot[y0:y1, start:end].astype(int)
        model = wanted[y0 - top : y1 - top, start - left : end - left].astype(int)
        assert abs(part.mean() - model.mean()) < 2, "not at full strength"
        assert np.abs(part - model).mean() < 8, "not the original"


def test_a_label_tells_how_far_it_is(waiting: Window) -> None:
    waiting.session.progress[1].hear(Stage(0.34, "encoding"))
    assert waiting_words(waiting.session, 1) == "encoding, 34 %"
    before = seen(waiting.canvas)
    waiting.session.progress[1].hear(Stage(0.87, "encoding"))
    after = seen(waiting.canvas)
    changed = np.argwhere((before != after).any(axis=2))
    height = before.shape[0]
    assert len(changed)
    assert changed[:, 0].min() > height - 50, "only the label at the lower edge"


@pytest.mark.parametrize("zoom", [0.37, 0.5, 1.0])
def test_what_cannot_be_made_is_pale(waiting: Window, zoom: float) -> None:
    canvas = waiting.canvas
    canvas.zoom_to(zoom)
    x, y = 30, canvas.height() // 2 + 100
    full = seen(canvas)[y : y + 60, x : x + 60].astype(float)
    waiting.session.failures[waiting.state.slots[0]] = "a reason"
    pale = seen(canvas)[y : y + 60, x : x + 60].astype(float)
    behind = np.array(QColor(canvas.colours.canvas).getRgb()[:3])
    assert np.abs(pale - (0.35 * full + 0.65 * behind)).max() < 3


def test_esc_stops_what_runs(window: Window, qtbot, tmp_path: Path) -> None:
    window.session.change(window.state.replace(refine=300))
    photograph(320, 240).save(tmp_path / "p.png")
    window.open([tmp_path / "p.png"])
    qtbot.waitUntil(lambda: 1 in window.session.progress, timeout=30_000)
    qtbot.waitUntil(lambda: window.session.progress[1].share > 0, timeout=30_000)
    window.refresh()
    headline = window.headline
    assert headline.stop.isVisible()
    assert "versions" in headline.left.text()
    assert headline.bar.value() > 0
    lines = window.panel.compare.list.rows.lines(1)
    assert lines[1][0].startswith("refining ")
    qtbot.keyClick(window.canvas, Qt.Key.Key_Escape)
    window.refresh()
    assert not window.session.busy
    assert not headline.stop.isVisible()
    assert headline.bar.value() == 0
    assert "F5" in window.panel.compare.list.rows.lines(1)[1][0]
    qtbot.keyClick(window.canvas, Qt.Key.Key_F5)
    window.refresh()
    assert headline.stop.isVisible()
    headline.stop.click()
    assert not window.session.busy


def test_the_part_in_view_is_painted_over_the_original(window: Window, qtbot, tmp_path) -> None:
    photograph(1920, 1200).save(tmp_path / "large.png", compress_level=1)
    window._change(window.state.aim(1, Goal(GoalKind.QUALITY, 1)))
    window.open([tmp_path / "large.png"])
    session, canvas = window.session, window.canvas
    qtbot.waitUntil(lambda: session.part_of(1) is not None, timeout=60_000)
    session.stop()  # the whole does not come
    canvas.zoom_to(1.0)
    window.refresh()
    x0, y0, _, _ = session.closeup.part.box
    left, top = (int(v) for v in canvas.view.to_screen(canvas._pane_boxes()[0], x0, y0))
    split = round(canvas.split * canvas.width())
    shot = seen(canvas)
    rows, columns = slice(max(top, 0) + 60, canvas.height() - 60), slice(max(left, 0), split - 30)
    wanted = session.part_of(1).raster.level(0)
    part = wanted[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    assert part.size
    assert (shot[rows.start : rows.start + len(part), columns] == part).all()
    lines = window.panel.compare.list.rows.lines(1)
    assert lines[0][1].startswith("≈ ")
    assert lines[1][0].startswith("part in view")
    assert "In view" in window.headline.label.text()
