"""The line at the bottom: the pixel under the pointer, in every version in view."""

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from .. import bitmap
from ..session import Session
from ..state import ORIGINAL, Lens
from ..tiles import Painter
from .theme import LIGHT, Colours


class Inspector(QWidget):
    """Position, and the values of the original and of every version in view."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.colours: Colours = LIGHT
        self.place: tuple[int, int] | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Pixel under the pointer")
        self._painter: tuple[object, Painter] = (None, Painter())

    def sizeHint(self) -> QSize:
        return QSize(400, 22)

    def look(self, place: object) -> None:
        """Another pixel, or none."""
        self.place = place if isinstance(place, tuple) else None
        self.setAccessibleDescription(self.text())
        self.update()

    def readings(self) -> list[tuple[str, tuple[int, ...], str]]:
        """Name, values and further words of each version in view, the original first."""
        session = self.session
        if self.place is None or session.picture is None:
            return []
        x, y = self.place
        found = []
        for number in dict.fromkeys((ORIGINAL, *session.state.shown)):
            coded = session.shown.get(number)
            if number == ORIGINAL:
                raster = session.picture.raster
            elif coded is not None:
                raster = coded.raster
            else:
                continue
            if x >= raster.width or y >= raster.height:
                continue
            values = tuple(int(v) for v in raster.level(0)[y, x])
            bits = session.bits(number) if session.state.lens == Lens.BITS else None
            spent = bitmap.at(bits.bits, x, y) if bits is not None else None
            more = f"{spent:.0f} bits" if spent is not None else ""
            if bits is not None and spent is not None:
                more += ", lossless tile" if bits.lossless[y // 16, x // 16] else ", learned tile"
            found.append((session.name(number), values, more))
        return found

    def text(self) -> str:
        """All of it in words."""
        if self.place is None:
            return ""
        parts = [f"x {self.place[0]}, y {self.place[1]}"]
        for name, values, more in self.readings():
            parts.append(" ".join([name, *map(str, values), more]).strip())
        return "; ".join(parts)

    def _swatch(self, values: tuple[int, ...]) -> QColor:
        """The colour as the pictures show it."""
        import numpy as np

        icc = self.session.picture.icc if self.session.picture is not None else None
        if self._painter[0] is not icc:
            self._painter = icc, Painter(icc)
        return QColor(*self._painter[1].colour(np.array(values, np.uint8)))

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self.place is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = painter.fontMetrics()
        centre = int(Qt.AlignmentFlag.AlignVCenter)
        height = self.height()
        painter.setPen(QColor(self.colours.soft))
        head = f"x {self.place[0]}  y {self.place[1]}"
        painter.drawText(QRectF(4, 0, 130, height), centre, head)
        x = 4 + max(metrics.horizontalAdvance(head), metrics.horizontalAdvance("x 9999  y 9999"))
        for name, values, more in self.readings():
            x += 18
            painter.setPen(QColor(self.colours.line))
            painter.setBrush(self._swatch(values))
            painter.drawRoundedRect(QRectF(x, height / 2 - 6.5, 13, 13), 3, 3)
            x += 19
            painter.setPen(QColor(self.colours.soft))
            numbers = " ".join(f"{v:>3}" for v in values)
            painter.drawText(QRectF(x, 0, 300, height), centre, name)
            x += metrics.horizontalAdvance(name) + 7
            painter.setPen(QColor(self.colours.text))
            text = f"{numbers}  {more}" if more else numbers
            painter.drawText(QRectF(x, 0, 300, height), centre, text)
            x += metrics.horizontalAdvance("255 " * len(values) + more)
