"""Walks through what the viewer shows: lines 1 to 3 and 8 to 12 of scripts/walk_viewer.py."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from measure_viewer import processor_seconds
from PIL import Image
from PySide6.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from PySide6.QtWidgets import QApplication, QToolButton
from viewer_hand import ALT, CTRL, Hand, must

from pillow_mlic_gui import blind
from pillow_mlic_gui.headline import headline
from pillow_mlic_gui.reshape import RATIOS
from pillow_mlic_gui.state import ORIGINAL, Layout, Lens

if TYPE_CHECKING:
    from walk_viewer import Photos

Key = Qt.Key
LOOK = QPoint(40, 130)
"""How far the picture is moved, to its most interesting part."""
IDLE = 0.01
"""Share of a core that the window and its processes may use while nothing goes on."""


def never_garbage(hand: Hand, photos: "Photos") -> None:
    """1. At 100 % every pixel is the original's, or that of the version, at any moment."""
    window, session = hand.window, hand.window.session
    hand.open(photos.large)
    hand.key(Key.Key_Z)
    must(window.canvas.view.zoom == 1, "100 %")
    seen = 0
    stages: set[str] = set()

    def looked() -> bool:
        nonlocal seen
        stages.update(_check_pixels(hand))
        seen += 1
        return seen > 8 and all(session.part_of(n) for n in session.state.shown)

    hand.wait(looked, "the part is there", 120)
    stages.update(_check_pixels(hand))
    must(stages >= {"original", "part"}, f"both were seen: {stages}")
    print(f"    {seen} looks, every pixel of the original or of a version")


PATCH = 12
"""Pixels a side of what is compared."""


def _check_pixels(hand: Hand) -> set[str]:
    """Compare patches of what is shown with what they may be; -> what they were."""
    canvas, session = hand.window.canvas, hand.window.session
    shown = hand.pixels_of_the_canvas()
    found = set()
    for slot, number, _, clip in list(canvas.panes()):
        part = session.part_of(number)
        box = session.closeup.part.box if part is not None else (0, 0, 0, 0)
        for across in (0.15, 0.3, 0.6, 0.85):
            for down in (0.25, 0.4, 0.6, 0.8):
                x, y = int(clip.left + clip.width * across), int(clip.height * down)
                left, top = (round(v) for v in canvas.place_at(QPointF(x, y)))
                inside = box[0] <= left < box[2] - PATCH and box[1] <= top < box[3] - PATCH
                near = any(-PATCH - 3 < left - side < 3 for side in box[::2])
                near = near or any(-PATCH - 3 < top - side < 3 for side in box[1::2])
                if part is not None and near:
                    continue  # the frame is painted over it
                patch = shown[y : y + PATCH, x : x + PATCH]
                may = {"original": (session.picture.raster, 0, 0)}
                if part is not None and inside:  # which may be painted a moment later
                    may["part"] = (part.raster, *box[:2])
                same = [
                    kind
                    for kind, (raster, x0, y0) in may.items()
                    if np.array_equal(
                        patch, raster.level(0)[top - y0 :, left - x0 :][:PATCH, :PATCH]
                    )
                ]
                must(same, f"side {slot} has the picture at {left}, {top}, and no garbage")
                found.add(same[-1])
    return found


def the_part_first(hand: Hand, photos: "Photos") -> None:
    """2. Of a large photograph what is seen is compared before the whole is made."""
    session, canvas = hand.window.session, hand.window.canvas
    del photos
    hand.key(Key.Key_Minus)
    hand.wait(
        lambda: not session.closeup.cutting
        and all(session.part_of(n) for n in session.state.shown),
        "the part in view is compared",
    )
    must(not any(n in session.shown for n in session.state.shown), "the whole comes later")
    hand.wait(lambda: any(p.left is not None for p in session.progress.values()))
    text = hand.window.headline.label.text()
    must("In&nbsp;view" in text or "In view" in text, "the headline says that it is the part")
    must(canvas.buttons[0].isVisible(), "panes have their names")
    hand.shoot("viewer-part")


def stops(hand: Hand, photos: "Photos") -> None:
    """3. What runs has a bar, a time left and a stop; Esc stops, too."""
    window, session = hand.window, hand.window.session
    del photos
    must(session.busy and window.headline.bar.value() > 0, "a bar")
    must("left" in window.headline.left.text(), "the time left")
    hand.click(window.headline.stop)
    must(not session.busy, "Stop stops")
    must(set(session.failures.values()) == {"stopped; F5 starts it again"}, "it says so")
    hand.key(Key.Key_F5)
    hand.wait(lambda: session.busy, "F5 starts it again")
    hand.key(Key.Key_Escape)
    must(not session.busy, "Esc stops")
    window.refresh()
    must(not window.headline.stop.isVisible(), "nothing runs")


