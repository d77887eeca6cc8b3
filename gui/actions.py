"""All actions in one table, from which menus, tool bar, shortcuts, help and docs are made."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Action:
    """Something that can be done.

    `text` as in menus, `keys` as Qt's portable names, the first one shown; `tip` one sentence.
    Actions of one `group` exclude each other. `menu` "" keeps an action out of the menus.
    """

    name: str
    menu: str
    text: str
    keys: tuple[str, ...]
    tip: str
    icon: str = ""
    checkable: bool = False
    group: str = ""
    local: bool = False
    """Controls use the same keys, so these work only while the picture has focus."""


@dataclass(frozen=True)
class Gesture:
    """What is done with the mouse, for help and docs."""

    keys: str
    tip: str


MENUS = ("File", "Edit", "View", "Compare", "Help")

# fmt: off
ACTIONS = (
    Action("open", "File", "Open…", ("Ctrl+O",), "Open pictures of any kind that Pillow reads, or .mlic.", "open"),
    Action("open-folder", "File", "Open folder…", ("Ctrl+Shift+O",), "Open all pictures of a folder and of those below it."),
    Action("previous", "File", "Previous picture", ("PgUp",), "Show the picture before this one in its folder."),
    Action("next", "File", "Next picture", ("PgDown",), "Show the next picture of the folder, or of those that were opened."),
    Action("order-name", "File", "Folders by name", (), "Page through a folder in the order of names.", "", True, "order"),
    Action("order-date", "File", "Folders by date", (), "Page through a folder in the order of dates, the oldest first.", "", True, "order"),
    Action("save", "File", "Save…", ("Ctrl+S",), "Write the selected version to a file.", "save"),
    Action("export", "File", "Export pixels…", ("Ctrl+Shift+S",), "Write the selected version, decoded, as PNG, TIFF, JPEG, WebP or AVIF."),
    Action("batch", "File", "Convert many files…", ("Ctrl+B",), "Convert many files or folders in one go.", "batch"),
    Action("quit", "File", "Quit", ("Ctrl+Q",), "Close the viewer."),
    Action("undo", "Edit", "Undo", ("Ctrl+Z",), "Go back to the settings before the last change."),
    Action("redo", "Edit", "Redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "Take back the undoing."),
    Action("crop", "Edit", "Cut by a rectangle", ("M",), "Draw with the mouse what is kept of the picture, before it is encoded.", "", True),
    Action("cut-view", "Edit", "Cut to the view", ("Ctrl+Shift+X",), "Keep only what the window shows of the picture, before it is encoded."),
    Action("reshape", "Edit", "Cut and resize…", ("Ctrl+R",), "Cut or resize the picture by numbers, before it is encoded."),
    Action("whole", "Edit", "Whole picture", (), "Undo cutting and resizing."),
    Action("copy", "Edit", "Copy view", ("Ctrl+C",), "Copy what the window shows to the clipboard."),
    Action("copy-picture", "Edit", "Copy picture", ("Ctrl+Alt+C",), "Copy all pixels of the selected version."),
    Action("paste", "Edit", "Paste", ("Ctrl+V",), "Open the picture, or the files, in the clipboard."),
    Action("split", "View", "Split", ("1",), "Two versions in one picture, with a line to drag.", "split", True, "layout"),
    Action("side", "View", "Side by side", ("2",), "Two to four versions beside each other.", "side", True, "layout"),
    Action("flicker", "View", "Flicker", ("3",), "One version at a time; the space bar shows the other.", "flicker", True, "layout"),
    Action("panes-fewer", "View", "Fewer panes", ("[",), "Side by side with one pane less."),
    Action("panes-more", "View", "More panes", ("]",), "Side by side with one more pane, up to four."),
    Action("picture", "View", "Picture", ("P",), "Show the pictures themselves.", "picture", True, "lens"),
    Action("difference", "View", "Difference", ("D",), "Show what differs from the original, amplified.", "difference", True, "lens"),
    Action("bits", "View", "Bit map", ("B",), "Show how many bits each 16x16 block of a .mlic file took.", "bits", True, "lens"),
    Action("gain-up", "View", "Amplify more", (".", ">"), "Make differences twice as strong."),
    Action("gain-down", "View", "Amplify less", (",", "<"), "Make differences half as strong."),
    Action("zoom-in", "View", "Zoom in", ("+", "="), "Enlarge, up to 3200 %.", "zoom-in"),
    Action("zoom-out", "View", "Zoom out", ("-",), "Show more of the picture.", "zoom-out"),
    Action("zoom-fit", "View", "Fit to window", ("0",), "Show the whole picture.", "fit"),
    Action("zoom-1", "View", "100 %", ("Z",), "One picture pixel a screen pixel."),
    Action("pan-left", "View", "Move left", ("Ctrl+Left",), "See more of the left.", local=True),
    Action("pan-right", "View", "Move right", ("Ctrl+Right",), "See more of the right.", local=True),
    Action("pan-up", "View", "Move up", ("Ctrl+Up",), "See more of the top.", local=True),
    Action("pan-down", "View", "Move down", ("Ctrl+Down",), "See more of the bottom.", local=True),
    Action("split-left", "View", "Split line to the left", ("Shift+Left",), "Show more of the right version.", local=True),
    Action("split-right", "View", "Split line to the right", ("Shift+Right",), "Show more of the left version.", local=True),
    Action("full-screen", "View", "Full screen", ("F11", "F"), "Nothing but the pictures; Esc goes back.", "", True),
    Action("panel", "View", "Controls", ("C",), "Show or hide the controls at the side.", "panel", True),
    Action("theme-system", "View", "Colours of the system", (), "Light or dark as the desktop has it.", "", True, "theme"),
    Action("theme-light", "View", "Light", (), "Light colours.", "", True, "theme"),
    Action("theme-dark", "View", "Dark", (), "Dark colours.", "", True, "theme"),
    Action("compare", "Compare", "Compare codecs", ("K",), "Encode an opened .mlic file again, to compare."),
    Action("swap", "Compare", "Show the other side", ("Space", "X"), "Flicker: show the other version. Otherwise: A and B trade places.", "swap", local=True),
    Action("version-next", "Compare", "Next version on the right", ("Down",), "Show the next version in pane B.", local=True),
    Action("version-previous", "Compare", "Previous version on the right", ("Up",), "Show the version before it in pane B.", local=True),
    Action("original", "Compare", "Original on the left", ("O",), "Show the original in pane A, or go back to the version before."),
    Action("match-size", "Compare", "At the same size", ("S",), "Search each codec's quality for files as large as the .mlic file.", "", True, "match"),
    Action("match-psnr", "Compare", "At the same PSNR", ("Q",), "Search each codec's quality for the PSNR of the .mlic file.", "", True, "match"),
    Action("match-free", "Compare", "Each at its own quality", ("E",), "Choose the quality of each version.", "", True, "match"),
    Action("quality-up", "Compare", "Higher quality", ("Right",), "Raise the quality by a step.", local=True),
    Action("quality-down", "Compare", "Lower quality", ("Left",), "Lower the quality by a step.", local=True),
    Action("compare-file", "Compare", "Compare with a file…", ("Ctrl+Shift+C",), "Add a file of the same picture as one more version."),
    Action("again", "Compare", "Start again", ("F5",), "Read the file again if it has changed; make versions that were stopped or failed."),
    Action("remove", "Compare", "Remove version", ("Delete",), "Take the selected version off the list.", local=True),
    Action("curves", "Compare", "Measure whole curves", ("R",), "Measure every codec at a range of qualities for the chart.", "", True),
    Action("blind", "Compare", "Blind test", ("T",), "Choose the better of two unnamed versions of equal size, again and again; then see which codec won.", "", True),
    Action("blind-better", "Compare", "This one is better", ("Return",), "Blind test: the version that is shown looks better.", local=True),
    Action("blind-same", "Compare", "No difference", ("Backspace",), "Blind test: neither looks better.", local=True),
    Action("published", "Compare", "Published curves", (), "Draw published curves of learned codecs (means over Kodak) as context.", "", True),
    Action("help", "Help", "Keys and gestures", ("?", "F1"), "Show all that the keyboard and the mouse can do.", "help"),
    Action("about", "Help", "About", (), "Versions of the program and its codecs."),
)
# fmt: on

GESTURES = (
    Gesture("Drag", "Move the picture, or the split line"),
    Gesture("Wheel, pinch", "Zoom about the pointer"),
    Gesture(
        "Drag, after M", "Draw what is kept of the picture; pull its sides, move it; Enter cuts"
    ),
    Gesture("Double click", "Fit to the window, or 100 %"),
    Gesture("Click a version", "Show it on the right; with Shift on the left"),
    Gesture("Drop", "Open files, folders, pictures from a browser; on the right: compare files"),
    Gesture("Shift+Drop", "Compare files with the open picture, in any place"),
    Gesture("Esc", "Close messages and help; stop what runs: opening, saving, encoding, measuring"),
)


def action(name: str) -> Action:
    """The action of that name."""
    return next(a for a in ACTIONS if a.name == name)


def by_menu(menu: str) -> list[Action]:
    """Actions of a menu, in order."""
    return [a for a in ACTIONS if a.menu == menu]


def with_mnemonics(texts: Sequence[str]) -> list[str]:
    """The texts of a menu with Qt's & before a letter of each, no letter twice while they last.

    Letters that begin a word are taken first.
    """
    taken: set[str] = set()
    marked = []
    for text in texts:
        starts = [i for i, c in enumerate(text) if c.isalnum() and (i == 0 or text[i - 1] == " ")]
        others = [i for i, c in enumerate(text) if c.isalpha() and i not in starts]
        places = [i for i in (*starts, *others) if text[i].lower() not in taken]
        if places:
            taken.add(text[places[0]].lower())
        marked.append(text[: places[0]] + "&" + text[places[0] :] if places else text)
    return marked


def single_key(entry: Action) -> str:
    """The first of an action's keys that is pressed alone and hard to see through: a letter, a
    digit or a sign; nothing where there is none, or where what it does is plain to see."""
    if entry.name in ("swap", "zoom-in", "zoom-out", "help"):
        return ""
    return next((key for key in entry.keys if len(key) == 1), "")


def markdown() -> str:
    """The table of actions for the documentation."""
    lines = []
    for menu in MENUS:
        lines += [f"### {menu}", "", "| key | action | |", "|---|---|---|"]
        for a in by_menu(menu):
            keys = ", ".join(f"`{key}`" for key in a.keys)
            lines.append(f"| {keys} | {a.text.removesuffix('…')} | {a.tip} |")
        lines.append("")
    lines += ["### Mouse", "", "| gesture | |", "|---|---|"]
    lines += [f"| {g.keys} | {g.tip}. |" for g in GESTURES]
    return "\n".join(lines)
