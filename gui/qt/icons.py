"""Icons as strokes on a field of 24 x 24, painted in the colour of the text."""

from PySide6.QtCore import QByteArray, QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

STROKES = {
    "open": "M3 7a2 2 0 0 1 2-2h4l2 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H5a2 2 0 0 1-2-2z",
    "save": "M12 4v11M8 11l4 4 4-4M5 20h14",
    "batch": "M8 4h10a2 2 0 0 1 2 2v10M4 8h10a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2z",
    "split": "M4 5h16v14H4zM12 3v18M9.5 10.5L8 12l1.5 1.5M14.5 10.5L16 12l-1.5 1.5",
    "side": "M3 5h8v14H3zM13 5h8v14h-8z",
    "flicker": "M7 8h13l-3-3M17 16H4l3 3",
    "picture": "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 5M15.5 9.5h.01",
    "difference": "M9 6a6 6 0 1 0 0 12a6 6 0 1 0 0-12M15 6a6 6 0 1 0 0 12a6 6 0 1 0 0-12",
    "bits": "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
    "zoom-in": "M11 5a6 6 0 1 0 0 12a6 6 0 1 0 0-12M20 20l-4.5-4.5M11 8.5v5M8.5 11h5",
    "zoom-out": "M11 5a6 6 0 1 0 0 12a6 6 0 1 0 0-12M20 20l-4.5-4.5M8.5 11h5",
    "fit": "M4 9V5a1 1 0 0 1 1-1h4M15 4h4a1 1 0 0 1 1 1v4M20 15v4a1 1 0 0 1-1 1h-4M9 20H5a1 1 0 0 "
    "1-1-1v-4",
    "swap": "M7 7h12l-3-3M17 17H5l3 3",
    "panel": "M4 5h16v14H4zM15 5v14",
    "help": "M12 3a9 9 0 1 0 0 18a9 9 0 1 0 0-18M9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.4-1 .8-1 1.7"
    "M12 16.8h.01",
    "drop": "M12 3v12M7.5 10.5L12 15l4.5-4.5M4 15v4a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-4",
    "add": "M12 5v14M5 12h14",
}

LOGO = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<defs><linearGradient id="g" x1="0" y1="0" x2="1" y2="1">
<stop offset="0" stop-color="#7d7dff"/><stop offset="1" stop-color="#3d3dc9"/></linearGradient>
</defs>
<rect x="4" y="4" width="56" height="56" rx="14" fill="url(#g)"/>
<path d="M12 46l13-15 9 9 7-7 11 13z" fill="#fff"/>
<g fill="#fff" opacity=".85"><rect x="40" y="13" width="6" height="6"/><rect x="47" y="13" width="6"
height="6" opacity=".6"/><rect x="40" y="20" width="6" height="6" opacity=".6"/><rect x="47" y="20"
width="6" height="6"/></g>
<path d="M32 4v56" stroke="#fff" stroke-width="2.5" opacity=".9"/></svg>"""


def icon(name: str, colour: str, soft: str | None = None) -> QIcon:
    """The icon of that name; `soft` is its colour where it is disabled."""
    result = QIcon(_paint(_svg(STROKES[name], colour), 24))
    if soft is not None:
        result.addPixmap(_paint(_svg(STROKES[name], soft), 24), QIcon.Mode.Disabled)
    return result


def pixmap(name: str, colour: str, side: int, ratio: float = 1.0) -> QPixmap:
    """The icon as a picture of `side` logical pixels."""
    drawn = _paint(_svg(STROKES[name], colour, 1.3), round(side * ratio), copies=1)
    drawn.setDevicePixelRatio(ratio)
    return drawn


def logo() -> QIcon:
    """The program's own icon."""
    result = QIcon()
    for side in (16, 32, 64, 128):
        result.addPixmap(_paint(LOGO, side, copies=1))
    return result


def _svg(strokes: str, colour: str, width: float = 1.7) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" '
        f'stroke="{colour}" stroke-width="{width}" stroke-linecap="round" '
        f'stroke-linejoin="round"><path d="{strokes}"/></svg>'
    )


def _paint(svg: str, side: int, copies: int = 3) -> QPixmap:
    """Painted `copies` times as large, for dense screens."""
    drawn = QPixmap(QSize(side * copies, side * copies))
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    renderer = QSvgRenderer(QByteArray(svg.encode()))
    renderer.render(painter, QRectF(0, 0, side * copies, side * copies))
    painter.end()
    return drawn
