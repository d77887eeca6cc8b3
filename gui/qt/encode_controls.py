"""The upper part of the panel: how the version that is edited is encoded."""

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from .. import choices, words
from ..session import Session
from ..state import ORIGINAL, REFINEMENTS, TEXTURES, Goal, GoalKind

PAUSE_MS = 250
"""Rest after the last move of a slider, before anything is encoded."""
AIMS = ((GoalKind.QUALITY, "Quality"), (GoalKind.MAX_BYTES, "File size"), (GoalKind.PSNR, "PSNR"))


def section(text: str) -> QLabel:
    """A heading."""
    label = QLabel(text)
    label.setObjectName("section")
    return label


class EncodeControls(QWidget):
    """Goal, model, device, refinement and metadata of the version that is edited."""

    goal_chosen = Signal(object)
    codec_chosen = Signal(str)
    device_chosen = Signal(object)
    refine_chosen = Signal(int)
    texture_chosen = Signal(object)
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
        self.texture = QComboBox()
        self.texture.setAccessibleName("Texture")
        self.texture.setToolTip(
            "Grain, skin and foliage of .mlic files, made from what the file knows of them. "
            "Automatic: as lively as the original. Off: the most faithful picture."
        )
        for strength in TEXTURES:
            words_ = {"auto": "Automatic", 0.0: "Off"}.get(strength) or f"{strength:.0%}"
            self.texture.addItem(words_, strength)
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
        for text, widget in (("Refine", self.refine), ("Texture", self.texture)):
            search.addWidget(QLabel(text))
            search.addWidget(widget, 1)
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
        self.texture.activated.connect(
            lambda _: self.texture_chosen.emit(self.texture.currentData())
        )
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
        self.texture.setCurrentIndex(TEXTURES.index(state.texture))
        self.texture.setEnabled(chosen.refinable)
        with QSignalBlocker(self.metadata):
            self.metadata.setChecked(state.keep_metadata)
        self._show_saving()

    def _show_goal(self, goal: Goal, chosen: choices.CodecChoice) -> None:
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
        if session.comparing:
            self.save.setText(f"Save {session.name(number)}…")
            ready = session.picture is not None and session.can_save(number)
        else:
            self.save.setText("Save as…")
            ready = True
        self.save.setEnabled(ready)
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
