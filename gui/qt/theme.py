"""Colours, light and dark, and the style sheet made of them."""

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication

from ..state import Theme


@dataclass(frozen=True)
class Colours:
    """What things are painted with."""

    window: str
    panel: str
    field: str
    line: str
    text: str
    soft: str
    canvas: str
    accent: str
    on_accent: str
    hover: str
    selected: str
    bad: str
    bad_soft: str
    good_soft: str
    good: str
    dark: bool


LIGHT = Colours(
    window="#f4f4f6",
    panel="#ffffff",
    field="#ffffff",
    line="#d9d9df",
    text="#1b1b20",
    soft="#62626c",
    canvas="#dfdfe3",
    accent="#4f4fe0",
    on_accent="#ffffff",
    hover="#ebebf0",
    selected="#e8e8fd",
    bad="#b3261e",
    bad_soft="#fdecea",
    good_soft="#e7f6ec",
    good="#1c6b3c",
    dark=False,
)
DARK = Colours(
    window="#1c1c20",
    panel="#25252a",
    field="#2d2d33",
    line="#3c3c44",
    text="#ededf2",
    soft="#a3a3ae",
    canvas="#131316",
    accent="#7d7dff",
    on_accent="#101018",
    hover="#34343b",
    selected="#34345a",
    bad="#ffb4ab",
    bad_soft="#4a2322",
    good_soft="#1f3a2a",
    good="#9fe0b8",
    dark=True,
)


def chosen(theme: Theme) -> Colours:
    """The colours for a setting, or those of the desktop."""
    dark = theme == Theme.DARK or (
        theme == Theme.SYSTEM and QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
    )
    return DARK if dark else LIGHT


def apply(app: QApplication, colours: Colours) -> None:
    """Dress the whole application."""
    sheet = style_sheet(colours)
    if app.styleSheet() == sheet:
        return  # dressing every widget anew takes a while
    app.setStyle("Fusion")
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: colours.window,
        QPalette.ColorRole.WindowText: colours.text,
        QPalette.ColorRole.Base: colours.field,
        QPalette.ColorRole.AlternateBase: colours.window,
        QPalette.ColorRole.Text: colours.text,
        QPalette.ColorRole.Button: colours.panel,
        QPalette.ColorRole.ButtonText: colours.text,
        QPalette.ColorRole.ToolTipBase: colours.panel,
        QPalette.ColorRole.ToolTipText: colours.text,
        QPalette.ColorRole.PlaceholderText: colours.soft,
        QPalette.ColorRole.Highlight: colours.accent,
        QPalette.ColorRole.HighlightedText: colours.on_accent,
        QPalette.ColorRole.Link: colours.accent,
        QPalette.ColorRole.Mid: colours.line,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (
        QPalette.ColorRole.WindowText,
        QPalette.ColorRole.Text,
        QPalette.ColorRole.ButtonText,
    ):
        soft = QColor(colours.soft)
        soft.setAlpha(130)
        palette.setColor(QPalette.ColorGroup.Disabled, role, soft)
    app.setPalette(palette)
    app.setStyleSheet(sheet)


