"""The panel at the side: what is compared, and the chart, below the controls of encoding."""

from functools import partial

from PySide6.QtCore import QEvent, QObject, QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .. import choices
from ..session import Session
from ..state import Match
from .chart import Chart
from .encode_controls import EncodeControls, section
from .versions import VersionList

WIDTH = 372

MATCHES = (
    (Match.SIZE, "Same size", "Each codec's file is about as large as the .mlic file."),
    (Match.PSNR, "Same PSNR", "Each codec comes as close to the original as .mlic does."),
    (Match.FREE, "Free", "Each codec has its own quality: choose a version, then set it."),
)


def rule() -> QFrame:
    """A line between parts."""
    line = QFrame()
    line.setObjectName("rule")
    line.setFixedHeight(1)
    return line


class Segments(QFrame):
    """A few buttons of which one is down."""

    chosen = Signal(str)

    def __init__(self, entries: list[tuple[str, str, str]], name: str) -> None:
        super().__init__()
        self.setObjectName("segments")
        self.setAccessibleName(name)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(3, 3, 3, 3)
        layout.setSpacing(2)
        group = QButtonGroup(self)
        self.buttons: dict[str, QToolButton] = {}
        for key, text, tip in entries:
            button = QToolButton()
            button.setText(text)
            button.setToolTip(tip)
            button.setAccessibleName(f"{name}: {text}")
            button.setCheckable(True)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            policy = button.sizePolicy()
            policy.setHorizontalPolicy(policy.Policy.Expanding)
            button.setSizePolicy(policy)
            button.clicked.connect(partial(self.chosen.emit, key))
            group.addButton(button)
            layout.addWidget(button)
            self.buttons[key] = button

    def choose(self, key: str) -> None:
        """Show which is chosen."""
        self.buttons[key].setChecked(True)


class CompareControls(QWidget):
    """How versions are matched, and the list of them."""

    match_chosen = Signal(str)
    add_wanted = Signal(str)
    file_wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.match = Segments([(key, text, tip) for key, text, tip in MATCHES], "Match by")
        self.match.chosen.connect(self.match_chosen)
        self.list = VersionList(session)
        self.add = QPushButton("Add a version…")
        self.add.setObjectName("link")
        self.add.setToolTip("Compare with another model, another quality, or a file.")
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self._fill)
        self.add.clicked.connect(self._open_menu)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 6)
        layout.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(section("Compare"))
        head.addStretch()
        head.addWidget(self.add)
        layout.addLayout(head)
        layout.addWidget(self.match)
        layout.addWidget(self.list)

    def refresh(self) -> None:
        """Something in the session has changed."""
        self.match.choose(self.session.state.match)
        for widget in (self.match, self.add):
            widget.setEnabled(self.session.comparing)
        self.list.refresh()

    def _open_menu(self) -> None:
        self.menu.popup(self.add.mapToGlobal(QPoint(0, self.add.height())))

    def _fill(self) -> None:
        self.menu.clear()
        for entry in choices.choices():
            self.menu.addAction(entry.label, partial(self.add_wanted.emit, entry.codec))
        self.menu.addSeparator()
        self.menu.addAction("A file of the same picture…", self.file_wanted.emit)


class Panel(QWidget):
    """All controls one above the other, which scroll where they must; the chart stays in sight."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setMinimumWidth(WIDTH)
        self.setMaximumWidth(WIDTH + 120)
        self.encode = EncodeControls(session)
        self.compare = CompareControls(session)
        self.chart = Chart(session)
        self.curves = QPushButton("Measure curves")
        self.curves.setObjectName("link")
        self.curves.setToolTip("Measure every codec at a range of qualities (R)")
        self._session = session
        inside = QWidget()
        inside.setObjectName("panelInside")
        controls = QVBoxLayout(inside)
        controls.setContentsMargins(0, 0, 0, 0)
        controls.setSpacing(0)
        controls.addWidget(self.encode)
        controls.addWidget(rule())
        controls.addWidget(self.compare)
        controls.addStretch()
        scroll = _Controls()
        scroll.setWidget(inside)
        head = QHBoxLayout()
        head.setContentsMargins(16, 6, 16, 0)
        head.addWidget(section("Rate and distortion"))
        head.addStretch()
        head.addWidget(self.curves)
        wrapped = QHBoxLayout()
        wrapped.setContentsMargins(10, 0, 10, 0)
        wrapped.addWidget(self.chart)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 8)
        layout.setSpacing(0)
        layout.addWidget(scroll)
        layout.addWidget(rule())
        layout.addLayout(head)
        layout.addLayout(wrapped, 1)

    def refresh(self) -> None:
        """Something in the session has changed."""
        self.encode.refresh()
        self.compare.refresh()
        left = self._session.curves.left
        self.curves.setText(f"Stop ({left} left)" if left else "Measure curves")
        self.curves.setEnabled(self._session.picture is not None and self._session.comparing)
        self.chart.update()


class _Controls(QScrollArea):
    """As high as what is inside, or less where there is no room."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("panelScroll")
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        policy = self.sizePolicy()
        policy.setVerticalPolicy(policy.Policy.Maximum)
        self.setSizePolicy(policy)

    def sizeHint(self) -> QSize:
        inside = self.widget()
        return inside.sizeHint() if inside is not None else super().sizeHint()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)
