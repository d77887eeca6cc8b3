"""A .mlic file in the window, and what leaves the window."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QFileDialog, QMessageBox

from pillow_mlic_gui import outputs
from pillow_mlic_gui.qt.window import Window
from pillow_mlic_gui.state import ORIGINAL

from .conftest import settle
from .test_qt_waiting import seen


@pytest.fixture
def coded(opened: Window, qtbot, tmp_path: Path) -> Window:
    """A window with a .mlic file in it."""
    (tmp_path / "o.mlic").write_bytes(opened.session.shown[1].data)
    opened.open([tmp_path / "o.mlic"])
    qtbot.waitUntil(lambda: opened.session.picture.name == "o.mlic", timeout=30_000)
    opened.refresh()
    return opened


def test_it_is_shown_alone(coded: Window) -> None:
    canvas = coded.canvas
    canvas.zoom_to(1.0)
    shot = seen(canvas)
    left, top = (int(v) for v in canvas.view.origin(canvas._pane_boxes()[0]))
    pixels = coded.session.picture.raster.level(0)
    assert (shot[top : top + 64, left : left + 96] == pixels).all()  # no line, no label
    assert "o.mlic" in coded.headline.label.text()
    assert "bpp" in coded.headline.label.text()
    assert coded.headline.compare.isVisible()
    assert not coded.headline.stop.isVisible()
    assert not coded.session.busy
    assert not any(button.isVisible() for button in canvas.buttons)
    assert coded.panel.compare.list.rows.numbers == [ORIGINAL]
    assert not coded.panel.curves.isEnabled()


def test_it_is_compared_when_asked(coded: Window, qtbot) -> None:
    qtbot.keyClick(coded.canvas, Qt.Key.Key_K)
    settle(qtbot, coded)
    assert "At the same" in coded.headline.label.text()
    assert not coded.headline.compare.isVisible()


def test_it_is_saved_as_other_kinds(
    coded: Window, qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def name(_: object, __: str, suggestion: str, ___: str) -> tuple[str, str]:
        asked.append(suggestion)
        return str(tmp_path / "pixels.png"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", name)
    assert coded.panel.encode.save.text() == "Save as…"
    qtbot.keyClick(coded.canvas, Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: "Saved pixels.png" in coded.banner.label.text(), timeout=20_000)
    assert asked[0].endswith("o.png")
    with Image.open(tmp_path / "pixels.png") as image:
        assert (np.asarray(image) == coded.session.picture.raster.level(0)).all()


def test_all_pixels_are_copied(opened: Window, qtbot) -> None:
    keys = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier
    for number in (ORIGINAL, 1):
        opened._change(opened.state.replace(selected=number))
        opened.refresh()
        qtbot.keyClick(opened.canvas, Qt.Key.Key_C, keys)
        image = QApplication.clipboard().image()
        assert (image.width(), image.height()) == (96, 64)
        wanted = opened.session.raster(number).level(0)[20, 30]
        assert image.pixelColor(30, 20).getRgb()[:3] == tuple(wanted)


def test_quitting_asks_while_a_file_is_written(
    opened: Window, qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def answer(_: object, __: str, text: str, *___: object) -> QMessageBox.StandardButton:
        asked.append(text)
        return QMessageBox.StandardButton.Cancel

    monkeypatch.setattr(QMessageBox, "question", answer)
    outputs.save(opened.session, 1, tmp_path / "o.mlic")
    assert not opened.close()
    assert "o.mlic" in asked[0]
    qtbot.waitUntil(lambda: not opened.session.saves.running, timeout=20_000)
    assert (tmp_path / "o.mlic").exists()
    assert opened.close()
    assert len(asked) == 1
