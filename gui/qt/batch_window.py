"""The window that converts many files."""

from pathlib import Path

from PySide6.QtCore import (
    QAbstractTableModel,
    QRectF,
    Qt,
    QTimer,
)
from PySide6.QtGui import QCloseEvent, QColor, QDragEnterEvent, QDropEvent, QKeySequence, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from .. import choices, words
from ..batch import Batch, ConversionOrder, Existing, QueuedFile, Status
from ..state import Goal, GoalKind
from ..worker import Worker
from . import drops
from .encode_controls import AIMS
from .theme import LIGHT, Colours
from .versions import ModelIndex

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
        return words.change(item.before, item.after)
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
        area_ = option.rect.adjusted(8, 0, -8, 0)
        text = option.fontMetrics.elidedText(said(item), Qt.TextElideMode.ElideRight, area_.width())
        painter.drawText(area_, Qt.AlignmentFlag.AlignVCenter, text)
        painter.restore()


class BatchWindow(QDialog):
    """Takes files, and options for all of them; shows progress and outcome."""

    def __init__(self, worker: Worker, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Convert many files")
        self.setAcceptDrops(True)
        self.resize(820, 560)
        self.batch = Batch(worker, self._batch_changed)
        self.folder: Path | None = None

        self.codec = QComboBox()
        self.codec.setAccessibleName("Codec or model")
        for entry in choices.choices():
            self.codec.addItem(entry.label, entry.codec)
        self.aim = QComboBox()
        self.aim.setAccessibleName("Aim for")
        for kind, text in AIMS:
            self.aim.addItem(text, kind)
        self.value = QDoubleSpinBox()
        self.value.setAccessibleName("Quality, size or PSNR")
        self.where = QPushButton("Beside the originals")
        self.where.setAccessibleName("Output folder")
        self.where.setToolTip("Where the new files go; folders keep their shape.")
        self.existing = QComboBox()
        self.existing.setAccessibleName("If a file is there already")
        for choice in Existing:
            self.existing.addItem(choice.value.capitalize(), choice)
        self.metadata = QCheckBox("Keep metadata")
        self.metadata.setChecked(True)

        self.rows = QueueModel(self)
        self.rows.batch = self.batch
        self.table = QTableView()
        self.table.setModel(self.rows)
        self.table.setAccessibleName("Files to convert")
        self.table.setShowGrid(False)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(30)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setWordWrap(False)
        self.progress_column = ProgressDelegate(self.table)
        self.table.setItemDelegateForColumn(3, self.progress_column)
        header = self.table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in ((1, 90), (2, 90), (3, 260)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Fixed)
            header.resizeSection(column, width)

        self.bar = QProgressBar(textVisible=False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("ProgressDelegate of all files")
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.left = QLabel()
        self.left.setObjectName("soft")
        self.add = QPushButton("Add files…")
        self.clear = QPushButton("Clear")
        self.report = QPushButton("Copy report")
        self.report.setToolTip("Copy the summary, and every file that failed with the reason.")
        self.pause = QPushButton("Pause")
        self.cancel = QPushButton("Cancel")
        self.start = QPushButton("Convert")
        self.start.setObjectName("primary")
        self.start.setDefault(True)
        self._lay_out()

        self.aim.activated.connect(self._show_range)
        self.codec.activated.connect(self._show_range)
        self.where.clicked.connect(self._choose_folder)
        self.add.clicked.connect(self._add)
        self.clear.clicked.connect(self.batch.clear)
        self.report.clicked.connect(lambda: QApplication.clipboard().setText(self.batch.report()))
        self.start.clicked.connect(self._start)
        self.pause.clicked.connect(lambda: self.batch.pause(not self.batch.paused))
        self.cancel.clicked.connect(self.batch.cancel)
        self._clock = QTimer(self, interval=500)
        self._clock.timeout.connect(self._show_progress)
        self._show_range()
        self._batch_changed(None)

    def _lay_out(self) -> None:
        choices_ = QGridLayout()
        choices_.setHorizontalSpacing(12)
        choices_.setVerticalSpacing(8)
        row = ((self.codec, "Codec"), (self.aim, "Aim for"), (self.value, ""))
        for column, (widget, text) in enumerate(row):
            choices_.addWidget(self._caption(text), 0, column)
            choices_.addWidget(widget, 1, column)
        choices_.addWidget(self._caption("Save to"), 0, 3)
        choices_.addWidget(self.where, 1, 3)
        choices_.addWidget(self._caption("If a file exists"), 0, 4)
        choices_.addWidget(self.existing, 1, 4)
        choices_.addWidget(self.metadata, 1, 5)
        choices_.setColumnStretch(3, 1)
        buttons = QHBoxLayout()
        for button in (self.add, self.clear, self.report):
            buttons.addWidget(button)
        buttons.addStretch()
        for button in (self.pause, self.cancel, self.start):
            buttons.addWidget(button)
        below = QHBoxLayout()
        below.addWidget(self.summary, 1)
        below.addWidget(self.left)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(18, 16, 18, 16)
        layout.setSpacing(12)
        layout.addLayout(choices_)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.bar)
        layout.addLayout(below)
        layout.addLayout(buttons)

    @staticmethod
    def _caption(text: str) -> QLabel:
        label = QLabel(text)
        label.setObjectName("caption")
        return label

    def dress(self, colours: Colours) -> None:
        """Take over colours."""
        self.progress_column.colours = colours
        self.table.viewport().update()

    # ---- choices ---------------------------------------------------------------------------------

    def _show_range(self) -> None:
        chosen = choices.choice(self.codec.currentData())
        kind = self.aim.currentData()
        if kind == GoalKind.QUALITY:
            self.value.setSuffix("")
            self.value.setRange(chosen.lowest, chosen.highest)
            self.value.setDecimals(2 if chosen.step < 1 else 0)
            self.value.setSingleStep(0.1 if chosen.step < 1 else 1)
            self.value.setValue(chosen.default)
        elif kind == GoalKind.MAX_BYTES:
            self.value.setDecimals(1)
            self.value.setRange(0.1, 1e6)
            self.value.setSuffix(" kB")
            self.value.setValue(200)
        else:
            self.value.setDecimals(1)
            self.value.setRange(10, 60)
            self.value.setSuffix(" dB")
            self.value.setValue(35)

    def take_over(self, codec: str, goal: Goal) -> None:
        """The codec, aim and value of the main window."""
        self.codec.setCurrentIndex(max(self.codec.findData(codec), 0))
        self.aim.setCurrentIndex(max(self.aim.findData(goal.kind), 0))
        self._show_range()
        kilo = 1000 if goal.kind == GoalKind.MAX_BYTES else 1
        self.value.setValue(goal.value / kilo)

    def order(self) -> ConversionOrder:
        """What is chosen."""
        kind = GoalKind(self.aim.currentData())
        value = self.value.value() * (1000 if kind == GoalKind.MAX_BYTES else 1)
        return ConversionOrder(
            codec=self.codec.currentData(),
            goal=Goal(kind, value),
            folder=self.folder,
            keep_metadata=self.metadata.isChecked(),
            existing=Existing(self.existing.currentData()),
        )

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Save to", str(self.folder or Path.home()))
        if chosen:
            self.set_folder(Path(chosen))

    def set_folder(self, folder: Path | None) -> None:
        """Set where outputs go; None puts them beside their originals."""
        self.folder = folder
        self.where.setText(folder.name if folder else "Beside the originals")
        self.where.setToolTip(str(folder) if folder else "Where the new files go")

    def _add(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add files")
        self.batch.add(Path(name) for name in names)

    # ---- work ------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.batch.start(self.order())
        self._clock.start()

    def _batch_changed(self, item: QueuedFile | None) -> None:
        if not hasattr(self, "rows"):
            return
        self.rows.refresh(item)
        batch = self.batch
        idle = not batch.running
        for widget in (self.codec, self.aim, self.value, self.where, self.existing, self.metadata):
            widget.setEnabled(idle)
        self.clear.setEnabled(idle and bool(batch.items))
        self.start.setEnabled(idle and bool(batch.items))
        self.pause.setEnabled(batch.running)
        self.pause.setText("Go on" if batch.paused else "Pause")
        self.cancel.setEnabled(batch.running)
        finished = any(i.status not in (Status.WAITING, Status.WORKING) for i in batch.items)
        self.report.setVisible(finished and idle)
        working = batch.of(Status.WORKING)
        if item is None and working:
            row = batch.items.index(working[0])
            self.table.scrollTo(self.rows.index(row, 0))
        if idle:
            self._clock.stop()
        self._show_progress()

    def _show_progress(self) -> None:
        batch = self.batch
        started = batch.running or bool(batch.of(Status.DONE))
        self.bar.setValue(round(1000 * batch.progress) if started else 0)
        self.summary.setText(batch.summary())
        left = batch.time_left
        if batch.paused:
            self.left.setText("paused")
        else:
            self.left.setText(f"{words.duration(left)} left" if left is not None else "")

    # ---- window ----------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        drop = drops.contents(event.mimeData())
        if drop is not None and drop.paths:
            self.batch.add(drop.paths)
            event.acceptProposedAction()

    def remove_selected(self) -> None:
        """Take the selected files off the list."""
        chosen = self.table.selectionModel().selectedRows()
        self.batch.remove([self.rows.item(index) for index in chosen])

    def keyPressEvent(self, event: object) -> None:
        if event.matches(QKeySequence.StandardKey.Delete):  # type: ignore[attr-defined]
            self.remove_selected()
        else:
            super().keyPressEvent(event)  # type: ignore[arg-type]

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closing hides; the work goes on."""
        super().closeEvent(event)
