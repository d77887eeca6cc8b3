"""The viewer with the bundled weights where torch is not installed."""

import os
import subprocess
import sys
from pathlib import Path

WEIGHTS = Path(__file__).parents[2] / "weights"

# In every process of this environment, the workers too, torch is not there.
NO_TORCH = "import sys\nsys.modules['torch'] = None\n"

SCRIPT = """
import sys, time
from pathlib import Path
from PIL import Image
from PySide6.QtWidgets import QApplication
from pillow_mlic.engines import devices
from pillow_mlic_gui.qt.memory import ViewerMemory
from pillow_mlic_gui.qt.window import Window
from pillow_mlic_gui.qt.workers import WorkerProcesses

photo, file, settings = map(Path, sys.argv[1:])
assert not devices.has_torch()
app = QApplication([])
window = Window(WorkerProcesses(), ViewerMemory(settings))
window.show()

def wait(what, so):
    end = time.monotonic() + 100
    while not so():
        assert time.monotonic() < end, f"waited too long for {what}"
        app.processEvents()
        time.sleep(0.01)

window.open([photo])
wait("the .mlic", lambda: 1 in window.session.shown)
coded = window.session.shown[1]
assert coded.codec == "mlic", coded.codec
file.write_bytes(coded.data)
window.open([file])
wait("the opened file", lambda: window.session.picture and window.session.picture.name == file.name)
window.close()
"""


def test_a_photo_is_compared_and_a_file_opened(photo: Path, settings: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_TORCH)
    environ = {**os.environ, "PYTHONPATH": str(tmp_path), "MLIC_WEIGHTS": str(WEIGHTS)}
    file = tmp_path / "coded.mlic"
    command = [sys.executable, "-c", SCRIPT, str(photo), str(file), str(settings)]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
