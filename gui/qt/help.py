"""An overlay with all keys and gestures, from the table of actions."""

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QMouseEvent, QPainter
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from .. import actions


class Help(QWidget):
    """Covers its parent; any key or click closes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._over = parent
        self.setAccessibleName("Keys and gestures")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        card = self._card = QFrame()
        card.setObjectName("helpCard")
        columns = QHBoxLayout()
        columns.setSpacing(34)
        for menus in (("File", "Edit", "Help"), ("View",), ("Compare", "")):
            column = QVBoxLayout()
            column.setSpacing(12)
            for menu in menus:
                column.addLayout(self._part(menu))
            column.addStretch()
            columns.addLayout(column)
        title = QLabel("Keys and gestures")
        title.setObjectName("title")
        inside = QVBoxLayout(card)
        inside.setContentsMargins(30, 24, 30, 24)
        inside.setSpacing(16)
        inside.addWidget(title)
        inside.addLayout(columns)
        scroll = QScrollArea()
        scroll.setWidget(card)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setStyleSheet("QScrollArea, QScrollArea > QWidget { background: transparent; }")
        scroll.setAlignment(Qt.AlignmentFlag.AlignCenter)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 24, 24, 24)
        layout.addWidget(scroll)
        parent.installEventFilter(self)
        self.hide()

    def _part(self, menu: str) -> QGridLayout:
        """The actions of a menu, or the gestures."""
        grid = QGridLayout()
        grid.setVerticalSpacing(5)
        grid.setHorizontalSpacing(14)
        head = QLabel(menu or "Mouse")
        head.setObjectName("section")
        grid.addWidget(head, 0, 0, 1, 2)
        if menu:
            rows = [
                (_native(a.keys[0]), a.text.removesuffix("…"))
                for a in actions.by_menu(menu)
                if a.keys
            ]
        else:
            rows = [(g.keys, g.tip) for g in actions.GESTURES]
        for number, (keys, text) in enumerate(rows, start=1):
            key = QLabel(keys)
            key.setObjectName("key")
            key.setAlignment(Qt.AlignmentFlag.AlignCenter)
            grid.addWidget(key, number, 0, Qt.AlignmentFlag.AlignLeft)
            grid.addWidget(QLabel(text), number, 1)
        grid.setColumnMinimumWidth(0, 104)
        grid.setColumnStretch(1, 1)
        return grid

    def toggle(self) -> None:
        """Show or hide."""
        if self.isVisible():
            self.close_()
        else:
            self.setGeometry(self._over.rect())
            self.show()
            self._card.adjustSize()
            self.raise_()
            self.setFocus()

    def close_(self) -> None:
        """Back to the pictures."""
        self.hide()
        self._over.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self.setGeometry(self._over.rect())
        return super().eventFilter(watched, event)

    def paintEvent(self, _event: object) -> None:
        QPainter(self).fillRect(self.rect(), QColor(10, 10, 14, 170))

    def keyPressEvent(self, _event: QKeyEvent) -> None:
        self.close_()

    def mousePressEvent(self, _event: QMouseEvent) -> None:
        self.close_()


def _native(key: str) -> str:
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
