"""What is above the pictures: tool bar and headline."""

import html
from collections.abc import Mapping

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QSizePolicy,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .. import words
from ..headline import headline, opened_words, progress_of
from ..session import Session
from ..state import GAINS, Lens
from .panes import colour_of
from .theme import LIGHT, Colours

ROOM = 1260
"""Width in pixels that the tool bar needs to show texts beside its icons."""


class Tools(QToolBar):
    """The actions that are used most."""

    gain_chosen = Signal(int)

    def __init__(self, actions: Mapping[str, QAction]) -> None:
        super().__init__("Tools")
        self.setObjectName("tools")
        self.setMovable(False)
        self._segments: list[QToolButton] = []
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        self._button(actions["open"], True)
        self._button(actions["save"], True)
        self._space()
        self._group([actions[name] for name in ("split", "side", "flicker")], "Layout")
        self._group([actions[name] for name in ("picture", "difference", "bits")], "Show")
        self.gain = QComboBox()
        self.gain.setAccessibleName("Amplify differences")
        self.gain.setToolTip("How much differences are amplified")
        for gain in GAINS:
            self.gain.addItem(f"× {gain}", gain)
        self.gain.activated.connect(lambda _: self.gain_chosen.emit(self.gain.currentData()))
        self._gain_place = self.addWidget(self.gain)
        spring = QWidget()
        spring.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.addWidget(spring)
        self._button(actions["zoom-out"])
        self.zoom = QToolButton()
        self.zoom.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.zoom.setMinimumWidth(64)
        self.zoom.setAccessibleName("Zoom")
        self.zoom.setToolTip("Zoom; from 100 % on every pixel is shown as it is")
        self.zoom.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.zoom.addActions([actions["zoom-fit"], actions["zoom-1"]])
        self.addWidget(self.zoom)
        self._button(actions["zoom-in"])
        self._space()
        for name in ("batch", "panel", "help"):
            self._button(actions[name])

    def _button(self, action: QAction, text: bool = False) -> None:
        self.addAction(action)
        button = self.widgetForAction(action)
        assert isinstance(button, QToolButton)
        if text:
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setAccessibleName(action.iconText())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        narrow = event.size().width() < ROOM
        style = Qt.ToolButtonStyle
        for button in self._segments:
            button.setToolButtonStyle(
                style.ToolButtonIconOnly if narrow else style.ToolButtonTextBesideIcon
            )

    def _group(self, actions: list[QAction], name: str) -> None:
        frame = QFrame()
        frame.setObjectName("segments")
        frame.setAccessibleName(name)
        layout = QHBoxLayout(frame)
        layout.setContentsMargins(3, 3, 3, 3)
        layout.setSpacing(2)
        for action in actions:
            button = QToolButton()
            button.setDefaultAction(action)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setAccessibleName(action.iconText())
            layout.addWidget(button)
            self._segments.append(button)
        self.addWidget(frame)

    def _space(self) -> None:
        gap = QWidget()
        gap.setFixedWidth(6)
        self.addWidget(gap)

    def refresh(self, session: Session, zoom: float) -> None:
        """Something in the session, or the zoom, has changed."""
        self._gain_place.setVisible(session.state.lens == Lens.DIFFERENCE)
        self.gain.setCurrentIndex(GAINS.index(session.state.gain))
        self.zoom.setText(words.zoom(zoom) if session.picture is not None else "–")
        self.zoom.setEnabled(session.picture is not None)


class Headline(QWidget):
    """The comparison in one sentence, and how far the work is."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("headline")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.session = session
        self.colours: Colours = LIGHT
        self.hidden = False
        """Whether it is not shown in any case."""
        self.label = QLabel()
        self.label.setTextFormat(Qt.TextFormat.RichText)
        self.label.setWordWrap(True)
        self.label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.label.setAccessibleName("Comparison")
        self.left = QLabel()
        self.left.setObjectName("soft")
        self.left.setAccessibleName("Time left")
        self.stop = QToolButton()
        self.stop.setText("Stop")
        self.stop.setToolTip("Stop what is running (Esc)")
        self.stop.setAccessibleName("Stop what is running")
        self.compare = QToolButton()
        self.compare.setText("Compare codecs")
        self.compare.setToolTip("Encode these pixels again, with .mlic and other codecs (K)")
        self.compare.setAccessibleName("Compare codecs")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setObjectName("thin")
        self.bar.setRange(0, 1000)
        self.bar.setAccessibleName("Progress of encoding")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        row = QHBoxLayout()
        row.setContentsMargins(16, 8, 16, 6)
        row.setSpacing(10)
        row.addWidget(self.label, 1)
        row.addWidget(self.left)
        row.addWidget(self.stop)
        row.addWidget(self.compare)
        layout.addLayout(row)
        layout.addWidget(self.bar)
        self._clock = QTimer(self, interval=500)  # time passes between reports, too
        self._clock.timeout.connect(self.refresh)

    def refresh(self) -> None:
        """Something in the session has changed."""
        session = self.session
        there = (session.picture, session.opening, session.broken) != (None, None, None)
        self.setVisible(there and not self.hidden)
        self.label.setText(self.markup())
        self.compare.setVisible(session.picture is not None and not session.comparing)
        share, left, text = progress_of(session)
        self.bar.setValue(round(1000 * max(share, 0.02)) if text else 0)
        self.left.setText(f"{text}, {words.duration(left)} left" if left is not None else text)
        self.left.setVisible(bool(text))
        self.stop.setVisible(bool(text))
        if bool(text) != self._clock.isActive():
            self._clock.start() if text else self._clock.stop()

    def markup(self) -> str:
        """The sentence with colours."""
        session = self.session
        if session.opening is not None:
            return f"Opening {html.escape(session.opening)} …"
        if session.broken is not None:
            return f"<b>{html.escape(session.broken.name)}</b> cannot be shown"
        picture = session.picture
        if picture is not None and not session.comparing:
            return f"<b>{html.escape(picture.name)}</b>: {html.escape(opened_words(picture))}"
        head, parts = headline(session)
        if not parts:
            return f"<span style='color:{self.colours.soft}'>Nothing to compare yet</span>"
        entries = [
            f"<span style='color:{colour_of(session, number)}'>●</span>&nbsp;"
            + f"{html.escape(session.name(number))}&nbsp;".replace(" ", "&nbsp;")
            + f"<b>{html.escape(text)}</b>".replace(" ", "&nbsp;").replace("-", "&#8209;")
            for number, text in parts
        ]
        gap = "&nbsp;&nbsp;&nbsp; "
        start = f"<b>{html.escape(head)}</b>:{gap}" if head else ""
        return start + gap.join(entries)
