"""Starting the viewer."""

import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSocketNotifier, QTimer
from PySide6.QtWidgets import QApplication

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
    _close_on_signals(window)
    window.show()
    if paths:
        window.open(paths)
    QTimer.singleShot(0, window.warm_up)  # once the window is on the screen
    return int(app.exec())


def _close_on_signals(window: Window) -> None:
    """Close the window on Ctrl+C in the terminal and on SIGTERM, as its button does.

    Python runs a signal's handler between two of its own instructions. A byte on a socket wakes
    Qt's loop, so that Python gets to run some.
    """
    here, there = socket.socketpair()
    for end in (here, there):
        end.setblocking(False)
    signal.set_wakeup_fd(there.fileno())
    notifier = QSocketNotifier(here.fileno(), QSocketNotifier.Type.Read, window)
    notifier.activated.connect(lambda *_: here.recv(64))
    window.destroyed.connect(here.close)
    window.destroyed.connect(there.close)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: window.close())
