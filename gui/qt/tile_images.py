"""The tiles of pictures as Qt paints them, kept for as long as there is room."""

from collections import OrderedDict

from PySide6.QtGui import QImage

from .. import tiles
from ..raster import Raster

CACHE_BYTES = 384_000_000


class TileImages:
    """Images of tiles, converted by a colour profile; the least recently used are dropped."""

    def __init__(self, icc: bytes | None = None) -> None:
        self._painter = tiles.Painter(icc)
        self._kept: OrderedDict[object, tuple[QImage, bytes]] = OrderedDict()
        self._bytes = 0

    @property
    def managed(self) -> bool:
        """Whether a colour profile is applied."""
        return self._painter.managed

    def image(self, raster: Raster, tile: tiles.Tile, other: Raster | None, gain: int) -> QImage:
        """A tile of a picture, or its difference from `other`, `gain` times as strong."""
        key = (
            raster.path, other is not None, gain if other is not None else 0,
            tile.level, tile.left, tile.top,
        )  # fmt: skip
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key][0]
        pixels = tiles.cut(raster, tile)
        if other is not None:
            apart = tiles.difference(pixels, tiles.cut(other, tile), gain)
            data, alpha = tiles.Painter().paint(apart)
        else:
            data, alpha = self._painter.paint(pixels)
        height, width = pixels.shape[:2]
        form = QImage.Format.Format_ARGB32_Premultiplied if alpha else QImage.Format.Format_RGB32
        image = QImage(data, width, height, 4 * width, form)
        self._kept[key] = image, data  # QImage does not keep the bytes alive
        self._bytes += len(data)
        while self._bytes > CACHE_BYTES:
            _, (_, old) = self._kept.popitem(last=False)
            self._bytes -= len(old)
        return image
