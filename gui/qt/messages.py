"""Messages that come and go over the pictures."""

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QWidget

MESSAGE_MS = 6000
ERROR_MS = 15_000
TOAST_MS = 1500


class TellingAction(QAction):
    """An action that tells when it is done by its key."""

    pressed = Signal()

    def event(self, event: QEvent) -> bool:
        done = super().event(event)
        if event.type() == QEvent.Type.Shortcut and done and self.isEnabled():
            self.pressed.emit()
        return done


TOAST_TOP = 52
"""Logical pixels above a toast: below the names of panes."""


class Toast(QLabel):
    """A few words near the upper edge of its parent, for a moment: what a key has done."""

    def __init__(self, over: QWidget) -> None:
        super().__init__(over)
        self._over = over
        self.setObjectName("toast")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._timer = QTimer(self, singleShot=True, interval=TOAST_MS)
        self._timer.timeout.connect(self.hide)
        over.installEventFilter(self)
        self.hide()

    def say(self, text: str) -> None:
        """Show them."""
        self.setText(text)
        self.adjustSize()
        self._place()
        self.show()
        self.raise_()
        self._timer.start()

    def _place(self) -> None:
        self.move((self._over.width() - self.width()) // 2, TOAST_TOP)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize:
            self._place()
        return super().eventFilter(watched, event)


class Banner(QFrame):
    """A message at the lower edge of its parent, gone after a while; failures stay longer, and none
    goes while the pointer is on it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._over = parent
        self.setObjectName("banner")
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setMaximumWidth(640)
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        close = QToolButton()
        close.setText("✕")
        close.setAccessibleName("Close message")
        close.clicked.connect(self.hide)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(16, 10, 8, 10)
        layout.addWidget(self.label)
        layout.addWidget(close, 0, Qt.AlignmentFlag.AlignTop)
        self._timer = QTimer(self, singleShot=True)
        self._timer.timeout.connect(self._fade)
        parent.installEventFilter(self)
        self.hide()

    def say(self, text: str, bad: bool) -> None:
        """Show a message."""
        self.label.setText(text)
        self.setAccessibleName(text)
        self.setProperty("bad", bad)
        self.style().unpolish(self)
        self.style().polish(self)
        for child in self.findChildren(QWidget):
            self.style().unpolish(child)
            self.style().polish(child)
        self._timer.start(ERROR_MS if bad else MESSAGE_MS)
        self.show()
        self._place()
        self.raise_()

    def _fade(self) -> None:
        if self.underMouse():
            self._timer.start(MESSAGE_MS)
        else:
            self.hide()

    def _place(self) -> None:
        """In the middle of the lower edge."""
        space = self._over.rect()
        metrics = self.label.fontMetrics()
        wanted = metrics.horizontalAdvance(self.label.text()) + 12
        self.label.setFixedWidth(min(wanted, 640, max(space.width() - 120, 160)))
        self.adjustSize()
        self.move((space.width() - self.width()) // 2, space.height() - self.height() - 22)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return super().eventFilter(watched, event)
