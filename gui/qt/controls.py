"""The panel at the side: how the edited version is encoded, what is compared, and the chart."""

from functools import partial

from PySide6.QtCore import QPoint, QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QScrollArea,
    QSlider,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .. import choices, words
from ..session import Session
from ..state import ORIGINAL, REFINEMENTS, Goal, GoalKind, Match
from .chart import Chart
from .versions import VersionList

PAUSE_MS = 250
"""Rest after the last move of a slider, before anything is encoded."""
WIDTH = 372

AIMS = ((GoalKind.QUALITY, "Quality"), (GoalKind.MAX_BYTES, "File size"), (GoalKind.PSNR, "PSNR"))
MATCHES = (
    (Match.SIZE, "Same size", "Each codec's file is about as large as the .mlic file."),
    (Match.PSNR, "Same PSNR", "Each codec comes as close to the original as .mlic does."),
    (Match.FREE, "Free", "Each codec has its own quality: choose a version, then set it."),
)


def section(text: str) -> QLabel:
    """A heading."""
    label = QLabel(text)
    label.setObjectName("section")
    return label


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


class EncodeControls(QWidget):
    """Goal, model, device, refinement and metadata of the version that is edited."""

    goal_chosen = Signal(object)
    codec_chosen = Signal(str)
    device_chosen = Signal(object)
    refine_chosen = Signal(int)
    metadata_chosen = Signal(bool)
    save_wanted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self.devices: list[str] = []
        self._shown: tuple[int, Goal, str] | None = None
        self._pause = QTimer(self, singleShot=True, interval=PAUSE_MS)
        self._pause.timeout.connect(self._goal)

        self.title = section("Encode")
        self.aim = QComboBox()
        self.aim.setAccessibleName("Aim for")
        self.aim.setToolTip("Set the quality itself, or have it searched for a size or a PSNR.")
        for kind, text in AIMS:
            self.aim.addItem(text, kind)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Quality slider")
        self.slider.setMinimumWidth(80)
        self.quality = self._spin("Quality", "", 2, 0.1)
        self.file_size = self._spin("Size of the file in kilobytes", " kB", 1, 5)
        self.file_size.setRange(0.1, 1e6)
        self.psnr = self._spin("PSNR in decibels", " dB", 1, 0.5)
        self.psnr.setRange(10, 60)
        self.psnr.setToolTip(words.PSNR)
        self.goals = QStackedWidget()
        self.goals.addWidget(self._row(self.slider, self.quality))
        self.goals.addWidget(self._row(QLabel("at most"), self.file_size))
        self.goals.addWidget(self._row(QLabel("about"), self.psnr))
        self.caption = QLabel()
        self.caption.setObjectName("caption")
        self.model = QComboBox()
        self.model.setAccessibleName("Codec or model")
        # Long names of packs must not make the panel wider than its place.
        self.model.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.model.setMinimumContentsLength(8)
        self.device = QComboBox()
        self.device.setAccessibleName("Device")
        self.device.setToolTip("Where the networks run; Automatic takes a GPU if there is one.")
        self.refine = QComboBox()
        self.refine.setAccessibleName("Refine")
        self.refine.setToolTip(
            "Search better latents for this very picture: smaller .mlic files at the same "
            "fidelity. Every step takes about as long as encoding; decoding stays as it is."
        )
        for steps in REFINEMENTS:
            self.refine.addItem(f"{steps} steps" if steps else "Off", steps)
        self.metadata = QCheckBox("Keep metadata")
        self.metadata.setToolTip(
            "Write EXIF and XMP into saved files. The colour profile is kept in any case; "
            "sizes shown are without metadata."
        )
        self.save = QPushButton("Save…")
        self.save.setObjectName("primary")
        self.save.setAccessibleName("Save")

        top = QHBoxLayout()
        top.setSpacing(10)
        top.addWidget(self.aim)
        top.addWidget(self.goals, 1)
        where = QHBoxLayout()
        where.setSpacing(8)
        for text, widget in (("Codec", self.model), ("Device", self.device)):
            where.addWidget(QLabel(text))
            where.addWidget(widget, 1)
        search = QHBoxLayout()
        search.setSpacing(8)
        search.addWidget(QLabel("Refine"))
        search.addWidget(self.refine, 1)
        end = QHBoxLayout()
        end.addWidget(self.metadata, 1)
        end.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 12, 16, 12)
        layout.setSpacing(8)
        head = QHBoxLayout()
        head.addWidget(self.title)
        head.addStretch()
        head.addWidget(self.caption)
        layout.addLayout(head)
        layout.addLayout(top)
        layout.addLayout(where)
        layout.addLayout(search)
        layout.addLayout(end)

        self.aim.activated.connect(self._aim)
        self.slider.valueChanged.connect(self._slid)
        self.quality.valueChanged.connect(self._typed)
        self.file_size.valueChanged.connect(lambda _: self._pause.start())
        self.psnr.valueChanged.connect(lambda _: self._pause.start())
        self.slider.sliderReleased.connect(self._pause.start)
        self.model.activated.connect(lambda _: self.codec_chosen.emit(self.model.currentData()))
        self.device.activated.connect(lambda _: self.device_chosen.emit(self.device.currentData()))
        self.refine.activated.connect(lambda _: self.refine_chosen.emit(self.refine.currentData()))
        self.metadata.clicked.connect(self.metadata_chosen)
        self.save.clicked.connect(self.save_wanted)

    @staticmethod
    def _spin(name: str, suffix: str, decimals: int, step: float) -> QDoubleSpinBox:
        spin = QDoubleSpinBox()
        spin.setAccessibleName(name)
        spin.setSuffix(suffix)
        spin.setDecimals(decimals)
        spin.setSingleStep(step)
        spin.setKeyboardTracking(False)
        spin.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        spin.setAlignment(Qt.AlignmentFlag.AlignRight)
        spin.setFixedWidth(88 if suffix else 60)
        return spin

    @staticmethod
    def _row(*widgets: QWidget) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for widget in widgets:
            layout.addWidget(widget)
        return row

    # ---- from the state --------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the version that is edited."""
        state = self.session.state
        version = state.edited
        chosen = choices.choice(version.codec)
        name = self.session.name(version.number)
        self.title.setText(f"Encode {name}")
        shown = (version.number, version.goal, version.codec)
        if shown != self._shown and not self._pause.isActive():
            self._show_goal(version.goal, chosen)
            self._shown = shown
        self._show_models(version.codec)
        self._show_devices(chosen.neural)
        self.refine.setCurrentIndex(REFINEMENTS.index(state.refine))
        self.refine.setEnabled(chosen.refinable)
        with QSignalBlocker(self.metadata):
            self.metadata.setChecked(state.keep_metadata)
        self._show_saving()

    def _show_goal(self, goal: Goal, chosen: choices.Choice) -> None:
        blockers = [
            QSignalBlocker(w)
            for w in (self.aim, self.slider, self.quality, self.file_size, self.psnr)
        ]
        place = next(i for i, (kind, _) in enumerate(AIMS) if kind == goal.kind)
        self.aim.setCurrentIndex(place)
        self.goals.setCurrentIndex(place)
        steps = round((chosen.highest - chosen.lowest) / chosen.step)
        self.slider.setRange(0, steps)
        self.slider.setSingleStep(max(steps // 70, 1))
        self.slider.setPageStep(max(steps // 7, 1))
        self.quality.setRange(chosen.lowest, chosen.highest)
        self.quality.setDecimals(2 if chosen.step < 1 else 0)
        self.quality.setSingleStep(0.1 if chosen.step < 1 else 1)
        for widget in (self.slider, self.quality):
            widget.setEnabled(not chosen.fixed)
        coded = self.session.shown.get(self.session.state.edited.number)
        quality = goal.value if goal.kind == GoalKind.QUALITY else None
        if quality is None and coded is not None and coded.quality is not None:
            quality = coded.quality
        quality = chosen.default if quality is None else quality
        self.quality.setValue(quality)
        self.slider.setValue(round((quality - chosen.lowest) / chosen.step))
        self.file_size.setValue(
            goal.value / 1000
            if goal.kind == GoalKind.MAX_BYTES
            else coded.size / 1000
            if coded is not None
            else 100
        )
        self.psnr.setValue(
            goal.value if goal.kind == GoalKind.PSNR else coded.psnr if coded is not None else 35
        )
        if chosen.fixed:
            text = "these weights are for one quality"
        elif goal.kind != GoalKind.QUALITY:
            text = "the quality is searched for"
        elif chosen.neural:
            text = "1 smallest, 3 default, 8 closest"
        else:
            text = f"{chosen.lowest:g} smallest, {chosen.highest:g} closest"
        self.caption.setText(text)
        del blockers

    def _show_models(self, codec: str) -> None:
        entries = choices.choices()
        if self.model.count() != len(entries):
            self.model.clear()
            for entry in entries:
                self.model.addItem(entry.label, entry.codec)
        self.model.setCurrentIndex(self.model.findData(codec))

    def _show_devices(self, neural: bool) -> None:
        entries: list[tuple[str, str | None]] = [("Automatic", None)]
        entries += [(device.upper(), device) for device in self.devices]
        current = self.session.state.device
        if current is not None and current not in self.devices:
            entries.append((current.upper(), current))
        if [self.device.itemData(i) for i in range(self.device.count())] != [d for _, d in entries]:
            self.device.clear()
            for text, device in entries:
                self.device.addItem(text, device)
        self.device.setCurrentIndex([d for _, d in entries].index(current))
        self.device.setEnabled(neural)

    def _show_saving(self) -> None:
        session = self.session
        number = session.state.selected
        if number == ORIGINAL:
            number = session.state.reference.number
        self.save.setText(f"Save {session.name(number)}…")
        ready = session.picture is not None and session.can_save(number)
        self.save.setEnabled(ready and not session.saves_running)
        picture = session.picture
        extra = picture.metadata_bytes(True) if picture is not None else 0
        note = f" ({words.bytes_text(extra)})" if extra else ""
        self.metadata.setText("Keep metadata" + note)
        self.metadata.setEnabled(picture is None or extra > 0)

    # ---- from the user ---------------------------------------------------------------------------

    def step(self, up: bool) -> None:
        """Quality a step higher or lower."""
        if self.goals.currentIndex() == 0:
            self.quality.stepBy(1 if up else -1)
        else:
            (self.file_size, self.psnr)[self.goals.currentIndex() - 1].stepBy(1 if up else -1)

    def _slid(self, place: int) -> None:
        chosen = choices.choice(self.session.state.edited.codec)
        with QSignalBlocker(self.quality):
            self.quality.setValue(chosen.lowest + place * chosen.step)
        if not self.slider.isSliderDown():
            self._pause.start()

    def _typed(self, value: float) -> None:
        chosen = choices.choice(self.session.state.edited.codec)
        with QSignalBlocker(self.slider):
            self.slider.setValue(round((value - chosen.lowest) / chosen.step))
        self._pause.start()

    def _aim(self) -> None:
        self.goals.setCurrentIndex(self.aim.currentIndex())
        self._goal()

    def _goal(self) -> None:
        """The pause after a change is over."""
        self._pause.stop()
        kind = self.aim.currentData()
        value = {
            GoalKind.QUALITY: self.quality.value(),
            GoalKind.MAX_BYTES: round(1000 * self.file_size.value()),
            GoalKind.PSNR: self.psnr.value(),
        }[kind]
        self.goal_chosen.emit(Goal(GoalKind(kind), value))


class CompareControls(QWidget):
    """What the versions have in common, and the list of them."""

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
        self.list.refresh()

    def _open_menu(self) -> None:
        self.menu.popup(self.add.mapToGlobal(QPoint(0, self.add.height())))

    def _fill(self) -> None:
        self.menu.clear()
        for entry in choices.choices():
            self.menu.addAction(entry.label, partial(self.add_wanted.emit, entry.codec))
        self.menu.addSeparator()
        self.menu.addAction("A file of the same picture…", self.file_wanted.emit)


class Panel(QScrollArea):
    """All controls, one above the other."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("panelScroll")
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(WIDTH)
        self.setMaximumWidth(WIDTH + 120)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.encode = EncodeControls(session)
        self.compare = CompareControls(session)
        self.chart = Chart(session)
        self.curves = QPushButton("Measure curves")
        self.curves.setObjectName("link")
        self.curves.setToolTip("Measure every codec at a range of qualities (R)")
        self._session = session
        inside = QWidget()
        inside.setObjectName("panel")
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 8)
        layout.setSpacing(0)
        layout.addWidget(self.encode)
        layout.addWidget(rule())
        layout.addWidget(self.compare)
        layout.addWidget(rule())
        head = QHBoxLayout()
        head.setContentsMargins(16, 10, 16, 2)
        head.addWidget(section("Rate and distortion"))
        head.addStretch()
        head.addWidget(self.curves)
        layout.addLayout(head)
        wrapped = QHBoxLayout()
        wrapped.setContentsMargins(10, 0, 10, 0)
        wrapped.addWidget(self.chart)
        layout.addLayout(wrapped, 1)
        self.setWidget(inside)

    def refresh(self) -> None:
        """Something in the session has changed."""
        self.encode.refresh()
        self.compare.refresh()
        left = self._session.curves_left
        self.curves.setText(f"Stop ({left} left)" if left else "Measure curves")
        self.curves.setEnabled(self._session.picture is not None)
        self.chart.update()
