"""The window that converts many files."""

from pathlib import Path

from PySide6.QtCore import QModelIndex, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from .. import words
from ..batch import Batch, QueuedFile, Status
from ..worker import Worker
from . import drops
from .batch_options import BatchOptions
from .batch_table import QueueTable
from .theme import Colours


class BatchWindow(QDialog):
    """Takes files, and options for all of them; shows progress and outcome."""

    opened = Signal(Path)
    """A file of the list is to be shown."""

    def __init__(self, worker: Worker, reader: Worker, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Window)
        self.setWindowTitle("Convert many files")
        self.setAcceptDrops(True)
        self.resize(880, 620)
        self.batch = Batch(worker, self._batch_changed, reader=reader)
        self.options = BatchOptions()
        self.table = QueueTable(self.batch)
        self.table.setToolTip("Double click: show the new file, or the one it comes from.")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress of all files")
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.left = QLabel()
        self.left.setObjectName("soft")
        self.add = QPushButton("Add files…")
        self.add_folder = QPushButton("Add folder…")
        self.clear = QPushButton("Clear")
        self.report = QPushButton("Copy report")
        self.report.setToolTip(
            "Copy the summary, and every file that is not written, or not whole."
        )
        self.results = QPushButton("Show results")
        self.results.setToolTip("Open the folder of the new files.")
        self.pause = QPushButton("Pause")
        self.cancel = QPushButton("Cancel")
        self.start = QPushButton("Convert")
        self.start.setObjectName("primary")
        self.start.setDefault(True)
        self._lay_out()
        self.add.clicked.connect(self._add)
        self.add_folder.clicked.connect(self._add_folder)
        self.clear.clicked.connect(self.batch.clear)
        self.report.clicked.connect(lambda: QApplication.clipboard().setText(self.batch.report()))
        self.results.clicked.connect(self._show_results)
        self.table.doubleClicked.connect(self._open_row)
        self.start.clicked.connect(self._start)
        self.pause.clicked.connect(lambda: self.batch.pause(not self.batch.paused))
        self.cancel.clicked.connect(self.batch.cancel)
        self._clock = QTimer(self, interval=500)
        self._clock.timeout.connect(self._show_progress)
        self._batch_changed(None)

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.add, self.add_folder, self.clear, self.report, self.results):
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
        layout.addWidget(self.options)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.bar)
        layout.addLayout(below)
        layout.addLayout(buttons)

    def dress(self, colours: Colours) -> None:
        """Take over colours."""
        self.table.painter_.colours = colours
        self.table.viewport().update()

    # ---- files -----------------------------------------------------------------------------------

    def _add(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Add files")
        self.batch.add(Path(name) for name in names)

    def _add_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Add a folder")
        if name:
            self.batch.add([Path(name)])

    def _open_row(self, index: QModelIndex) -> None:
        item = self.table.rows.item(index)
        done = item.status == Status.DONE and item.target is not None
        self.opened.emit(item.target if done else item.source)

    def _show_results(self) -> None:
        (folder, *_) = [i.target.parent for i in self.batch.of(Status.DONE) if i.target is not None]
        chosen = self.options.folder or folder
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(chosen)))

    # ---- work ------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.batch.start(self.options.order())
        self._clock.start()

    def _batch_changed(self, item: QueuedFile | None) -> None:
        self.table.refresh(item)
        batch = self.batch
        idle = not batch.running
        self.options.setEnabled(idle)
        self.clear.setEnabled(idle and bool(batch.items))
        self.start.setEnabled(idle and bool(batch.items))
        self.pause.setEnabled(batch.running)
        self.pause.setText("Go on" if batch.paused else "Pause")
        self.cancel.setEnabled(batch.running)
        finished = any(i.status not in (Status.WAITING, Status.WORKING) for i in batch.items)
        self.report.setVisible(finished and idle)
        self.results.setVisible(idle and bool(batch.of(Status.DONE)))
        if item is None:
            self.table.follow()
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
        self.batch.remove([self.table.rows.item(index) for index in chosen])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Delete):
            self.remove_selected()
        else:
            super().keyPressEvent(event)
