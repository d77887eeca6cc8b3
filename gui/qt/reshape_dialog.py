"""Numbers for cutting and resizing."""

from PySide6.QtCore import QSignalBlocker
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ..reshape import LARGEST, RATIOS, Reshape, centred


class ReshapeDialog(QDialog):
    """Asks for a `Reshape` of a picture of `size`; new sides keep the ratio of the cut."""

    def __init__(self, size: tuple[int, int], shape: Reshape, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Cut and resize")
        self._size = size
        self.ratio = QComboBox()
        self.ratio.setAccessibleName("Ratio of sides")
        for ratio in RATIOS:
            self.ratio.addItem(f"{ratio[0]} : {ratio[1]}" if ratio else "Any", ratio)
        names = ("Left", "Top", "Width of the cut", "Height of the cut")
        self.left, self.top, self.wide, self.high = (self._spin(name) for name in names)
        self.width_, self.height_ = self._spin("New width"), self._spin("New height")
        for spin in (self.wide, self.high, self.width_, self.height_):
            spin.setMinimum(1)
        form = QFormLayout()
        form.addRow("Ratio, in the middle", self.ratio)
        form.addRow("Cut from left, top", self._pair(self.left, self.top))
        form.addRow("Width, height", self._pair(self.wide, self.high))
        form.addRow("New width, height", self._pair(self.width_, self.height_))
        self.buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok
            | QDialogButtonBox.StandardButton.Reset
            | QDialogButtonBox.StandardButton.Cancel
        )
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel(f"Of {size[0]} × {size[1]} pixels, before anything is encoded"))
        layout.addLayout(form)
        layout.addWidget(self.buttons)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        reset = self.buttons.button(QDialogButtonBox.StandardButton.Reset)
        reset.clicked.connect(lambda: self._show(Reshape()))
        self.ratio.activated.connect(self._ratio)
        for spin in (self.left, self.top, self.wide, self.high):
            spin.valueChanged.connect(self._cut)
        self.width_.valueChanged.connect(self._wider)
        self.height_.valueChanged.connect(self._higher)
        self._show(shape)

    @staticmethod
    def _spin(name: str) -> QSpinBox:
        spin = QSpinBox()
        spin.setAccessibleName(name)
        spin.setRange(0, LARGEST)
        spin.setSuffix(" px")
        return spin

    @staticmethod
    def _pair(*widgets: QWidget) -> QHBoxLayout:
        row = QHBoxLayout()
        for widget in widgets:
            row.addWidget(widget)
        return row

    def _show(self, shape: Reshape) -> None:
        left, top, right, bottom = shape.crop or (0, 0, *self._size)
        new = shape.size or (right - left, bottom - top)
        values = (left, top, right - left, bottom - top, *new)
        spins = (self.left, self.top, self.wide, self.high, self.width_, self.height_)
        blockers = [QSignalBlocker(spin) for spin in spins]
        for spin, value in zip(spins, values, strict=True):
            spin.setValue(value)
        del blockers

    def _ratio(self) -> None:
        ratio = RATIOS[self.ratio.currentIndex()]
        self._show(Reshape(centred(self._size, ratio) if ratio else None))

    def _cut(self) -> None:
        """Keep the cut inside of the picture, and the new size the cut's own."""
        width, height = self._size
        left, top = min(self.left.value(), width - 1), min(self.top.value(), height - 1)
        right = min(left + self.wide.value(), width)
        bottom = min(top + self.high.value(), height)
        self._show(Reshape((left, top, right, bottom)))

    def _wider(self, value: int) -> None:
        with QSignalBlocker(self.height_):
            self.height_.setValue(max(round(value * self.high.value() / self.wide.value()), 1))

    def _higher(self, value: int) -> None:
        with QSignalBlocker(self.width_):
            self.width_.setValue(max(round(value * self.wide.value() / self.high.value()), 1))

    def shape(self) -> Reshape:
        """What is asked for."""
        left, top = self.left.value(), self.top.value()
        cut = self.wide.value(), self.high.value()
        new = self.width_.value(), self.height_.value()
        whole = cut == self._size and (left, top) == (0, 0)
        crop = None if whole else (left, top, left + cut[0], top + cut[1])
        return Reshape(crop, new if new != cut else None)
