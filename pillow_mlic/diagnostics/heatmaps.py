"""Maps of latents over the picture that they belong to, as one sheet."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

LATENT = 16
"""Pixels along the side of a latent."""
PANEL = 384
"""Pixels of a panel's longer side at most."""
COLUMNS = 4
CAPTION = 16
_STOPS = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""Of the colours, from nothing to the most: dark, violet, red, orange, light yellow."""


def colours(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values 0..1 of any shape -> colours (..., 3)."""
    places = np.linspace(0, 1, len(_STOPS))
    planes = [np.interp(values, places, channel) for channel in zip(*_STOPS, strict=True)]
    return np.stack(planes, axis=-1).round().astype(np.uint8)


def sheet(
    picture: Image.Image,
    maps: Mapping[str, NDArray[np.float32]],
    at: tuple[int, int] | None = None,
) -> Image.Image:
    """The picture, its pixel `at` marked, and a panel for each map, scaled to its largest value.

    Maps (h, w) have a value for each 16x16 block of the picture; lists (C,) become bars.
    """
    scale = min(1.0, PANEL / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    panels = {"picture": small.copy()}
    for name, values in maps.items():
        panels[name] = _bars(values, size) if values.ndim == 1 else _over(small, values, picture)
    for panel in panels.values():
        if at is not None:
            _mark(panel, at[0] * scale, at[1] * scale)
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    whole = Image.new("RGB", (columns * size[0], rows * (size[1] + CAPTION)), "white")
    draw = ImageDraw.Draw(whole)
    for number, (name, panel) in enumerate(panels.items()):
        row, column = divmod(number, columns)
        left, top = column * size[0], row * (size[1] + CAPTION)
        draw.text((left + 4, top + 2), name, fill="black")
        whole.paste(panel, (left, top + CAPTION))
    return whole


def _over(small: Image.Image, values: NDArray[np.float32], picture: Image.Image) -> Image.Image:
    """A map over the grey picture."""
    heat = Image.fromarray(colours(values / max(float(values.max()), 1e-30)))
    blocks = heat.resize((heat.width * LATENT, heat.height * LATENT), Image.Resampling.NEAREST)
    blocks = blocks.crop((0, 0, *picture.size)).resize(small.size, Image.Resampling.BOX)
    return Image.blend(small.convert("L").convert("RGB"), blocks, 0.75)


def _bars(values: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    """A list as bars, the largest as high as the panel."""
    panel = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(panel)
    most = max(float(np.abs(values).max()), 1e-30)
    for number, value in enumerate(np.abs(values)):
        left, right = (round(size[0] * n / len(values)) for n in (number, number + 1))
        top = round(size[1] * (1 - float(value) / most))
        draw.rectangle((left, top, max(left, right - 1), size[1]), fill=_STOPS[2])
    return panel


def _mark(panel: Image.Image, x: float, y: float) -> None:
    draw = ImageDraw.Draw(panel)
    for radius, colour in ((6, "black"), (5, "white")):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=1)
