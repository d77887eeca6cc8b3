"""Fixtures of the viewer's tests: worker processes are started once, with the small weights."""

import importlib.util
import json
import queue
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from ..conftest import photograph, qt_works

if importlib.util.find_spec("pillow_mlic_gui") is None:
    collect_ignore_glob = ["test_*.py"]
elif not qt_works():
    collect_ignore_glob = ["test_qt_*.py"]


class Crew:
    """Worker processes whose news are heard in `pump`."""

    def __init__(self, environ: dict[str, str]) -> None:
        from pillow_mlic_gui.worker import Worker

        self.posted: queue.Queue[Callable[[], None]] = queue.Queue()
        self.workers = [Worker(self.posted.put, environ=environ) for _ in range(6)]
        self.pictures, self.peers, self.neural, self.batch, *whole = self.workers
        self.peers_whole, self.neural_whole = whole

    def pump(self, until: Callable[[], bool], timeout: float = 60) -> None:
        """Hear what the workers say until something is so."""
        end = time.monotonic() + timeout
        while not until():
            left = end - time.monotonic()
            assert left > 0, "the workers took too long"
            try:
                self.posted.get(timeout=min(left, 0.1))()
            except queue.Empty:
                continue

    def close(self) -> None:
        for worker in self.workers:
            worker.close()


@pytest.fixture(scope="session")
def crew(small_pack_file: Path) -> Iterator[Crew]:
    crew = Crew({"MLIC_WEIGHTS": str(small_pack_file)})
    yield crew
    crew.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    photograph(192, 168).save(path)
    return path


@pytest.fixture
def small_photo(tmp_path: Path) -> Path:
    path = tmp_path / "small.png"
    photograph(96, 64).save(path)
    return path


@pytest.fixture
def raster(tmp_path: Path) -> object:
    from pillow_mlic_gui import raster

    return raster.write(photograph(96, 64), tmp_path / "x.pixels")


@pytest.fixture(scope="session")
def shared_workers(small_pack_file: Path) -> Iterator[object]:
    """The window's workers, which outlive the windows of the tests."""
    from PySide6.QtWidgets import QApplication

    from pillow_mlic_gui.qt.workers import WorkerProcesses

    app = QApplication.instance() or QApplication([])

    class LastingProcesses(WorkerProcesses):
        def close(self) -> None:
            """The next test's window has them, too."""

    workers = LastingProcesses({"MLIC_WEIGHTS": str(small_pack_file)})
    yield workers
    WorkerProcesses.close(workers)
    del app


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """What is remembered: versions that are made quickly."""
    from pillow_mlic_gui.state import default_state

    state = default_state().to_json()
    state["versions"] = [v for v in state["versions"] if v["codec"] != "jxl"]
    state["slots"] = [1, 2, 0, 0]
    path = tmp_path / "settings.ini"
    path.write_text("[General]\nstate=" + json.dumps(json.dumps(state)) + "\n")
    return path


@pytest.fixture
def window(
    qtbot, shared_workers, settings: Path, request: pytest.FixtureRequest
) -> Iterator[object]:
    from pillow_mlic_gui.qt.memory import ViewerMemory
    from pillow_mlic_gui.qt.window import Window

    window = Window(shared_workers, ViewerMemory(settings))
    window.resize(1200, 800)
    window.show()
    qtbot.waitExposed(window)
    yield window
    window.session.close()
    if window.batch_window is not None:
        window.batch_window.batch.cancel()
    window.close()
    window.deleteLater()


@pytest.fixture
def opened(window, qtbot, small_photo: Path) -> object:
    """A window with a picture, all of whose versions are there."""
    window.open([small_photo])
    settle(qtbot, window)
    return window


def settle(qtbot, window, timeout: int = 60_000) -> None:
    """Wait until all that is wanted is there."""
    session = window.session
    qtbot.waitUntil(
        lambda: session.picture is not None and session.opening is None and not session.busy,
        timeout=timeout,
    )
    window.refresh()


def fake(**values: object) -> SimpleNamespace:
    return SimpleNamespace(**values)


def save(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path