def views(hand: Hand, photos: "Photos") -> None:
    """8. Layouts, sizes of the window, tools, drop zones, menus, toasts, transparency."""
    window, canvas = hand.window, hand.window.canvas
    hand.open(photos.photo)
    hand.rest()
    hand.choose_sides()
    hand.key(Key.Key_R)
    hand.rest()
    for _ in range(2):
        hand.key(Key.Key_Plus if canvas.view.zoom >= 1 else Key.Key_Z)
    hand.drag(canvas, QPoint(150, 200), QPoint(150, 200) + LOOK)
    hand.shoot("viewer")

    hand.key(Key.Key_0)
    menu = window.menuBar()
    for keys, layout, panes in (
        ((Key.Key_2,), Layout.SIDE, 2),
        ((Key.Key_BracketRight,), Layout.SIDE, 3),
        ((Key.Key_BracketRight,), Layout.SIDE, 4),
    ):
        for key in keys:
            hand.key(key)
        must(window.state.layout == layout and len(window.state.shown) == panes, f"{panes} panes")
        _whole_is_seen(hand)
    hand.key(Key.Key_O)
    hand.shoot("viewer-side-by-side")
    hand.key(Key.Key_O)
    hand.key(Key.Key_1)
    hand.key(Key.Key_D)
    must(window.state.lens == Lens.DIFFERENCE, "the difference")
    must(window.toast.isVisible() and "Difference" in window.toast.text(), "D is told")
    hand.shoot("viewer-difference", told=True)
    hand.key(Key.Key_B)
    hand.wait(lambda: window.session.bits(window.state.slots[0]) is not None, "the bit map", 60)
    hand.shoot("viewer-bits")
    hand.key(Key.Key_P)

    # A small screen: the chart stays in sight, no tool is gone without a mark.
    window.resize(1280, 720)
    hand.pause(0.5)
    chart = window.panel.chart
    must(chart.visibleRegion().boundingRect().height() >= 90, "the chart is in sight")
    _whole_is_seen(hand)
    hand.shoot("viewer-1280x720")
    for width in (1280, 1000, 900):
        window.resize(width, 720)
        hand.pause(0.3)
        _tools_are_there(hand)
        _whole_is_seen(hand)
    window.resize(1400, 880)
    hand.pause(0.3)

    # Drop zones, and what they do.
    hand.hold([photos.clear], hand.right)
    must(window.zones.isVisible() and window.zones.zone == 1, "the right zone is lit")
    hand.shoot("viewer-drop")
    hand.take_away()
    must(not window.zones.isVisible(), "the zones go")

    # Menus by their letters.
    hand.key(Key.Key_E, ALT)
    popup = QApplication.activePopupWidget()
    must(popup is not None, "Alt+E opens the menu")
    must(all("&" in a.text() for a in popup.actions() if not a.isSeparator()), "letters")
    hand.key(Key.Key_Escape, on=popup)
    must(menu.isVisible(), "the menu bar")

    # Transparency counts when files are compared.
    hand.open(photos.clear)
    hand.rest()
    other = photos.clear.with_name("other.png")
    with_alpha = np.asarray(Image.open(photos.clear)).copy()
    with_alpha[..., 3] //= 2
    Image.fromarray(with_alpha).save(other)
    hand.drop([other], hand.right)
    hand.rest()
    number = window.state.versions[-1].number
    must(window.session.shown[number].psnr < 40, "another transparency is another picture")
    hand.key(Key.Key_Delete)
    must(window.state.version(number) is None, "Delete removes it")
    hand.key(Key.Key_F1)
    must(window.help.isVisible(), "help")
    hand.key(Key.Key_F1)


def _whole_is_seen(hand: Hand) -> None:
    """The picture fits into every pane, and fills one of its sides if it may."""
    canvas = hand.window.canvas
    hand.window.refresh()
    width, height = hand.window.session.picture.raster.size
    must(canvas.view.fitted, "the view is fitted")
    zoom = canvas.view.zoom
    for _, _, pane, _ in canvas.panes():
        must(zoom * width <= pane.width and zoom * height <= pane.height, "the whole is seen")


def _tools_are_there(hand: Hand) -> None:
    """Every tool is seen, or the bar has a mark that there are more."""
    tools = hand.window.tools
    mark = tools.findChild(QToolButton, "qt_toolbar_ext_button")
    for action in tools.actions():
        widget = tools.widgetForAction(action)
        if isinstance(widget, QToolButton) and action.isVisible():
            inside = widget.isVisible() and tools.rect().contains(widget.geometry())
            must(inside or (mark is not None and mark.isVisible()), f"{action.text()} is there")


def honest_headline(hand: Hand, photos: "Photos") -> None:
    """9. PSNR and perceptual measures side by side; sizes that differ by over 1 % are said."""
    window, session = hand.window, hand.window.session
    hand.open(photos.photo)
    hand.rest()
    window.refresh()
    head, parts = headline(session)
    must("PSNR / SSIMULACRA2 / MS-SSIM" in head, f"measures are named: {head}")
    reference = session.shown[session.state.reference.number].size
    for number, text in parts:
        off = abs(session.shown[number].size / reference - 1) > 0.01
        must(("%" in text) == off, f"a size that is off is said: {text}")
        must(session.measures.score(session.shown[number]) is not None, "SSIMULACRA2")
    print("    " + "; ".join([head, *(f"{session.name(n)} {t}" for n, t in parts)]))


