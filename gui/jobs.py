"""What the worker processes do with pictures. Every function takes `report` first (see
worker.Report). Jobs that write files of the user's are in `file_jobs`."""

import importlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from PIL import Image

import pillow_mlic
from pillow_mlic.evaluation import codecs
from pillow_mlic.evaluation.matching import Wish, meet
from pillow_mlic.evaluation.metrics import MIN_SIDE, ms_ssim, psnr
from pillow_mlic.format.geometry import Box
from pillow_mlic.opener import available_devices

from . import choices, pictures, raster
from .bitmap import BitMap
from .parts import PartInView
from .pictures import Picture
from .progress import LOADING
from .raster import Raster
from .reshape import Reshape
from .splice import splice
from .state import Goal, GoalKind
from .worker import Report

MOST_FOR_MS_SSIM = 25_000_000
"""Pixels; MS-SSIM of larger pictures takes minutes."""
WISHES: dict[GoalKind, Literal["bytes", "max_bytes", "psnr"]] = {
    GoalKind.NEAR_BYTES: "bytes",
    GoalKind.MAX_BYTES: "max_bytes",
    GoalKind.PSNR: "psnr",
}


@dataclass(frozen=True)
class CodedPicture:
    """A picture as a codec keeps it. Times in seconds; `encode_seconds` None for found files."""

    codec: str
    quality: float | None
    data: bytes = field(repr=False)
    psnr: float
    encode_seconds: float | None
    decode_seconds: float
    raster: Raster

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)

    @property
    def bpp(self) -> float:
        """Bits of the file per pixel."""
        return 8 * self.size / self.raster.pixels


# ---- pictures ------------------------------------------------------------------------------------


def open_picture(report: Report, source: Path | bytes, name: str, target: Path) -> Picture:
    """Read a picture and write its pixels to `target`."""
    report(0.0, "reading")
    return pictures.open_picture(source, name, target)


def cut(report: Report, source: Raster, box: Box, target: Path) -> PartInView:
    """A part of a picture as a picture of its own."""
    report(0.0, "cutting")
    return PartInView(box, raster.write(source.image(box), target))


def reshape(report: Report, source: Raster, shape: Reshape, target: Path) -> Raster:
    """A picture in another shape."""
    report(0.0, "reshaping")
    return raster.write(shape.apply(source.image()), target)


def similarity(report: Report, first: Raster, second: Raster) -> float | None:
    """MS-SSIM in 0..1; None where the picture is too small or too large for it."""
    if min(first.size) < MIN_SIDE or first.pixels > MOST_FOR_MS_SSIM:
        return None
    report(0.0, "measuring")
    return ms_ssim(*alike(first.image(), second.image()))


# ---- codecs --------------------------------------------------------------------------------------


def warm_up(report: Report, codec: str, device: str | None, draft: bool = False) -> list[str]:
    """Load a model, so that the first picture need not wait; -> the devices there are."""
    warm(report, codec, device, draft)
    return available_devices()


_warmed: set[tuple[str, str | None, bool]] = set()


def warm(report: Report, codec: str, device: str | None, draft: bool = False) -> None:
    """Load what runs a codec's model, if it has one, and try it. Drafts need less."""
    if codecs.is_mlic(codec) and (codec, device, draft) not in _warmed:
        report(0.0, LOADING)
        effort = Effort(draft=draft)
        coder = PictureCoder(codecs.trial(), codec, device, lambda *_: None, effort)
        coder.decode(coder.encode(3.0))
        _warmed.add((codec, device, draft))


class Effort(NamedTuple):
    """What .mlic files alone have: steps of refinement, the strength of texture (0..1, or "auto"),
    and whether plain rounding will do, which takes less than half the time.
    """

    refine: int = 0
    texture: float | str = 0.0
    draft: bool = False

    def options(self) -> dict[str, Any]:
        """As options of `Image.save`."""
        plain = {"optimize": False} if self.draft else {}
        return {"refine": self.refine, "texture": self.texture, **plain}