def style_sheet(c: Colours) -> str:
    """Qt's style sheet."""
    return f"""
    QToolTip {{ background: {c.panel}; color: {c.text}; border: 1px solid {c.line}; padding: 4px; }}
    QMainWindow, QDialog {{ background: {c.window}; }}
    QMenuBar {{ background: {c.window}; padding: 1px 4px; }}
    QMenuBar::item {{ padding: 4px 9px; border-radius: 5px; background: transparent; }}
    QMenuBar::item:selected {{ background: {c.hover}; }}
    QMenu {{ background: {c.panel}; border: 1px solid {c.line}; padding: 5px; }}
    QMenu::item {{ padding: 5px 26px 5px 26px; border-radius: 5px; }}
    QMenu::item:selected {{ background: {c.selected}; color: {c.text}; }}
    QMenu::item:disabled {{ color: {c.soft}; }}
    QMenu::separator {{ height: 1px; background: {c.line}; margin: 5px 8px; }}

    QToolBar {{ background: {c.window}; border: none; border-bottom: 1px solid {c.line};
        padding: 6px 10px; spacing: 6px; }}
    QToolBar QToolButton, QFrame#segments QToolButton {{ border: none; border-radius: 6px;
        padding: 6px 9px; color: {c.text}; background: transparent; }}
    QToolBar QToolButton:hover, QFrame#segments QToolButton:hover {{ background: {c.hover}; }}
    QToolBar QToolButton:focus, QFrame#segments QToolButton:focus {{
        border: 1px solid {c.accent}; padding: 5px 8px; }}
    QToolBar QToolButton:disabled, QFrame#segments QToolButton:disabled {{ color: {c.soft}; }}
    QFrame#segments {{ background: {c.hover}; border-radius: 8px; }}
    QFrame#segments QToolButton:checked {{ background: {c.panel}; color: {c.text};
        font-weight: 600; border: 1px solid {c.line}; padding: 5px 8px; }}
    QFrame#segments QToolButton:checked:focus {{ border-color: {c.accent}; }}

    QWidget#headline {{ background: {c.window}; border-bottom: 1px solid {c.line}; }}
    QLabel#soft, QLabel#caption {{ color: {c.soft}; }}
    QLabel#section {{ font-weight: 600; }}
    QFrame#banner {{ background: {c.good_soft}; border-radius: 8px; }}
    QFrame#banner QLabel, QFrame#banner QToolButton {{ color: {c.good}; }}
    QFrame#banner[bad="true"] {{ background: {c.bad_soft}; }}
    QFrame#banner[bad="true"] QLabel, QFrame#banner[bad="true"] QToolButton {{ color: {c.bad}; }}
    QFrame#banner QToolButton {{ border: none; font-size: 15px; padding: 2px 6px; }}

    QWidget#panel, QWidget#panelInside, QScrollArea#panelScroll {{ background: {c.panel}; }}
    QWidget#panel {{ border-left: 1px solid {c.line}; }}
    QScrollArea#panelScroll {{ border: none; margin-left: 1px; }}
    QFrame#rule {{ background: {c.line}; max-height: 1px; border: none; }}
    QStatusBar {{ background: {c.window}; border-top: 1px solid {c.line}; color: {c.soft}; }}
    QStatusBar::item {{ border: none; }}
    QStatusBar QLabel {{ color: {c.soft}; padding: 0 6px; }}

    QPushButton {{ background: {c.panel}; color: {c.text}; border: 1px solid {c.line};
        border-radius: 7px; padding: 6px 14px; }}
    QPushButton:hover {{ background: {c.hover}; }}
    QPushButton:focus {{ border-color: {c.accent}; }}
    QPushButton:disabled {{ color: {c.soft}; background: {c.window}; }}
    QPushButton#primary {{ background: {c.accent}; color: {c.on_accent}; border: none;
        font-weight: 600; padding: 8px 16px; }}
    QPushButton#primary:hover {{ background: {c.accent}; }}
    QPushButton#primary:focus {{ border: 2px solid {c.text}; padding: 6px 14px; }}
    QPushButton#primary:disabled {{ background: {c.hover}; color: {c.soft}; }}
    QPushButton#link {{ border: none; background: transparent; color: {c.accent};
        padding: 3px 6px; text-align: left; }}
    QPushButton#link:disabled {{ color: {c.soft}; background: transparent; }}
    QPushButton#link:hover {{ text-decoration: underline; }}
    QPushButton#link:focus {{ border: 1px solid {c.accent}; padding: 2px 5px; }}

    QComboBox, QAbstractSpinBox, QLineEdit#field {{ min-height: 24px; }}
    QSlider::groove:horizontal {{ height: 4px; border-radius: 2px; background: {c.line}; }}
    QSlider::sub-page:horizontal {{ background: {c.accent}; border-radius: 2px; }}
    QSlider::handle:horizontal {{ width: 16px; height: 16px; margin: -6px 0; border-radius: 8px;
        background: {c.accent}; border: 2px solid {c.panel}; }}
    QSlider::handle:horizontal:focus {{ border: 2px solid {c.text}; }}
    QSlider:disabled {{ color: {c.soft}; }}
    QSlider::sub-page:horizontal:disabled, QSlider::handle:horizontal:disabled {{
        background: {c.soft}; }}

    QProgressBar {{ background: {c.line}; border: none; border-radius: 3px; max-height: 6px;
        min-height: 6px; }}
    QProgressBar::chunk {{ background: {c.accent}; border-radius: 3px; }}
    QProgressBar#thin {{ max-height: 2px; min-height: 2px; background: transparent;
        border-radius: 0; }}
    QProgressBar#thin::chunk {{ border-radius: 0; }}

    QListView, QTableView {{ background: {c.panel}; border: 1px solid {c.line}; border-radius: 8px;
        outline: none; }}
    QListView#versions {{ border: none; }}
    QTableView {{ gridline-color: transparent; selection-background-color: {c.selected};
        selection-color: {c.text}; }}
    QHeaderView::section {{ background: {c.panel}; color: {c.soft}; border: none;
        border-bottom: 1px solid {c.line}; padding: 6px 7px; }}
    QTableView::item {{ padding: 0 4px; }}
    QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
    QScrollBar::handle:vertical {{ background: {c.line}; border-radius: 4px; min-height: 30px;
        margin: 1px; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; width: 0; }}
    QScrollBar:horizontal {{ background: transparent; height: 10px; margin: 0; }}
    QScrollBar::handle:horizontal {{ background: {c.line}; border-radius: 4px; margin: 1px; }}
    QSplitter::handle {{ background: {c.line}; width: 1px; }}

    QToolButton#pane {{ background: rgba(18, 18, 22, 205); color: #ffffff;
        border: 1px solid rgba(255, 255, 255, 45); border-radius: 8px; padding: 5px 8px;
        font-weight: 600; }}
    QToolButton#pane:hover {{ background: rgba(18, 18, 22, 240); }}
    QToolButton#pane:focus {{ border-color: #ffffff; }}

    QLabel#toast {{ background: rgba(18, 18, 22, 215); color: #ffffff; border-radius: 13px;
        padding: 5px 14px; font-weight: 600; }}
    QFrame#helpCard {{ background: {c.panel}; border: 1px solid {c.line}; border-radius: 14px; }}
    QLabel#key {{ background: {c.hover}; border: 1px solid {c.line}; border-radius: 5px;
        padding: 1px 7px; font-weight: 600; }}
    QLabel#title {{ font-size: 19px; font-weight: 600; }}
    QLabel#subtitle {{ color: {c.soft}; font-size: 14px; }}
    """
