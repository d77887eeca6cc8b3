"""What leaves the window: saved and exported files, and what is copied."""

from pathlib import Path

from PySide6.QtGui import QColorSpace, QImage
from PySide6.QtWidgets import QApplication, QFileDialog, QMainWindow

from .. import outputs
from ..file_jobs import EXPORTS
from ..raster import Raster
from ..session import Session
from ..state import ORIGINAL, State
from .canvas import Canvas
from .messages import Banner


class SaveHandlers(QMainWindow):
    """The part of the window that saves and copies."""

    session: Session
    canvas: Canvas
    banner: Banner
    _save_folder: Path | None

    @property
    def state(self) -> State:
        """The settings as they are."""
        return self.session.state

    def say(self, text: str, bad: bool) -> None:
        """A message for the user."""
        self.banner.say(text, bad)

    def _start_folder(self) -> str:
        picture = self.session.picture
        if picture is not None and picture.path is not None:
            return str(picture.path.parent)
        return ""

    def do_save(self) -> None:
        if not self.session.comparing:
            self.do_export()
            return
        number = self.state.selected
        self._save(self.state.reference.number if number == ORIGINAL else number)

    def _save(self, number: int) -> None:
        if not self.session.can_save(number):
            return
        suggestion = outputs.suggested_name(self.session, number)
        suffix = Path(suggestion).suffix
        folder = self._save_folder or Path(self._start_folder())
        name, _ = QFileDialog.getSaveFileName(
            self,
            f"Save {self.session.name(number)}",
            str(folder / suggestion),
            f"{suffix} files (*{suffix})",
        )
        if not name:
            return
        target = Path(name)
        if target.suffix.lower() != suffix:
            target = target.with_name(target.name + suffix)
            if target.exists():
                self.say(f"{target.name} exists already; choose another name", True)
                return
        self._save_folder = target.parent
        outputs.save(self.session, number, target)

    def do_export(self) -> None:
        number = self._chosen()
        if number is None:
            return
        assert self.session.picture is not None
        folder = self._save_folder or Path(self._start_folder())
        suggestion = f"{Path(self.session.picture.name).stem}.png"
        kinds = ";;".join(f"{suffix[1:].upper()} (*{suffix})" for suffix in EXPORTS)
        name, _ = QFileDialog.getSaveFileName(
            self, "Export pixels", str(folder / suggestion), f"Pictures ({_patterns()});;{kinds}"
        )
        if name:
            target = Path(name)
            self._save_folder = target.parent
            outputs.export(self.session, number, target)

    def _chosen(self) -> int | None:
        """The version whose pixels are taken: the selected one, or else the original."""
        number = self.state.selected if self.session.comparing else ORIGINAL
        if self.session.raster(number) is None:
            number = ORIGINAL
        return number if self.session.raster(number) is not None else None

    # ---- the clipboard ---------------------------------------------------------------------------

    def do_copy(self) -> None:
        QApplication.clipboard().setPixmap(self.canvas.grab())
        self.say("Copied the view", False)

    def do_copy_picture(self) -> None:
        number = self._chosen()
        pixels = self.session.raster(number) if number is not None else None
        if pixels is None:
            return
        assert self.session.picture is not None
        QApplication.clipboard().setImage(picture_image(pixels, self.session.picture.icc))
        self.say(f"Copied {pixels.width} × {pixels.height} pixels", False)


def _patterns() -> str:
    return " ".join(f"*{suffix}" for suffix in EXPORTS)


def picture_image(pixels: Raster, icc: bytes | None) -> QImage:
    """All pixels as Qt's image, with their colour profile."""
    forms = {
        1: QImage.Format.Format_Grayscale8,
        3: QImage.Format.Format_RGB888,
        4: QImage.Format.Format_RGBA8888,
    }
    data = pixels.level(0).tobytes()
    line = pixels.width * pixels.channels
    image = QImage(data, pixels.width, pixels.height, line, forms[pixels.channels]).copy()
    if icc:
        image.setColorSpace(QColorSpace.fromIccProfile(icc))
    return image
