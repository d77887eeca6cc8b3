"""What is dropped on the window: opened, or compared with the open picture."""

from PySide6.QtCore import QPoint, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDragMoveEvent,
    QDropEvent,
    QPainter,
    QPaintEvent,
    QPen,
)
from PySide6.QtWidgets import QWidget

from ..state import MAX_PANES
from . import drops
from .action_handlers import ActionHandlers
from .theme import LIGHT, Colours

ZONES = ("Open", "Compare with the open picture")


class DropZones(QWidget):
    """Covers the pictures while something is held over them, and says what dropping it does."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.colours: Colours = LIGHT
        self.zone = 0
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName("Drop zones")
        self.hide()

    def zone_at(self, at: QPoint) -> int:
        """The zone at a point of the window."""
        over = self._over
        return int(over.mapFrom(over.window(), at).x() >= over.width() // 2)

    def show_zone(self, zone: int) -> None:
        """Show both, this one lit."""
        self.zone = zone
        self.setGeometry(self._over.rect())
        self.show()
        self.raise_()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(10, 10, 14, 150))
        font = painter.font()
        font.setPointSizeF(font.pointSizeF() + 4)
        painter.setFont(font)
        half = self.width() / 2
        for zone, text in enumerate(ZONES):
            area = QRectF(zone * half, 0, half, self.height()).adjusted(24, 24, -24, -24)
            lit = zone == self.zone
            colour = QColor(self.colours.accent if lit else "#ffffff")
            colour.setAlpha(255 if lit else 120)
            painter.setPen(QPen(colour, 3 if lit else 2, Qt.PenStyle.DashLine))
            fill = QColor(self.colours.accent)
            fill.setAlpha(110 if lit else 0)
            painter.setBrush(fill)
            painter.drawRoundedRect(area, 18, 18)
            painter.setPen(QColor(255, 255, 255, 255 if lit else 190))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(area.adjusted(12, 12, -12, -12), int(flags), text)


class DropHandlers(ActionHandlers):
    """The part of the window that things are dropped on."""

    zones: DropZones

    def _may_compare(self, drop: drops.Drop | None) -> bool:
        """Whether what is dropped can be compared with what is open."""
        session = self.session
        there = session.picture is not None and session.comparing and session.blind is None
        return there and drop is not None and bool(drop.paths)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if drops.acceptable(event.mimeData()):
            event.acceptProposedAction()
            self.welcome.set_hot(True)

    def dragMoveEvent(self, event: QDragMoveEvent) -> None:
        if self._may_compare(drops.contents(event.mimeData())):
            self.zones.show_zone(self._zone(event))
        event.acceptProposedAction()

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        self.welcome.set_hot(False)
        self.zones.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        zone = self._zone(event) if self.zones.isVisible() or self._shift(event) else 0
        self.welcome.set_hot(False)
        self.zones.hide()
        event.acceptProposedAction()
        drop = drops.contents(event.mimeData())
        if zone == 1 and drop is not None and self._may_compare(drop):
            for path in drop.paths[:MAX_PANES]:
                self.compare_with(path)
        else:
            self.take(drop)

    def _zone(self, event: QDropEvent) -> int:
        """With Shift held it is the second in any place."""
        return 1 if self._shift(event) else self.zones.zone_at(event.position().toPoint())

    @staticmethod
    def _shift(event: QDropEvent) -> bool:
        return bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
