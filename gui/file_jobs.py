"""What the worker processes do for files of the user's: save, export, convert (see jobs.py)."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from pillow_mlic.errors import PICTURE_ERRORS
from pillow_mlic.files import whole_file

from . import choices, pictures
from .jobs import NO_EFFORT, CodedPicture, Effort, PictureCoder, check, meet_goal, warm
from .raster import Raster
from .reshape import AS_IT_IS, ReshapeRule
from .splice import splice
from .state import Goal, GoalKind
from .tiles import Painter
from .worker import Report


def _writable(chosen: choices.CodecChoice, metadata: dict[str, bytes]) -> dict[str, bytes]:
    """The metadata that the codec can write; ValueError if colours would change thereby."""
    if chosen.profiles or "icc_profile" not in metadata:
        return metadata
    if Painter(metadata["icc_profile"]).managed:
        msg = (
            f"Pillow's {chosen.label} plugin cannot write this picture's colour profile, without "
            "which its colours would change; choose another codec"
        )
        raise ValueError(msg)
    return {name: data for name, data in metadata.items() if name != "icc_profile"}  # it is sRGB


class Written(NamedTuple):
    """Bytes of a file that was written, and what there is to say of it."""

    size: int
    note: str = ""


AGAIN = "encoded again for its metadata, with the same pixels"


def save(
    report: Report,
    source: Raster,
    coded: CodedPicture,
    device: str | None,
    metadata: dict[str, bytes],
    target: Path,
    effort: Effort = NO_EFFORT,
) -> Written:
    """Write a version's file, with metadata if given. Its pixels are those of `coded`: a file that
    takes no metadata afterwards is encoded again and compared."""
    report(0.0, "writing")
    data, note = coded.data, ""
    if metadata and coded.codec != choices.FILE:
        metadata = _writable(choices.choice(coded.codec), metadata)
        coder = PictureCoder(source.image(), coded.codec, device, report, effort, metadata)
        spliced = splice(coded.data, coder.codec.format, metadata)
        if spliced is None or not _kept(coder, spliced, coded):
            data, note = _again(report, coder, coded), AGAIN
        else:
            data = spliced
    with whole_file(target) as file:
        file.write(data)
    report(1.0)
    return Written(len(data), note)


MOVED = ("AVIF", "JXL")
"""Formats in which the picture's code lies elsewhere afterwards: its pixels are looked at again."""


def _kept(coder: PictureCoder, data: bytes, coded: CodedPicture) -> bool:
    """Whether a file with metadata has the pixels of the version."""
    if coder.codec.format not in MOVED or data is coded.data:
        return True
    try:
        return coder.decode(data).tobytes() == coded.raster.level(0).tobytes()
    except (*PICTURE_ERRORS, RuntimeError):  # which libavif's errors are
        return False


def _again(report: Report, coder: PictureCoder, coded: CodedPicture) -> bytes:
    """The file of a version with metadata, encoded once more; ValueError if pixels differ."""
    assert coded.quality is not None
    report(0.0, "encoding again, with metadata")
    coder.take_on(GoalKind.QUALITY)
    data = coder.encode(coded.quality)
    if coder.decode(data).tobytes() != coded.raster.level(0).tobytes():
        msg = "with metadata the codec makes other pixels; uncheck Keep metadata, or try again"
        raise ValueError(msg)
    return data


def export(report: Report, pixels: Raster, metadata: dict[str, bytes], target: Path) -> Written:
    """Write pixels in the format that the name stands for."""
    report(0.0, "writing")
    suffix = target.suffix.lower()
    if suffix not in EXPORTS:
        msg = f"pixels are not exported as {suffix or 'files without an ending'}; choose one of "
        raise ValueError(msg + ", ".join(EXPORTS))
    name, options = EXPORTS[suffix]
    if pixels.channels == 4 and name == "JPEG":
        msg = "JPEG cannot hold transparency; choose PNG, TIFF, WebP or AVIF"
        raise ValueError(msg)
    entries = {key: data for key, data in metadata.items() if name != "TIFF" or key != "xmp"}
    with whole_file(target) as file:
        pixels.image().save(file, format=name, **options, **entries)
    report(1.0)
    return Written(target.stat().st_size)


EXPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".tiff": ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ".webp": ("WEBP", {"lossless": True}),
    ".avif": ("AVIF", {"quality": 90}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
}
"""Formats that pixels are written in, by the file's ending, with options of `Image.save`."""


@dataclass(frozen=True)
class Conversion:
    """How each file of a batch is converted."""

    codec: str
    goal: Goal
    device: str | None = None
    keep_metadata: bool = True
    keep_dates: bool = False
    only_smaller: bool = False
    """Whether nothing is written where it would not be smaller than the file."""
    reshape: ReshapeRule = AS_IT_IS


class Converted(NamedTuple):
    """Bytes before and after, whether that was written, and what was lost, in words."""

    before: int
    after: int
    written: bool = True
    notes: tuple[str, ...] = ()


def convert(report: Report, source: Path, how: Conversion, target: Path) -> Converted:
    """One file of a batch."""
    warm(report, how.codec, how.device)
    report(0.0, "reading")
    times, before = source.stat(), source.stat().st_size
    image, _, notes = pictures.load_noting(source)
    plain, icc, changes = pictures.to_plain(image)
    plain = how.reshape.of(plain.size).apply(plain)
    chosen = choices.choice(how.codec)
    exif, xmp = pictures.exif_and_xmp(image) if how.keep_metadata else (None, None)
    entries = {"icc_profile": icc, "exif": exif, "xmp": xmp}
    metadata = {name: data for name, data in entries.items() if data}
    check(chosen, plain.mode)
    metadata = _writable(chosen, metadata)
    coder = PictureCoder(plain, how.codec, how.device, report, metadata=metadata)
    _, data = meet_goal(how.goal, coder, chosen)
    notes += tuple(pictures.LOST.get(change, change) for change in changes)
    if how.only_smaller and len(data) >= before:
        return Converted(before, len(data), False, notes)
    with whole_file(target) as file:
        file.write(data)
    if how.keep_dates:
        os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    return Converted(before, len(data), True, notes)


def measure(report: Report, sources: list[Path]) -> list[int]:
    """Pixels of pictures, by their headers; 0 for what cannot be read."""
    report(0.0, "measuring")
    found = []
    for source in sources:
        try:
            with Image.open(source) as image:
                found.append(image.width * image.height)
        except PICTURE_ERRORS:
            found.append(0)
        report(len(found) / len(sources))
    return found
