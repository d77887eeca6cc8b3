"""The pictures: panes, split line, zoom and pan, overlays, and what lies under the pointer."""

from collections.abc import Iterator
from functools import partial

from PySide6.QtCore import QEvent, QPoint, QPointF, QRectF, Qt, QTimer, Signal
from PySide6.QtGui import (
    QAction,
    QColor,
    QKeyEvent,
    QMouseEvent,
    QNativeGestureEvent,
    QPainter,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from pillow_mlic.format.geometry import Box

from .. import words
from ..blind import words as blind_words
from ..parts import part_in_view
from ..raster import Raster
from ..session import Session
from ..state import MAX_PANES, ORIGINAL, Layout
from ..view_transform import STEP, ScreenBox, View, fit, next_zoom, panes
from . import marks
from .artist import Artist
from .panes import PaneButton, colour_of, dot
from .theme import LIGHT, Colours
from .tile_images import TileImages

HANDLE = 9
"""How near to the split line, in logical pixels, it can be dragged."""
GAP = 2
REST_MS = 400
"""Rest after the last move of the view, before the part in view is encoded."""
MARGIN = 16


class Canvas(QWidget):
    """Shows the versions of the session's state; all changes of settings go through signals."""

    zoomed = Signal(float)
    hovered = Signal(object)  # (x, y) in picture pixels, or None
    rested = Signal()  # the view has come to rest on another place
    slot_chosen = Signal(int, int)  # pane, version

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.colours: Colours = LIGHT
        self.view = View()
        self.split = 0.5
        self.flicked = 0
        """Which of A and B flicker shows."""
        self.images = TileImages()
        self.keeps_view = False
        """Whether the next picture is shown at the place and zoom of this one."""
        self._alone = False
        self._picture: Raster | None = None
        self._size_before = (1, 1)
        self._drag: QPointF | None = None
        self._drag_split = False
        self._pointer: QPointF | None = None
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self.rested)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMinimumSize(320, 240)
        self.setAccessibleName("Pictures")
        self.buttons = [PaneButton(self, slot) for slot in range(MAX_PANES)]
        for button in self.buttons:
            button.versions.aboutToShow.connect(partial(self._fill_menu, button))
            button.hide()

    # ---- what is shown ---------------------------------------------------------------------------

    def refresh(self) -> None:
        """Something in the session has changed."""
        picture = self.session.picture
        raster = picture.raster if picture is not None else None
        if raster != self._picture:
            before, self._picture = self._picture, raster
            self.images = TileImages(picture.icc if picture is not None else None)
            self._turn(before)
            self.rested.emit()
        elif self.view.fitted:
            self.fit()  # panes may have become smaller or larger
        self._place_buttons()
        self.update()

    def _turn(self, before: Raster | None) -> None:
        """Another picture is shown: as a whole, or as the one before was."""
        if before is not None:
            self._size_before = before.size
        if self._picture is None:
            return  # a broken file between others changes nothing
        if self.keeps_view and not self.view.fitted:
            self._look(self.view.carried(self._size_before, self._picture.size))
        else:
            self.flicked = 0
            self.fit()
        self.keeps_view = False

    def fit(self) -> None:
        """The whole picture."""
        if self._picture is not None:
            self._look(fit(self._picture.size, self._pane_boxes()[0], self._device(MARGIN)))

    def zoom_to(self, zoom: float, at: QPointF | None = None) -> None:
        """Another zoom about a point of the window, or about the middle."""
        if self._picture is None:
            return
        pane, x, y = self._spot(at)
        self._look(self.view.zoomed(zoom, pane, x, y).kept(self._picture.size))

    def step_zoom(self, up: bool) -> None:
        """To the next level of zoom."""
        self.zoom_to(next_zoom(self.view.zoom, up), self._pointer if self._pointer else None)

    def pan(self, right: float, down: float) -> None:
        """Move the picture by logical pixels."""
        if self._picture is not None:
            moved = self.view.panned(self._device(right), self._device(down))
            self._look(moved.kept(self._picture.size))

    def set_split(self, share: float) -> None:
        """Put the split line at a share of the width."""
        self.split = min(max(share, 0.0), 1.0)
        self._place_buttons()
        self.update()

    def flick(self) -> None:
        """Show the other of A and B."""
        self.flicked = 1 - self.flicked
        self.refresh()

    def show_alone(self, alone: bool) -> None:
        """Show the original in one pane, whatever else is asked for; or no longer."""
        self._alone = alone
        self.refresh()

    def part_in_view(self) -> Box | None:
        """What of the picture is looked at."""
        if self._picture is None:
            return None
        return part_in_view(self._picture.size, self.view, self._pane_boxes()[0])

    def box_in_view(self) -> Box | None:
        """All that the first pane shows of the picture."""
        if self._picture is None:
            return None
        pane = self._pane_boxes()[0]
        left, top = self.view.to_picture(pane, pane.left, pane.top)
        right, bottom = self.view.to_picture(pane, pane.left + pane.width, pane.top + pane.height)
        width, height = self._picture.size
        box = (
            max(int(left), 0),
            max(int(top), 0),
            min(round(right), width),
            min(round(bottom), height),
        )
        return box if box[0] < box[2] and box[1] < box[3] else None

    def _look(self, view: View) -> None:
        if view != self.view:
            changed = view.zoom != self.view.zoom
            self.view = view
            self._rest.start()
            if changed:
                self.zoomed.emit(view.zoom)
            self.update()

    # ---- geometry --------------------------------------------------------------------------------

    def _device(self, length: float) -> float:
        return length * self.devicePixelRatioF()

    def _pane_boxes(self) -> list[ScreenBox]:
        state = self.session.state
        width, height = self._device(self.width()), self._device(self.height())
        if not self._named:
            return [ScreenBox(0, 0, width, height)]
        return panes(state.layout, state.panes, width, height, self._device(GAP))

    def panes(self) -> Iterator[tuple[int, int, ScreenBox, ScreenBox]]:
        """Slot, version, pane, and the part of the pane that the version has, in device pixels."""
        state, boxes = self.session.state, self._pane_boxes()
        blind = self.session.blind
        if not self._named:
            number = blind.shown if blind is not None else None
            yield 0, ORIGINAL if number is None else number, boxes[0], boxes[0]
        elif state.layout == Layout.SIDE:
            for slot, box in enumerate(boxes):
                yield slot, state.slots[slot], box, box
        elif state.layout == Layout.FLICKER:
            yield self.flicked, state.slots[self.flicked], boxes[0], boxes[0]
        else:
            box = boxes[0]
            line = round(box.width * self.split)
            yield 0, state.slots[0], box, ScreenBox(0, 0, line, box.height)
            yield 1, state.slots[1], box, ScreenBox(line, 0, box.width - line, box.height)

    @property
    def _named(self) -> bool:
        """Whether versions are shown, with their names."""
        return self.session.comparing and self.session.blind is None and not self._alone

    @property
    def _has_split(self) -> bool:
        return self._named and self.session.state.layout == Layout.SPLIT

    def _spot(self, at: QPointF | None) -> tuple[ScreenBox, float, float]:
        """The pane at a point of the window (the first without one), and the point on screen."""
        boxes = self._pane_boxes()
        if at is None:
            box = boxes[0]
            return box, box.left + box.width / 2, box.top + box.height / 2
        x, y = self._device(at.x()), self._device(at.y())
        return next((b for b in boxes if b.holds(x, y)), boxes[0]), x, y

    def place_at(self, at: QPointF) -> tuple[float, float]:
        """The picture's point at a point of the window."""
        return self.view.to_picture(*self._spot(at))

    def point_of(self, x: float, y: float) -> QPointF:
        """The window's point, in the first pane, at a point of the picture."""
        across, down = self.view.to_screen(self._pane_boxes()[0], x, y)
        return QPointF(across, down) / self.devicePixelRatioF()

    def pixel_at(self, at: QPointF) -> tuple[int, int] | None:
        """The picture's pixel at a point of the window."""
        if self._picture is None:
            return None
        left, top = (int(v // 1) for v in self.place_at(at))
        inside = 0 <= left < self._picture.width and 0 <= top < self._picture.height
        return (left, top) if inside else None

    # ---- buttons over the panes ------------------------------------------------------------------

    def _place_buttons(self) -> None:
        shown = {}
        if self._picture is not None and self._named:
            shown = {slot: (number, clip) for slot, number, _, clip in self.panes()}
        ratio = self.devicePixelRatioF()
        for button in self.buttons:
            if button.slot_number not in shown:
                button.hide()
                continue
            number, clip = shown[button.slot_number]
            button.set_words(self._words(number), colour_of(self.session, number))
            left = clip.left / ratio + 12
            right = (clip.left + clip.width) / ratio - 12 - button.width()
            if self._has_split:
                left = 12 if button.slot_number == 0 else self.width() - 12 - button.width()
                hidden = (
                    left + button.width() > self.split * self.width() - 4
                    if button.slot_number == 0
                    else left < self.split * self.width() + 4
                )
                button.setVisible(not hidden or clip.width / ratio > button.width() + 24)
            else:
                button.setVisible(right > left - 40)
            button.move(QPoint(round(left), round(clip.top / ratio) + 12))
            button.raise_()

    def _words(self, number: int) -> str:
        session = self.session
        name = session.name(number)
        if number in session.failures:
            return f"{name}   not possible"
        if number == ORIGINAL:
            return name
        coded = session.shown.get(number)
        if coded is None:
            return f"{name}   …"
        waits = "" if session.current(number) else "  …"
        return f"{name}   {words.bytes_text(coded.size)} · {words.psnr(coded.psnr)}{waits}"

    def _fill_menu(self, button: PaneButton) -> None:
        menu = button.versions
        menu.clear()
        state = self.session.state
        for number in (ORIGINAL, *(v.number for v in state.versions)):
            entry = QAction(
                dot(colour_of(self.session, number), self.devicePixelRatioF()),
                self.session.name(number),
                menu,
            )
            entry.setCheckable(True)
            entry.setChecked(state.slots[button.slot_number] == number)
            entry.triggered.connect(partial(self.slot_chosen.emit, button.slot_number, number))
            menu.addAction(entry)

    # ---- painting --------------------------------------------------------------------------------

    def paintEvent(self, _event: object) -> None:
        painter = QPainter(self)
        ratio = self.devicePixelRatioF()
        painter.fillRect(self.rect(), QColor(self.colours.canvas))
        if self._picture is None or self.session.picture is None:
            broken = self.session.broken
            if broken is not None:
                text = f"{broken.name} cannot be shown: {broken.reason}"
                marks.note(painter, text, QRectF(self.rect()))
            return
        painter.scale(1 / ratio, 1 / ratio)
        artist = Artist(painter, self.session, self.images, self.view, ratio)
        for _, number, pane, clip in self.panes():
            painter.setClipRect(QRectF(*clip))
            artist.version(number, pane, clip)
        painter.setClipping(False)
        painter.resetTransform()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._has_split:
            x = round(self._device(self.split * self.width())) / ratio
            marks.split_line(painter, x, self.height())
        if self.session.blind is not None:
            marks.label(painter, blind_words(self.session.blind), QRectF(self.rect()))
        artist.legend([number for _, number, _, _ in self.panes()], self.height())

    # ---- mouse -----------------------------------------------------------------------------------

    def _on_split(self, x: float) -> bool:
        return (
            self._picture is not None
            and self._has_split
            and abs(x - self.split * self.width()) <= HANDLE
        )

    def mousePressEvent(self, event: QMouseEvent) -> None:
        buttons = (Qt.MouseButton.LeftButton, Qt.MouseButton.MiddleButton)
        if self._picture is not None and event.button() in buttons:
            self._drag = event.position()
            self._drag_split = self._on_split(event.position().x())
            if not self._drag_split:
                self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position()
        self._pointer = at
        if self._drag is None:
            self.setCursor(
                Qt.CursorShape.SplitHCursor
                if self._on_split(at.x())
                else Qt.CursorShape.CrossCursor
                if self._picture is not None
                else Qt.CursorShape.ArrowCursor
            )
        elif self._drag_split:
            self.set_split(at.x() / self.width())
        else:
            self.pan(at.x() - self._drag.x(), at.y() - self._drag.y())
            self._drag = at
        self.hovered.emit(self.pixel_at(at))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._drag = None
        self._drag_split = False
        self.mouseMoveEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        if self._picture is None or self._on_split(event.position().x()):
            return
        if self.view.fitted:
            self.zoom_to(1.0, event.position())
        else:
            self.fit()

    def leaveEvent(self, _event: QEvent) -> None:
        self._pointer = None
        self.hovered.emit(None)

    def wheelEvent(self, event: QWheelEvent) -> None:
        steps = event.angleDelta().y() / 120
        if steps and self._picture is not None:
            zoom = self.view.zoom * STEP**steps
            near = next((z for z in (1.0, 2.0, 4.0, 8.0, 16.0) if abs(zoom / z - 1) < 0.06), zoom)
            self.zoom_to(near, event.position())
        event.accept()

    def event(self, event: QEvent) -> bool:
        if isinstance(event, QNativeGestureEvent):
            if event.gestureType() == Qt.NativeGestureType.ZoomNativeGesture:
                self.zoom_to(self.view.zoom * (1 + event.value()), event.position())
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        event.ignore()  # keys are actions of the window

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self.view.fitted:
            self.fit()
        self._place_buttons()
