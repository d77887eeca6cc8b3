"""Starting the viewer."""

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from .memory import Memory
from .staff import QtStaff
from .window import Window


def run(paths: Sequence[Path], settings: Path | None = None) -> int:
    """Open the window with these files; -> the program's exit status.

    `settings`: a file to remember settings in, instead of the user's own.
    """
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setApplicationName("pillow-mlic")
    app.setDesktopFileName("pillow-mlic")
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl+C in the terminal ends it
    window = Window(QtStaff(), Memory(settings))
    window.show()
    if paths:
        window.open(paths)
    QTimer.singleShot(0, window.warm_up)  # once the window is on the screen
    return int(app.exec())
