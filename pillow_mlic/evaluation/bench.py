"""Measures codecs on pictures: real files, decoded again, into a report.

Measurements go into OUT/rows.jsonl one by one (see `measure`), so that a run can be stopped and
taken up again; their means become `results`, and `report` writes these down.
"""

import hashlib
import importlib.util
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import PIL
from PIL import Image

from ..conversion import TooDeepError, opened, read_rgb
from ..errors import PICTURE_ERRORS
from . import codecs as codecs_under_test
from . import details, report
from . import memory as peak_memory
from .bdrate import Measure, published_names
from .codecs import Codec
from .measure import (
    SAMPLE_SIZE,
    BenchPicture,
    CountProgress,
    Measurement,
    PeakMemory,
    Row,
    Sample,
    rows_of,
    save_sample,
)
from .metrics import MEASURES
from .monotonicity import monotonicity
from .results import TIMES, Curve, Results, SampleImage, Samples, bd_rates, columns_of

DEFAULT_CODECS = ("jpeg", "webp", "avif", "jxl", "mlic")
DEFAULT_ANCHOR = "avif"
KODAK_ANCHOR = "vtm-17.0"
KODAK = {f"kodim{number:02d}" for number in range(1, 25)}
SUFFIXES = {".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".jpg", ".jpeg"}
_SAMPLE_SETTING = 3  # of .mlic, whose size the other codecs' samples match


def run(
    images: Sequence[Path],
    codecs: Sequence[str | Codec],
    settings: Mapping[str, Sequence[float]] | None,
    out: Path,
    progress: CountProgress | None = None,
    *,
    workers: int = 1,
    metrics: Sequence[Measure] = ("psnr",),
    memory: bool = False,
    samples: int = 0,
    anchor: str | None = None,
) -> Results:
    """Measure each codec at each setting on each picture, and write the report into `out`.

    `codecs`: names (see `codecs.create`) or objects. `settings`: for a codec's name the qualities
    to use instead of its own. `workers`: processes; times are cleanest with 1. `metrics`: of
    `metrics.MEASURES`; PSNR is always measured; MS-SSIM is left out for pictures of less than 161
    pixels a side, Butteraugli below 8. `memory`:
    measure each codec's peak memory on the largest picture, where the system tells it. `samples`:
    show details of so many pictures in report.html. `anchor`: what BD-rates compare with, a codec
    of this run or, for the 24 Kodak pictures, one with published points; if None, VTM-17.0 for
    Kodak, else AVIF, else the first codec. `progress(what, made, to make)` may raise to stop;
    rows made until then are kept, and a later run with the same `out` goes on from there.

    Rows in OUT/rows.jsonl are used again where codec, its library and options, setting, picture
    (by its hash) and weights are the same. Where a codec fails, the row has an "error", the
    setting is left out of the means, and `Results.errors` lists it; the next run tries again.

    ValueError for unknown names and for no pictures; ModuleNotFoundError without the extra
    `bench`.
    """
    _require_extra()
    if not images:
        msg = "there are no pictures to measure on"
        raise ValueError(msg)
    chosen = [_codec_with_settings(codec, settings or {}) for codec in codecs]
    _check_names(chosen, settings or {})
    kodak = {path.stem for path in images} == KODAK and len(images) == len(KODAK)
    anchor = _choose_anchor(anchor, [codec.name for codec in chosen], kodak)
    wanted = tuple(name for name in MEASURES if name == "psnr" or name in metrics)

    out.mkdir(parents=True, exist_ok=True)
    pictures = [BenchPicture(path, _sha256(path)) for path in images]
    store, tell = out / "rows.jsonl", progress or _silent
    jobs = [
        Measurement(codec, picture, setting, wanted)
        for codec in chosen
        for setting in codec.settings
        for picture in pictures
    ]
    rows = rows_of(jobs, store, "measuring", tell, workers)
    errors = [row for row in rows if "error" in row]
    curves = {codec.name: _curve(codec, rows, wanted) for codec in chosen}
    if memory and peak_memory.available():
        errors += _add_peaks(curves, chosen, pictures, store, tell, workers)
    shown: list[Samples] = []
    if samples:
        shown, failed = _samples(chosen, pictures[:samples], rows, out, tell, workers)
        errors += failed
    results = Results(
        name=f"Rate and distortion on {'Kodak' if kodak else _count(len(images), 'image')}",
        description=_describe(len(images), workers),
        images=[path.name for path in images],
        curves=curves,
        anchor=anchor,
        bd_rates=bd_rates(curves, anchor, kodak),
        errors=errors,
        kodak=kodak,
        samples=shown,
        monotonicities=[
            found
            for codec in chosen
            if codec.continuous and (found := monotonicity(codec.name, rows)) is not None
        ],
    )
    report.write(results, out, _sample_folder(out))
    return results


def find_images(
    places: Sequence[Path], say: Callable[[str], object] = lambda _: None
) -> list[Path]:
    """Pictures among `places`: files as they are, folders by what they hold, sorted by name.

    Of more than 8 bits a channel a file is a TooDeepError; in a folder it is passed over, of which
    `say` hears, as of what has several frames.
    """
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            listed = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
            found += [path for path in listed if path.is_file() and _is_taken(path, say)]
        elif place.is_file():
            _look_at(place, say)
            found.append(place)
        else:
            msg = f"there is no file or folder {place}"
            raise ValueError(msg)
    return found


def _is_taken(path: Path, say: Callable[[str], object]) -> bool:
    try:
        _look_at(path, say)
    except TooDeepError as error:
        say(f"{error}; it is passed over")
        return False
    return True


def _look_at(path: Path, say: Callable[[str], object]) -> None:
    """TooDeepError where it is that; a picture that cannot be read is what a measurement tells."""
    try:
        with opened(path, say):
            pass
    except TooDeepError:
        raise
    except PICTURE_ERRORS:
        pass


# ---- what to measure -----------------------------------------------------------------------------


def _require_extra() -> None:
    for module in ("scipy", "matplotlib"):
        if importlib.util.find_spec(module) is None:
            msg = f"the bench needs {module}: pip install 'pillow-mlic[bench]'"
            raise ModuleNotFoundError(msg, name=module)


def _codec_with_settings(codec: str | Codec, settings: Mapping[str, Sequence[float]]) -> Codec:
    found = codecs_under_test.create(codec) if isinstance(codec, str) else codec
    if found.name not in settings:
        return found
    return replace(found, settings=tuple(dict.fromkeys(settings[found.name])))


def _check_names(codecs: Sequence[Codec], settings: Mapping[str, Sequence[float]]) -> None:
    names = [codec.name for codec in codecs]
    if not names:
        msg = "there are no codecs to measure"
        raise ValueError(msg)
    if len(set(names)) < len(names):
        msg = f"a codec is named twice in {', '.join(names)}"
        raise ValueError(msg)
    for name in settings:
        if name not in names:
            msg = f"there are settings for {name!r}, which is not among {', '.join(names)}"
            raise ValueError(msg)


def _choose_anchor(anchor: str | None, names: list[str], kodak: bool) -> str:
    choices = [*names, *published_names()] if kodak else names
    if anchor is None:
        if kodak:
            return KODAK_ANCHOR
        return DEFAULT_ANCHOR if DEFAULT_ANCHOR in names else names[0]
    if anchor not in choices:
        msg = f"anchor is {anchor!r}, but must be one of {', '.join(choices)}"
        if anchor in published_names():
            msg += f"; {anchor}'s points are published for the 24 Kodak pictures only"
        raise ValueError(msg)
    return anchor


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pixels(picture: BenchPicture) -> int:
    with Image.open(picture.path) as image:
        return image.width * image.height


def _add_peaks(
    curves: Mapping[str, Curve],
    codecs: Sequence[Codec],
    pictures: Sequence[BenchPicture],
    store: Path,
    progress: CountProgress,
    workers: int,
) -> list[Row]:
    """Measure peak memory into the curves; returns the rows of those that failed."""
    largest = max(pictures, key=_pixels)
    jobs = [PeakMemory(codec, largest, codec.middle) for codec in codecs]
    rows = rows_of(jobs, store, "measuring memory", progress, workers)
    for row in rows:
        peaks = {what: row[what] for what in ("idle", "encoding", "decoding") if what in row}
        curves[row["codec"]].memory.update(peaks)
    return [row for row in rows if "error" in row]


# ---- samples for the web page --------------------------------------------------------------------


def _sample_folder(out: Path) -> Path:
    return out / "samples"


def _samples(
    codecs: Sequence[Codec],
    pictures: Sequence[BenchPicture],
    rows: Sequence[Row],
    out: Path,
    progress: CountProgress,
    workers: int,
) -> tuple[list[Samples], list[Row]]:
    """Details of the pictures through every codec at about one size each; and what failed.

    The size is that of the first .mlic codec at quality 3 (or the nearest measured one), without
    one that of the first codec in the middle of its ladder.
    """
    folder = _sample_folder(out)
    folder.mkdir(exist_ok=True)
    sizes: dict[tuple[str, str], dict[float, int]] = {}
    for row in rows:
        if "error" not in row:
            sizes.setdefault((row["codec"], row["sha256"]), {})[row["setting"]] = row["bytes"]
    first = next((codec for codec in codecs if codec.continuous), codecs[0])
    wanted = _SAMPLE_SETTING if first.continuous else first.middle
    jobs = []
    for picture in pictures:
        known = sizes.get((first.name, picture.sha256))
        if not known:
            continue
        target = known[min(known, key=lambda setting: abs(setting - wanted))]
        for codec in codecs:
            levels = sizes.get((codec.name, picture.sha256), {})
            settled = tuple(sorted(levels.items()))
            jobs.append(Sample(codec, picture, codec.settings[0], target, settled, folder))
    found = rows_of(jobs, out / "rows.jsonl", "choosing samples", progress, workers)
    shown = []
    for picture in pictures:
        of_picture = [row for row in found if row["sha256"] == picture.sha256]
        images = [_sample_image(row) for row in of_picture if "error" not in row]
        if images:
            shown.append(_with_original(picture, images, folder))
    return shown, [row for row in found if "error" in row]


def _sample_image(row: Row) -> SampleImage:
    return SampleImage(
        codec=row["codec"],
        file=row["file"],
        setting=row["found"],
        size=row["bytes"],
        bpp=row["bpp"],
        psnr=row["psnr-rgb"],
    )


def _with_original(picture: BenchPicture, images: list[SampleImage], folder: Path) -> Samples:
    original = read_rgb(picture.path)
    box = details.most_detailed(original, SAMPLE_SIZE)
    name = f"{picture.sha256[:12]}.webp"
    save_sample(original.crop(box), folder / name)
    return Samples(picture.path.name, name, box[2] - box[0], box[3] - box[1], images)


# ---- means ---------------------------------------------------------------------------------------


def _curve(codec: Codec, rows: Sequence[Row], measures: Sequence[Measure]) -> Curve:
    """Means over the pictures for each setting at which none failed."""
    names = ["bpp", *(column for each in measures for column in columns_of(each)), *TIMES]
    groups: dict[float, list[Row]] = {}
    for setting in codec.settings:
        group = [row for row in rows if (row["codec"], row["setting"]) == (codec.name, setting)]
        if not any("error" in row for row in group):
            groups[setting] = group
    columns = {
        name: [fmean(row[name] for row in group) for group in groups.values()]
        for name in names
        if all(row[name] is not None for group in groups.values() for row in group)
    }
    return Curve(codec.name, codec.describe(), list(groups), columns)


def _describe(images: int, workers: int) -> str:
    shared = f", {workers} processes at once" if workers > 1 else ""
    return (
        f"{_count(images, 'image')} as 8-bit RGB, whole files counted, "
        f"Pillow {PIL.__version__} on Python {platform.python_version()}, "
        f"{platform.machine()} with {os.cpu_count()} cores{shared}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _silent(what: str, made: int, to_make: int) -> None:
    """Report to nobody."""
