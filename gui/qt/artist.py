"""Paints versions into panes: pictures, differences, bit maps, and what is said over them."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QBrush, QImage, QPainter

from .. import bitmap, tiles
from ..raster import Raster
from ..session import Session
from ..state import ORIGINAL, Lens
from ..view_transform import ScreenBox, View
from ..waiting import waiting_words
from . import marks
from .tile_images import TileImages


class Artist(NamedTuple):
    """Paints with `painter`, whose unit is a pixel of the screen; `ratio` of them are a logical
    one."""

    painter: QPainter
    session: Session
    images: TileImages
    view: View
    ratio: float

    def version(self, number: int, pane: ScreenBox, clip: ScreenBox) -> None:
        """A version; the original in full strength, and a label, while it is being made."""
        session = self.session
        assert session.picture is not None
        original = session.picture.raster
        coded = session.shown.get(number)
        if number != ORIGINAL and coded is None:
            self._original_instead(number, pane, clip)
            return
        raster = coded.raster if coded is not None else original
        other = original if session.state.lens == Lens.DIFFERENCE else None
        self._raster(raster, other, pane, clip)
        bits = session.bits(number)
        if session.state.lens != Lens.BITS or coded is None:
            return
        if bits is not None:
            self._bits(raster, number, pane)
        elif session.measures.has_bits(coded):
            self._note("Counting bits …", clip)

    def legend(self, numbers: Iterable[int], height: float) -> None:
        """What the colours of a lens mean, in logical pixels."""
        state, shown = self.session.state, list(numbers)
        if state.lens == Lens.DIFFERENCE:
            text = f"Difference from the original × {state.gain}"
            marks.legend(self.painter, text, height, scale=False)
        elif state.lens == Lens.BITS:
            maps = [bits for bits in map(self.session.bits, shown) if bits is not None]
            known = bool(maps)
            text = f"{self._most_bits(shown):.0f} bits a 16×16 block"
            if any(bits.lossless.any() for bits in maps):
                text += " · hatched: lossless tiles"
            if not known:
                text = "Bit maps are there for .mlic versions"
            marks.legend(self.painter, text, height, scale=known)

    def _original_instead(self, number: int, pane: ScreenBox, clip: ScreenBox) -> None:
        session = self.session
        assert session.picture is not None
        reason, part = session.failures.get(number), session.part_of(number)
        pale = reason is not None and part is None
        self.painter.setOpacity(0.35 if pale else 1.0)
        self._raster(session.picture.raster, None, pane, clip)
        self.painter.setOpacity(1.0)
        if pale:
            self._note(reason or "", clip)
            return
        text = reason or waiting_words(session, number)
        if part is not None:
            self._part(number, pane, clip)
            self._label(f"{session.name(number)} in the frame – {text}", clip)
        else:
            self._label(f"Original – {session.name(number)}: {text}", clip)

    def _part(self, number: int, pane: ScreenBox, clip: ScreenBox) -> None:
        """A version of the part in view, in a frame, over the original."""
        part, coded = self.session.closeup.part, self.session.part_of(number)
        assert part is not None
        assert coded is not None
        x, y, x1, y1 = part.box
        left, top = self.view.to_screen(pane, x, y)
        right, bottom = self.view.to_screen(pane, x1, y1)
        area = ScreenBox(round(left), round(top), round(right - left), round(bottom - top))
        view = dataclasses.replace(self.view, x=self.view.x - x, y=self.view.y - y)
        other = part.raster if self.session.state.lens == Lens.DIFFERENCE else None
        self.painter.save()
        self.painter.setClipRect(QRectF(*area), Qt.ClipOperation.IntersectClip)
        self._raster(coded.raster, other, pane, clip, view)
        self.painter.restore()
        marks.frame(self.painter, QRectF(*area), self.ratio)

    def _bits(self, raster: Raster, number: int, pane: ScreenBox) -> None:
        """A bit map over a version."""
        found, painter = self.session.bits(number), self.painter
        assert found is not None
        bits = found.bits
        data = bitmap.overlay(bits, self._most_bits(self.session.state.shown)).tobytes()
        rows, columns = bits.shape
        form = QImage.Format.Format_ARGB32_Premultiplied
        image = QImage(data, columns, rows, 4 * columns, form)
        left, top = self.view.origin(pane)
        side = 16 * self.view.zoom
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.save()
        width, height = raster.width * self.view.zoom, raster.height * self.view.zoom
        painter.setClipRect(QRectF(left, top, width, height), Qt.ClipOperation.IntersectClip)
        painter.drawImage(QRectF(left, top, columns * side, rows * side), image)
        hatching = QBrush(marks.INK, Qt.BrushStyle.BDiagPattern)
        for row, first, end in bitmap.runs(found.lossless):
            area = QRectF(left + first * side, top + row * side, (end - first) * side, side)
            painter.fillRect(area, hatching)
        painter.restore()

    def _most_bits(self, numbers: Iterable[int]) -> float:
        maps = [self.session.bits(number) for number in numbers]
        return max((bitmap.most(found.bits) for found in maps if found is not None), default=1.0)

    def _raster(
        self,
        raster: Raster,
        other: Raster | None,
        pane: ScreenBox,
        clip: ScreenBox,
        view: View | None = None,
    ) -> None:
        """A picture, or its difference from `other`; seen by `view` instead of the common one."""
        painter, view = self.painter, view or self.view
        if raster.channels == 4 and other is None:
            left, top = view.origin(pane)
            size = (raster.width * view.zoom, raster.height * view.zoom)
            marks.checkers(painter, QRectF(left, top, *size), round(8 * self.ratio))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, view.zoom < 1)
        gain = self.session.state.gain
        for tile in tiles.visible(raster, view, pane, clip):
            painter.drawImage(QRectF(*tile.target), self.images.image(raster, tile, other, gain))

    def _note(self, text: str, clip: ScreenBox) -> None:
        """A sentence in the middle of a pane."""
        self._in_logical_pixels(marks.note, text, clip)

    def _label(self, text: str, clip: ScreenBox) -> None:
        """A few words at the lower edge of a pane."""
        self._in_logical_pixels(marks.label, text, clip)

    def _in_logical_pixels(self, mark: marks.Mark, text: str, clip: ScreenBox) -> None:
        painter = self.painter
        painter.save()
        painter.scale(self.ratio, self.ratio)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        mark(painter, text, QRectF(*(v / self.ratio for v in clip)))
        painter.restore()
