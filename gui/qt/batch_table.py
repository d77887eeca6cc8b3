"""The queue of files as a table."""

from PySide6.QtCore import QAbstractTableModel, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from .. import words
from ..batch import Batch, QueuedFile, Status
from .theme import LIGHT, Colours
from .versions import ModelIndex

MARGINS = (8, 0, -8, 0)
WRAPPED = int(Qt.AlignmentFlag.AlignVCenter | Qt.TextFlag.TextWordWrap)
ROW = 30
"""Logical pixels of a row with few words."""
COLUMNS = ("File", "Before", "After", "")


class QueueModel(QAbstractTableModel):
    """The queue as a table."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.batch: Batch | None = None
        self._count = 0

    def rowCount(self, parent: ModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else self._count

    def columnCount(self, parent: ModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        if role == Qt.ItemDataRole.TextAlignmentRole and section in (1, 2):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def item(self, index: ModelIndex) -> QueuedFile:
        """The file of a row."""
        assert self.batch is not None
        return self.batch.items[index.row()]

    def data(self, index: ModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        item = self.item(index)
        if role == Qt.ItemDataRole.DisplayRole:
            return (
                str(item.file.relative),
                words.bytes_text(item.before) if item.before else "",
                words.bytes_text(item.after) if item.after else "",
                said(item),
            )[index.column()]
        if role == Qt.ItemDataRole.ToolTipRole:
            return item.reason or str(item.target or item.source)
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() in (1, 2):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None

    def refresh(self, item: QueuedFile | None) -> None:
        """One row, or everything."""
        assert self.batch is not None
        if item is None and len(self.batch.items) != self._count:
            self.beginResetModel()
            self._count = len(self.batch.items)
            self.endResetModel()
        elif item is None:
            self.dataChanged.emit(self.index(0, 0), self.index(self._count - 1, 3))
        elif item in self.batch.items:
            row = self.batch.items.index(item)
            self.dataChanged.emit(self.index(row, 0), self.index(row, 3))


def said(item: QueuedFile) -> str:
    """How a file stands."""
    if item.status == Status.DONE:
        return "; ".join([words.change(item.before, item.after), *item.notes])
    if item.status in (Status.FAILED, Status.SKIPPED):
        return f"{item.status}: {item.reason}"
    return "" if item.status == Status.WAITING else str(item.status)


class ProgressDelegate(QStyledItemDelegate):
    """The last column: a bar while a file is worked on, words otherwise."""

    colours: Colours = LIGHT

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: ModelIndex) -> None:
        rows = index.model()
        assert isinstance(rows, QueueModel)
        item = rows.item(index)
        if item.status == Status.WORKING:
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            area = QRectF(option.rect).adjusted(8, 0, -12, 0)
            bar = QRectF(area.left(), area.center().y() - 3, area.width(), 6)
            painter.setBrush(QColor(self.colours.line))
            painter.drawRoundedRect(bar, 3, 3)
            painter.setBrush(QColor(self.colours.accent))
            bar.setWidth(max(bar.width() * item.progress, 6))
            painter.drawRoundedRect(bar, 3, 3)
            painter.restore()
            return
        painter.save()
        if item.status == Status.FAILED:
            colour = self.colours.bad
        elif item.status == Status.DONE:
            colour = self.colours.good
        else:
            colour = self.colours.soft
        if option.state & option.state.State_Selected:
            painter.fillRect(option.rect, QColor(self.colours.selected))
        painter.setPen(QColor(colour))
        painter.drawText(option.rect.adjusted(*MARGINS), WRAPPED, said(item))
        painter.restore()

    def sizeHint(self, option: QStyleOptionViewItem, index: ModelIndex) -> QSize:
        """As high as all of the words need."""
        rows, table = index.model(), option.widget
        assert isinstance(rows, QueueModel)
        assert isinstance(table, QTableView)
        left, _, right, _ = MARGINS
        space = QRect(0, 0, table.columnWidth(index.column()) - left + right, 2000)
        needed = option.fontMetrics.boundingRect(space, WRAPPED, said(rows.item(index)))
        return QSize(space.width(), max(needed.height() + 10, ROW))


class QueueTable(QTableView):
    """Shows a batch; rows with a reason are as high as it needs."""

    def __init__(self, batch: Batch) -> None:
        super().__init__()
        self._high: set[int] = set()
        """Which files have more words than a row takes."""
        self.rows = QueueModel(self)
        self.rows.batch = batch
        self.setModel(self.rows)
        self.setAccessibleName("Files to convert")
        self.setShowGrid(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setWordWrap(False)
        self.painter_ = ProgressDelegate(self)
        self.setItemDelegateForColumn(3, self.painter_)
        header = self.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 90), (2, 90), (3, 300)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)

    def refresh(self, item: QueuedFile | None) -> None:
        """One row, or everything."""
        batch = self.rows.batch
        assert batch is not None
        if item is None and len(batch.items) != self.rows.rowCount():
            self._high.clear()  # all rows are new
        self.rows.refresh(item)
        for row, each in enumerate(batch.items):
            told, known = bool(each.reason or each.notes), id(each) in self._high
            if each is item or told != known:
                self.resizeRowToContents(row)
            if told != known:
                self._high ^= {id(each)}

    def follow(self) -> None:
        """Keep the file that is worked on in sight."""
        batch = self.rows.batch
        assert batch is not None
        working = batch.of(Status.WORKING)
        if working:
            self.scrollTo(self.rows.index(batch.items.index(working[0]), 0))
