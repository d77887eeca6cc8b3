"""How the files of a batch are converted, as it is chosen."""

from pathlib import Path

from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from .. import choices
from ..batch import ConversionOrder, Existing
from ..reshape import LARGEST, RATIOS, ReshapeRule
from ..state import Goal, GoalKind
from .encode_controls import AIMS


class BatchOptions(QWidget):
    """Gives a `ConversionOrder`."""

    def __init__(self) -> None:
        super().__init__()
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
        self.suffix = QLineEdit()
        self.suffix.setObjectName("field")
        self.suffix.setAccessibleName("Added to names")
        self.suffix.setPlaceholderText("nothing")
        self.suffix.setToolTip("photo.jpg with -small becomes photo-small.mlic.")
        self.ratio = QComboBox()
        self.ratio.setAccessibleName("Cut to a ratio of sides")
        self.ratio.setToolTip("Cut in the middle; upright pictures stay upright.")
        for ratio in RATIOS:
            self.ratio.addItem(f"{ratio[0]} : {ratio[1]}" if ratio else "Not cut", ratio)
        self.longest = QSpinBox()
        self.longest.setAccessibleName("Longest side in pixels")
        self.longest.setRange(0, LARGEST)
        self.longest.setSingleStep(100)
        self.longest.setSpecialValueText("As it is")
        self.longest.setSuffix(" px")
        self.longest.setToolTip("Larger pictures are made smaller, smaller ones stay.")
        self.metadata = QCheckBox("Keep metadata")
        self.metadata.setChecked(True)
        self.dates = QCheckBox("Keep dates")
        self.dates.setToolTip("New files have the dates of their originals.")
        self.smaller = QCheckBox("Skip if larger")
        self.smaller.setToolTip("Write nothing where the new file would not be smaller.")
        self._lay_out()
        self.aim.activated.connect(self.show_range)
        self.codec.activated.connect(self.show_range)
        self.where.clicked.connect(self._choose_folder)
        self.show_range()

    def _lay_out(self) -> None:
        grid = QGridLayout()
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(6)
        rows = (
            ((self.codec, "Codec"), (self.aim, "Aim for"), (self.value, ""),
             (self.where, "Save to"), (self.existing, "If a file exists")),
            ((self.ratio, "Cut to"), (self.longest, "Longest side"), (None, ""),
             (self.suffix, "Add to names"), (None, "")),
        )  # fmt: skip
        for line, row in enumerate(rows):
            for column, (widget, text) in enumerate(row):
                if widget is not None:
                    caption = QLabel(text)
                    caption.setObjectName("caption")
                    grid.addWidget(caption, 2 * line, column)
                    grid.addWidget(widget, 2 * line + 1, column)
        grid.setColumnStretch(3, 1)
        checks = QHBoxLayout()
        checks.setSpacing(18)
        for box in (self.metadata, self.dates, self.smaller):
            checks.addWidget(box)
        checks.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(10)
        layout.addLayout(grid)
        layout.addLayout(checks)

    def show_range(self) -> None:
        """The values that suit codec and aim."""
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
        self.show_range()
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
            suffix=self.suffix.text().replace("/", "").replace("\\", ""),
            keep_metadata=self.metadata.isChecked(),
            keep_dates=self.dates.isChecked(),
            only_smaller=self.smaller.isChecked(),
            existing=Existing(self.existing.currentData()),
            reshape=ReshapeRule(RATIOS[self.ratio.currentIndex()], self.longest.value()),
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
