"""SSIMULACRA2 of versions. It takes a second a megapixel: of large pictures samples are scored."""

from typing import NamedTuple

from pillow_mlic.evaluation import metrics
from pillow_mlic.format.geometry import Box

from .jobs import alike
from .raster import Raster
from .worker import Report

WHOLE = 600_000
"""Pixels of pictures that are scored as a whole."""
SIDE = 256
"""Pixels a side of a sample: the shortest side of which the measure has all its six scales."""
ALONG = 3
"""Samples along each side."""
LEAST = 64
"""Pixels a side of pictures that are scored: of smaller ones a score says little."""


class Score(NamedTuple):
    """SSIMULACRA2 (100: equal, 90: hardly to be seen), and of how many samples; 0: of the whole."""

    value: float
    samples: int = 0


def samples(size: tuple[int, int]) -> list[Box]:
    """Up to nine parts of a picture, spread evenly; all of it if it is small."""
    width, height = size
    if width * height <= WHOLE:
        return [(0, 0, width, height)]
    tops = _starts(height)
    return [
        (left, top, left + min(SIDE, width), top + min(SIDE, height))
        for top in tops
        for left in _starts(width)
    ]


def _starts(length: int) -> list[int]:
    """Where samples begin along a side."""
    count = min(max(length // SIDE, 1), ALONG)
    side = min(SIDE, length)
    return [round((place + 0.5) / count * length - side / 2) for place in range(count)]


def score(report: Report, first: Raster, second: Raster) -> Score | None:
    """The mean SSIMULACRA2 of the samples of a version; None where the picture is too small for it,
    or the package `ssimulacra2` is not there."""
    if min(first.size) < LEAST or "ssimulacra2" not in metrics.available():
        return None
    places = samples(first.size)
    total = 0.0
    for number, place in enumerate(places):
        report(number / len(places), "measuring")
        total += metrics.ssimulacra2(*alike(first.image(place), second.image(place)))
    return Score(total / len(places), len(places) if len(places) > 1 else 0)
