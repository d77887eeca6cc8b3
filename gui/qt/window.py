"""The main window: made, dressed and shown; what it does is in `action_handlers`."""

import contextlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, Qt, QTimer
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QCloseEvent,
    QGuiApplication,
    QKeyEvent,
    QKeySequence,
)
from PySide6.QtWidgets import (
    QApplication,
    QHBoxLayout,
    QLabel,
    QMenu,
    QMessageBox,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from .. import actions
from ..opened_files import OpenedFiles
from ..session import Session
from ..state import (
    FolderOrder,
    Layout,
    Lens,
    Match,
    Theme,
)
from . import drops, icons, theme
from .bars import Headline, Tools
from .batch_window import BatchWindow
from .canvas import Canvas
from .controls import Panel
from .crop_tool import CropTool
from .drop_handlers import DropHandlers, DropZones
from .help import Help
from .inspector import Inspector
from .memory import ViewerMemory
from .messages import Banner, TellingAction, Toast
from .welcome import Welcome
from .workers import WorkerProcesses

WITH_PICTURE = (
    "zoom-in", "zoom-out", "zoom-fit", "zoom-1", "copy", "copy-picture", "export", "crop",
    "cut-view", "reshape", "whole",
)  # fmt: skip
"""Actions that need one."""


class Window(DropHandlers):
    """See the module."""

    def __init__(self, workers: WorkerProcesses, memory: ViewerMemory) -> None:
        super().__init__()
        self.workers = workers
        self.memory = memory
        self.opened_files = OpenedFiles()
        self.session = Session(workers, workers.folder, memory.state(), self._changed, self.say)
        self.session.next_file = lambda: self.opened_files.peek(1)
        self.opened_files.sort(self.state.order)
        self.colours = theme.LIGHT
        self.batch_window: BatchWindow | None = None
        self.panel_wanted = True
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
        self.crop = CropTool(self.canvas)
        self.welcome = Welcome(self)
        self.headline = Headline(self.session)
        self.panel = Panel(self.session)
        self.inspector = Inspector(self.session)
        self.facts = QLabel()
        self._lay_out()
        self.zones = DropZones(self.stack)
        self.banner = Banner(self.stack)
        self.toast = Toast(self.stack)
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
            action = TellingAction(entry.text, self)
            action.setIconText(entry.text.removesuffix("…"))
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
            if actions.single_key(entry):
                action.pressed.connect(partial(self._tell_key, entry))
            made[entry.name] = action
        return made

    def _doer(self, entry: actions.Action) -> Callable[..., None]:
        settings = {
            "layout": lambda: self._set("layout", Layout(entry.name)),
            "lens": lambda: self._set("lens", Lens(entry.name)),
            "match": lambda: self._set("match", Match(entry.name.removeprefix("match-"))),
            "order": lambda: self._set("order", FolderOrder(entry.name.removeprefix("order-"))),
            "theme": lambda: self._set("theme", Theme(entry.name.removeprefix("theme-"))),
        }
        do = settings.get(entry.group) or getattr(self, "do_" + entry.name.replace("-", "_"))
        return lambda *_: do()

    def _tell_key(self, entry: actions.Action) -> None:
        """A single key was pressed, perhaps by mistake: say what it does."""
        self.toast.say(f"{entry.text.removesuffix('…')}  ({actions.single_key(entry)})")

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
        for name, marked in zip(actions.MENUS, actions.with_mnemonics(actions.MENUS), strict=True):
            menu = self.menuBar().addMenu(marked)
            last = ""
            entries = actions.by_menu(name)
            texts = actions.with_mnemonics([entry.text for entry in entries])
            for entry, text in zip(entries, texts, strict=True):
                self.actions_[entry.name].setText(text)
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
        encode.refine_chosen.connect(lambda steps: self._set("refine", steps))
        encode.texture_chosen.connect(lambda strength: self._set("texture", strength))
        encode.metadata_chosen.connect(lambda keep: self._set("keep_metadata", keep))
        encode.save_wanted.connect(self.do_save)
        compare.match_chosen.connect(lambda match: self._set("match", Match(match)))
        compare.add_wanted.connect(self._add_version)
        compare.file_wanted.connect(self.do_compare_file)
        compare.list.chosen.connect(lambda n: self._change(self.state.select(n), "select"))
        compare.list.put_left.connect(lambda n: self._put(0, n))
        compare.list.menu_wanted.connect(self._version_menu)
        self.panel.curves.clicked.connect(self.do_curves)
        self.headline.compare.clicked.connect(self.do_compare)
        self.headline.stop.clicked.connect(self.session.stop)
        self.canvas.rested.connect(self._look)
        self.canvas.slot_chosen.connect(self._put)
        self.canvas.hovered.connect(self.inspector.look)
        self.canvas.zoomed.connect(lambda zoom: self.tools.refresh(self.session, zoom))
        self.crop.chosen.connect(self._cut_to)
        self.crop.ended.connect(self._changed)
        self.tools.gain_chosen.connect(lambda gain: self._set("gain", gain))
        self.welcome.open_wanted.connect(self.do_open)
        self.welcome.paste_wanted.connect(self.do_paste)
        self.welcome.path_chosen.connect(lambda path: self.open([path]))
        QGuiApplication.styleHints().colorSchemeChanged.connect(lambda _: self.dress())

    def _recall(self) -> None:
        """Restore the window as it was left."""
        geometry = self.memory.value("geometry")
        if geometry is None or not self.restoreGeometry(geometry):
            space = self.screen().availableGeometry()
            self.resize(min(1440, space.width() - 40), min(920, space.height() - 40))
        self.panel_wanted = self.memory.text("panel") != "hidden"
        self.panel.setVisible(self.panel_wanted)
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
        for part in (self.canvas, self.headline, self.inspector, self.panel.chart, self.zones):
            part.colours = c
            part.update()
        self.panel.compare.list.painter_.colours = c
        self.panel.compare.list.viewport().update()
        self.welcome.dress(c)
        if self.batch_window is not None:
            self.batch_window.dress(c)

    # ---- showing ---------------------------------------------------------------------------------

    def _changed(self) -> None:
        """The session has changed; a burst of changes is shown once."""
        self._refresh.start()

    def refresh(self) -> None:
        """Show everything as it is now."""
        session = self.session
        self.follow_blind()
        there = session.picture is not None
        if (there or session.broken is not None) and self.stack.currentWidget() is not self.canvas:
            self.stack.setCurrentWidget(self.canvas)
            self.canvas.setFocus()
        self.canvas.refresh()
        self.crop.refresh()
        self.headline.refresh()
        self.panel.refresh()
        self.tools.refresh(session, self.canvas.view.zoom)
        self.inspector.update()
        for chosen in (self.state.layout, self.state.lens):
            self.actions_[chosen.value].setChecked(True)
        self.actions_[f"match-{self.state.match}"].setChecked(True)
        self.actions_[f"theme-{self.state.theme}"].setChecked(True)
        self.actions_[f"order-{self.state.order}"].setChecked(True)
        self.actions_["published"].setChecked(self.state.published)
        self.actions_["curves"].setChecked(bool(session.curves.left))
        self.actions_["panel"].setChecked(self.panel_wanted)
        self.actions_["crop"].setChecked(self.crop.isVisible())
        self.actions_["save"].setEnabled(self.panel.encode.save.isEnabled())
        for name in WITH_PICTURE:
            self.actions_[name].setEnabled(there)
        for name in ("compare-file", "curves", "blind"):
            self.actions_[name].setEnabled(there and session.comparing)
        self.actions_["compare"].setEnabled(there and not session.comparing)
        self._lock()
        self._show_facts()

    def _look(self) -> None:
        box = self.canvas.part_in_view()
        if box is not None:
            self.session.look(box)

    def _show_facts(self) -> None:
        picture, broken = self.session.picture, self.session.broken
        if broken is not None:
            self.facts.setText("   ".join([broken.name, self.opened_files.words(), "broken"]))
            self.setWindowTitle(f"{broken.name} – pillow-mlic")
        if picture is None:
            return
        base = self.session.reshaping.base
        of = ""
        if base is not None and base is not picture:
            of = f" of {base.raster.width} × {base.raster.height}"
        facts = [
            picture.name,
            self.opened_files.words(),
            f"{picture.raster.width} × {picture.raster.height}{of}",
            "colour-managed" if self.canvas.images.managed else "",
        ]
        self.facts.setText("   ".join(fact for fact in facts if fact))
        self.setWindowTitle(f"{picture.name} – pillow-mlic")

    # ---- the window itself -----------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.stop()
        else:
            super().keyPressEvent(event)

    def stop(self) -> None:
        """Esc: the nearest thing that can be stopped or closed."""
        if self.crop.isVisible():
            self.crop.leave()
        elif self.banner.isVisible():
            self.banner.hide()
        elif self.session.blind is not None:
            self.end_blind()
        elif self.session.stop():
            self._changed()
        elif self.isFullScreen():
            self.do_full_screen()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange and "full-screen" in self.actions_:
            self._clothe()

    def _clothe(self) -> None:
        """What is around the pictures: nothing in full screen, no names in a blind test."""
        full, blind = self.isFullScreen(), self.session.blind is not None
        self.actions_["full-screen"].setChecked(full)
        for part in (self.menuBar(), self.tools, self.statusBar()):
            part.setVisible(not full)
        self.inspector.setVisible(not blind)
        self.panel.setVisible(self.panel_wanted and not full and not blind)
        self.headline.hidden = full or blind
        if full or blind:
            self.canvas.setFocus()  # whose keys count now, wherever the focus was
        self._changed()

    def warm_up(self) -> None:
        """Load the model before it is needed."""

        def ready(devices: list[str]) -> None:
            self.panel.encode.devices = devices

        self.session.warm_up(ready)
        self.workers.pictures.start()

    def _may_close(self) -> bool:
        """Ask, if files are still being written."""
        doing = [self.session.saves.text()]
        if self.batch_window is not None and self.batch_window.batch.running:
            doing.append(f"Converting: {self.batch_window.batch.summary()}")
        text = "\n".join(part for part in doing if part)
        if not text:
            return True
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            "Quit?",
            f"{text}\n\nQuit, and leave that unwritten?",
            buttons.Discard | buttons.Cancel,
            buttons.Cancel,
        )
        return answer == buttons.Discard

    def closeEvent(self, event: QCloseEvent) -> None:
        if not self._may_close():
            event.ignore()
            return
        self.memory.save_state(self.state)
        self.memory.save("geometry", self.saveGeometry())
        self.memory.save_text("panel", "shown" if self.panel_wanted else "hidden")
        self.memory.save_text("split", json.dumps(self.canvas.split))
        self.memory.sync()
        if self.batch_window is not None:
            self.batch_window.batch.cancel()
            self.batch_window.close()
        self.session.close()
        self.workers.close()
        super().closeEvent(event)