def idle(hand: Hand, photos: "Photos") -> None:
    """10. While nothing goes on, no processor time is used."""
    del photos
    hand.rest()
    hand.event_reaches(hand.window.canvas, QEvent.Type.Leave)

    def live(seconds: int) -> None:
        loop = QEventLoop()
        QTimer.singleShot(1000 * seconds, loop.quit)
        loop.exec()

    live(2)
    before = processor_seconds()
    live(6)
    share = (processor_seconds() - before) / 6
    print(f"    {share:.2%} of a core, window and processes together")
    must(share < IDLE, "idle is idle")


def blind_test(hand: Hand, photos: "Photos") -> None:
    """11. Two unnamed versions; keys choose; the result has an interval."""
    window, session = hand.window, hand.window.session
    hand.open(photos.photo)
    hand.rest()
    hand.choose_sides()
    hand.key(Key.Key_T)
    hand.wait(lambda: session.blind is not None and session.blind.pair is not None, "pairs", 60)
    window.refresh()
    for part in (window.panel, window.headline, *window.canvas.buttons):
        must(not part.isVisible(), "no names")
    shown = session.blind.shown
    hand.key(Key.Key_Z)
    hand.key(Key.Key_Plus)
    hand.key(Key.Key_Space)
    must(session.blind.shown != shown, "the space bar shows the other")
    hand.shoot("viewer-blind")
    count = session.blind.left
    hand.key(Key.Key_Return)
    must(session.blind.left == count - 1, "Enter chooses")
    hand.key(Key.Key_Backspace)
    must(session.blind.verdicts[-1].better == blind.SAME, "Backspace: no difference")
    hand.key(Key.Key_Escape)
    must(session.blind is None and window.blind_result is not None, "Esc ends it")
    must("%" in window.blind_result.informativeText(), "shares and intervals")
    hand.shoot("viewer-blind-result")
    hand.key(Key.Key_Return, on=window.blind_result)
    window.refresh()
    hand.key(Key.Key_0)


def cutting(hand: Hand, photos: "Photos") -> None:
    """12. A rectangle is drawn, pulled and cut to; numbers do the same; all is undone."""
    window, session, tool = hand.window, hand.window.session, hand.window.crop
    hand.open(photos.photo)
    hand.rest()
    whole = session.picture.raster.size
    hand.key(Key.Key_M)
    must(tool.isVisible(), "M begins")
    point = lambda x, y: window.canvas.point_of(x, y).toPoint()  # noqa: E731
    w, h = whole
    hand.drag(tool, point(w // 4, h // 5), point(3 * w // 4, h // 2))
    first = tool.box
    hand.drag(tool, point(*first[2:]), point(first[2] + 20, first[3] + 60))
    must(tool.box[:2] == first[:2] and tool.box[3] > first[3], "a corner was pulled")
    hand.key(Key.Key_Right)
    must(tool.box[0] == first[0] + 1, "an arrow moves it")
    box = tool.box
    hand.shoot("viewer-cut")
    hand.key(Key.Key_Escape)
    must(not tool.isVisible() and session.picture.raster.size == whole, "Esc cuts nothing")
    hand.key(Key.Key_M)
    hand.drag(tool, point(*box[:2]), point(*box[2:]))
    hand.key(Key.Key_Return)
    size = (box[2] - box[0], box[3] - box[1])
    hand.wait(lambda: session.picture.raster.size == size, "Enter cuts")
    hand.rest()
    must(session.shown[1].raster.size == size, "the cut is encoded")

    def ask(dialog) -> None:
        must(dialog.wide.value() == size[0], "the dialog knows the cut")
        hand.choose(dialog.ratio, f"{RATIOS[1][0]} : {RATIOS[1][1]}")
        hand.write(dialog.width_, "256")
        must(dialog.height_.value() == 256, "the ratio is kept")
        hand.shoot("viewer-reshape")
        hand.key(Key.Key_Return, on=dialog)

    hand.with_dialog(lambda: hand.key(Key.Key_R, CTRL), ask)
    hand.wait(lambda: session.picture.raster.size == (256, 256), "it is resized")
    hand.rest()
    hand.key(Key.Key_E, ALT)
    popup = QApplication.activePopupWidget()
    entry = next(a for a in popup.actions() if a.objectName() == "whole")
    hand.click(popup, popup.actionGeometry(entry).center())
    hand.wait(lambda: session.picture.raster.size == whole, "the whole is back")
    hand.rest()
    must(session.state.slots[0] != ORIGINAL, "as before")


LINES: dict[int, tuple[str, Callable[[Hand, "Photos"], None]]] = {
    1: ("Never garbage while a version is being made", never_garbage),
    2: ("First the part that is seen", the_part_first),
    3: ("Every job has a bar, a time left and a stop", stops),
    8: ("Views", views),
    9: ("An honest headline", honest_headline),
    10: ("Idle means idle", idle),
    11: ("The blind test", blind_test),
    12: ("Cut and resize before encoding", cutting),
}
