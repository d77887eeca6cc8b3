"""Walks through files: lines 4 to 7 of scripts/walk_viewer.py."""

import contextlib
import importlib
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QComboBox, QFileDialog
from viewer_hand import CTRL, SHIFT, Hand, must

from pillow_mlic_gui import choices
from pillow_mlic_gui.batch import Status

if TYPE_CHECKING:
    from walk_viewer import Photos

Key = Qt.Key


def saving(hand: Hand, photos: "Photos") -> None:
    """4. What is saved is what is on the screen, with metadata; its name and size are honest."""
    window, session = hand.window, hand.window.session
    hand.open(photos.photo)
    hand.rest()
    folder = photos.photo.parent / "saved"
    folder.mkdir()
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_jxl")
    for number, version in [(v.number, v) for v in session.state.versions]:
        hand.version(number)
        coded = session.shown[number]
        suffix = choices.choice(version.codec).suffix
        target = folder / f"saved{suffix}"
        first = number == session.state.reference.number

        def look(dialog: QFileDialog, first: bool = first, suffix: str = suffix) -> None:
            (proposed,) = map(Path, dialog.selectedFiles())
            must(proposed.suffix == suffix, f"a name is proposed: {proposed.name}")
            if first:
                hand.shoot("viewer-save")

        hand.with_dialog(lambda: hand.key(Key.Key_S, CTRL), hand.file_named(target, look))
        hand.wait(lambda target=target: target.exists() and not session.saves.running)
        window.refresh()
        said = window.banner.label.text()
        must(target.name in said and "%" in said, f"it is said: {said}")
        must("encoded again" not in said, f"nothing is encoded again: {said}")
        with Image.open(target) as image:
            must(image.getexif().get(0x010E) == "a walk", f"EXIF in {target.name}")
            if suffix != ".jxl":  # whose plugin reads no XMP
                must(b"a walk" in image.info["xmp"], f"XMP in {target.name}")
            same = np.array_equal(np.asarray(image.convert("RGB")), coded.raster.level(0))
            must(same, f"the pixels of {target.name} are those on the screen")
        hand.key(Key.Key_Escape)

    # A JPEG file: its own name is not proposed. What is larger says so.
    hand.open(photos.squeezed)
    hand.rest()
    jpeg = next(v.number for v in session.state.versions if v.codec == "jpeg")
    hand.version(jpeg)

    def own(dialog: QFileDialog) -> None:
        (proposed,) = map(Path, dialog.selectedFiles())
        must(proposed.stem.startswith("squeezed-q"), f"not the original: {proposed.name}")

    again = hand.file_named(folder / "again.jpg", own)
    hand.with_dialog(lambda: hand.key(Key.Key_S, CTRL), again)
    hand.version(session.state.reference.number)
    target = folder / "larger.mlic"
    hand.with_dialog(lambda: hand.key(Key.Key_S, CTRL), hand.file_named(target))
    hand.wait(lambda: target.exists() and not session.saves.running)
    must("larger than the original" in window.banner.label.text(), "that it is larger is said")
    must(window.banner.property("bad"), "as a warning")
    hand.key(Key.Key_Escape)

    # A large file: progress, and a question before quitting.
    hand.open(photos.large)
    hand.key(Key.Key_Escape)
    hand.version(0)
    target = folder / "large.png"
    hand.with_dialog(lambda: hand.key(Key.Key_S, CTRL | SHIFT), hand.file_named(target))
    must(session.saves.running, "it is being written")
    window.refresh()
    must("Saving large.png" in window.headline.left.text(), "progress is shown")
    hand.with_dialog(
        lambda: hand.key(Key.Key_Q, CTRL),
        hand.answer("Cancel", lambda _: hand.shoot("viewer-quit")),
    )
    must(window.isVisible(), "it goes on")
    hand.key(Key.Key_Escape)
    must(not session.saves.running and not target.exists(), "Esc stops writing")


def opened(hand: Hand, photos: "Photos") -> None:
    """5. A .mlic file is shown as it is; its pixels are saved and copied."""
    window, session = hand.window, hand.window.session
    coded = photos.photo.parent / "shown.mlic"
    with Image.open(photos.photo) as image:
        image.save(coded, quality=3)
    hand.open(coded)
    hand.pause(0.5)
    must(not session.comparing and not session.requests, "nothing is encoded")
    must(not window.workers.neural.busy and not window.workers.peers.busy, "nothing runs")
    must(window.headline.compare.isVisible(), "comparing is offered")
    hand.shoot("viewer-opened")
    pixels = session.picture.raster.level(0)
    for suffix in (".png", ".tif", ".jpg", ".webp", ".avif"):
        target = coded.with_name(f"shown{suffix}")
        hand.with_dialog(lambda: hand.key(Key.Key_S, CTRL), hand.file_named(target))
        hand.wait(lambda target=target: target.exists() and not session.saves.running)
        with Image.open(target) as image:
            must(image.size == session.picture.raster.size, f"{suffix} is written")
            if suffix in (".png", ".tif", ".webp"):
                must(np.array_equal(image, pixels), f"{suffix} has the very pixels")
    hand.key(Key.Key_C, CTRL | Qt.KeyboardModifier.AltModifier)
    copied = QApplication.clipboard().image()
    copied = copied.convertToFormat(copied.Format.Format_RGB888)
    rows = np.frombuffer(copied.constBits(), np.uint8).reshape(copied.height(), -1)
    must(np.array_equal(rows[:, : 3 * copied.width()].reshape(pixels.shape), pixels), "copied")
    hand.key(Key.Key_K)
    hand.wait(lambda: session.comparing and session.busy, "K compares")
    hand.rest()


