"""The button over a pane, which says what version it shows, and the colours of versions."""

from PySide6.QtCore import QPoint, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap
from PySide6.QtWidgets import QMenu, QToolButton, QWidget

from ..choices import FILE, choice
from ..session import Session

GREY = "#8a8a94"


def colour_of(session: Session, number: int) -> str:
    """The colour that stands for a version."""
    version = session.state.version(number)
    if version is None or version.codec == FILE:
        return GREY
    return choice(version.codec).colour


def dot(colour: str, ratio: float = 1.0, side: int = 10) -> QPixmap:
    """A disc of that colour."""
    drawn = QPixmap(QSize(round(side * ratio), round(side * ratio)))
    drawn.setDevicePixelRatio(ratio)
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour))
    painter.drawEllipse(QRectF(0.5, 0.5, side - 1, side - 1))
    painter.end()
    return drawn


class PaneButton(QToolButton):
    """Says which version a pane shows, and lets another be chosen."""

    def __init__(self, parent: QWidget, slot: int) -> None:
        super().__init__(parent)
        self.setObjectName("pane")
        self.slot_number = slot
        self.setAccessibleName(f"Pane {'ABCD'[slot]}")
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.setIconSize(QSize(10, 10))
        self.versions = QMenu(self)
        self.clicked.connect(self._open)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def _open(self) -> None:
        self.versions.popup(self.mapToGlobal(QPoint(0, self.height() + 2)))

    def set_words(self, text: str, colour: str) -> None:
        """What it says."""
        if f" {text}  ▾" != self.text():
            self.setText(f" {text}  ▾")
            self.setAccessibleName(f"Pane {'ABCD'[self.slot_number]}: {text}")
        self.setIcon(dot(colour, self.devicePixelRatioF()))
        self.adjustSize()
