"""The parts of a picture that are drawn: tiles of the pyramid's level that suits the zoom."""

import io
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from .raster import Raster, RasterPixels, level_for
from .view_transform import ScreenBox, View

TILE = 512


class Tile(NamedTuple):
    """A part of a level, in that level's pixels, and where it goes on the screen."""

    level: int
    left: int
    top: int
    right: int
    bottom: int
    target: ScreenBox


def visible(raster: Raster, view: View, pane: ScreenBox, clip: ScreenBox) -> Iterator[Tile]:
    """Tiles that cover the picture within `clip`. Their borders lie on whole screen pixels."""
    levels = raster.levels
    level = level_for(view.zoom, len(levels))
    width, height = levels[level]
    scale = view.zoom * 2**level
    x0, y0 = view.origin(pane)
    first_x = max(int((clip.left - x0) / scale) // TILE, 0)
    first_y = max(int((clip.top - y0) / scale) // TILE, 0)
    for top in range(first_y * TILE, height, TILE):
        if y0 + top * scale >= clip.top + clip.height:
            break
        bottom = min(top + TILE, height)
        screen_top, screen_bottom = round(y0 + top * scale), round(y0 + bottom * scale)
        if screen_bottom <= clip.top:
            continue
        for left in range(first_x * TILE, width, TILE):
            if x0 + left * scale >= clip.left + clip.width:
                break
            right = min(left + TILE, width)
            screen_left, screen_right = round(x0 + left * scale), round(x0 + right * scale)
            if screen_right <= clip.left:
                continue
            yield Tile(
                level,
                left,
                top,
                right,
                bottom,
                ScreenBox(
                    screen_left,
                    screen_top,
                    screen_right - screen_left,
                    screen_bottom - screen_top,
                ),
            )


def cut(raster: Raster, tile: Tile) -> RasterPixels:
    """The tile's pixels (h, w, C)."""
    part = raster.level(tile.level)[tile.top : tile.bottom, tile.left : tile.right]
    return np.ascontiguousarray(part)


def difference(a: RasterPixels, b: RasterPixels, gain: int) -> RasterPixels:
    """(h, w, C) twice -> |a - b|, enlarged `gain` times, (h, w, 3) or (h, w, 1).

    Transparent pixels are laid over middle grey, as PSNR does, so other transparency is seen.
    """
    apart = np.abs(_over_grey(a) - _over_grey(b))
    return np.minimum(apart * gain, 255).astype(np.uint8)


def _over_grey(pixels: RasterPixels) -> NDArray[np.int32]:
    """The colours (h, w, 3) or (h, w, 1), laid over middle grey where they are transparent."""
    wide = pixels.astype(np.int32)
    if wide.shape[2] < 4:
        return wide
    alpha = wide[..., 3:]
    return (wide[..., :3] * alpha + 128 * (255 - alpha) + 127) // 255


class Painter:
    """Turns pixels into what a screen (sRGB) needs: BGRA bytes, by the picture's ICC profile."""

    def __init__(self, icc: bytes | None = None) -> None:
        self._transforms: dict[str, ImageCms.ImageCmsTransform] = {}
        if icc:
            self._transforms = _to_srgb(icc)

    @property
    def managed(self) -> bool:
        """Whether there is a profile that works and is not sRGB itself."""
        return bool(self._transforms)

    def paint(self, pixels: RasterPixels) -> tuple[bytes, bool]:
        """(h, w, C) -> premultiplied BGRA, 4 bytes a pixel, and whether anything shows through.

        The fourth byte is 255 without alpha: Qt uses it when it scales or mixes RGB32.
        """
        channels = pixels.shape[2]
        mode = {1: "L", 3: "RGB", 4: "RGBA"}[channels]
        image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
        transform = self._transforms.get(mode)
        if transform is not None:
            image = ImageCms.applyTransform(image, transform) or image
        if image.mode == "RGBA":
            return image.convert("RGBa").tobytes("raw", "BGRa"), True
        return image.convert("RGBA").tobytes("raw", "BGRA"), False

    def colour(self, pixel: RasterPixels) -> tuple[int, int, int]:
        """The screen colour of one pixel (C,), for a swatch."""
        data, _ = self.paint(pixel[None, None, : min(len(pixel), 3)])
        return data[2], data[1], data[0]


def _to_srgb(icc: bytes) -> dict[str, ImageCms.ImageCmsTransform]:
    """Transforms by mode; none for profiles that are broken, are sRGB or are for other colours."""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        name = ImageCms.getProfileDescription(profile)
        space = profile.profile.xcolor_space.strip()
        srgb = ImageCms.createProfile("sRGB")
        if space == "RGB" and "srgb" not in name.lower():
            return {
                mode: ImageCms.buildTransform(profile, srgb, mode, mode) for mode in ("RGB", "RGBA")
            }
        if space == "GRAY":
            return {"L": ImageCms.buildTransform(profile, srgb, "L", "RGB")}
    except (ImageCms.PyCMSError, OSError):
        pass
    return {}