def batch(hand: Hand, photos: "Photos") -> None:
    """6. Many files: options, progress, a second run, cancelling, quitting."""
    window = hand.window
    hand.open(photos.photo)
    hand.rest()
    hand.key(Key.Key_B, CTRL)
    many = window.batch_window
    must(many is not None and many.isVisible(), "its window")
    edited = window.state.edited
    must(many.options.order().codec == edited.codec, "it begins with the window's codec")
    must(many.options.order().goal == edited.goal, "and its aim")
    hand.with_dialog(lambda: hand.click(many.add_folder), hand.file_named(photos.many))
    count = len(many.batch.items)
    must(count >= 2, "a folder is added")
    hand.write(many.options.suffix, "-small")
    hand.choose(many.options.ratio, "1 : 1")
    hand.click(many.options.dates)
    hand.click(many.options.smaller)
    hand.click(many.start)
    must(many.batch.running, "it runs")
    hand.wait(lambda: len(many.batch.of(Status.DONE)) >= min(5, count - 2), "files are done")
    hand.wait(lambda: any(0 < i.progress < 1 for i in many.batch.items), "one is on its way", 20)
    hand.shoot("viewer-batch", many)
    hand.with_dialog(lambda: hand.key(Key.Key_Q, CTRL, on=window), hand.answer("Cancel"))
    must(many.batch.running, "quitting asked")
    hand.click(many.cancel)
    must(many.batch.of(Status.CANCELLED), "cancelled")
    must("cancelled" in many.summary.text(), "and it is said that they are not done")
    for item in many.batch.of(Status.CANCELLED):
        must(item.target is None or not item.target.exists(), "a cancelled file is not there")
    done = many.batch.of(Status.DONE)[0]
    with Image.open(done.target) as image:
        must(image.width == image.height, "it is cut")
    must(done.target.stem.endswith("-small"), "the suffix")
    older = done.source.stat().st_mtime
    must(abs(done.target.stat().st_mtime - older) < 2, "the date is kept")
    must(many.results.isVisible(), "results can be opened")

    # Once more with other settings.
    _codec(hand, many.options.codec, "WebP")
    hand.write(many.options.suffix, "-again")
    hand.click(many.start)
    hand.wait(lambda: not many.batch.running, "a second run", 120)
    written = list(photos.many.glob("*-again.webp"))
    must(len(written) == count - 1, "all but the broken one")
    must(len(many.batch.of(Status.FAILED)) == 1, "the broken one says so")
    hand.shoot("viewer-batch-done", many)
    hand.key(Key.Key_Escape, on=many)
    must(not many.isVisible(), "its window is closed")
    window.activateWindow()
    hand.pause(0.2)


def _codec(hand: Hand, box: QComboBox, label: str) -> None:
    hand.choose(box, label)


def browsing(hand: Hand, photos: "Photos") -> None:
    """7. Through a folder: keys, kept results, broken files, changed files, full screen."""
    window, session = hand.window, hand.window.session
    folder = hand.file_named(photos.album)
    hand.with_dialog(lambda: hand.key(Key.Key_O, CTRL | SHIFT), folder)
    name = lambda: (session.picture or session.broken).name if session.opening is None else ""  # noqa: E731
    hand.wait(lambda: name().startswith("a."), "the first of the folder", 20)
    hand.rest()
    hand.key(Key.Key_PageDown)
    hand.wait(lambda: session.broken is not None, "the second is broken", 20)
    window.refresh()
    must("broken" in window.facts.text() and "cannot be shown" in window.headline.markup(), "said")
    hand.shoot("viewer-broken")
    hand.key(Key.Key_PageDown)
    hand.wait(lambda: name().startswith("c."), "it goes on")
    hand.rest()
    for _ in range(2):
        hand.key(Key.Key_PageUp)
        hand.wait(lambda: session.opening is None)
    hand.wait(lambda: name().startswith("a."), "and back")
    must(not session.busy and len(session.shown) == len(session.state.versions), "all is kept")
    hand.key(Key.Key_F)
    hand.wait(lambda: not window.panel.isVisible() and not window.tools.isVisible(), "F: all of it")
    hand.key(Key.Key_Escape)
    hand.wait(lambda: window.panel.isVisible(), "Esc goes back")
    hand.pause(0.3)
    window.setGeometry(0, 0, 1400, 880)
    changed = photos.album / session.picture.name
    with Image.open(changed) as image:
        stored = io.BytesIO()
        image.rotate(180).save(stored, format=image.format)
    time.sleep(0.05)
    changed.write_bytes(stored.getvalue())
    before = session.picture
    hand.key(Key.Key_F5)
    hand.wait(lambda: session.picture is not None and session.picture is not before, "F5 reads")
    with Image.open(changed) as image:
        same = np.array_equal(image.convert("RGB"), session.picture.raster.level(0))
        must(same, "the new pixels are shown")
    hand.rest()
    QApplication.clipboard().clear()
    hand.key(Key.Key_V, CTRL)
    must(window.banner.isVisible() and window.banner.property("bad"), "an error is shown")
    spent = hand.wait(lambda: not window.banner.isVisible(), "and fades", 30)
    print(f"    the error was there for {spent:.0f} s")


LINES: dict[int, tuple[str, Callable[[Hand, "Photos"], None]]] = {
    4: ("Save writes what is on the screen", saving),
    5: ("A .mlic file is shown", opened),
    6: ("Many files", batch),
    7: ("Through a folder", browsing),
}
