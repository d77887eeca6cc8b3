"""A hand that works the viewer's window as a person does, and an eye that looks at the screen.

Everything is done by events of mouse, keyboard and drag and drop; see walk_viewer.py.
"""

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PySide6.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent, QDragMoveEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QWidget,
)

from pillow_mlic_gui.qt.memory import ViewerMemory
from pillow_mlic_gui.qt.window import Window
from pillow_mlic_gui.qt.workers import WorkerProcesses

LARGEST = 100_000
"""Bytes of a picture in the documentation."""
LEFT = Qt.MouseButton.LeftButton
PLAIN = Qt.KeyboardModifier.NoModifier
CTRL = Qt.KeyboardModifier.ControlModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier
ALT = Qt.KeyboardModifier.AltModifier


def must(true: object, what: str) -> None:
    """Stop the walk where something is not so."""
    if not true:
        msg = f"not so: {what}"
        raise AssertionError(msg)


class Hand:
    """Holds the window, and does things to it."""

    def __init__(self, folder: Path, out: Path) -> None:
        self.app = QApplication.instance() or QApplication(sys.argv[:1])
        QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
        self.window = Window(
            WorkerProcesses(), ViewerMemory(folder / "home" / "viewer" / "settings.ini")
        )
        self.folder, self.out = folder, out
        self.shots: list[Path] = []
        out.mkdir(parents=True, exist_ok=True)
        self.window.setGeometry(0, 0, 1400, 880)
        self.window.show()
        self.window.activateWindow()
        self.window.warm_up()

    # ---- waiting ---------------------------------------------------------------------------------

    def wait(self, until: Callable[[], Any], what: str = "", seconds: float = 300) -> float:
        """Let the window live until something is so; -> seconds that took."""
        start = time.monotonic()
        while not until():
            must(time.monotonic() - start < seconds, what or "the window came to rest")
            self.app.processEvents()
            time.sleep(0.003)
        return time.monotonic() - start

    def pause(self, seconds: float) -> None:
        """Let the window live for so long."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def rest(self, seconds: float = 300) -> None:
        """Wait until nothing is going on, measures included."""
        processes, session = self.window.workers, self.window.session
        workers = [processes.pictures, processes.peers, processes.neural]
        workers += [processes.peers_whole, processes.neural_whole]
        idle = lambda: not session.busy and not any(w.busy for w in workers)  # noqa: E731
        self.wait(idle, "all versions are there", seconds)
        self.pause(0.3)

    # ---- keys and mouse --------------------------------------------------------------------------

    def key(
        self,
        key: Qt.Key,
        modifier: Qt.KeyboardModifier = PLAIN,
        on: QWidget | None = None,
    ) -> None:
        """Press a key where the focus is, or in a window."""
        self._be_active(on.window() if on is not None else None)
        focus = self.app.focusWidget()
        QTest.keyClick(on or focus or self.window, key, modifier)
        self.pause(0.05)

    def _be_active(self, window: QWidget | None) -> None:
        """Give a window the keyboard, as a desktop does: the virtual screen has none."""
        if QApplication.activePopupWidget() is not None:
            return
        wanted = window or QApplication.activeWindow() or self.window
        if not wanted.isActiveWindow():
            wanted.activateWindow()
            self.wait(wanted.isActiveWindow, "the window has the keyboard", 10)

    def click(
        self,
        widget: QWidget,
        at: QPoint | None = None,
        modifier: Qt.KeyboardModifier = PLAIN,
        button: Qt.MouseButton = LEFT,
    ) -> None:
        """Click a widget that can be seen."""
        must(widget.isVisible() and widget.isEnabled(), f"{widget.accessibleName()} can be used")
        QTest.mouseClick(widget, button, modifier, at or widget.rect().center())
        self.pause(0.05)

    def drag(self, widget: QWidget, start: QPoint, end: QPoint) -> None:
        """Press, move, release."""
        QTest.mouseMove(widget, start)
        QTest.mousePress(widget, LEFT, PLAIN, start)
        for part in range(1, 5):
            QTest.mouseMove(widget, start + (end - start) * part / 4)
            self.pause(0.02)
        QTest.mouseRelease(widget, LEFT, PLAIN, end)
        self.pause(0.05)

    def write(self, field: QWidget, text: str) -> None:
        """Put a text in place of a field's own."""
        field.setFocus(Qt.FocusReason.MouseFocusReason)
        QTest.keyClick(field, Qt.Key.Key_A, CTRL)
        QTest.keyClicks(field, text)
        QTest.keyClick(field, Qt.Key.Key_Tab)
        self.pause(0.05)

    def choose(self, box: QComboBox, text: str) -> None:
        """Choose an entry by the keyboard."""
        box.setFocus(Qt.FocusReason.TabFocusReason)
        QTest.keyClick(box, Qt.Key.Key_Home)
        for _ in range(box.count()):
            if box.currentText() == text:
                return
            QTest.keyClick(box, Qt.Key.Key_Down)
        must(box.currentText() == text, f"{text} can be chosen")

    def version(self, number: int, modifier: Qt.KeyboardModifier = PLAIN) -> None:
        """Click a version in the list."""
        listed = self.window.panel.compare.list
        row = listed.rows.numbers.index(number)
        at = listed.visualRect(listed.rows.index(row)).center()
        QTest.mouseClick(listed.viewport(), LEFT, modifier, at)
        self.pause(0.1)

    def choose_sides(self) -> None:
        """The .mlic version on the left, chosen, and the first of the others on the right."""
        numbers = [v.number for v in self.window.state.versions]
        self.version(numbers[0], SHIFT)
        self.version(numbers[1])
        self.version(numbers[0])
        must(self.window.state.slots[:2] == tuple(numbers[:2]), "two sides are chosen")

    # ---- drag and drop ---------------------------------------------------------------------------

    def hold(self, paths: Iterable[Path], at: QPoint, over: QWidget | None = None) -> QMimeData:
        """Drag files over a window, without letting go."""
        target = over or self.window
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        copy = Qt.DropAction.CopyAction
        for event in (
            QDragEnterEvent(at, copy, mime, LEFT, PLAIN),
            QDragMoveEvent(at, copy, mime, LEFT, PLAIN),
        ):
            self.app.sendEvent(target, event)
            must(event.isAccepted(), "files can be dropped here")
        self.pause(0.05)
        return mime

    def drop(self, paths: Iterable[Path], at: QPoint, over: QWidget | None = None) -> None:
        """Drag files over a window, and let go."""
        mime = self.hold(paths, at, over)
        copy = Qt.DropAction.CopyAction
        event = QDropEvent(QPointF(at), copy, mime, LEFT, PLAIN)
        self.app.sendEvent(over or self.window, event)
        self.pause(0.05)

    def take_away(self) -> None:
        """Move what is held out of the window."""
        self.app.sendEvent(self.window, QDragLeaveEvent())
        self.pause(0.05)

    def open(self, *paths: Path) -> None:
        """Drop files on the left half; wait until the first is shown."""
        session = self.window.session
        self.drop(paths, self.left)
        self.wait(
            lambda: session.opening is None
            and (session.picture or session.broken) is not None
            and (session.picture or session.broken).path == paths[0],
            f"{paths[0].name} is shown",
        )
        self.window.refresh()
        self.window.canvas.setFocus()

    @property
    def left(self) -> QPoint:
        """A point of the left half of the pictures, in the window."""
        stack = self.window.stack
        return stack.mapTo(self.window, QPoint(stack.width() // 4, stack.height() // 2))

    @property
    def right(self) -> QPoint:
        """A point of the right half."""
        stack = self.window.stack
        return stack.mapTo(self.window, QPoint(3 * stack.width() // 4, stack.height() // 2))

    # ---- dialogs ---------------------------------------------------------------------------------

    def with_dialog(self, begin: Callable[[], None], act: Callable[[QDialog], None]) -> None:
        """Do what opens a dialog that waits for an answer, and act in it."""
        errors: list[BaseException] = []
        acted: list[bool] = []

        def when_there() -> None:
            dialog = QApplication.activeModalWidget()
            if not isinstance(dialog, QDialog):
                QTimer.singleShot(30, when_there)
                return
            acted.append(True)
            try:
                self._be_active(dialog)
                act(dialog)
            except BaseException as error:
                errors.append(error)
                dialog.reject()

        QTimer.singleShot(60, when_there)
        begin()
        self.wait(lambda: acted, "a dialog opens", 20)
        if errors:
            raise errors[0]

    def file_named(
        self, path: Path, look: Callable[[QFileDialog], None] | None = None
    ) -> Callable[[QDialog], None]:
        """For `with_dialog`: type this name, and accept; `look` sees the dialog before."""

        def act(dialog: QDialog) -> None:
            must(isinstance(dialog, QFileDialog), "it asks for a file")
            assert isinstance(dialog, QFileDialog)
            if look is not None:
                look(dialog)
            field = dialog.findChild(QLineEdit, "fileNameEdit")
            assert field is not None
            field.setFocus()
            QTest.keyClick(field, Qt.Key.Key_A, CTRL)
            QTest.keyClicks(field, str(path))
            self.pause(0.3)
            popup = QApplication.activePopupWidget()
            if popup is not None:  # what the name may be completed to
                QTest.keyClick(popup, Qt.Key.Key_Escape)
                self.pause(0.1)
            must(field.text() == str(path), f"{path} stands there, not {field.text()}")
            must([str(path)] == dialog.selectedFiles(), f"not {dialog.selectedFiles()}")
            buttons = dialog.findChild(QDialogButtonBox).buttons()
            QTest.mouseClick(buttons[0], LEFT)

        return act

    @staticmethod
    def answer(words: str, look: Callable[[QDialog], None] | None = None) -> Any:
        """For `with_dialog`: click the button of a question that says these words."""

        def act(dialog: QDialog) -> None:
            assert isinstance(dialog, QMessageBox), "it asks"
            if look is not None:
                look(dialog)
            buttons = dialog.findChildren(QPushButton)
            found = [b for b in buttons if words in b.text().replace("&", "")]
            must(found, f"a button {words}")
            QTest.mouseClick(found[0], LEFT)

        return act

    # ---- looking ---------------------------------------------------------------------------------

    def screen(self, of: QWidget | None = None) -> Image.Image:
        """What the screen shows where a window is, with all that lies over it."""
        shown = of or self.window
        frame = shown.frameGeometry()
        box = (frame.x(), frame.y(), frame.width(), frame.height())
        grabbed = shown.screen().grabWindow(0, *box).toImage()
        grabbed = grabbed.convertToFormat(grabbed.Format.Format_RGB888)
        size = (grabbed.width(), grabbed.height())
        data = bytes(grabbed.constBits())
        return Image.frombytes("RGB", size, data, "raw", "RGB", grabbed.bytesPerLine())

    def shoot(self, name: str, of: QWidget | None = None, told: bool = False) -> None:
        """Write what the screen shows as a WebP file below the limit; with `told` while it is still
        said what a key has done."""
        if not told:
            self.wait(lambda: not self.window.toast.isVisible(), "it is said only for a moment", 10)
        self.pause(0.25)
        image = self.screen(of)
        path = self.out / f"{name}.webp"
        for quality in (90, 80, 70, 55, 40):
            image.save(path, quality=quality, method=6)
            if path.stat().st_size <= LARGEST:
                break
        must(path.stat().st_size <= LARGEST, f"{path.name} is small enough")
        self.shots.append(path)
        print(f"    {path.name}: {image.width} x {image.height}, {path.stat().st_size} bytes")

    def pixels_of_the_canvas(self) -> np.ndarray:
        """What the canvas shows, (H, W, 3), once nothing is left to be laid out or painted."""
        for _ in range(3):
            self.app.processEvents()
        canvas = self.window.canvas
        corner = canvas.mapTo(self.window, QPoint(0, 0))
        box = (corner.x(), corner.y(), corner.x() + canvas.width(), corner.y() + canvas.height())
        return np.asarray(self.screen().crop(box))

    def event_reaches(self, widget: QWidget, kind: QEvent.Type) -> None:
        """Send a plain event, as the system would."""
        self.app.sendEvent(widget, QEvent(kind))
