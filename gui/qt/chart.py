"""The chart of rate and distortion: all points of every codec, and its current one."""

import math

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QMouseEvent, QPainter, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from .. import choices, rd_points, words
from ..rd_points import ChartCurve, Point
from ..session import Session
from .panes import GREY, colour_of
from .theme import LIGHT, Colours

LEFT, RIGHT, TOP, BOTTOM = 34, 12, 10, 32


class Chart(QWidget):
    """PSNR over bits per pixel (logarithmic); the current choices are ringed."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.colours: Colours = LIGHT
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumHeight(150)
        self.setAccessibleName("Chart of PSNR over bits per pixel")
        self._published: list[ChartCurve] | None = None
        self._spots: list[tuple[QPointF, str]] = []

    def sizeHint(self) -> QSize:
        return QSize(340, 230)

    @property
    def published(self) -> list[ChartCurve]:
        """Published curves, if they are wanted and suit the size of this picture."""
        picture = self.session.picture
        if not self.session.state.published or picture is None:
            return []
        if not rd_points.published_apply(picture.raster.size):
            return []
        if self._published is None:
            self._published = rd_points.published()
        return self._published

    def series(self) -> list[tuple[str, str, list[Point]]]:
        """Label, colour and points of every codec that has some."""
        used = {v.codec for v in self.session.state.versions}
        known = [c for c in choices.choices() if c.codec in used]
        found = [(c.label, c.colour, self.session.points.of(c.codec)) for c in known]
        return [entry for entry in found if entry[2]]

    def current(self) -> list[tuple[str, str, Point]]:
        """Name, colour and point of every version as it is now."""
        session = self.session
        return [
            (session.name(n), colour_of(session, n), Point(c.bpp, c.psnr, c.quality))
            for n, c in session.shown.items()
            if c.psnr <= rd_points.MOST_PSNR
        ]

    def paintEvent(self, _event: object) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1.5, 7))
        painter.setFont(font)
        self._spots.clear()
        area = QRectF(self.rect()).adjusted(LEFT, TOP, -RIGHT, -BOTTOM)
        series, current = self.series(), self.current()
        points = [p for _, _, ps in series for p in ps] + [p for _, _, p in current]
        if not points:
            painter.setPen(QColor(self.colours.soft))
            painter.drawText(
                QRectF(self.rect()),
                int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap),
                "Points appear here as codecs are measured",
            )
            return
        low_x, high_x, low_y, high_y = rd_points.bounds(points)

        def place(point: Point) -> QPointF:
            x = math.log(point.bpp / low_x) / math.log(high_x / low_x)
            y = (point.psnr - low_y) / (high_y - low_y)
            return QPointF(area.left() + x * area.width(), area.bottom() - y * area.height())

        self._paint_axes(painter, area, (low_x, high_x, low_y, high_y))
        painter.save()
        painter.setClipRect(area)
        for curve in self.published:
            painter.setPen(QPen(QColor(GREY), 1, Qt.PenStyle.DashLine))
            painter.drawPolyline(QPolygonF([place(p) for p in curve.points]))
            for p in curve.points:
                words_ = f"{curve.label}, mean over Kodak: {p.bpp:.3f} bpp, {p.psnr:.2f} dB"
                if area.contains(place(p)):
                    self._spots.append((place(p), words_))
        painter.setClipRect(area.adjusted(-9, -9, 9, 9))  # all points lie inside, with their rings
        for label, colour, ps in series:
            painter.setPen(QPen(QColor(colour), 1.6))
            painter.drawPolyline(QPolygonF([place(p) for p in ps]))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(colour))
            for p in ps:
                painter.drawEllipse(place(p), 2.6, 2.6)
                self._spots.append((place(p), self._tip(label, p)))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        for label, colour, p in current:
            painter.setPen(QPen(QColor(self.colours.panel), 2))
            painter.setBrush(QColor(colour))
            painter.drawEllipse(place(p), 5.5, 5.5)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(QColor(colour), 1.5))
            painter.drawEllipse(place(p), 8, 8)
            self._spots.append((place(p), self._tip(label, p)))
        painter.restore()

    def _tip(self, label: str, point: Point) -> str:
        at = f" {words.quality(point.quality)}" if point.quality is not None else ""
        return f"{label}{at}: {point.bpp:.3f} bpp, {point.psnr:.2f} dB"

    def _paint_axes(
        self, painter: QPainter, area: QRectF, bounds: tuple[float, float, float, float]
    ) -> None:
        low_x, high_x, low_y, high_y = bounds
        metrics = QFontMetricsF(painter.font())
        for value in rd_points.ticks(low_y, high_y, 5):
            y = area.bottom() - (value - low_y) / (high_y - low_y) * area.height()
            painter.setPen(QPen(QColor(self.colours.line), 1))
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(QColor(self.colours.soft))
            painter.drawText(
                QRectF(0, y - 8, area.left() - 6, 16),
                int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter),
                f"{value:g}",
            )
        for value in rd_points.rate_ticks(low_x, high_x):
            share = math.log(value / low_x) / math.log(high_x / low_x)
            x = area.left() + share * area.width()
            painter.drawText(
                QRectF(x - 25, area.bottom() + 3, 50, 14),
                int(Qt.AlignmentFlag.AlignCenter),
                f"{value:g}",
            )
        painter.setPen(QPen(QColor(self.colours.line), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.setPen(QColor(self.colours.soft))
        painter.drawText(
            QRectF(area.left(), area.bottom() + 16, area.width(), 16),
            int(Qt.AlignmentFlag.AlignLeft),
            "bits per pixel",
        )
        if self.published:
            painter.drawText(
                QRectF(area.left(), area.bottom() + 16, area.width(), 16),
                int(Qt.AlignmentFlag.AlignRight),
                "dashed: published, Kodak mean",
            )
        painter.drawText(QPointF(area.left() + 5, area.top() + metrics.ascent()), "PSNR, dB")

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        at = event.position()
        near = [(QPointF.dotProduct(at - spot, at - spot), text) for spot, text in self._spots]
        best = min(near, default=(1e9, ""))
        if best[0] < 100:
            QToolTip.showText(event.globalPosition().toPoint(), best[1], self)
        else:
            QToolTip.hideText()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip:
            return True  # shown while the pointer moves
        return super().event(event)
