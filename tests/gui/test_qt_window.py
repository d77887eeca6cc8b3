"""The window, driven as a person would: keys, mouse, drops, clipboard, dialogs."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import (
    QDesktopServices,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QImage,
    QWheelEvent,
)
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QSlider,
    QWidget,
)

from pillow_mlic_gui import outputs
from pillow_mlic_gui.batch import Status
from pillow_mlic_gui.headline import headline
from pillow_mlic_gui.qt import drops
from pillow_mlic_gui.qt.memory import ViewerMemory
from pillow_mlic_gui.qt.window import Window
from pillow_mlic_gui.reshape import Reshape
from pillow_mlic_gui.state import (
    ORIGINAL,
    Goal,
    GoalKind,
    Layout,
    Lens,
    Match,
    Theme,
    default_state,
)

from ..conftest import photograph
from .conftest import settle

LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier


def drop(window: Window, mime: QMimeData, modifiers: Qt.KeyboardModifier = PLAIN) -> None:
    actions = Qt.DropAction.CopyAction
    enter = QDragEnterEvent(QPoint(300, 300), actions, mime, LEFT, modifiers)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    event = QDropEvent(QPointF(300, 300), actions, mime, LEFT, modifiers)
    QApplication.sendEvent(window, event)


def files(*paths: Path) -> QMimeData:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return mime


def key(qtbot, window: Window, name: Qt.Key, modifier: Qt.KeyboardModifier = PLAIN) -> None:
    qtbot.keyClick(window.canvas, name, modifier)
    window.refresh()


class TestOpening:
    def test_before_there_is_a_picture(self, window: Window) -> None:
        assert window.welcome.isVisible()
        assert not window.canvas.isVisible()
        assert not window.panel.encode.save.isEnabled()
        assert not window.actions_["save"].isEnabled()
        assert not window.headline.isVisible()

    def test_drop_a_photo_and_read_the_comparison(
        self, window: Window, qtbot, small_photo: Path
    ) -> None:
        drop(window, files(small_photo))
        settle(qtbot, window)
        text = window.headline.label.text()
        assert "At the same" in text
        assert ".mlic" in text
        assert "AVIF" in text
        assert "small.png" in window.windowTitle()
        assert window.canvas.isVisible()
        assert window.memory.recent() == [small_photo]
        assert window.canvas.buttons[0].text().strip().startswith(".mlic")
        assert "dB" in window.canvas.buttons[1].text()

    def test_drop_a_folder_and_page_through_it(self, window: Window, qtbot, tmp_path: Path) -> None:
        for name in "ab":
            photograph(64, 48).save(tmp_path / f"{name}.png")
        drop(window, files(tmp_path))
        settle(qtbot, window)
        assert window.opened_files.words() == "1 of 2"
        key(qtbot, window, Qt.Key.Key_PageDown)
        qtbot.waitUntil(lambda: window.session.picture.name == "b.png", timeout=20_000)
        key(qtbot, window, Qt.Key.Key_PageDown)
        key(qtbot, window, Qt.Key.Key_PageUp)
        qtbot.waitUntil(lambda: window.session.picture.name == "a.png", timeout=20_000)

    def test_paging_keeps_zoom_and_place(self, window: Window, qtbot, tmp_path: Path) -> None:
        for name, size in (("a", (640, 480)), ("b", (640, 480)), ("d", (320, 240))):
            photograph(*size).save(tmp_path / f"{name}.png")
        (tmp_path / "c.png").write_text("no picture")
        window.session.desk.want = lambda requests: None
        window.open([tmp_path / "a.png"])
        qtbot.waitUntil(lambda: window.session.picture is not None, timeout=20_000)
        window.refresh()
        assert window.opened_files.words() == "1 of 4"
        window.canvas.zoom_to(4.0)
        window.canvas.pan(-90, 50)
        view = window.canvas.view

        def page(down: bool) -> None:
            key(qtbot, window, Qt.Key.Key_PageDown if down else Qt.Key.Key_PageUp)
            qtbot.waitUntil(lambda: window.session.opening is None, timeout=20_000)
            window.refresh()

        page(True)
        assert window.session.picture.name == "b.png"
        assert window.canvas.view == view
        page(True)
        assert window.session.broken.name == "c.png"
        window.canvas.grab()
        page(True)
        assert (window.canvas.view.zoom, window.canvas.view.x) == (view.zoom, view.x / 2)
        page(True)
        assert "last picture" in window.banner.label.text()
        for _ in range(3):
            page(False)
        assert window.memory.recent() == [tmp_path / "a.png"], "not what was paged through"
        assert window.canvas.view.y == pytest.approx(view.y)
        photograph(50, 40).save(tmp_path / "a.png")
        key(qtbot, window, Qt.Key.Key_F5)
        qtbot.waitUntil(lambda: window.session.picture.raster.width == 50, timeout=20_000)

    def test_drop_pixels_from_a_browser(self, window: Window, qtbot) -> None:
        mime = QMimeData()
        image = QImage(40, 30, QImage.Format.Format_RGB32)
        image.fill(0xFF8800)
        mime.setImageData(image)
        mime.setUrls([QUrl("https://example.invalid/x.png")])
        drop(window, mime)
        settle(qtbot, window)
        assert window.session.picture.raster.size == (40, 30)
        assert window.session.picture.raster.level(0)[3, 3].tolist() == [255, 136, 0]

    def test_drop_a_data_address(self, window: Window, qtbot, small_photo: Path) -> None:
        import base64

        body = base64.b64encode(small_photo.read_bytes()).decode()
        mime = QMimeData()
        mime.setUrls([QUrl(f"data:image/png;base64,{body}")])
        drop(window, mime)
        settle(qtbot, window)
        assert window.session.picture.raster.size == (96, 64)

    def test_drop_an_address(self, window: Window, qtbot, small_photo: Path) -> None:
        import functools
        import http.server
        import threading

        class Quiet(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args: object) -> None:
                pass

        handler = functools.partial(Quiet, directory=str(small_photo.parent))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            address = f"http://127.0.0.1:{server.server_port}"
            mime = QMimeData()
            mime.setUrls([QUrl(f"{address}/small.png")])
            drop(window, mime)
            settle(qtbot, window)
            assert window.session.picture.name == "small.png"
            mime.setUrls([QUrl(f"{address}/missing.png")])
            drop(window, mime)
            qtbot.waitUntil(
                lambda: "could not be fetched" in window.banner.label.text(), timeout=10_000
            )
            server.shutdown()

    def test_dialog_and_recent(
        self, window: Window, qtbot, small_photo: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: ([str(small_photo)], ""))
        key(qtbot, window, Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
        settle(qtbot, window)
        window._fill_recent()
        assert window._recent.actions()[0].text() == "small.png"
        window._forget_recent()
        assert window.memory.recent() == []

    def test_errors_are_shown_in_the_window(self, window: Window, qtbot, tmp_path: Path) -> None:
        (tmp_path / "no.jpg").write_text("no picture")
        window.open([tmp_path / "gone.jpg"])
        assert "not there" in window.banner.label.text()
        assert window.banner.property("bad")
        assert window.welcome.isVisible()
        key(qtbot, window, Qt.Key.Key_Escape)
        window.stop()
        assert not window.banner.isVisible()
        (tmp_path / "empty").mkdir()
        window.open([tmp_path / "empty"])
        assert "holds no picture" in window.banner.label.text()
        window.banner._timer.timeout.emit()
        assert not window.banner.isVisible(), "errors fade"
        window.open([tmp_path / "no.jpg"])
        qtbot.waitUntil(lambda: window.session.broken is not None, timeout=20_000)
        window.refresh()
        assert window.canvas.isVisible()
        assert "no.jpg" in window.headline.label.text()
        assert "broken" in window.facts.text()
        assert "no.jpg" in window.windowTitle()

    def test_a_broken_file_has_no_points(self, opened: Window, qtbot, tmp_path: Path) -> None:
        assert opened.session.points.of("mlic")
        (tmp_path / "no.jpg").write_text("no picture")
        opened.open([tmp_path / "no.jpg"])
        qtbot.waitUntil(lambda: opened.session.broken is not None, timeout=20_000)
        assert not opened.session.points.of("mlic"), "those are of another picture"

    def test_esc_stops_opening(self, window: Window, qtbot, photo: Path) -> None:
        window.session.open(photo)
        window.stop()
        assert window.session.opening is None
        qtbot.wait(200)
        assert window.session.picture is None

    def test_clipboard(self, opened: Window, qtbot, tmp_path: Path) -> None:
        photograph(40, 30).save(tmp_path / "other.png")
        control = Qt.KeyboardModifier.ControlModifier
        key(qtbot, opened, Qt.Key.Key_C, control)
        copied = QApplication.clipboard().image()
        assert copied.width() >= opened.canvas.width()
        QApplication.clipboard().setMimeData(files(tmp_path / "other.png"))
        key(qtbot, opened, Qt.Key.Key_V, control)
        qtbot.waitUntil(lambda: opened.session.picture.name == "other.png", timeout=20_000)
        QApplication.clipboard().setText("words")
        key(qtbot, opened, Qt.Key.Key_V, control)
        assert "no picture" in opened.banner.label.text()


class TestComparing:
    def test_drop_zones(self, opened: Window, qtbot, tmp_path: Path) -> None:
        photograph(96, 64).save(tmp_path / "v.webp", quality=10)
        mime, copy = files(tmp_path / "v.webp"), Qt.DropAction.CopyAction

        def move(x: int) -> QPoint:
            at = opened.stack.mapTo(opened, QPoint(x, 200))
            QApplication.sendEvent(opened, QDragEnterEvent(at, copy, mime, LEFT, PLAIN))
            QApplication.sendEvent(opened, QDragMoveEvent(at, copy, mime, LEFT, PLAIN))
            return at

        move(40)
        assert opened.zones.isVisible()
        assert opened.zones.zone == 0
        at = move(opened.stack.width() - 40)
        assert opened.zones.zone == 1
        opened.zones.grab()
        QApplication.sendEvent(opened, QDragLeaveEvent())
        assert not opened.zones.isVisible()
        move(opened.stack.width() - 40)
        QApplication.sendEvent(opened, QDropEvent(QPointF(at), copy, mime, LEFT, PLAIN))
        assert not opened.zones.isVisible()
        assert opened.session.name(opened.state.selected) == "v.webp"
        assert opened.session.picture.name == "small.png"
        at = move(40)
        QApplication.sendEvent(opened, QDropEvent(QPointF(at), copy, mime, LEFT, PLAIN))
        qtbot.waitUntil(lambda: opened.session.picture.name == "v.webp", timeout=20_000)

    def test_layouts(self, opened: Window, qtbot) -> None:
        key(qtbot, opened, Qt.Key.Key_2)
        assert opened.state.layout == Layout.SIDE
        key(qtbot, opened, Qt.Key.Key_BracketRight)
        key(qtbot, opened, Qt.Key.Key_BracketRight)
        assert opened.state.panes == 4
        assert sum(button.isVisible() for button in opened.canvas.buttons) == 4
        key(qtbot, opened, Qt.Key.Key_BracketLeft)
        assert opened.state.panes == 3
        key(qtbot, opened, Qt.Key.Key_3)
        assert opened.state.layout == Layout.FLICKER
        assert [b.isVisible() for b in opened.canvas.buttons] == [True, False, False, False]
        key(qtbot, opened, Qt.Key.Key_Space)
        assert [b.isVisible() for b in opened.canvas.buttons] == [False, True, False, False]
        key(qtbot, opened, Qt.Key.Key_1)
        assert opened.actions_["split"].isChecked()

    def test_every_layout_shows_the_whole_picture(self, window: Window, qtbot, tmp_path) -> None:
        window.session.desk.want = lambda requests: None
        photograph(900, 300).save(tmp_path / "wide.png")
        window.open([tmp_path / "wide.png"])
        qtbot.waitUntil(lambda: window.session.picture is not None, timeout=30_000)
        window.refresh()
        one = window.canvas.view.zoom
        key(qtbot, window, Qt.Key.Key_2)
        pane = window.canvas._pane_boxes()[0]
        assert window.canvas.view.zoom < one
        assert 900 * window.canvas.view.zoom <= pane.width
        key(qtbot, window, Qt.Key.Key_1)
        assert window.canvas.view.zoom == one

    def test_space_swaps_the_sides_of_the_split(self, opened: Window, qtbot) -> None:
        before = opened.state.slots
        key(qtbot, opened, Qt.Key.Key_Space)
        assert opened.state.slots[:2] == (before[1], before[0])

    def test_drag_the_split_line(self, opened: Window, qtbot) -> None:
        canvas = opened.canvas
        middle = QPoint(canvas.width() // 2, canvas.height() // 2)
        qtbot.mousePress(canvas, LEFT, pos=middle)
        qtbot.mouseMove(canvas, QPoint(canvas.width() // 4, 50))
        qtbot.mouseRelease(canvas, LEFT, pos=QPoint(canvas.width() // 4, 50))
        assert canvas.split == pytest.approx(0.25, abs=0.01)
        key(qtbot, opened, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
        assert canvas.split == pytest.approx(0.27, abs=0.01)

    def test_each_side_shows_its_version(self, opened: Window, qtbot) -> None:
        canvas = opened.canvas
        canvas.zoom_to(1.0)
        canvas.set_split(0.5)
        shot = canvas.grab().toImage()
        raster = {n: c.raster for n, c in opened.session.shown.items()}
        left, top = canvas.view.origin(canvas._pane_boxes()[0])
        for x, number in ((5, opened.state.slots[0]), (90, opened.state.slots[1])):
            pixel = raster[number].level(0)[20, x]
            colour = shot.pixelColor(int(left) + x, int(top) + 20)
            assert (colour.red(), colour.green(), colour.blue()) == tuple(pixel)

    def test_wheel_zooms_about_the_pointer_to_3200_percent(self, opened: Window, qtbot) -> None:
        canvas = opened.canvas
        canvas.zoom_to(1.0)
        at = QPointF(canvas.width() // 2 + 30.5, canvas.height() // 2 + 10.5)
        before = canvas.pixel_at(at)
        for _ in range(30):
            event = QWheelEvent(
                at,
                canvas.mapToGlobal(at),
                QPoint(),
                QPoint(0, 120),
                Qt.MouseButton.NoButton,
                PLAIN,
                Qt.ScrollPhase.NoScrollPhase,
                False,
            )
            QApplication.sendEvent(canvas, event)
        assert canvas.view.zoom == 32
        assert canvas.pixel_at(at) == before
        assert opened.tools.zoom.text() == "3200 %"
        shot = canvas.grab().toImage()  # pixels are squares of one colour
        left, top = canvas.view.to_screen(canvas._pane_boxes()[0], *before)
        x, y = round(left), round(top)
        assert shot.pixel(x + 1, y + 1) == shot.pixel(x + 30, y + 30)
        key(qtbot, opened, Qt.Key.Key_0)
        assert canvas.view.fitted

    def test_keys_for_zoom_and_pan(self, opened: Window, qtbot) -> None:
        canvas = opened.canvas
        key(qtbot, opened, Qt.Key.Key_Z)
        assert canvas.view.zoom == 1
        key(qtbot, opened, Qt.Key.Key_Plus)
        assert canvas.view.zoom > 1.4
        key(qtbot, opened, Qt.Key.Key_Minus)
        assert canvas.view.zoom == 1
        x = canvas.view.x
        key(qtbot, opened, Qt.Key.Key_Right, Qt.KeyboardModifier.ControlModifier)
        assert canvas.view.x > x
        qtbot.mouseDClick(canvas, LEFT, pos=QPoint(60, 300))
        assert canvas.view.fitted

    def test_dragging_pans(self, opened: Window, qtbot) -> None:
        canvas = opened.canvas
        canvas.zoom_to(1.0)
        x, y = canvas.view.x, canvas.view.y
        qtbot.mousePress(canvas, LEFT, pos=QPoint(100, 200))
        qtbot.mouseMove(canvas, QPoint(130, 190))
        qtbot.mouseRelease(canvas, LEFT, pos=QPoint(130, 190))
        assert (canvas.view.x - x, canvas.view.y - y) == (-30, 10)

    def test_the_inspector_reads_every_version(self, opened: Window, qtbot) -> None:
        qtbot.mouseMove(opened.canvas, opened.canvas.rect().center())
        opened.canvas.hovered.emit((5, 7))
        names = [name for name, _, _ in opened.inspector.readings()]
        assert names == ["Original", ".mlic", "AVIF"]
        original = opened.session.picture.raster.level(0)[7, 5]
        assert opened.inspector.readings()[0][1] == tuple(original)
        assert opened.inspector.text().startswith("x 5, y 7; Original ")
        opened.inspector.grab()
        opened.canvas.hovered.emit(None)
        assert opened.inspector.text() == ""

    def test_differences(self, opened: Window, qtbot) -> None:
        key(qtbot, opened, Qt.Key.Key_D)
        assert opened.state.lens == Lens.DIFFERENCE
        qtbot.waitUntil(opened.tools.gain.isVisible, timeout=5000)
        gain = opened.state.gain
        key(qtbot, opened, Qt.Key.Key_Period)
        assert opened.state.gain == 2 * gain
        key(qtbot, opened, Qt.Key.Key_Comma)
        opened._put(0, ORIGINAL)
        opened.refresh()
        shot = opened.canvas.grab().toImage()
        left, top = opened.canvas.view.origin(opened.canvas._pane_boxes()[0])
        assert shot.pixelColor(int(left) + 20, int(top) + 40).getRgb()[:3] == (0, 0, 0)

    def test_bit_map(self, opened: Window, qtbot) -> None:
        before = opened.canvas.grab().toImage()
        key(qtbot, opened, Qt.Key.Key_B)
        qtbot.waitUntil(lambda: opened.session.bits(1) is not None, timeout=30_000)
        opened.refresh()
        after = opened.canvas.grab().toImage()
        left, top = opened.canvas.view.origin(opened.canvas._pane_boxes()[0])
        spot = QPoint(int(left) + 30, int(top) + 40)
        assert before.pixel(spot) != after.pixel(spot)
        opened.canvas.hovered.emit((5, 7))
        assert "bits" in opened.inspector.text()

    def test_lossless_tiles_are_hatched(self, opened: Window, qtbot) -> None:
        key(qtbot, opened, Qt.Key.Key_B)
        qtbot.waitUntil(lambda: opened.session.bits(1) is not None, timeout=30_000)
        opened._put(0, 1)
        opened.refresh()
        before = opened.canvas.grab().toImage()
        path = opened.session.shown[1].raster.path
        bits = opened.session.bits(1)
        lossless = bits.lossless.copy()
        lossless[:2, :3] = True
        opened.session.measures._bits[path] = bits._replace(lossless=lossless)
        after = opened.canvas.grab().toImage()
        canvas = opened.canvas
        box = canvas._pane_boxes()[0]
        changed = {
            (column, row): any(
                before.pixel(int(x) + i, int(y) + j) != after.pixel(int(x) + i, int(y) + j)
                for i in range(12)
                for j in range(12)
            )
            for column in (0, 2)
            for row in (0, 3)
            for x, y in [canvas.view.to_screen(box, 16 * column + 4, 16 * row + 8)]
        }
        assert changed == {(0, 0): True, (2, 0): True, (0, 3): False, (2, 3): False}
        canvas.hovered.emit((5, 7))
        assert "lossless tile" in opened.inspector.text()
        canvas.hovered.emit((5, 60))
        assert "learned tile" in opened.inspector.text()

    def test_click_on_a_version_shows_it_on_the_right(self, opened: Window, qtbot) -> None:
        versions = opened.panel.compare.list
        row = versions.rows.numbers.index(
            next(v.number for v in opened.state.versions if v.codec == "webp")
        )
        place = versions.visualRect(versions.rows.index(row)).center()
        qtbot.mouseClick(versions.viewport(), LEFT, pos=place)
        number = versions.rows.numbers[row]
        assert opened.state.slots[1] == opened.state.selected == number
        opened.refresh()
        assert opened.panel.encode.save.text() == "Save WebP…"
        versions.put_left.emit(ORIGINAL)
        assert opened.state.slots[0] == ORIGINAL

    def test_keys_choose_versions(self, opened: Window, qtbot) -> None:
        second = opened.state.slots[1]
        key(qtbot, opened, Qt.Key.Key_Down)
        assert opened.state.slots[1] != second
        key(qtbot, opened, Qt.Key.Key_Up)
        assert opened.state.slots[1] == second
        key(qtbot, opened, Qt.Key.Key_O)
        assert opened.state.slots[0] == ORIGINAL
        key(qtbot, opened, Qt.Key.Key_O)
        assert opened.state.slots[0] == 1

    def test_choose_in_the_menu_of_a_pane(self, opened: Window) -> None:
        button = opened.canvas.buttons[1]
        opened.canvas._fill_menu(button)
        entries = {a.text(): a for a in button.versions.actions()}
        assert entries["AVIF"].isChecked()
        entries["JPEG"].trigger()
        assert opened.session.name(opened.state.slots[1]) == "JPEG"

    def test_match_by_psnr_and_free(self, opened: Window, qtbot) -> None:
        key(qtbot, opened, Qt.Key.Key_Q)
        assert opened.state.match == Match.PSNR
        settle(qtbot, opened)
        assert " dB, size" in headline(opened.session)[0]
        opened.panel.compare.match.buttons[Match.FREE].click()
        settle(qtbot, opened)
        assert headline(opened.session)[0].startswith("Size / PSNR")

    def test_add_versions_and_files_and_remove_them(
        self, opened: Window, qtbot, tmp_path: Path
    ) -> None:
        count = len(opened.state.versions)
        opened._add_version("avif-psnr")
        settle(qtbot, opened)
        assert opened.session.name(opened.state.selected) == "AVIF for PSNR"
        photograph(96, 64).save(tmp_path / "v.webp", quality=10)
        drop(opened, files(tmp_path / "v.webp"), Qt.KeyboardModifier.ShiftModifier)
        settle(qtbot, opened)
        assert opened.session.name(opened.state.slots[1]) == "v.webp"
        assert len(opened.state.versions) == count + 2
        key(qtbot, opened, Qt.Key.Key_Delete)
        assert len(opened.state.versions) == count + 1
        photograph(20, 20).save(tmp_path / "other.png")
        opened.compare_with(tmp_path / "other.png")
        settle(qtbot, opened)
        assert "only pictures of one size" in opened.session.failures[opened.state.selected]

    def test_curves(self, opened: Window, qtbot) -> None:
        key(qtbot, opened, Qt.Key.Key_R)
        qtbot.waitUntil(lambda: len(opened.session.points.of("jpeg")) > 4, timeout=30_000)
        opened.refresh()
        assert opened.panel.curves.text().startswith("Stop")
        assert any(label == "JPEG" for label, _, _ in opened.panel.chart.series())
        opened.panel.chart.grab()
        qtbot.mouseMove(opened.panel.chart, QPoint(100, 100))
        opened.stop()
        assert opened.session.curves.left == 0

    def test_undo(self, opened: Window, qtbot) -> None:
        control = Qt.KeyboardModifier.ControlModifier
        before = opened.state
        key(qtbot, opened, Qt.Key.Key_2)
        key(qtbot, opened, Qt.Key.Key_D)
        key(qtbot, opened, Qt.Key.Key_Z, control)
        key(qtbot, opened, Qt.Key.Key_Z, control)
        assert opened.state == before
        key(qtbot, opened, Qt.Key.Key_Y, control)
        assert opened.state.layout == Layout.SIDE

    def test_small_pictures_are_enlarged_by_whole_numbers(self, opened: Window, qtbot) -> None:
        canvas = opened.canvas
        assert canvas.view.fitted
        assert canvas.view.zoom == int(canvas.view.zoom) > 1
        box = canvas._pane_boxes()[0]
        assert box.width / 2 < 96 * canvas.view.zoom < box.width

    def test_a_single_key_tells_what_it_did(self, opened: Window, qtbot) -> None:
        key(qtbot, opened, Qt.Key.Key_D)
        assert opened.toast.isVisible()
        assert opened.toast.text() == "Difference  (D)"
        button, toast = opened.canvas.buttons[0], opened.toast
        assert toast.y() > button.mapTo(opened.stack, button.rect().bottomLeft()).y()
        opened.resize(1100, 700)
        qtbot.waitUntil(lambda: opened.stack.width() < 800)
        assert abs(toast.geometry().center().x() - opened.stack.rect().center().x()) <= 1
        opened.toast._timer.timeout.emit()
        assert not opened.toast.isVisible()
        opened.actions_["picture"].trigger()  # from the menu
        key(qtbot, opened, Qt.Key.Key_Space)
        key(qtbot, opened, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
        assert not opened.toast.isVisible()

    def test_transparency_of_a_file_counts(self, opened: Window, qtbot, tmp_path: Path) -> None:
        image = Image.open(opened.session.picture.path).convert("RGBA")
        image.putalpha(Image.new("L", image.size, 128))
        image.save(tmp_path / "clear.png")
        image.convert("L").save(tmp_path / "grey.png")
        for name, mode in (("clear.png", "RGBA"), ("grey.png", "L")):
            opened.compare_with(tmp_path / name)
            settle(qtbot, opened)
            coded = opened.session.shown[opened.state.selected]
            assert coded.raster.mode == mode
            assert coded.psnr < 40
            key(qtbot, opened, Qt.Key.Key_D)
            opened.canvas.grab()
            key(qtbot, opened, Qt.Key.Key_P)

    def test_the_chart_stays_in_sight(self, opened: Window, qtbot) -> None:
        opened.resize(1280, 720)
        qtbot.wait(50)
        panel, chart = opened.panel, opened.panel.chart
        for _ in range(3):
            opened._add_version("webp")
            opened.refresh()
            qtbot.wait(20)
            low = chart.mapTo(opened, QPoint(0, chart.height())).y()
            assert chart.height() >= 150
            assert low <= opened.statusBar().geometry().top()
        assert panel.height() > 400

    def test_published_curves_stay_in_the_plot(self, opened: Window, monkeypatch) -> None:
        from pillow_mlic_gui import rd_points
        from pillow_mlic_gui.rd_points import ChartCurve, Point

        chart = opened.panel.chart
        far = ChartCurve("x", "X", (Point(1e-4, 5), Point(50, 90)))
        monkeypatch.setattr(rd_points, "published_apply", lambda size: True)
        before = chart.grab().toImage()
        chart._published = [far]
        assert chart.published == [far]
        after = chart.grab().toImage()
        assert not any(text.startswith("X") for _, text in chart._spots)
        for x in (10, 20, 28):
            for y in range(10, chart.height() - 40):
                assert before.pixel(x, y) == after.pixel(x, y)


class TestEncoding:
    def test_cut_and_resize(self, opened: Window, qtbot) -> None:
        session = opened.session
        opened.canvas.zoom_to(32)
        opened.actions_["cut-view"].trigger()
        qtbot.waitUntil(lambda: session.picture is not session.reshaping.base, timeout=20_000)
        opened.refresh()
        width, height = session.picture.raster.size
        assert (width, height) == pytest.approx(
            (opened.canvas.width() / 32, opened.canvas.height() / 32), abs=2
        )
        assert f"{width} × {height} of 96 × 64" in opened.facts.text()
        assert opened.canvas.view.fitted
        opened.actions_["reshape"].trigger()
        dialog = opened.reshape_dialog
        assert dialog.wide.value() == width
        dialog.ratio.setCurrentIndex(1)
        dialog.ratio.activated.emit(1)
        assert dialog.shape() == Reshape((16, 0, 80, 64))
        dialog.left.setValue(40)
        dialog.wide.setValue(80)  # more than there is
        assert dialog.shape() == Reshape((40, 0, 96, 64))
        dialog.width_.setValue(28)
        assert dialog.shape() == Reshape((40, 0, 96, 64), (28, 32))
        dialog.height_.setValue(16)
        assert dialog.width_.value() == 14
        dialog.accept()
        qtbot.waitUntil(lambda: session.picture.raster.size == (14, 16), timeout=20_000)
        opened.actions_["whole"].trigger()
        assert session.picture is session.reshaping.base

    def test_the_slider_encodes_after_a_pause(self, opened: Window, qtbot) -> None:
        encode = opened.panel.encode
        before = opened.session.shown[1]
        encode.slider.setSliderDown(True)
        for value in (300, 400, 500):
            encode.slider.setValue(value)
            assert opened.state.version(1).goal.value == 3
        encode.slider.setSliderDown(False)
        assert encode.quality.value() == 6.0
        qtbot.waitUntil(lambda: opened.state.version(1).goal.value == 6.0, timeout=5000)
        assert opened.session.shown[1] is before
        settle(qtbot, opened)
        assert opened.session.shown[1].size > before.size

    def test_keys_change_the_quality(self, opened: Window, qtbot) -> None:
        key(qtbot, opened, Qt.Key.Key_Right)
        key(qtbot, opened, Qt.Key.Key_Right)
        qtbot.waitUntil(lambda: opened.state.version(1).goal.value == 3.2, timeout=5000)

    @pytest.mark.parametrize("place", [1, 2])
    def test_aim_for_size_and_psnr(self, opened: Window, qtbot, place: int) -> None:
        encode = opened.panel.encode
        encode.aim.setCurrentIndex(place)
        encode.aim.activated.emit(place)
        if place == 1:
            encode.file_size.setValue(1.2)
        else:
            wanted = round(opened.session.shown[1].psnr, 1)
            encode.psnr.setValue(wanted)
        qtbot.waitUntil(lambda: not encode._pause.isActive(), timeout=5000)
        settle(qtbot, opened)
        coded = opened.session.shown[1]
        if place == 1:
            assert coded.size <= 1200
        else:
            assert coded.psnr == pytest.approx(wanted, abs=0.3)

    def test_impossible_goals_are_explained(self, opened: Window, qtbot) -> None:
        opened._aim(Goal(GoalKind.MAX_BYTES, 100))
        settle(qtbot, opened)
        assert "smaller than" in opened.session.failures[1]
        opened.canvas.grab()
        assert "smaller than" in opened.panel.compare.list.rows.lines(1)[1][0]

    def test_another_codec_and_device(self, opened: Window, qtbot) -> None:
        encode = opened.panel.encode
        encode.devices = ["cpu"]
        opened.refresh()
        place = encode.device.findData("cpu")
        encode.device.setCurrentIndex(place)
        encode.device.activated.emit(place)
        assert opened.state.device == "cpu"
        place = encode.refine.findData(30)
        encode.refine.setCurrentIndex(place)
        encode.refine.activated.emit(place)
        assert opened.state.refine == 30
        place = encode.texture.findText("50%")
        encode.texture.setCurrentIndex(place)
        encode.texture.activated.emit(place)
        assert opened.state.texture == 0.5
        for _ in range(2):
            opened.session.undo()
        opened.refresh()
        assert encode.refine.currentData() == 0
        assert encode.texture.currentData() == 0
        place = encode.model.findData("webp")
        encode.model.setCurrentIndex(place)
        encode.model.activated.emit(place)
        assert opened.state.version(1).codec == "webp"
        opened.refresh()
        assert not encode.device.isEnabled()
        assert not encode.refine.isEnabled()
        settle(qtbot, opened)
        assert opened.session.shown[1].codec == "webp"

    def test_save(
        self, opened: Window, qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[str] = []

        def name(_: object, __: str, suggestion: str, ___: str) -> tuple[str, str]:
            asked.append(suggestion)
            return str(tmp_path / "mine"), ""

        monkeypatch.setattr(QFileDialog, "getSaveFileName", name)
        opened.panel.encode.save.click()
        qtbot.waitUntil(lambda: "Saved mine.mlic" in opened.banner.label.text(), timeout=20_000)
        assert asked[0].endswith("small.mlic")
        with Image.open(tmp_path / "mine.mlic") as image:
            assert image.size == (96, 64)
        opened._save(2)
        qtbot.waitUntil((tmp_path / "mine.avif").exists, timeout=20_000)
        qtbot.waitUntil(lambda: not opened.session.saves.running, timeout=20_000)
        opened._save(1)
        assert "exists already" in opened.banner.label.text()

    def test_metadata(self, window: Window, qtbot, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x010E] = "a description that takes some room"
        photograph(96, 64).save(tmp_path / "m.jpg", exif=exif)
        window.open([tmp_path / "m.jpg"])
        settle(qtbot, window)
        box = window.panel.encode.metadata
        assert "B)" in box.text()
        box.click()
        assert not window.state.keep_metadata
        outputs.save(window.session, 1, tmp_path / "bare.mlic")
        qtbot.waitUntil(lambda: not window.session.saves.running, timeout=20_000)
        box.click()
        outputs.save(window.session, 1, tmp_path / "kept.mlic")
        qtbot.waitUntil(lambda: not window.session.saves.running, timeout=20_000)
        with Image.open(tmp_path / "bare.mlic") as a, Image.open(tmp_path / "kept.mlic") as b:
            assert not a.getexif()
            assert b.getexif()[0x010E].startswith("a description")


class TestWindow:
    def test_the_window_stays_quick_while_encoding(
        self, window: Window, qtbot, tmp_path: Path
    ) -> None:
        """More than 30 frames a second are panned and painted during an encode."""
        photograph(1600, 1200).save(tmp_path / "large.png")
        window.open([tmp_path / "large.png"])
        qtbot.waitUntil(lambda: 1 in window.session.progress, timeout=30_000)
        frames, gaps, last = 0, [], time.perf_counter()
        start = last

        def frame() -> None:
            nonlocal frames, last
            window.canvas.pan(3 if frames % 2 else -3, 1)
            window.canvas.repaint()
            now = time.perf_counter()
            gaps.append(now - last)
            last = now
            frames += 1

        timer = QTimer(interval=8)
        timer.timeout.connect(frame)
        timer.start()
        qtbot.waitUntil(
            lambda: 1 in window.session.shown and time.perf_counter() - start > 1, timeout=60_000
        )
        timer.stop()
        rate = frames / (last - start)
        assert rate > 30, f"{rate:.0f} frames a second, the longest pause {max(gaps):.2f} s"

    def test_settings_are_remembered(
        self, window: Window, shared_workers, settings: Path, qtbot
    ) -> None:
        window._set("layout", Layout.FLICKER)
        window._set("gain", 32)
        window.canvas.set_split(0.3)
        window.do_panel()
        window.close()
        again = Window(shared_workers, ViewerMemory(settings))
        qtbot.addWidget(again)
        assert again.state.layout == Layout.FLICKER
        assert again.state.gain == 32
        assert again.canvas.split == pytest.approx(0.3)
        assert again.panel.isHidden()

    def test_broken_settings_are_ignored(self, settings: Path) -> None:
        settings.write_text("[General]\nstate={broken\nrecent=7\ngeometry=x\n")
        memory = ViewerMemory(settings)
        assert memory.state() == default_state()
        assert memory.recent() == []
        assert memory.value("geometry") is None

    def test_themes(self, opened: Window) -> None:
        opened.actions_["theme-dark"].trigger()
        dark = opened.canvas.grab().toImage().pixelColor(3, 3).lightness()
        opened.actions_["theme-light"].trigger()
        light = opened.canvas.grab().toImage().pixelColor(3, 3).lightness()
        assert dark < 60 < 180 < light
        opened.actions_["theme-system"].trigger()
        assert opened.state.theme == Theme.SYSTEM

    def test_help_and_about(self, window: Window, qtbot) -> None:
        window.do_help()
        assert window.help.isVisible()
        window.help.grab()
        qtbot.keyClick(window.help, Qt.Key.Key_A)
        assert not window.help.isVisible()
        window.do_help()
        qtbot.mouseClick(window.help, LEFT, pos=QPoint(5, 5))
        assert not window.help.isVisible()
        window.do_about()
        boxes = [w for w in QApplication.topLevelWidgets() if w.windowTitle() == "About"]
        assert "libwebp" in boxes[0].informativeText()
        boxes[0].close()

    def test_full_screen_and_panel(self, window: Window) -> None:
        around = (window.menuBar(), window.tools, window.statusBar(), window.panel)
        window.actions_["full-screen"].trigger()
        assert window.isFullScreen()
        assert not any(part.isVisible() for part in around)
        window.stop()
        assert not window.isFullScreen()
        assert all(part.isVisible() for part in around)
        window.actions_["panel"].trigger()
        assert not window.panel.isVisible()

    def test_every_control_has_a_name_and_a_tip(self, window: Window) -> None:
        kinds = (QAbstractButton, QComboBox, QSlider)
        for widget in window.findChildren(QWidget):
            if isinstance(widget, kinds) and not widget.objectName().startswith("qt_"):
                named = widget.accessibleName() or getattr(widget, "text", str)()
                assert named, widget
        assert "halve the squared error" in window.panel.encode.psnr.toolTip()

    def test_tips_explain_measures(self, opened: Window) -> None:
        rows = opened.panel.compare.list.rows
        tip = rows.data(rows.index(1), Qt.ItemDataRole.ToolTipRole)
        assert "Bits per pixel" in tip or "bits per pixel" in tip
        assert "PSNR" in tip
        spoken = rows.data(rows.index(1), Qt.ItemDataRole.AccessibleTextRole)
        assert spoken.startswith(".mlic, ")
        assert "dB" in spoken

    def test_pictures_with_profiles_are_shown_by_them(
        self, window: Window, qtbot, tmp_path: Path
    ) -> None:
        from .test_view import profile_with_swapped_primaries

        wide = profile_with_swapped_primaries()
        Image.new("RGB", (64, 64), (220, 30, 30)).save(tmp_path / "w.png", icc_profile=wide)
        window.open([tmp_path / "w.png"])
        settle(qtbot, window)
        window._put(0, ORIGINAL)
        window.refresh()
        assert "colour-managed" in window.facts.text()
        shot = window.canvas.grab().toImage()
        colour = shot.pixelColor(shot.width() // 2 - 20, shot.height() // 2)
        assert (colour.red(), colour.green(), colour.blue()) != (220, 30, 30)
        assert window.session.picture.raster.level(0)[0, 0].tolist() == [220, 30, 30]

    def test_transparency_lies_on_checkers(self, window: Window, qtbot, tmp_path: Path) -> None:
        Image.new("RGBA", (64, 64), (255, 0, 0, 0)).save(tmp_path / "t.png")
        window.open([tmp_path / "t.png"])
        settle(qtbot, window)
        window._put(0, ORIGINAL)
        window.refresh()
        shot = window.canvas.grab().toImage()
        left, top = (int(v) for v in window.canvas.view.origin(window.canvas._pane_boxes()[0]))
        seen = {shot.pixelColor(left + x, top + 3).name() for x in (3, 11)}
        assert seen == {"#ffffff", "#d4d4d8"}

    def test_warm_up_tells_the_devices(self, window: Window, qtbot) -> None:
        window.warm_up()
        qtbot.waitUntil(lambda: bool(window.panel.encode.devices), timeout=60_000)
        assert window.panel.encode.devices[0] == "cpu"


class TestBatch:
    @pytest.fixture
    def batch(self, window: Window):
        window.do_batch()
        return window.batch_window

    def test_drop_convert_and_read_what_came_of_it(
        self, batch, window: Window, qtbot, tmp_path: Path
    ) -> None:
        for name in "abc":
            photograph(64, 48).save(tmp_path / f"{name}.png")
        (tmp_path / "bad.png").write_text("no picture")
        mime = files(tmp_path)
        copy = Qt.DropAction.CopyAction
        QApplication.sendEvent(batch, QDragEnterEvent(QPoint(9, 9), copy, mime, LEFT, PLAIN))
        QApplication.sendEvent(batch, QDropEvent(QPointF(9, 9), copy, mime, LEFT, PLAIN))
        assert batch.table.rows.rowCount() == 4
        assert batch.summary.text().startswith("4 files, ")
        batch.options.set_folder(tmp_path / "out")
        batch.options.codec.setCurrentIndex(batch.options.codec.findData("webp"))
        batch.options.show_range()
        assert batch.options.value.value() == 75
        batch.start.click()
        assert not batch.start.isEnabled()
        assert batch.pause.isEnabled()
        qtbot.waitUntil(lambda: not batch.batch.running, timeout=60_000)
        assert len(list((tmp_path / "out").glob("*.webp"))) == 3
        assert "3 of 4 files done" in batch.summary.text()
        assert "1 failed" in batch.summary.text()
        assert batch.bar.value() == 1000
        batch.table.grab()
        batch.report.click()
        assert "bad.png: this is no picture" in QApplication.clipboard().text()

    def test_pause_go_on_and_cancel(self, batch, qtbot, tmp_path: Path) -> None:
        for name in "abcd":
            photograph(320, 240).save(tmp_path / f"{name}.png")
        batch.batch.add([tmp_path])
        batch.start.click()
        batch.pause.click()
        assert batch.pause.text() == "Go on"
        assert batch.left.text() == "paused"
        batch.pause.click()
        assert batch.pause.text() == "Pause"
        batch.cancel.click()
        assert not batch.batch.running
        assert batch.start.isEnabled()
        assert not list(tmp_path.glob("*.part"))
        batch.clear.click()
        assert batch.table.rows.rowCount() == 0

    def test_a_second_run_with_other_settings(self, batch, qtbot, tmp_path: Path) -> None:
        photograph(64, 48).save(tmp_path / "a.png")
        batch.batch.add([tmp_path / "a.png"])
        batch.options.take_over("webp", Goal(GoalKind.QUALITY, 50))
        for value in (50, 20):
            batch.options.value.setValue(value)
            batch.options.set_folder(tmp_path / str(value))
            assert batch.start.isEnabled()
            batch.start.click()
            qtbot.waitUntil(lambda: not batch.batch.running, timeout=60_000)
        sizes = [(tmp_path / name / "a.webp").stat().st_size for name in ("50", "20")]
        assert sizes[1] < sizes[0]

    def test_it_begins_with_the_settings_of_the_window(self, window: Window) -> None:
        window._aim(Goal(GoalKind.MAX_BYTES, 123_000))
        window.do_batch()
        order = window.batch_window.options.order()
        assert (order.codec, order.goal) == ("mlic", Goal(GoalKind.MAX_BYTES, 123_000))

    def test_all_options_count(
        self, batch, window: Window, qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        photograph(320, 240).save(tmp_path / "a.png")
        os.utime(tmp_path / "a.png", (1e9, 1e9))
        frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "green")]
        frames[0].save(tmp_path / "b.gif", save_all=True, append_images=frames[1:])
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
        batch.add_folder.click()
        qtbot.waitUntil(lambda: all(item.pixels for item in batch.batch.items), timeout=30_000)
        assert [item.pixels for item in batch.batch.items] == [320 * 240, 64 * 48]
        options = batch.options
        options.take_over("webp", Goal(GoalKind.QUALITY, 30))
        options.suffix.setText("-small")
        options.dates.setChecked(True)
        options.smaller.setChecked(True)
        options.ratio.setCurrentIndex(1)
        options.longest.setValue(100)
        batch.start.click()
        qtbot.waitUntil(lambda: not batch.batch.running, timeout=60_000)
        with Image.open(tmp_path / "a-small.webp") as image:
            assert image.size == (100, 100)
        assert (tmp_path / "a-small.webp").stat().st_mtime == 1e9
        said_ = [batch.table.rows.data(batch.table.rows.index(row, 3)) for row in (0, 1)]
        assert said_[0].endswith("smaller")
        assert "only the first of 2 frames" in batch.batch.report()
        urls: list[QUrl] = []
        monkeypatch.setattr(QDesktopServices, "openUrl", urls.append)
        batch.results.click()
        assert urls[0].toLocalFile() == str(tmp_path)
        batch.table.doubleClicked.emit(batch.table.rows.index(0, 0))
        qtbot.waitUntil(lambda: window.session.picture is not None, timeout=20_000)
        assert window.session.picture.name == "a-small.webp"

    def test_reasons_are_shown_whole(self, batch, small_photo: Path) -> None:
        batch.batch.add([small_photo])
        low = batch.table.rowHeight(0)
        item = batch.batch.items[0]
        item.status, item.reason = Status.FAILED, "a reason that takes many words " * 5
        batch.batch._changed(item)
        assert batch.table.rowHeight(0) > 2 * low

    def test_goals(self, batch) -> None:
        batch.options.aim.setCurrentIndex(1)
        batch.options.show_range()
        batch.options.value.setValue(50)
        assert batch.options.order().goal == Goal(GoalKind.MAX_BYTES, 50_000)
        batch.options.aim.setCurrentIndex(2)
        batch.options.show_range()
        assert batch.options.order().goal.kind == GoalKind.PSNR

    def test_rows_can_be_removed(self, batch, qtbot, small_photo: Path) -> None:
        batch.batch.add([small_photo])
        batch.table.selectRow(0)
        qtbot.keyClick(batch, Qt.Key.Key_Delete)
        assert batch.table.rows.rowCount() == 0


def test_what_a_drop_holds() -> None:
    assert drops.contents(QMimeData()) is None
    mime = QMimeData()
    mime.setText("words")
    assert not drops.acceptable(mime)
    mime.setUrls([QUrl("data:image/png;base64,%%%")])
    assert drops.contents(mime) is None
    mime.setUrls([QUrl("https://example.invalid/x.png")])
    assert drops.contents(mime).url.host() == "example.invalid"
    assert drops._data_url("data:text/plain,a%20b") == b"a b"


def test_starting_loads_nothing_heavy(tmp_path: Path) -> None:
    """What would make the window late, and does not belong into its process."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from pillow_mlic_gui.qt import memory, window, workers\n"
        "app = QApplication([])\n"
        f"settings = Path({str(tmp_path / 's.ini')!r})\n"
        "w = window.Window(workers.WorkerProcesses(), memory.ViewerMemory(settings))\n"
        "w.show(); app.processEvents()\n"
        "print(sorted({'torch', 'scipy', 'matplotlib', 'safetensors'} & set(sys.modules)))\n"
        "w.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_program(tmp_path: Path, small_photo: Path) -> None:
    """`mlic view FILE` in a process of its own, ended from the terminal; nothing stays behind."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from PySide6.QtCore import QTimer\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from pillow_mlic_gui.qt import app\n"
        "def end():\n"
        "    (w,) = [w for w in QApplication.topLevelWidgets() if w.isWindow() and w.isVisible()]\n"
        "    print(w.session.opening)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "qt = QApplication([])\n"
        "QTimer.singleShot(0, end)\n"
        f"code = app.run([Path({str(small_photo)!r})], Path({str(tmp_path / 's.ini')!r}))\n"
        "sys.exit(code)\n"
    )
    (tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
    )
    assert (done.returncode, done.stdout.strip()) == (0, "small.png"), done.stderr
    assert not list((tmp_path / "temporary").glob("mlic-view-*"))
    assert (tmp_path / "s.ini").exists()


def test_an_empty_window_is_idle(tmp_path: Path) -> None:
    """Nothing is read, painted or polled while nobody does anything."""
    script = (
        "import gc, time\n"
        "from pathlib import Path\n"
        "from PySide6.QtCore import QTimer\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from pillow_mlic_gui.qt import app, window\n"
        "window.Window.warm_up = lambda self: None\n"
        "qt = QApplication([])\n"
        "used = []\n"
        "def look():\n"
        "    gc.collect()\n"
        "    used.append(time.process_time())\n"
        "    if len(used) == 2:\n"
        "        print(used[1] - used[0])\n"
        "        [w.close() for w in qt.topLevelWidgets() if isinstance(w, window.Window)]\n"
        "QTimer.singleShot(2000, look)\n"
        "QTimer.singleShot(4000, look)\n"
        f"app.run([], Path({str(tmp_path / 's.ini')!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert float(done.stdout) < 0.2, "a tenth of a core"
