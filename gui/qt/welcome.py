"""What the window shows before there is a picture."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from . import icons
from .theme import LIGHT, Colours

MOST_RECENT = 5


class Welcome(QWidget):
    """An invitation to drop a photograph, and the ones opened before."""

    open_wanted = Signal()
    paste_wanted = Signal()
    path_chosen = Signal(Path)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAccessibleName("No picture yet")
        self.colours: Colours = LIGHT
        self.hot = False
        """Whether something is held over the window."""
        self.picture = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self.title = QLabel("Drop a photo here", alignment=Qt.AlignmentFlag.AlignCenter)
        self.title.setObjectName("title")
        text = QLabel(
            "and see what .mlic, AVIF, WebP and JPEG keep of it at the same size",
            alignment=Qt.AlignmentFlag.AlignCenter,
        )
        text.setObjectName("subtitle")
        text.setWordWrap(True)
        opens = QPushButton("Open…")
        opens.setObjectName("primary")
        opens.clicked.connect(self.open_wanted)
        paste = QPushButton("Paste")
        paste.clicked.connect(self.paste_wanted)
        buttons = QHBoxLayout()
        buttons.addStretch()
        buttons.addWidget(opens)
        buttons.addWidget(paste)
        buttons.addStretch()
        self.recent = QVBoxLayout()
        self.recent.setSpacing(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(40, 40, 40, 40)
        layout.setSpacing(12)
        layout.addStretch(3)
        layout.addWidget(self.picture)
        layout.addWidget(self.title)
        layout.addWidget(text)
        layout.addSpacing(6)
        layout.addLayout(buttons)
        layout.addSpacing(14)
        layout.addLayout(self.recent)
        layout.addStretch(4)

    def dress(self, colours: Colours) -> None:
        """Take over colours."""
        self.colours = colours
        ratio = self.devicePixelRatioF()
        self.picture.setPixmap(icons.pixmap("drop", colours.accent, 64, ratio))
        self.update()

    def set_hot(self, hot: bool) -> None:
        """Something is held over the window, or no longer."""
        self.hot = hot
        self.update()

    def set_recent(self, paths: Sequence[Path]) -> None:
        """Offer files that were opened before."""
        while self.recent.count():
            item = self.recent.takeAt(0)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.deleteLater()
        for path in paths[:MOST_RECENT]:
            button = QPushButton(path.name)
            button.setObjectName("link")
            button.setToolTip(str(path))
            button.clicked.connect(partial(self.path_chosen.emit, path))
            self.recent.addWidget(button, 0, Qt.AlignmentFlag.AlignCenter)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), QColor(self.colours.canvas))
        colour = QColor(self.colours.accent if self.hot else self.colours.soft)
        if not self.hot:
            colour.setAlpha(110)
        painter.setPen(QPen(colour, 2, Qt.PenStyle.DashLine))
        if self.hot:
            fill = QColor(self.colours.accent)
            fill.setAlpha(28)
            painter.setBrush(fill)
        painter.drawRoundedRect(self.rect().adjusted(20, 20, -20, -20), 18, 18)
