"""The list of versions, each with its size, fidelity and times."""

from PySide6.QtCore import (
    QAbstractListModel,
    QModelIndex,
    QPersistentModelIndex,
    QPoint,
    QRectF,
    QSize,
    Qt,
    Signal,
)
from PySide6.QtGui import QColor, QFont, QPainter, QPen
from PySide6.QtWidgets import (
    QAbstractItemView,
    QListView,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QWidget,
)

from .. import words
from ..session import Session
from ..state import ORIGINAL
from ..waiting import waiting_words
from .panes import colour_of
from .theme import LIGHT, Colours

ModelIndex = QModelIndex | QPersistentModelIndex
HEIGHT = 46


class Model(QAbstractListModel):
    """The original, then the versions of the session's state."""

    def __init__(self, session: Session, parent: QWidget) -> None:
        super().__init__(parent)
        self.session = session
        self.numbers: list[int] = []

    def refresh(self) -> None:
        """Something in the session has changed."""
        numbers = [ORIGINAL]
        if self.session.comparing:
            numbers += [v.number for v in self.session.state.versions]
        if numbers != self.numbers:
            self.beginResetModel()
            self.numbers = numbers
            self.endResetModel()
        else:
            self.dataChanged.emit(self.index(0), self.index(len(numbers) - 1))

    def rowCount(self, parent: ModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.numbers)

    def data(self, index: ModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        number = self.numbers[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.session.name(number)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return ", ".join(part for line in self.lines(number) for part in line if part)
        if role == Qt.ItemDataRole.ToolTipRole:
            return self._tip(number)
        return None

    def lines(self, number: int) -> tuple[tuple[str, str, str], tuple[str, str]]:
        """Name, size and PSNR; details and times."""
        session = self.session
        name = session.name(number)
        if number == ORIGINAL:
            picture = session.picture
            if picture is None:
                return (name, "", ""), ("", "")
            size = words.bytes_text(picture.file_bytes) if picture.file_bytes else ""
            shape = f"{picture.raster.width} × {picture.raster.height}"
            return (name, size, ""), (f"{picture.format} · {shape}", "")
        part = session.part_of(number)
        if part is not None and session.picture is not None:
            size = words.bytes_text(session.closeup.estimate(number, session.picture) or 0)
            text = session.failures.get(number) or waiting_words(session, number)
            return (name, f"≈ {size}", words.psnr(part.psnr)), (f"part in view · {text}", "")
        if number in session.failures:
            return (name, "", ""), (session.failures[number], "")
        coded = session.shown.get(number)
        if coded is None:
            text = waiting_words(session, number) if session.picture is not None else ""
            return (name, "", ""), (text, "")
        details = [words.quality(coded.quality), words.bpp(coded.bpp)]
        similarity = session.measures.similarity(coded)
        if similarity is not None:
            details.append(f"MS-SSIM {words.similarity(similarity)}")
        times = f"{words.seconds(coded.encode_seconds)} / {words.seconds(coded.decode_seconds)}"
        head = (name, words.bytes_text(coded.size), words.psnr(coded.psnr))
        if not session.current(number):
            return head, (waiting_words(session, number), "")
        return (
            head,
            (" · ".join(d for d in details if d), times),
        )

    def _tip(self, number: int) -> str:
        if number in self.session.failures:
            return self.session.failures[number]
        coded = self.session.shown.get(number)
        if coded is None:
            return "The picture as it was opened" if number == ORIGINAL else ""
        encode, decode = words.seconds(coded.encode_seconds), words.seconds(coded.decode_seconds)
        return (
            f"<b>{self.session.name(number)}</b>: {coded.size:,} bytes, encoded in {encode}, "
            f"decoded in {decode}.<br>{words.BPP}<br>{words.PSNR}<br>{words.SSIMULACRA2}<br>"
            f"{words.MS_SSIM}"
        )


class Delegate(QStyledItemDelegate):
    """Paints a version in two lines."""

    def __init__(self, model: Model, parent: QWidget) -> None:
        super().__init__(parent)
        self.model = model
        self.colours: Colours = LIGHT

    def sizeHint(self, option: QStyleOptionViewItem, index: ModelIndex) -> QSize:
        del option, index
        return QSize(200, HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: ModelIndex) -> None:
        session, c = self.model.session, self.colours
        number = self.model.numbers[index.row()]
        (name, size, psnr), (details, times) = self.model.lines(number)
        state = session.state
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(option.rect).adjusted(0, 1, 0, -1)
        chosen = number == state.selected
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        if chosen or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(c.selected if chosen else c.hover))
            painter.drawRoundedRect(area, 8, 8)
        if option.state & QStyle.StateFlag.State_HasFocus and index.row() == self._row(option):
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(c.accent), 1))
            painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 8, 8)
        left, right = area.left() + 30, area.right() - 10
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colour_of(session, number)))
        painter.drawEllipse(QRectF(area.left() + 12, area.top() + 10, 9, 9))

        bold = QFont(option.font)
        bold.setWeight(QFont.Weight.DemiBold)
        top = QRectF(left, area.top() + 3, right - left, 20)
        low = QRectF(left, area.top() + 23, right - left, 17)
        ends = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
        starts = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        painter.setFont(bold)
        waits = number != ORIGINAL and not session.current(number)
        failed = number in session.failures
        painter.setPen(QColor(c.soft if waits else c.text))
        columns = [top.adjusted(0, 0, -138, 0), top.adjusted(0, 0, -70, 0), top]
        metrics = painter.fontMetrics()
        shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, int(columns[0].width()))
        painter.drawText(columns[0], starts, shown)
        painter.drawText(columns[1], ends, size)
        painter.drawText(columns[2], ends, psnr)
        x = left + metrics.horizontalAdvance(shown) + 8
        for slot in dict.fromkeys(
            slot for slot, shown_number in enumerate(state.shown) if shown_number == number
        ):
            x = self._badge(painter, option.font, x, top.center().y(), "ABCD"[slot])

        small = QFont(option.font)
        small.setPointSizeF(max(option.font.pointSizeF() - 1.5, 7))
        painter.setFont(small)
        painter.setPen(QColor(c.bad if failed else c.soft))
        space = low.width() - painter.fontMetrics().horizontalAdvance(times) - 8
        text = painter.fontMetrics().elidedText(details, Qt.TextElideMode.ElideRight, int(space))
        painter.drawText(low, starts, text)
        painter.drawText(low, ends, times)
        progress = session.progress.get(number)
        if progress is not None:
            line = QRectF(left, area.bottom() - 3, right - left, 2)
            painter.fillRect(line, QColor(c.line))
            line.setWidth(line.width() * min(progress.share, 1))
            painter.fillRect(line, QColor(c.accent))
        painter.restore()

    @staticmethod
    def _row(option: QStyleOptionViewItem) -> int:
        view = option.widget
        return view.currentIndex().row() if isinstance(view, QListView) else -1

    def _badge(self, painter: QPainter, font: QFont, x: float, y: float, letter: str) -> float:
        """A letter in a box: the pane that shows the version."""
        painter.save()
        small = QFont(font)
        small.setPointSizeF(max(font.pointSizeF() - 2.5, 6.5))
        small.setBold(True)
        painter.setFont(small)
        box = QRectF(x, y - 8, 16, 16)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.colours.accent))
        painter.drawRoundedRect(box, 4, 4)
        painter.setPen(QColor(self.colours.on_accent))
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, letter)
        painter.restore()
        return x + 20


