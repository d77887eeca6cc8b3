"""What the actions of the table do: `do_NAME` does the action NAME. `Window` has the rest."""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QPoint, Qt, QUrl
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu, QMessageBox

from pillow_mlic import __version__
from pillow_mlic.evaluation import codecs
from pillow_mlic.format.geometry import Box

from .. import choices
from ..choices import FILE
from ..opened_files import OpenedFiles
from ..reshape import NO_RESHAPE
from ..state import GAINS, MAX_PANES, ORIGINAL, Goal, GoalKind, Layout, Match, State
from . import drops, icons
from .batch_window import BatchWindow
from .blind_handlers import BlindHandlers
from .controls import Panel
from .crop_tool import CropTool
from .help import Help
from .reshape_dialog import ReshapeDialog
from .theme import Colours
from .welcome import Welcome
from .workers import WorkerProcesses

PAN = 80
"""Logical pixels that a key moves the picture."""


class ActionHandlers(BlindHandlers):
    """The half of the window that acts."""

    workers: WorkerProcesses
    opened_files: OpenedFiles
    panel: Panel
    welcome: Welcome
    help: Help
    colours: Colours
    batch_window: BatchWindow | None
    _recent: QMenu
    _download: drops.Download
    panel_wanted: bool
    reshape_dialog: ReshapeDialog
    crop: CropTool
    _left_before: int

    def dress(self) -> None:
        """Take over the colours of the theme, everywhere."""
        raise NotImplementedError

    # ---- settings --------------------------------------------------------------------------------

    def _change(self, state: State, kind: str = "") -> None:
        self.session.change(state, kind)

    def _set(self, field: str, value: object) -> None:
        self._change(self.state.replace(**{field: value}))
        if field == "theme":
            self.dress()
        self.opened_files.sort(self.state.order)

    def _put(self, slot: int, number: int) -> None:
        self._change(self.state.put(slot, number))

    def _aim(self, goal: Goal) -> None:
        number = self.state.edited.number
        self._change(self.state.aim(number, goal), f"aim {number} {goal.kind}")

    def _add_version(self, codec: str) -> None:
        state = self.state.add(codec, Goal(GoalKind.QUALITY, choices.choice(codec).default))
        if self.state.match != Match.FREE and any(v.codec == codec for v in self.state.versions):
            # With the same goal it would be a copy of the version that is there.
            state = state.replace(match=Match.FREE)
        self._change(state)

    def _version_menu(self, number: int, at: QPoint) -> None:
        menu = QMenu(self)
        for slot in range(len(self.state.shown)):
            menu.addAction(f"Show in pane {'ABCD'[slot]}", partial(self._put, slot, number))
        if number != ORIGINAL:
            menu.addSeparator()
            save = menu.addAction(f"Save {self.session.name(number)}…", partial(self._save, number))
            save.setEnabled(self.session.can_save(number))
            stop = menu.addAction("Stop", partial(self.session.stop_version, number))
            stop.setEnabled(number in self.session.progress)
            remove = menu.addAction("Remove", partial(self._remove, number))
            remove.setEnabled(number != self.state.reference.number)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(at)

    def _remove(self, number: int) -> None:
        self._change(self.state.remove(number))

    # ---- opening ---------------------------------------------------------------------------------

    def open(self, paths: Iterable[Path]) -> None:
        """Open files and folders: the first is shown, Page Down goes on."""
        given = list(paths)
        first = self.opened_files.fill(given)
        if first is None:
            name = given[0].name if given else "this"
            self.say(f"{name} holds no picture that can be read", True)
        else:
            self._show_file(first)

    def _show_file(self, path: Path, keeps_view: bool = False) -> None:
        if not path.is_file():
            self.say(f"{path.name} is not there (any more)", True)
            return
        self.canvas.keeps_view = keeps_view
        self.session.open(path)
        if not keeps_view:  # what is paged through would push out the others
            self.memory.add_recent(path.absolute())
            self.welcome.set_recent(self.memory.recent())

    def take(self, drop: drops.Drop | None) -> None:
        """Open what was dropped or pasted."""
        if drop is None:
            self.say("there is no picture and no file in this", True)
        elif drop.paths:
            self.open(drop.paths)
        elif drop.data is not None:
            self.opened_files = OpenedFiles()
            self.session.open(drop.data, drop.name)
        elif drop.url is not None:
            self.say(f"Fetching {drop.url.toDisplayString()} …", False)
            self._download.start(QUrl(drop.url))

    def _downloaded(self, data: bytes, name: str) -> None:
        self.banner.hide()
        self.opened_files = OpenedFiles()
        self.session.open(data, name)

    def _fill_recent(self) -> None:
        self._recent.clear()
        paths = self.memory.recent()
        for path in paths:
            entry = self._recent.addAction(path.name, partial(self.open, [path]))
            entry.setToolTip(str(path))
        if not paths:
            self._recent.addAction("Nothing yet").setEnabled(False)
            return
        self._recent.addSeparator()
        self._recent.addAction("Forget all", self._forget_recent)

    def _forget_recent(self) -> None:
        self.memory.clear_recent()
        self.welcome.set_recent([])

    # ---- actions: files --------------------------------------------------------------------------

    def do_open(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Open pictures", self._start_folder())
        if names:
            self.open(Path(name) for name in names)

    def do_open_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a folder", self._start_folder())
        if name:
            self.open([Path(name)])

    def do_previous(self) -> None:
        self._step(-1)

    def do_next(self) -> None:
        self._step(1)

    def _has_next(self) -> bool:
        return self.opened_files.peek(1) is not None

    def _step(self, by: int) -> None:
        path = self.opened_files.step(by)
        if path is not None:
            self._show_file(path, keeps_view=True)
        elif self.opened_files.paths:
            self.say("This is the last picture" if by > 0 else "This is the first picture", False)

    def do_batch(self) -> None:
        if self.batch_window is None:
            self.batch_window = BatchWindow(self.workers.batch, self.workers.pictures, self)
            self.batch_window.opened.connect(lambda path: self.open([path]))
            self.batch_window.dress(self.colours)
            self.batch_window.options.take_over(self.state.edited.codec, self.state.edited.goal)
        chosen = self.opened_files.chosen
        if len(chosen) > 1 and not self.batch_window.batch.items:
            self.batch_window.batch.add(chosen)
        self.batch_window.show()
        self.batch_window.raise_()
        self.batch_window.activateWindow()

    def do_quit(self) -> None:
        self.close()

    # ---- actions: editing ------------------------------------------------------------------------

    def do_undo(self) -> None:
        self.session.undo()
        self.dress()

    def do_redo(self) -> None:
        self.session.redo()
        self.dress()

    def do_crop(self) -> None:
        if self.crop.isVisible():
            self.crop.leave()
        else:
            self.crop.begin()

    def do_cut_view(self) -> None:
        box = self.canvas.box_in_view()
        if box is not None:
            self._cut_to(box)

    def _cut_to(self, box: Box) -> None:
        """Keep only this of the picture that is shown."""
        base = self.session.reshaping.base
        if base is not None:
            shape = self.session.reshaping.shape.cut(base.raster.size, box)
            self.session.reshaping.start(shape)

    def do_reshape(self) -> None:
        base = self.session.reshaping.base
        if base is None:
            return
        dialog = ReshapeDialog(base.raster.size, self.session.reshaping.shape, self)
        dialog.accepted.connect(lambda: self.session.reshaping.start(dialog.shape()))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.reshape_dialog = dialog
        dialog.open()

    def do_whole(self) -> None:
        self.session.reshaping.start(NO_RESHAPE)

    def do_paste(self) -> None:
        self.take(drops.contents(QApplication.clipboard().mimeData()))

    # ---- actions: view ---------------------------------------------------------------------------

    def do_panes_fewer(self) -> None:
        self._panes(-1)

    def do_panes_more(self) -> None:
        self._panes(1)

    def _panes(self, by: int) -> None:
        count = self.state.panes + (by if self.state.layout == Layout.SIDE else 0)
        count = min(max(count, 2), MAX_PANES)
        self._change(self.state.replace(panes=count, layout=Layout.SIDE))

    def do_gain_up(self) -> None:
        self._gain(1)

    def do_gain_down(self) -> None:
        self._gain(-1)

    def _gain(self, by: int) -> None:
        place = min(max(GAINS.index(self.state.gain) + by, 0), len(GAINS) - 1)
        self._change(self.state.replace(gain=GAINS[place]), "gain")

    def do_zoom_in(self) -> None:
        self.canvas.step_zoom(True)

    def do_zoom_out(self) -> None:
        self.canvas.step_zoom(False)

    def do_zoom_fit(self) -> None:
        self.canvas.fit()

    def do_zoom_1(self) -> None:
        self.canvas.zoom_to(1.0)

    def do_pan_left(self) -> None:
        self.canvas.pan(PAN, 0)

    def do_pan_right(self) -> None:
        self.canvas.pan(-PAN, 0)

    def do_pan_up(self) -> None:
        self.canvas.pan(0, PAN)

    def do_pan_down(self) -> None:
        self.canvas.pan(0, -PAN)

    def do_split_left(self) -> None:
        self.canvas.set_split(self.canvas.split - 0.02)

    def do_split_right(self) -> None:
        self.canvas.set_split(self.canvas.split + 0.02)

    def do_full_screen(self) -> None:
        self.setWindowState(self.windowState() ^ Qt.WindowState.WindowFullScreen)

    def do_panel(self) -> None:
        self.panel_wanted = not self.panel_wanted
        self._clothe()

    # ---- actions: comparing ----------------------------------------------------------------------

    def do_swap(self) -> None:
        if self.session.blind is not None:
            self.session.blind.swap()
            self.canvas.update()
        elif self.state.layout == Layout.FLICKER:
            self.canvas.flick()
        else:
            self._change(self.state.swap())

    def do_version_next(self) -> None:
        self._select_by(1)

    def do_version_previous(self) -> None:
        self._select_by(-1)

    def _select_by(self, by: int) -> None:
        numbers = [ORIGINAL, *(v.number for v in self.state.versions)]
        at = numbers.index(self.state.slots[1])
        number = numbers[(at + by) % len(numbers)]
        self._change(self.state.replace(selected=number).put(1, number), "select")

    def do_original(self) -> None:
        left = self.state.slots[0]
        if left == ORIGINAL:
            back = self.state.version(self._left_before) or self.state.reference
            self._put(0, back.number)
        else:
            self._left_before = left
            self._put(0, ORIGINAL)

    def do_quality_up(self) -> None:
        self.panel.encode.step(True)

    def do_quality_down(self) -> None:
        self.panel.encode.step(False)

    def do_compare_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Compare with", self._start_folder())
        if name:
            self.compare_with(Path(name))

    def compare_with(self, path: Path) -> None:
        """Show a file of the same picture as one more version."""
        self._change(self.state.add(FILE, Goal(GoalKind.QUALITY, 0), str(path)))

    def do_remove(self) -> None:
        self._remove(self.state.selected)

    def do_curves(self) -> None:
        if self.session.curves.left:
            self.session.curves.stop()
            self._changed()
        else:
            self.session.start_curves()

    def do_published(self) -> None:
        self._set("published", not self.state.published)

    def do_compare(self) -> None:
        self.session.compare()

    def do_again(self) -> None:
        self.opened_files.look_again()
        self.canvas.keeps_view = True
        if not self.session.reread():
            self.canvas.keeps_view = False
            self.session.resume()

    # ---- actions: help ---------------------------------------------------------------------------

    def do_help(self) -> None:
        self.help.toggle()

    def do_about(self) -> None:
        lines = [codecs.create(c.codec).library for c in choices.choices()]
        box = QMessageBox(self)
        box.setWindowTitle("About")
        box.setIconPixmap(icons.logo().pixmap(64, 64))
        box.setText(f"<b>pillow-mlic {__version__}</b><br>What each codec does to a photograph")
        box.setInformativeText("\n".join(dict.fromkeys(lines)))
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.open()
