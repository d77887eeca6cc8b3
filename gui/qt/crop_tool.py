"""Cutting with the mouse: lies over the pictures, where a rectangle is drawn and pulled."""

from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPainterPath, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from pillow_mlic.format.geometry import Box

from .. import cropping
from ..cropping import Grip
from ..raster import Raster
from . import marks
from .canvas import Canvas

REACH = 9
"""How near to a side, in logical pixels, it can be taken."""
SIDE = 9
"""Of a handle."""
SHADE = QColor(8, 8, 12, 150)
MOVES = {
    Qt.Key.Key_Left: (-1, 0),
    Qt.Key.Key_Right: (1, 0),
    Qt.Key.Key_Up: (0, -1),
    Qt.Key.Key_Down: (0, 1),
}
CURSORS = {
    (0, 0): Qt.CursorShape.SizeAllCursor,
    (1, 0): Qt.CursorShape.SizeHorCursor,
    (0, 1): Qt.CursorShape.SizeVerCursor,
    (1, 1): Qt.CursorShape.SizeFDiagCursor,
    (1, -1): Qt.CursorShape.SizeBDiagCursor,
}


class CropTool(QWidget):
    """Shown while a rectangle is drawn; the canvas then has the original alone. Wheel and middle
    button are left to the canvas."""

    chosen = Signal(object)
    """The box to cut to, in pixels of the picture that is shown."""
    ended = Signal()

    def __init__(self, canvas: Canvas) -> None:
        super().__init__(canvas)
        self.box: Box | None = None
        self._canvas = canvas
        self._picture: Raster | None = None
        self._from: QPointF | None = None
        """Where the mouse was pressed."""
        self._grip: Grip | None = None
        self._held: Box | None = None
        """The rectangle as it was then."""
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Rectangle to cut to")
        canvas.installEventFilter(self)
        self.hide()

    def begin(self) -> None:
        """Let a rectangle be drawn."""
        picture = self._canvas.session.picture
        if picture is None:
            return
        self.box, self._from, self._picture = None, None, picture.raster
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._canvas.show_alone(True)
        self.setGeometry(self._canvas.rect())
        self.show()
        self.raise_()
        self.setFocus()

    def leave(self) -> None:
        """Cut nothing."""
        if self.isVisible():
            self.hide()
            self._canvas.show_alone(False)
            self._canvas.setFocus()
            self.ended.emit()

    def refresh(self) -> None:
        """Something in the session has changed: another picture needs another rectangle."""
        session = self._canvas.session
        picture = session.picture.raster if session.picture is not None else None
        if picture != self._picture or session.blind is not None:
            self.leave()

    def apply(self) -> None:
        """Cut to the rectangle."""
        box = self.box
        if box is not None:
            self.leave()
            self.chosen.emit(box)

    # ---- geometry --------------------------------------------------------------------------------

    def _at(self, point: QPointF) -> tuple[float, float]:
        """A point of the window in the picture."""
        return self._canvas.place_at(point)

    def on_screen(self) -> QRectF | None:
        """The rectangle in logical pixels of the window."""
        if self.box is None:
            return None
        first, last = (self._canvas.point_of(*corner) for corner in (self.box[:2], self.box[2:]))
        return QRectF(first, last)

    def _grip_at(self, point: QPointF) -> Grip | None:
        area = self.on_screen()
        if area is None:
            return None
        sides = (area.left(), area.top(), area.right(), area.bottom())
        return cropping.grip_at(sides, point.x(), point.y(), REACH)

    # ---- mouse and keys --------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()  # the canvas moves the picture
            return
        self._from = event.position()
        self._grip = self._grip_at(event.position())
        self._held = self.box
        if self._grip is None:
            self.box = None
        self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if event.buttons() & Qt.MouseButton.MiddleButton:
            event.ignore()
            return
        self._canvas.hovered.emit(self._canvas.pixel_at(event.position()))
        if self._from is None or self._picture is None:
            self._show_cursor(event.position())
            return
        start, now = self._at(self._from), self._at(event.position())
        if self._grip is None or self._held is None:
            self.box = cropping.drawn(start, now, self._picture.size)
        else:
            by = now[0] - start[0], now[1] - start[1]
            self.box = cropping.pulled(self._held, self._grip, by, self._picture.size)
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        if event.button() != Qt.MouseButton.LeftButton:
            event.ignore()
            return
        self._from = None
        self._show_cursor(event.position())

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        grip = self._grip_at(event.position())
        if grip is not None:
            self.apply()

    def _show_cursor(self, point: QPointF) -> None:
        grip = self._grip_at(point)
        if grip is None:
            self.setCursor(Qt.CursorShape.CrossCursor)
        else:
            turned = grip if grip > (0, 0) else (-grip.across, -grip.down)
            self.setCursor(CURSORS[turned[0], turned[1]])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key = Qt.Key(event.key())
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.apply()
        elif key == Qt.Key.Key_Escape:
            self.leave()
        elif key in MOVES and self.box is not None and self._picture is not None:
            far = 10 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1
            by = MOVES[key][0] * far, MOVES[key][1] * far
            self.box = cropping.pulled(self.box, Grip(0, 0), by, self._picture.size)
            self.update()
        else:
            event.ignore()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self.setGeometry(self._canvas.rect())
        return super().eventFilter(watched, event)

    # ---- painting --------------------------------------------------------------------------------

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = self.on_screen()
        if area is None or self.box is None:
            text = "Draw a rectangle round what is kept · Esc: cut nothing"
            marks.label(painter, text, QRectF(self.rect()))
            return
        outside = QPainterPath()
        outside.addRect(QRectF(self.rect()))
        inside = QPainterPath()
        inside.addRect(area)
        painter.fillPath(outside - inside, SHADE)
        marks.frame(painter, area, 1)
        self._handles(painter, area)
        left, top, right, bottom = self.box
        marks.tag(painter, f"{right - left} × {bottom - top}", area, QRectF(self.rect()))
        marks.label(
            painter,
            "Enter: cut to the rectangle · arrows: move it · Esc: cut nothing",
            QRectF(self.rect()),
        )

    def _handles(self, painter: QPainter, area: QRectF) -> None:
        sides = (area.left(), area.top(), area.right(), area.bottom())
        painter.setPen(QPen(QColor(0, 0, 0, 140), 1))
        painter.setBrush(marks.INK)
        for grip in cropping.CORNERS_AND_SIDES:
            x, y = cropping.spot(sides, grip)
            painter.drawRect(QRectF(x - SIDE / 2, y - SIDE / 2, SIDE, SIDE))
