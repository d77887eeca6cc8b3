"""The blind test as the window leads it: versions unnamed in one place, one key for each choice."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMessageBox

from .. import blind, choices, words
from ..blind import BlindTest
from ..state import Lens, Match
from .memory import ViewerMemory
from .save_handlers import SaveHandlers

ALLOWED = {
    "blind", "blind-better", "blind-same", "swap", "previous", "next", "full-screen", "help",
    "quit", "zoom-in", "zoom-out", "zoom-fit", "zoom-1", "pan-left", "pan-right", "pan-up",
    "pan-down",
}  # fmt: skip
"""Actions that give nothing away."""


class BlindHandlers(SaveHandlers):
    """The part of the window that tests blindly."""

    memory: ViewerMemory
    actions_: dict[str, QAction]
    blind_result: QMessageBox | None = None
    _locked = False
    _judged: Path | None = None
    """The pixels of the picture of which there are pairs, or were."""

    def _changed(self) -> None:
        """Something that is shown has changed."""
        raise NotImplementedError

    def _clothe(self) -> None:
        """Show what is around the pictures, or less."""
        raise NotImplementedError

    def do_next(self) -> None:
        """Show the next picture."""
        raise NotImplementedError

    def _has_next(self) -> bool:
        """Whether there is a next picture."""
        raise NotImplementedError

    def do_blind(self) -> None:
        if self.session.blind is not None:
            self.end_blind()
            return
        if self.session.picture is None or not self.session.comparing:
            return
        self.session.change(self.state.replace(match=Match.SIZE, lens=Lens.PICTURE))
        self.session.blind = BlindTest(self.memory.beside("blind-test.csv"))
        self._judged = None
        self._changed()

    def do_blind_better(self) -> None:
        self._judge(better=True)

    def do_blind_same(self) -> None:
        self._judge(better=False)

    def _judge(self, better: bool) -> None:
        test = self.session.blind
        if test is None or test.pair is None:
            return
        try:
            test.judge(better)
        except OSError as error:
            self.say(f"the choice could not be written: {error.strerror or error}", True)
            return
        if not test.left and self._has_next():
            test.leave()
            self.do_next()
        elif not test.left:
            self.end_blind()
        self._changed()

    def follow_blind(self) -> None:
        """Find pairs in the picture that is shown, once its versions are there."""
        test, session = self.session.blind, self.session
        if test is None:
            return
        if session.picture is None or not session.comparing:  # broken, or a .mlic file
            test.begin(session.broken.name if session.broken is not None else "a file", [])
            return
        pixels = session.picture.raster.path
        if pixels != self._judged:
            test.leave()
        if pixels == self._judged or session.busy:
            return
        self._judged = pixels
        shown = {n: coded for n, coded in session.shown.items() if session.current(n)}
        found = blind.contenders(shown, self.state.reference.number)
        if len(found) < 2:
            self.say("fewer than two versions of this picture have about the same size", True)
        test.begin(session.picture.name, found)

    def _lock(self) -> None:
        """In a blind test only what gives nothing away can be done."""
        blind = self.session.blind
        if (blind is not None) != self._locked:
            self._locked = not self._locked
            for action in self.actions_.values():
                action.setEnabled(True)
            self._clothe()
        if blind is not None:
            for name, action in self.actions_.items():
                action.setEnabled(name in ALLOWED)
        for name in ("blind-better", "blind-same"):
            self.actions_[name].setEnabled(blind is not None and blind.pair is not None)
        self.actions_["blind"].setChecked(blind is not None)

    def end_blind(self) -> None:
        """Say which codec won how often."""
        test, self.session.blind = self.session.blind, None
        self._changed()
        if test is None or not test.verdicts:
            return
        names = {c.codec: c.label for c in choices.choices()}
        every = blind.read(test.file)
        lines = blind.result(test.verdicts, names)
        if len(every) > len(test.verdicts):
            lines += ["", f"All {len(every)} choices so far:", *blind.result(every, names)]
        text = "\n".join(lines)
        box = QMessageBox(self)
        box.setWindowTitle("Blind test")
        box.setText(f"<b>{len(test.verdicts)} choices at equal size</b>")
        box.setInformativeText(
            f"{text}\n\nIn brackets: where the share lies with 95 % confidence. Every choice is in "
            f"{words.place(test.file)}"
        )
        box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.blind_result = box
        box.open()
