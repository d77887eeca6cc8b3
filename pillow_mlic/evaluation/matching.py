"""Settings at which codecs can be compared: equal size or equal PSNR.

For .mlic `Image.save` itself does the search (`target_bpp`, `max_bytes`, `target_psnr`), so the
same wish gives the same file everywhere. For the other codecs the search is here.
"""

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from PIL import Image

from ..coding.search import Aim, Scale, search
from . import metrics
from .codecs import Codec, is_mlic

_TRIALS = 9
_SIZE_TOLERANCE = math.log(1.004)
_PSNR_TOLERANCE = 0.02  # dB
_FINE_STEP = 1 / 1024
_SIZE_RANGE, _PSNR_RANGE = 3.2, 14.0  # from the lowest quality to the highest: ln of size, dB


@dataclass(frozen=True)
class Wish:
    """About so many bytes, at most so many bytes, or so many dB of PSNR."""

    kind: Literal["bytes", "max_bytes", "psnr"]
    value: float


class FoundSetting(NamedTuple):
    """A setting and its file, which meets the wish or comes as near as possible."""

    setting: float
    data: bytes


class Coder(Protocol):
    """One picture through one codec; `Matched` is the plain one."""

    @property
    def image(self) -> Image.Image:
        """The picture."""
        ...

    def encode(self, setting: float) -> bytes:
        """The file at a setting."""
        ...

    def save(self, **options: Any) -> bytes:
        """The file that Pillow writes with the codec's options and these."""
        ...

    def psnr(self, data: bytes) -> float:
        """PSNR of the picture decoded from a file, in dB."""
        ...


class Matched:
    """A picture and a codec, and nothing else: the plain `Coder`."""

    def __init__(self, codec: Codec, image: Image.Image) -> None:
        self.codec = codec
        self.image = image

    def encode(self, setting: float) -> bytes:
        """See Coder."""
        return self.codec.encode(self.image, setting)

    def save(self, **options: Any) -> bytes:
        """See Coder."""
        buffer = io.BytesIO()
        self.image.save(buffer, format=self.codec.format, **self.codec.options, **options)
        return buffer.getvalue()

    def psnr(self, data: bytes) -> float:
        """See Coder."""
        return metrics.psnr(self.image, self.codec.decode(data))


def to_size(
    codec: Codec, image: Image.Image, size: int, known: Mapping[float, int] | None = None
) -> FoundSetting:
    """The setting whose file comes nearest to `size` bytes.

    `known`: sizes in bytes of settings measured before.
    """
    return meet(Wish("bytes", size), codec, Matched(codec, image), known)


def to_psnr(codec: Codec, image: Image.Image, psnr: float) -> FoundSetting:
    """The setting whose decoded picture comes nearest to `psnr` dB."""
    return meet(Wish("psnr", psnr), codec, Matched(codec, image))


def meet(
    wish: Wish, codec: Codec, coder: Coder, known: Mapping[float, float] | None = None
) -> FoundSetting:
    """The file that meets a wish.

    `known`: bytes, or dB, of settings measured before. If no file is small enough, it is the
    smallest.
    """
    if is_mlic(codec.name):
        return _by_saving(wish, codec, coder)
    files: dict[float, bytes] = {}
    measure, aim, scale = _problem(wish, codec, coder, files)
    found = search(
        measure,
        aim,
        scale,
        known={s: _level(wish, v) for s, v in (known or {}).items()},
        limit=_TRIALS,
    )
    setting = found.quality
    return FoundSetting(setting, files[setting] if setting in files else coder.encode(setting))


def _by_saving(wish: Wish, codec: Codec, coder: Coder) -> FoundSetting:
    """The file that `Image.save` finds; if none meets the wish, that of the nearer end."""
    pixels = coder.image.width * coder.image.height
    options: dict[str, float] = {
        "bytes": {"target_bpp": 8 * wish.value / pixels},
        "max_bytes": {"max_bytes": wish.value},
        "psnr": {"target_psnr": wish.value},
    }[wish.kind]
    try:
        data = coder.save(**options)
    except ValueError:
        if wish.kind == "max_bytes":
            return FoundSetting(codec.lowest, coder.encode(codec.lowest))
        ends = {setting: coder.encode(setting) for setting in (codec.lowest, codec.highest)}
        reached = {s: coder.psnr(d) if wish.kind == "psnr" else len(d) for s, d in ends.items()}
        nearest = min(ends, key=lambda setting: abs(reached[setting] - wish.value))
        return FoundSetting(nearest, ends[nearest])
    with Image.open(io.BytesIO(data)) as image:
        return FoundSetting(image.info["quality"], data)


def _problem(
    wish: Wish, codec: Codec, coder: Coder, files: dict[float, bytes]
) -> tuple[Callable[[float], float], Aim, Scale]:
    """The arguments of `search`: measure, aim and scale."""

    def measure(setting: float) -> float:
        data = files[setting] = coder.encode(setting)
        return _level(wish, coder.psnr(data) if wish.kind == "psnr" else len(data))

    by_psnr = wish.kind == "psnr"
    step = _FINE_STEP if codec.continuous else 1
    slope = (_PSNR_RANGE if by_psnr else _SIZE_RANGE) / (codec.highest - codec.lowest)
    scale = Scale(codec.lowest, codec.highest, step, slope)
    tolerance = _PSNR_TOLERANCE if by_psnr else _SIZE_TOLERANCE
    aim = Aim(_level(wish, wish.value), tolerance, ceiling=wish.kind == "max_bytes")
    return measure, aim, scale


def _level(wish: Wish, value: float) -> float:
    """A value that rises nearly linearly with quality: dB, or the logarithm of bytes."""
    # Equal pictures have no finite PSNR.
    return min(value, 100.0) if wish.kind == "psnr" else math.log(max(value, 1))
