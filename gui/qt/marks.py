"""What is painted over the pictures, and under them where they are transparent."""

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen, QPixmap

from .. import bitmap

Mark = Callable[[QPainter, str, QRectF], None]
"""Writes words into an area, in logical pixels."""
INK = QColor("#ffffff")
PLATE = QColor(18, 18, 22, 215)
EDGE = QColor(255, 255, 255, 45)
RAMP = 96
"""Logical pixels of the legend's scale of colours."""


def checkers(painter: QPainter, area: QRectF, side: int) -> None:
    """Squares of `side` pixels in two light greys, behind transparent parts."""
    pattern = QPixmap(2 * side, 2 * side)
    pattern.fill(QColor("#ffffff"))
    inside = QPainter(pattern)
    for x, y in ((0, 0), (side, side)):
        inside.fillRect(x, y, side, side, QColor("#d4d4d8"))
    inside.end()
    painter.drawTiledPixmap(area, pattern)


def note(painter: QPainter, text: str, area: QRectF) -> None:
    """A sentence in the middle."""
    area = area.adjusted(24, 24, -24, -24)
    flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap)
    needed = painter.boundingRect(area, flags, text).adjusted(-14, -8, 14, 8)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(PLATE)
    painter.drawRoundedRect(needed, 8, 8)
    painter.setPen(INK)
    painter.drawText(area, flags, text)


def label(painter: QPainter, text: str, area: QRectF) -> None:
    """A few words in the middle of the lower edge."""
    metrics = painter.fontMetrics()
    width = min(metrics.horizontalAdvance(text) + 24, max(area.width() - 16, 0))
    box = QRectF(area.center().x() - width / 2, area.bottom() - 40, width, 26)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(PLATE)
    painter.drawRoundedRect(box, 13, 13)
    painter.setPen(INK)
    inside = box.adjusted(10, 0, -10, 0)
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, int(inside.width()))
    painter.drawText(inside, Qt.AlignmentFlag.AlignCenter, shown)


def tag(painter: QPainter, text: str, area: QRectF, space: QRectF) -> None:
    """A few words below an area, or above it, or in it: where there is space."""
    width = painter.fontMetrics().horizontalAdvance(text) + 20
    x = min(max(area.center().x() - width / 2, space.left() + 4), space.right() - width - 4)
    tops = (area.bottom() + 12, area.top() - 36, area.center().y() - 12)
    fits = (space.top() <= top and top + 24 <= space.bottom() - 44 for top in tops[:2])
    top = next((top for top, fit in zip(tops, fits, strict=False) if fit), tops[2])
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(PLATE)
    box = QRectF(x, top, width, 24)
    painter.drawRoundedRect(box, 8, 8)
    painter.setPen(INK)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def frame(painter: QPainter, area: QRectF, width: float) -> None:
    """Around a part of the picture, light on dark."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, grown in ((QColor(0, 0, 0, 120), 1.5), (INK, 0.5)):
        painter.setPen(QPen(colour, width))
        more = grown * width
        painter.drawRect(area.adjusted(-more, -more, more, more))


def split_line(painter: QPainter, x: float, height: float) -> None:
    """The line between two versions, with a knob to take it by."""
    middle = height / 2
    for colour, width in ((QColor(0, 0, 0, 90), 3), (INK, 1.5)):
        painter.setPen(QPen(colour, width))
        painter.drawLine(QPointF(x, 0), QPointF(x, height))
    painter.setPen(QPen(QColor(0, 0, 0, 60), 1))
    painter.setBrush(INK)
    painter.drawEllipse(QPointF(x, middle), 17, 17)
    painter.setPen(QPen(QColor("#33333a"), 2, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    for side in (-1, 1):
        tip = x + side * 9
        painter.drawPolyline(
            [
                QPointF(tip - side * 4, middle - 4.5),
                QPointF(tip, middle),
                QPointF(tip - side * 4, middle + 4.5),
            ]
        )


def legend(painter: QPainter, text: str, bottom: float, scale: bool) -> None:
    """A plate in the lower left corner; with `scale` the colours of the bit map before `text`."""
    ramp = RAMP + 25 if scale else 0
    width = painter.fontMetrics().horizontalAdvance(text) + 28 + ramp
    box = QRectF(12, bottom - 44, width, 32)
    painter.setPen(QPen(EDGE, 1))
    painter.setBrush(PLATE)
    painter.drawRoundedRect(box, 8, 8)
    painter.setPen(INK)
    inside = box.adjusted(14, 0, 0, 0)
    if scale:
        painter.drawText(inside, Qt.AlignmentFlag.AlignVCenter, "0")
        colours = np.ascontiguousarray(bitmap.colours(np.linspace(0, 1, RAMP)[None])).tobytes()
        image = QImage(colours, RAMP, 1, 3 * RAMP, QImage.Format.Format_RGB888)
        painter.drawImage(QRectF(inside.left() + 16, box.top() + 11, RAMP, 10), image)
    painter.drawText(inside.adjusted(ramp, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, text)