NO_EFFORT = Effort()
JXL = "JXL"
TASKS = {
    GoalKind.QUALITY: "encoding",
    GoalKind.MAX_BYTES: "searching a size",
    GoalKind.NEAR_BYTES: "searching a size",
    GoalKind.PSNR: "searching a PSNR",
}
ENCODING, REFINING, SEARCHING = 0.65, 0.97, 0.4
"""Part of the work that is left which the next piece takes: a file of a known quality, plain or
refined; and one trial of a search, the number of which is not known."""


class PictureCoder:
    """One picture through one codec, timed; see matching.Coder."""

    def __init__(
        self,
        image: Image.Image,
        codec: str,
        device: str | None,
        report: Report,
        effort: Effort = NO_EFFORT,
        metadata: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        self.image = image
        self.codec = codecs.create(codec)
        if self.codec.plugin is not None:
            importlib.import_module(self.codec.plugin)
        self.seconds = 0.0
        """Of the last file that was made."""
        self._entries: dict[str, bytes] = {}
        self._options: dict[str, Any] = dict(self.codec.options)
        if self.codec.format == JXL:
            self._entries = dict(metadata)
        else:
            self._options |= metadata
        if codecs.is_mlic(codec):
            self._options |= {"device": device, **effort.options()}
        self._device = device
        self._report = report
        self._refine = effort.refine
        self._left = 1.0
        self._take = SEARCHING
        self._task = "encoding"

    def take_on(self, kind: GoalKind) -> None:
        """What the next files are made for: it says how much work there is, and what it is."""
        self._task = TASKS[kind]
        if kind == GoalKind.QUALITY:
            self._take = REFINING if self._refine else ENCODING

    def encode(self, quality: float) -> bytes:
        """The file at this quality."""
        return self.save(quality=int(quality) if quality == int(quality) else quality)

    def save(self, **options: Any) -> bytes:
        """The file that Pillow writes with these options."""
        report = self._part(self._encoding)
        report(0.0)
        if "device" in self._options:
            options |= {"progress": report}
        buffer = io.BytesIO()
        start = time.perf_counter()
        self.image.save(buffer, format=self.codec.format, **self._options, **options)
        self.seconds = time.perf_counter() - start
        return self._with_entries(buffer.getvalue())

    def _with_entries(self, data: bytes) -> bytes:
        """The file with metadata that Pillow's plugin does not write as they should be."""
        made = splice(data, self.codec.format, self._entries)
        if made is None:
            msg = f"the metadata of this picture cannot be put into {self.codec.label} files; "
            raise ValueError(msg + "uncheck Keep metadata, or choose another codec")
        return made

    def decode(self, data: bytes) -> Image.Image:
        """The picture in a file, in the mode of the one it was made of."""
        image = Image.open(io.BytesIO(data), formats=[self.codec.format])
        if isinstance(image, pillow_mlic.MlicImageFile):
            image.decode(self._device, self._part(lambda _: "decoding"))
        image.load()
        return image.convert(self.image.mode)

    def psnr(self, data: bytes) -> float:
        """PSNR of the picture decoded from a file, in dB."""
        return _psnr(self.image, self.decode(data))

    def _encoding(self, share: float) -> str:
        steps = self._refine
        if steps and self._take == REFINING:
            return f"refining {min(int(share * steps) + 1, steps)} of {steps}"
        return self._task

    def _part(self, phase: Callable[[float], str]) -> Callable[[float], None]:
        """Progress of the next piece of work, which takes its part of what is left."""
        done = 1 - self._left
        self._left *= 1 - self._take
        share = 1 - self._left - done
        return lambda part: self._report(done + share * part, phase(part))


def encode(
    report: Report,
    source: Raster,
    codec: str,
    goal: Goal,
    device: str | None,
    target: Path,
    effort: Effort = NO_EFFORT,
) -> CodedPicture:
    """A picture through a codec at the quality that meets `goal`; pixels go to `target`.

    A search for a quality begins without the refinement that `effort` asks for.
    """
    chosen = choices.choice(codec)
    check(chosen, source.mode)
    warm(report, codec, device, effort.draft)
    coder = PictureCoder(source.image(), codec, device, report, effort)
    quality, data = meet_goal(goal, coder, chosen)
    start = time.perf_counter()
    decoded = coder.decode(data)
    seconds = time.perf_counter() - start
    return CodedPicture(
        codec=codec,
        quality=quality,
        data=data,
        psnr=_psnr(coder.image, decoded),
        encode_seconds=coder.seconds,
        decode_seconds=seconds,
        raster=raster.write(decoded, target),
    )


def check(chosen: choices.CodecChoice, mode: str) -> None:
    """ValueError where the codec cannot hold pictures of this mode."""
    if mode == "RGBA" and not chosen.transparency:
        msg = f"{chosen.label} cannot hold transparency"
        raise ValueError(msg)


def point(
    report: Report, source: Raster, codec: str, quality: float, device: str | None
) -> tuple[int, float]:
    """Bytes and PSNR of a picture at one quality."""
    warm(report, codec, device)
    coder = PictureCoder(source.image(), codec, device, report)
    data = coder.encode(quality)
    return len(data), _psnr(coder.image, coder.decode(data))


def load_version(report: Report, source: Raster, path: Path, target: Path) -> CodedPicture:
    """A file of the user's, compared with the original; ValueError where sizes differ."""
    report(0.0, "reading")
    data = path.read_bytes()
    start = time.perf_counter()
    image, _ = pictures.load(data)
    seconds = time.perf_counter() - start
    if image.size != source.size:
        msg = (
            f"{path.name} has {image.width} x {image.height} pixels, but the picture "
            f"{source.width} x {source.height}: only pictures of one size can be compared"
        )
        raise ValueError(msg)
    plain = pictures.to_plain(image)[0]  # with its own colours and transparency
    quality = image.info.get("quality") if "weights" in image.info else None
    return CodedPicture(
        codec=choices.FILE,
        quality=quality,
        data=data,
        psnr=_psnr(source.image(), plain),
        encode_seconds=None,
        decode_seconds=seconds,
        raster=raster.write(plain, target),
    )


def bit_map(report: Report, data: bytes, device: str | None) -> BitMap:
    """Bits and kind of every 16x16 block of a .mlic file."""
    try:
        from pillow_mlic.diagnostics import bits
    except ModuleNotFoundError as error:
        msg = "bit maps need torch; run: python -m pip install 'pillow-mlic[torch]'"
        raise ImportError(msg, name=error.name) from error

    lossless = bits.kind_map(io.BytesIO(data)) > 0
    return BitMap(bits.bit_map(io.BytesIO(data), device, report), lossless)


def meet_goal(goal: Goal, coder: PictureCoder, chosen: choices.CodecChoice) -> tuple[float, bytes]:
    """The quality that meets the goal (or is the goal), and its file."""
    coder.take_on(goal.kind)
    if goal.kind == GoalKind.QUALITY:
        steps = round((goal.value - chosen.lowest) / chosen.step)
        quality = round(chosen.lowest + steps * chosen.step, 6)
        quality = min(max(quality, chosen.lowest), chosen.highest)
        return quality, coder.encode(quality)
    wish = Wish(WISHES[goal.kind], goal.value)
    setting, data = meet(wish, coder.codec, coder)
    if goal.kind == GoalKind.MAX_BYTES and len(data) > goal.value:
        msg = f"{chosen.label} cannot make this picture smaller than {len(data)} bytes"
        raise ValueError(msg)
    return setting, data


def _psnr(original: Image.Image, decoded: Image.Image) -> float:
    return psnr(*alike(original, decoded))


def alike(*images: Image.Image) -> list[Image.Image]:
    """Pictures in one mode that can be compared: without transparency, in colour if one is."""
    plain = [_comparable(image) for image in images]
    return plain if len({image.mode for image in plain}) == 1 else [i.convert("RGB") for i in plain]


def _comparable(image: Image.Image) -> Image.Image:
    """The picture without transparency, laid over middle grey."""
    if image.mode != "RGBA":
        return image
    behind = Image.new("RGBA", image.size, (128, 128, 128, 255))
    return Image.alpha_composite(behind, image).convert("RGB")
