"""Drive the real window on a virtual screen, and take the pictures of the documentation.

    python scripts/screenshots.py PHOTO [--out docs/images] [--only waiting]
    python scripts/screenshots.py --keys        # only the table of keys in docs/viewer.md

Needs Linux with Xvfb. Take a Kodak picture as PHOTO: for these the chart has published curves.
"""

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from virtual_screen import virtual_screen

import pillow_mlic  # noqa: F401  (registers the format)

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "viewer.md"
LARGEST = 150_000
"""Bytes of a picture in the documentation."""


def write_keys() -> None:
    """Fill the region of docs/viewer.md that comes from the table of actions."""
    from pillow_mlic_gui import actions

    text = PAGE.read_text(encoding="utf-8")
    region = r"(<!-- begin actions -->\n).*?(<!-- end actions -->)"
    table = actions.markdown().strip()
    text = re.sub(region, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.S)
    PAGE.write_text(text, encoding="utf-8")


class Studio:
    """The window, and what is done to it."""

    def __init__(self, folder: Path, out: Path) -> None:
        from PySide6.QtWidgets import QApplication

        from pillow_mlic_gui.qt.memory import ViewerMemory
        from pillow_mlic_gui.qt.window import Window
        from pillow_mlic_gui.qt.workers import WorkerProcesses

        self.app = QApplication.instance() or QApplication(sys.argv[:1])
        self.window = Window(WorkerProcesses(), ViewerMemory(folder / "settings.ini"))
        self.out = out
        out.mkdir(parents=True, exist_ok=True)
        self.window.setGeometry(0, 0, 1400, 880)
        self.window.show()
        self.window.warm_up()

    def wait(self, until: Callable[[], bool], seconds: float = 300) -> None:
        """Let the window live until something is so."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                msg = "the window did not come to rest"
                raise TimeoutError(msg)
            self.app.processEvents()
            time.sleep(0.005)

    def rest(self) -> None:
        """Wait until nothing is going on."""
        processes, session = self.window.workers, self.window.session
        workers = (processes.pictures, processes.peers, processes.neural)
        workers += (processes.peers_whole, processes.neural_whole)
        self.wait(lambda: not session.busy and not any(w.busy for w in workers))
        pause = time.monotonic() + 0.3
        self.wait(lambda: time.monotonic() > pause)

    def do(self, *names: str) -> None:
        """Trigger actions of the table."""
        for name in names:
            self.window.actions_[name].trigger()
        self.rest()

    def shoot(self, name: str, window: object = None) -> None:
        """Write what the X server shows of a window as a WebP file below the limit."""
        shown = window or self.window
        grabbed = shown.screen().grabWindow(shown.winId()).toImage()  # type: ignore[attr-defined]
        grabbed = grabbed.convertToFormat(grabbed.Format.Format_RGB888)
        size = (grabbed.width(), grabbed.height())
        data = bytes(grabbed.constBits())
        image = Image.frombytes("RGB", size, data, "raw", "RGB", grabbed.bytesPerLine())
        path = self.out / f"{name}.webp"
        for quality in (92, 85, 75, 60):
            image.save(path, quality=quality, method=6)
            if path.stat().st_size <= LARGEST:
                break
        print(f"{path}: {size[0]} x {size[1]}, {path.stat().st_size} bytes")


def scenes(studio: Studio, photo: Path, _folder: Path) -> None:
    """What a comparison looks like, and before it the empty window."""
    window, canvas = studio.window, studio.window.canvas
    studio.do("theme-light")
    studio.shoot("viewer-empty")

    window.open([photo])
    studio.rest()
    studio.do("curves", "zoom-1", "zoom-in", "zoom-in")
    canvas.pan(*LOOK)
    studio.shoot("viewer")

    studio.do("theme-dark", "side", "panes-more", "panes-more", "original", "zoom-fit")
    studio.shoot("viewer-side-by-side")
    studio.do("difference")
    studio.shoot("viewer-difference")

    studio.do("split", "original", "bits", "zoom-fit")
    studio.shoot("viewer-bits")
    studio.do("picture", "help")
    studio.shoot("viewer-keys")
    studio.do("help", "theme-light")


def blind_scene(studio: Studio, photo: Path, _folder: Path) -> None:
    """Two versions without their names."""
    window = studio.window
    window.open([photo])
    studio.rest()
    studio.do("theme-dark", "split", "zoom-1", "zoom-in", "blind")
    studio.wait(lambda: window.session.blind.pair is not None)  # type: ignore[union-attr]
    window.canvas.pan(*LOOK)
    studio.rest()
    studio.shoot("viewer-blind")
    window.end_blind()
    studio.do("theme-light")


def batch_scene(studio: Studio, photo: Path, folder: Path) -> None:
    """Many files, seven of which are done."""
    window = studio.window
    copies = folder / "holiday"
    copies.mkdir()
    for beside in sorted(photo.parent.glob(f"*{photo.suffix}"))[:12]:
        shutil.copyfile(beside, copies / beside.name)
    (copies / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    studio.do("batch")
    batch = window.batch_window
    assert batch is not None
    batch.options.set_folder(folder / "small")
    batch.batch.add([copies])
    batch.start.click()
    finished = 7
    studio.wait(lambda: sum(i.after > 0 for i in batch.batch.items) >= finished)
    studio.wait(lambda: any(0.3 < i.progress < 1 for i in batch.batch.items))
    studio.shoot("viewer-batch", batch)
    studio.wait(lambda: not batch.batch.running)
    batch.close()


def waiting_scenes(studio: Studio, photo: Path, folder: Path) -> None:
    """A large photograph while it is encoded, and a .mlic file that is opened."""
    window, session = studio.window, studio.window.session
    studio.do("theme-light", "split", "picture")
    if session.state.slots[0] == 0:
        studio.do("original")
    large = folder / "photo.jpg"
    image = Image.open(photo).convert("RGB")
    scale = (24e6 / (image.width * image.height)) ** 0.5
    size = (round(image.width * scale), round(image.height * scale))
    image.resize(size, Image.Resampling.LANCZOS).save(large, quality=95)
    window.open([large])
    studio.wait(lambda: session.picture is not None and session.picture.path == large)
    window.refresh()
    window.canvas.zoom_to(0.71)
    studio.wait(lambda: all(session.part_of(n) for n in session.state.shown))
    studio.wait(lambda: any(p.left is not None for p in session.progress.values()))
    studio.shoot("viewer-part")
    window.stop()
    window.banner.hide()

    coded = folder / "photo.mlic"
    image.save(coded, quality=3)
    window.open([coded])
    studio.wait(lambda: session.picture is not None and session.picture.path == coded)
    studio.do("zoom-fit")
    studio.shoot("viewer-opened")


LOOK = (40, 130)
"""How far the picture is moved for the first screenshot, to its most interesting part."""


SCENES = {
    "comparison": scenes,
    "blind": blind_scene,
    "waiting": waiting_scenes,
    "batch": batch_scene,
}


def main() -> None:
    """Take all pictures, or write the table of keys."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("photo", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", choices=SCENES, help="take these pictures alone")
    parser.add_argument("--keys", action="store_true", help="only update docs/viewer.md")
    args = parser.parse_args()
    if args.keys:
        write_keys()
        return
    if args.photo is None:
        parser.error("which photo?")
    server = virtual_screen()
    try:
        with tempfile.TemporaryDirectory() as name:
            studio = Studio(Path(name), args.out)
            for part in [args.only] if args.only else SCENES:
                SCENES[part](studio, args.photo.resolve(), Path(name))
            studio.window.close()
    finally:
        server.terminate()
    write_keys()


if __name__ == "__main__":
    main()
