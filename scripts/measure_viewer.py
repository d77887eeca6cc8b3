"""How the viewer keeps the user waiting: idle, at opening, and while it encodes.

    python scripts/measure_viewer.py PICTURE [--megapixels 24] [--seconds 30]

The picture is enlarged to that many megapixels. On a virtual screen (Linux with Xvfb) the window is
left alone for five seconds, then opens the picture; a timer of 10 ms is the heartbeat. Prints the
share of a core that the empty window and its processes use; the seconds from opening to the
original, to the first .mlic version and to the first comparison (of the part in view); and the
longest gaps between two beats, while the picture opens and for `--seconds` of encoding after that.
"""

import argparse
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from virtual_screen import virtual_screen

BEAT_MS = 10
TICKS = os.sysconf("SC_CLK_TCK")


class Trial:
    """The window, its heartbeat, and a clock."""

    def __init__(self, folder: Path) -> None:
        from PySide6.QtCore import Qt, QTimer
        from PySide6.QtWidgets import QApplication

        from pillow_mlic_gui.qt.memory import ViewerMemory
        from pillow_mlic_gui.qt.window import Window
        from pillow_mlic_gui.qt.workers import WorkerProcesses

        self.app = QApplication.instance() or QApplication(sys.argv[:1])
        self.window = Window(WorkerProcesses(), ViewerMemory(folder / "settings.ini"))
        self.window.show()
        self.gaps: list[float] = []
        self._last = 0.0
        self._beat = QTimer(interval=BEAT_MS, timerType=Qt.TimerType.PreciseTimer)
        self._beat.timeout.connect(self._beaten)

    def _beaten(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def listen(self) -> None:
        """Count gaps from now on."""
        self.gaps.clear()
        self._last = time.perf_counter()
        self._beat.start()

    def longest(self) -> str:
        """The longest gap, and how many were above 100 ms."""
        late = sum(gap > 0.1 for gap in self.gaps)
        return f"longest gap {1000 * max(self.gaps):.0f} ms, {late} above 100 ms"

    def until(self, true: Callable[[], bool], seconds: float = 600) -> float:
        """Let the window live until something is so; -> seconds that took."""
        from PySide6.QtCore import QEventLoop

        start = time.perf_counter()
        while not true():
            if time.perf_counter() - start > seconds:
                return math.inf
            self.app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
        return time.perf_counter() - start

    def rest(self, seconds: float) -> None:
        """Let the window live for so long."""
        from PySide6.QtCore import QEventLoop, QTimer

        loop = QEventLoop()
        QTimer.singleShot(round(1000 * seconds), loop.quit)
        loop.exec()


def processor_seconds() -> float:
    """Used by this process and its children so far."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(entry.name) == os.getpid() or int(fields[1]) == os.getpid():
                total += int(fields[11]) + int(fields[12])
    return total / TICKS


def enlarged(picture: Path, megapixels: float, target: Path) -> tuple[int, int]:
    """Write the picture with so many megapixels; -> its size."""
    image = Image.open(picture).convert("RGB")
    factor = math.sqrt(1e6 * megapixels / (image.width * image.height))
    size = (round(image.width * factor), round(image.height * factor))
    image.resize(size, Image.Resampling.LANCZOS).save(target, quality=95)
    return size


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--megapixels", type=float, default=24)
    parser.add_argument("--seconds", type=float, default=30)
    args = parser.parse_args()
    server = virtual_screen()
    try:
        with tempfile.TemporaryDirectory() as name:
            photo = Path(name) / "photo.jpg"
            width, height = enlarged(args.picture, args.megapixels, photo)
            trial = Trial(Path(name))
            window, session = trial.window, trial.window.session
            window.warm_up()
            trial.until(lambda: not session.loading and not window.workers.neural.busy)
            trial.rest(2)
            before = processor_seconds()
            trial.rest(5)
            idle = (processor_seconds() - before) / 5
            print(f"idle: {idle:.1%} of a core, window and processes together")

            trial.listen()
            window.open([photo])
            start = time.perf_counter()
            trial.until(lambda: session.picture is not None and window.canvas.isVisible())
            original = time.perf_counter() - start
            print(f"{width} x {height} pixels: the original after {original:.2f} s")
            number = session.state.reference.number
            there = lambda n: n in session.shown or session.part_of(n) is not None  # noqa: E731
            trial.until(lambda: there(number))
            print(f"the first .mlic version after {time.perf_counter() - start:.2f} s")
            trial.until(lambda: all(there(n) for n in session.state.shown if n))
            print(f"the first comparison after {time.perf_counter() - start:.2f} s")
            print(f"heartbeat while opening: {trial.longest()}")
            trial.listen()
            trial.rest(args.seconds)
            print(f"heartbeat while encoding, {args.seconds:.0f} s: {trial.longest()}")
            window.close()
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
