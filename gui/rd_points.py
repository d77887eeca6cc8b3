"""Points of rate and distortion of the open picture, and published curves around them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pillow_mlic.evaluation import bdrate

KODAK_SIZES = {(768, 512), (512, 768)}
"""Published curves are means over pictures of these sizes, and say little of others."""
MOST_PSNR = 60.0
"""dB; points above it are left out of the chart, as lossless ones are."""


@dataclass(frozen=True, order=True)
class Point:
    """Bits per pixel and PSNR in dB that a codec gave at a quality."""

    bpp: float
    psnr: float
    quality: float | None = None


@dataclass(frozen=True)
class ChartCurve:
    """Points of one codec or paper, in order of their rate."""

    name: str
    label: str
    points: tuple[Point, ...]


class RdPoints:
    """All points that are known of the picture that is shown, and of those kept for going back."""

    def __init__(self) -> None:
        self._points: dict[str, dict[float | None, Point]] = {}
        self._pictures: dict[Path, dict[str, dict[float | None, Point]]] = {}

    def turn_to(self, picture: Path | None) -> None:
        """Another picture is shown, or none; it is known by the file of its pixels."""
        self._points = self._pictures.setdefault(picture, {}) if picture is not None else {}

    def forget(self, picture: Path) -> None:
        """A picture will not be shown again."""
        self._pictures.pop(picture, None)

    def add(self, codec: str, quality: float | None, bpp: float, psnr: float) -> None:
        """Note a point; a quality has one."""
        if psnr <= MOST_PSNR:
            self._points.setdefault(codec, {})[quality] = Point(bpp, psnr, quality)

    def of(self, codec: str) -> list[Point]:
        """Points of a codec in order of their rate."""
        return sorted(self._points.get(codec, {}).values(), key=lambda p: (p.bpp, p.psnr))

    def has(self, codec: str, quality: float) -> bool:
        """Whether the codec was measured at this quality."""
        return quality in self._points.get(codec, {})


def published_apply(size: tuple[int, int]) -> bool:
    """Whether published means over Kodak are shown for a picture of this size."""
    return size in KODAK_SIZES


def published() -> list[ChartCurve]:
    """Published curves of the MLIC family and VTM: means over the 24 Kodak pictures."""
    return [
        ChartCurve(
            name,
            bdrate.published_label(name),
            tuple(Point(bpp, psnr) for bpp, psnr in sorted(bdrate.published(name))),
        )
        for name in bdrate.published_names()
    ]


def bounds(points: Iterable[Point]) -> tuple[float, float, float, float]:
    """Range of a chart that shows all points: lowest bpp, highest, lowest PSNR, highest."""
    shown = list(points)
    low = min(p.psnr for p in shown)
    high = max(p.psnr for p in shown)
    margin = max((high - low) * 0.12, 1.0)
    slow, fast = min(p.bpp for p in shown), max(p.bpp for p in shown)
    room = max((fast / slow) ** 0.08, (2.5 / (fast / slow)) ** 0.5 * 1.2, 1.1)
    return slow / room, fast * room, low - margin, high + margin


def rate_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten within a range: ticks of a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [round(factor * 10.0**power, 9) for power in powers for factor in (1, 2, 5)]
    return [value for value in every if low <= value <= high]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers within a range, about that many."""
    span = high - low
    step = 10.0**-6
    while span / step > about:
        for factor in (2, 2.5, 2):
            step *= factor
            if span / step <= about:
                break
    first = -(-low // step)
    return [round((first + i) * step, 9) for i in range(int((high - first * step) // step) + 1)]