class VersionList(QListView):
    """Click: show on the right and choose; Shift+click: show on the left."""

    chosen = Signal(int)
    put_left = Signal(int)
    menu_wanted = Signal(int, QPoint)

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("versions")
        self.setAccessibleName("Versions of the picture")
        self.setMouseTracking(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.rows = Model(session, self)
        self.setModel(self.rows)
        self.painter_ = Delegate(self.rows, self)
        self.setItemDelegate(self.painter_)
        self.clicked.connect(self._clicked)
        self.activated.connect(lambda index: self.chosen.emit(self.rows.numbers[index.row()]))
        self.customContextMenuRequested.connect(self._menu)

    def refresh(self) -> None:
        """Something in the session has changed."""
        self.rows.refresh()
        self.setFixedHeight(len(self.rows.numbers) * HEIGHT + 2)

    def _clicked(self, index: QModelIndex) -> None:
        number = self.rows.numbers[index.row()]
        from PySide6.QtWidgets import QApplication

        if QApplication.keyboardModifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.put_left.emit(number)
        else:
            self.chosen.emit(number)

    def _menu(self, at: QPoint) -> None:
        index = self.indexAt(at)
        if index.isValid():
            self.menu_wanted.emit(self.rows.numbers[index.row()], self.mapToGlobal(at))
