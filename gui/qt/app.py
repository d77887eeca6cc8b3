"""Starting the viewer."""

import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QSocketNotifier, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from .memory import ViewerMemory
from .window import Window
from .workers import WorkerProcesses


def run(paths: Sequence[Path], settings: Path | None = None) -> int:
    """Open the window with these files; -> the program's exit status.

    `settings`: a file to remember settings in, instead of the user's own.
    """
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setApplicationName("pillow-mlic")
    app.setDesktopFileName("pillow-mlic")
    window = Window(WorkerProcesses(), ViewerMemory(settings))
    watch = SignalWatch(window)
    window.show()
    if paths:
        window.open(paths)
    QTimer.singleShot(0, window.warm_up)  # once the window is on the screen
    status = int(app.exec())
    watch.stop()
    return status


class SignalWatch(QObject):
    """Closes the window on Ctrl+C in the terminal and on SIGTERM, as its button does.

    Python runs a signal's handler between two of its own instructions. A byte on a socket wakes
    Qt's loop, so that Python gets to run some. Both ends are kept for as long as the window: an end
    that is collected closes, and a closed line is readable for ever.
    """

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._here, self._there = socket.socketpair()
        for end in (self._here, self._there):
            end.setblocking(False)
        signal.set_wakeup_fd(self._there.fileno())
        self._notifier = QSocketNotifier(self._here.fileno(), QSocketNotifier.Type.Read, self)
        self._notifier.activated.connect(lambda *_: self._here.recv(64))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: window.close())

    def stop(self) -> None:
        """Before the interpreter ends: no wake-ups into a socket that is about to close."""
        signal.set_wakeup_fd(-1)
        self._notifier.setEnabled(False)
        self._here.close()
        self._there.close()
