"""Settings at which codecs can be compared: equal size or equal PSNR."""

import math
from collections.abc import Mapping

from PIL import Image

from ..coding.search import Scale, search
from . import metrics
from .codecs import Codec

Coded = tuple[float, bytes]  # setting, file

_TRIALS = 9
_SIZE_TOLERANCE = math.log(1.004)
_PSNR_TOLERANCE = 0.02  # dB
_FINE_STEP = 1 / 1024
_SIZE_RANGE, _PSNR_RANGE = 3.2, 14.0  # from the lowest quality to the highest: ln of size, dB


def to_size(
    codec: Codec, image: Image.Image, size: int, known: Mapping[float, int] | None = None
) -> Coded:
    """The setting whose file comes nearest to `size` bytes, and that file.

    `known`: sizes in bytes of settings measured before.
    """
    files: dict[float, bytes] = {}

    def measure(setting: float) -> float:
        files[setting] = codec.encode(image, setting)
        return math.log(len(files[setting]))

    levels = {setting: math.log(found) for setting, found in (known or {}).items()}
    scale = _scale(codec, _SIZE_RANGE)
    found = search(
        measure,
        math.log(size),
        scale,
        tolerance=_SIZE_TOLERANCE,
        known=levels,
        limit=_TRIALS,
    )
    setting = found.quality
    return setting, files[setting] if setting in files else codec.encode(image, setting)


def to_psnr(codec: Codec, image: Image.Image, psnr: float) -> Coded:
    """The setting whose decoded picture comes nearest to `psnr` dB, and its file."""
    files: dict[float, bytes] = {}

    def measure(setting: float) -> float:
        files[setting] = codec.encode(image, setting)
        found = metrics.psnr(image, codec.decode(files[setting]))
        return min(found, 100.0)  # equal pictures have no finite PSNR

    scale = _scale(codec, _PSNR_RANGE)
    found = search(measure, psnr, scale, tolerance=_PSNR_TOLERANCE, limit=_TRIALS)
    return found.quality, files[found.quality]


def _scale(codec: Codec, rise: float) -> Scale:
    """The codec's qualities; `rise`: about how much the level rises from the lowest to the last."""
    step = _FINE_STEP if codec.continuous else 1
    slope = rise / (codec.highest - codec.lowest)
    return Scale(codec.lowest, codec.highest, step, slope)
