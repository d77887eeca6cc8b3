"""The main window: what is done with actions, drops and controls, and what is shown of it."""

import contextlib
import json
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QPoint, Qt, QTimer, QUrl
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
)
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QMenu,
    QMessageBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from pillow_mlic import __version__
from pillow_mlic.evaluation import codecs

from .. import actions, choices
from ..album import Album
from ..choices import FILE
from ..session import Session
from ..state import (
    GAINS,
    MAX_PANES,
    ORIGINAL,
    Goal,
    GoalKind,
    Layout,
    Lens,
    Match,
    State,
    Theme,
)
from . import drops, icons, theme
from .bars import Banner, Headline, Tools
from .batch_window import BatchWindow
from .canvas import Canvas
from .controls import Panel
from .help import Help
from .inspector import Inspector
from .memory import Memory
from .staff import QtStaff
from .welcome import Welcome

PAN = 80
"""Logical pixels that a key moves the picture."""


class Window(QMainWindow):
    """See the module."""

    def __init__(self, staff: QtStaff, memory: Memory) -> None:
        super().__init__()
        self.staff = staff
        self.memory = memory
        self.album = Album()
        self.session = Session(staff, staff.folder, memory.state(), self._changed, self.say)
        self.colours = theme.LIGHT
        self.batch_window: BatchWindow | None = None
        self._left_before = self.session.state.reference.number
        self._save_folder: Path | None = None
        self._refresh = QTimer(self, singleShot=True, interval=0)
        self._refresh.timeout.connect(self.refresh)
        self._download = drops.Download(self, self._downloaded, lambda m: self.say(m, True))

        self.setWindowTitle("pillow-mlic")
        self.setWindowIcon(icons.logo())
        self.setAcceptDrops(True)
        self.actions_ = self._make_actions()
        self.tools = Tools(self.actions_)
        self.canvas = Canvas(self.session)
        self.welcome = Welcome(self)
        self.headline = Headline(self.session)
        self.panel = Panel(self.session)
        self.inspector = Inspector(self.session)
        self.facts = QLabel()
        self._lay_out()
        self.banner = Banner(self.stack)
        self.help = Help(self)
        self._make_menus()
        self._connect()
        self._recall()
        self.dress()
        self.refresh()

    # ---- making ----------------------------------------------------------------------------------

    def _make_actions(self) -> dict[str, QAction]:
        """The table of actions as Qt's; each calls the method of its name."""
        made: dict[str, QAction] = {}
        groups: dict[str, QActionGroup] = {}
        for entry in actions.ACTIONS:
            action = QAction(entry.text, self)
            action.setObjectName(entry.name)
            action.setShortcuts([QKeySequence(key) for key in entry.keys])
            keys = f" ({QKeySequence(entry.keys[0]).toString()})" if entry.keys else ""
            action.setToolTip(entry.tip + keys)
            action.setStatusTip("")
            action.setCheckable(entry.checkable)
            if entry.group:
                group = groups.setdefault(entry.group, QActionGroup(self))
                group.addAction(action)
            action.triggered.connect(self._doer(entry))
            made[entry.name] = action
        return made

    def _doer(self, entry: actions.Action) -> Callable[..., None]:
        settings = {
            "layout": lambda: self._set("layout", Layout(entry.name)),
            "lens": lambda: self._set("lens", Lens(entry.name)),
            "match": lambda: self._set("match", Match(entry.name.removeprefix("match-"))),
            "theme": lambda: self._set("theme", Theme(entry.name.removeprefix("theme-"))),
        }
        do = settings.get(entry.group) or getattr(self, "do_" + entry.name.replace("-", "_"))
        return lambda *_: do()

    def _lay_out(self) -> None:
        self.addToolBar(self.tools)
        self.stack = QStackedWidget()
        self.stack.addWidget(self.welcome)
        self.stack.addWidget(self.canvas)
        middle = QWidget()
        column = QVBoxLayout(middle)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.headline)
        column.addWidget(self.stack, 1)
        centre = QWidget()
        row = QHBoxLayout(centre)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        row.addWidget(middle, 1)
        row.addWidget(self.panel)
        self.setCentralWidget(centre)
        status = self.statusBar()
        status.setSizeGripEnabled(False)
        status.addWidget(self.inspector, 1)
        status.addPermanentWidget(self.facts)
        for name, action in self.actions_.items():
            if actions.action(name).local:
                action.setShortcutContext(Qt.ShortcutContext.WidgetShortcut)
                self.canvas.addAction(action)
            else:
                self.addAction(action)

    def _make_menus(self) -> None:
        self._recent = QMenu("Recent", self)
        self._recent.aboutToShow.connect(self._fill_recent)
        for name in actions.MENUS:
            menu = self.menuBar().addMenu(name)
            last = ""
            for entry in actions.by_menu(name):
                if last != entry.group and (last or entry.group):
                    menu.addSeparator()
                last = entry.group
                menu.addAction(self.actions_[entry.name])
                if entry.name == "open-folder":
                    menu.addMenu(self._recent)

    def _connect(self) -> None:
        encode, compare = self.panel.encode, self.panel.compare
        encode.goal_chosen.connect(self._aim)
        encode.codec_chosen.connect(
            lambda codec: self._change(
                self.state.use_codec(self.state.edited.number, codec), "codec"
            )
        )
        encode.device_chosen.connect(lambda device: self._set("device", device))
        encode.metadata_chosen.connect(lambda keep: self._set("keep_metadata", keep))
        encode.save_wanted.connect(self.do_save)
        compare.match_chosen.connect(lambda match: self._set("match", Match(match)))
        compare.add_wanted.connect(self._add_version)
        compare.file_wanted.connect(self.do_compare_file)
        compare.list.chosen.connect(lambda n: self._change(self.state.select(n), "select"))
        compare.list.put_left.connect(lambda n: self._put(0, n))
        compare.list.menu_wanted.connect(self._version_menu)
        self.panel.curves.clicked.connect(self.do_curves)
        self.canvas.slot_chosen.connect(self._put)
        self.canvas.hovered.connect(self.inspector.look)
        self.canvas.zoomed.connect(lambda zoom: self.tools.refresh(self.session, zoom))
        self.tools.gain_chosen.connect(lambda gain: self._set("gain", gain))
        self.welcome.open_wanted.connect(self.do_open)
        self.welcome.paste_wanted.connect(self.do_paste)
        self.welcome.path_chosen.connect(lambda path: self.open([path]))
        QGuiApplication.styleHints().colorSchemeChanged.connect(lambda _: self.dress())

    def _recall(self) -> None:
        """The window as it was left."""
        geometry = self.memory.value("geometry")
        if geometry is None or not self.restoreGeometry(geometry):
            space = self.screen().availableGeometry()
            self.resize(min(1440, space.width() - 40), min(920, space.height() - 40))
        self.panel.setVisible(self.memory.text("panel") != "hidden")
        with contextlib.suppress(ValueError):
            self.canvas.set_split(float(self.memory.text("split") or 0.5))
        self.welcome.set_recent(self.memory.recent())

    def dress(self) -> None:
        """Take over the colours of the theme, everywhere."""
        self.colours = c = theme.chosen(self.state.theme)
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        theme.apply(app, c)
        for entry in actions.ACTIONS:
            if entry.icon:
                self.actions_[entry.name].setIcon(icons.icon(entry.icon, c.text, c.line))
                self.actions_[entry.name].setIconVisibleInMenu(False)
        for part in (self.canvas, self.headline, self.inspector, self.panel.chart):
            part.colours = c
            part.update()
        self.panel.compare.list.painter_.colours = c
        self.panel.compare.list.viewport().update()
        self.welcome.dress(c)
        if self.batch_window is not None:
            self.batch_window.dress(c)

    # ---- showing ---------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The settings as they are."""
        return self.session.state

    def _changed(self) -> None:
        """The session has changed; a burst of changes is shown once."""
        self._refresh.start()

    def refresh(self) -> None:
        """Show everything as it is now."""
        session = self.session
        there = session.picture is not None
        if there and self.stack.currentWidget() is not self.canvas:
            self.stack.setCurrentWidget(self.canvas)
            self.canvas.setFocus()
        self.canvas.refresh()
        self.headline.refresh()
        self.panel.refresh()
        self.tools.refresh(session, self.canvas.view.zoom)
        self.inspector.update()
        for chosen in (self.state.layout, self.state.lens):
            self.actions_[chosen.value].setChecked(True)
        self.actions_[f"match-{self.state.match}"].setChecked(True)
        self.actions_[f"theme-{self.state.theme}"].setChecked(True)
        self.actions_["published"].setChecked(self.state.published)
        self.actions_["curves"].setChecked(bool(session.curves_left))
        self.actions_["panel"].setChecked(self.panel.isVisible())
        self.actions_["save"].setEnabled(self.panel.encode.save.isEnabled())
        for name in ("zoom-in", "zoom-out", "zoom-fit", "zoom-1", "copy", "curves"):
            self.actions_[name].setEnabled(there)
        self.actions_["compare-file"].setEnabled(there)
        self._show_facts()

    def _show_facts(self) -> None:
        picture = self.session.picture
        if picture is None:
            return
        facts = [
            picture.name,
            self.album.words(),
            f"{picture.raster.width} × {picture.raster.height}",
            "colour-managed" if self.canvas._painter.managed else "",
        ]
        self.facts.setText("   ".join(fact for fact in facts if fact))
        self.setWindowTitle(f"{picture.name} – pillow-mlic")

    def say(self, text: str, bad: bool) -> None:
        """A message for the user."""
        self.banner.say(text, bad)

    # ---- settings --------------------------------------------------------------------------------

    def _change(self, state: State, kind: str = "") -> None:
        self.session.change(state, kind)

    def _set(self, field: str, value: object) -> None:
        self._change(self.state.replace(**{field: value}))
        if field == "theme":
            self.dress()

    def _put(self, slot: int, number: int) -> None:
        self._change(self.state.put(slot, number))

    def _aim(self, goal: Goal) -> None:
        number = self.state.edited.number
        self._change(self.state.aim(number, goal), f"aim {number} {goal.kind}")

    def _add_version(self, codec: str) -> None:
        state = self.state.add(codec, Goal(GoalKind.QUALITY, choices.choice(codec).default))
        if self.state.match != Match.FREE and any(v.codec == codec for v in self.state.versions):
            # Matched to the same reference it would be a copy of the one that is there.
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
        first = self.album.fill(given)
        if first is None:
            name = given[0].name if given else "this"
            self.say(f"{name} holds no picture that can be read", True)
        else:
            self._show_file(first)

    def _show_file(self, path: Path) -> None:
        if not path.is_file():
            self.say(f"{path.name} is not there (any more)", True)
            return
        self.session.open(path)
        self.memory.add_recent(path.absolute())
        self.welcome.set_recent(self.memory.recent())

    def take(self, drop: drops.Drop | None) -> None:
        """Open what was dropped or pasted."""
        if drop is None:
            self.say("there is no picture and no file in this", True)
        elif drop.paths:
            self.open(drop.paths)
        elif drop.data is not None:
            self.album = Album()
            self.session.open(drop.data, drop.name)
        elif drop.url is not None:
            self.say(f"Fetching {drop.url.toDisplayString()} …", False)
            self._download.start(QUrl(drop.url))

    def _downloaded(self, data: bytes, name: str) -> None:
        self.banner.hide()
        self.album = Album()
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

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if drops.acceptable(event.mimeData()):
            event.acceptProposedAction()
            self.welcome.set_hot(True)

    def dragLeaveEvent(self, _event: QDragLeaveEvent) -> None:
        self.welcome.set_hot(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self.welcome.set_hot(False)
        event.acceptProposedAction()
        drop = drops.contents(event.mimeData())
        compare = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if compare and drop is not None and drop.paths and self.session.picture is not None:
            for path in drop.paths[:MAX_PANES]:
                self.compare_with(path)
        else:
            self.take(drop)

    # ---- actions: files --------------------------------------------------------------------------

    def do_open(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Open pictures", self._start_folder())
        if names:
            self.open(Path(name) for name in names)

    def do_open_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Open a folder", self._start_folder())
        if name:
            self.open([Path(name)])

    def _start_folder(self) -> str:
        picture = self.session.picture
        if picture is not None and picture.path is not None:
            return str(picture.path.parent)
        return ""

    def do_previous(self) -> None:
        self._step(-1)

    def do_next(self) -> None:
        self._step(1)

    def _step(self, by: int) -> None:
        path = self.album.step(by)
        if path is not None:
            self._show_file(path)

    def do_save(self) -> None:
        number = self.state.selected
        self._save(self.state.reference.number if number == ORIGINAL else number)

    def _save(self, number: int) -> None:
        if not self.session.can_save(number):
            return
        suggestion = self.session.suggested_name(number)
        suffix = Path(suggestion).suffix
        folder = self._save_folder or Path(self._start_folder())
        name, _ = QFileDialog.getSaveFileName(
            self,
            f"Save {self.session.name(number)}",
            str(folder / suggestion),
            f"{suffix} files (*{suffix})",
        )
        if not name:
            return
        target = Path(name)
        if target.suffix.lower() != suffix:
            target = target.with_name(target.name + suffix)
            if target.exists():
                self.say(f"{target.name} exists already; choose another name", True)
                return
        self._save_folder = target.parent
        self.session.save(number, target)

    def do_batch(self) -> None:
        if self.batch_window is None:
            self.batch_window = BatchWindow(self.staff.batch, self)
            self.batch_window.dress(self.colours)
        if self.album.paths and not self.batch_window.batch.items and len(self.album.paths) > 1:
            self.batch_window.batch.add(self.album.paths)
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

    def do_copy(self) -> None:
        QApplication.clipboard().setPixmap(self.canvas.grab())
        self.say("Copied the view", False)

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
        self.panel.setVisible(not self.panel.isVisible())
        self._changed()

    # ---- actions: comparing ----------------------------------------------------------------------

    def do_swap(self) -> None:
        if self.state.layout == Layout.FLICKER:
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
        if self.session.curves_left:
            self.session.stop_curves()
            self._changed()
        else:
            self.session.start_curves()

    def do_published(self) -> None:
        self._set("published", not self.state.published)

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

    # ---- the window itself -----------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.stop()
        else:
            super().keyPressEvent(event)

    def stop(self) -> None:
        """Esc: the nearest thing that can be stopped or closed."""
        if self.banner.isVisible():
            self.banner.hide()
        elif self.session.opening is not None:
            self.session.cancel_opening()
        elif self.session.curves_left:
            self.session.stop_curves()
            self._changed()
        elif self.isFullScreen():
            self.do_full_screen()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange and "full-screen" in self.actions_:
            self.actions_["full-screen"].setChecked(self.isFullScreen())

    def warm_up(self) -> None:
        """Have torch and the model loaded before they are needed."""
        encode = self.panel.encode

        def ready(devices: list[str]) -> None:
            encode.devices = devices
            self._changed()

        self.staff.neural.submit(
            "warm_up",
            priority=-2,
            done=ready,
            failed=lambda reason: self.say(f".mlic cannot be used: {reason}", True),
            codec=self.state.reference.codec,
            device=self.state.device,
        )
        self.staff.pictures.start()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.memory.save_state(self.state)
        self.memory.save("geometry", self.saveGeometry())
        self.memory.save_text("panel", "hidden" if self.panel.isHidden() else "shown")
        self.memory.save_text("split", json.dumps(self.canvas.split))
        self.memory.sync()
        if self.batch_window is not None:
            self.batch_window.batch.cancel()
            self.batch_window.close()
        self.staff.close()
        super().closeEvent(event)
