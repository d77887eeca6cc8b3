"""Measures codecs on pictures: real files, decoded again, into rows that survive an interruption.

Every measurement is one line of OUT/rows.jsonl, written as soon as it is made; a second run takes
up what is there. `report` turns the rows' means into tables and plots.
"""

import argparse
import hashlib
import importlib.util
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import PIL
from PIL import Image

from . import codecs as codecs_under_test
from . import metrics, report
from .bdrate import Points, bd_rate, common_range, published, published_label, published_names
from .codecs import MLIC, Codec
from .report import BdRate, Curve, Results

Row = dict[str, Any]
Progress = Callable[[int, int], object]  # measurements made, measurements to make in this run

DEFAULT_CODECS = "jpeg,webp,avif,mlic"
DEFAULT_ANCHOR = "avif"
KODAK_ANCHOR = "vtm-17.0"
KODAK = {f"kodim{number:02d}" for number in range(1, 25)}
SUFFIXES = {".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp", ".avif", ".jpg", ".jpeg"}
_TIMES = ("encoding_time", "decoding_time", "encoding_cpu_time", "decoding_cpu_time")


@dataclass(frozen=True)
class Task:
    """One measurement to make: a codec at a setting on a picture."""

    codec: Codec
    setting: float
    path: Path
    sha256: str
    with_ms_ssim: bool

    @property
    def key(self) -> tuple[str, float, str]:
        """What tells measurements of one run apart."""
        return self.codec.name, self.setting, self.sha256


def run(
    images: Sequence[Path],
    codecs: Sequence[str | Codec],
    settings: Mapping[str, Sequence[float]] | None,
    out: Path,
    progress: Progress | None = None,
    workers: int = 1,
    ms_ssim: bool = False,
    anchor: str | None = None,
) -> Results:
    """Measure each codec at each setting on each picture, and write the report into `out`.

    `codecs`: names (see `codecs.create`) or objects. `settings`: for a codec's name the qualities
    to use instead of its own. `workers`: processes; times are cleanest with 1. `anchor`: what
    BD-rates compare with, a codec of this run or, for the 24 Kodak pictures, "vtm-17.0"; if None,
    VTM-17.0 for Kodak, else AVIF, else the first codec. `progress(made, to make)` may raise to
    stop; rows made until then are kept, and a later run with the same `out` goes on from there.

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
    by_name = {codec.name: codec for codec in chosen}
    _check_names(chosen, settings or {})
    kodak = {path.stem for path in images} == KODAK and len(images) == len(KODAK)
    anchor = _choose_anchor(anchor, list(by_name), kodak)

    tasks = _plan(images, chosen, ms_ssim)
    out.mkdir(parents=True, exist_ok=True)
    rows = _measure_missing(tasks, out / "rows.jsonl", progress, workers)
    curves = {name: _curve(codec, tasks, rows) for name, codec in by_name.items()}
    results = Results(
        name=f"Rate and distortion on {'Kodak' if kodak else _count(len(images), 'image')}",
        description=_describe(len(images), workers),
        images=[path.name for path in images],
        curves=curves,
        anchor=anchor,
        bd_rates=_bd_rates(curves, anchor, kodak),
        errors=[row for row in rows.values() if "error" in row],
        kodak=kodak,
    )
    report.write(results, out)
    return results


def find_images(places: Sequence[Path]) -> list[Path]:
    """Pictures among `places`: files as they are, folders by what they hold, sorted by name."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
        elif place.is_file():
            found.append(place)
        else:
            msg = f"there is no file or folder {place}"
            raise ValueError(msg)
    return found


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
    choices = [*names, KODAK_ANCHOR] if kodak else names
    if anchor is None:
        if kodak:
            return KODAK_ANCHOR
        return DEFAULT_ANCHOR if DEFAULT_ANCHOR in names else names[0]
    if anchor not in choices:
        msg = f"anchor is {anchor!r}, but must be one of {', '.join(choices)}"
        if anchor == KODAK_ANCHOR:
            msg += f"; {KODAK_ANCHOR} is known for the 24 Kodak pictures only"
        raise ValueError(msg)
    return anchor


def _plan(images: Sequence[Path], codecs: Sequence[Codec], with_ms_ssim: bool) -> list[Task]:
    hashes = [_sha256(path) for path in images]
    return [
        Task(codec, setting, path, sha256, with_ms_ssim)
        for codec in codecs
        for setting in codec.settings
        for path, sha256 in zip(images, hashes, strict=True)
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- measuring -----------------------------------------------------------------------------------


def _measure_missing(
    tasks: Sequence[Task], store: Path, progress: Progress | None, workers: int
) -> dict[tuple[str, float, str], Row]:
    """Rows of all tasks, from `store` where it has them, else measured and appended to it."""
    known = _read_rows(store)
    rows: dict[tuple[str, float, str], Row] = {}
    missing: dict[tuple[str, float, str], Task] = {}
    for task in tasks:
        row = known.get((*task.key, task.codec.describe(), _weights(task.codec, task.setting)))
        if row is not None and not (task.with_ms_ssim and "ms-ssim-rgb" not in row):
            rows[task.key] = row
        else:
            missing[task.key] = task
    report_progress = progress or (lambda _done, _total: None)
    report_progress(0, len(missing))
    with (
        store.open("a", encoding="utf-8") as file,
        closing(_measure_all(list(missing.values()), workers)) as measured,
    ):
        for done, (task, row) in enumerate(measured, start=1):
            file.write(json.dumps(row) + "\n")
            file.flush()
            rows[task.key] = row
            report_progress(done, len(missing))
    return {task.key: rows[task.key] for task in tasks}


def _read_rows(store: Path) -> dict[tuple[str, float, str, str, str], Row]:
    """The rows without error in `store`; ends its last line, should a stop have cut it short."""
    if not store.exists():
        return {}
    text = store.read_text(encoding="utf-8")
    if text and not text.endswith("\n"):
        with store.open("a", encoding="utf-8") as file:
            file.write("\n")
    rows = {}
    for line in text.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if "error" not in row:
            key = (row["codec"], row["setting"], row["sha256"], row["encoder"], row["weights"])
            rows[key] = row
    return rows


@cache
def _weights(codec: Codec, setting: float) -> str:
    """The hash of the weights in use; "unknown", which no stored row has, where encoding fails."""
    if codec.format != MLIC:
        return ""
    try:
        return codec.weights(setting)
    except Exception:  # the measurement meets it too, and reports it
        return "unknown"


def _measure_all(tasks: Sequence[Task], workers: int) -> Generator[tuple[Task, Row], None, None]:
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, _measure(task)
        return
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_share_cores,
        initargs=(workers,),
    )
    try:
        futures = {pool.submit(_measure, task): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        msg = (
            "a worker process died, for want of memory perhaps; what was measured is kept, "
            "so run again with fewer workers"
        )
        raise RuntimeError(msg) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _share_cores(workers: int) -> None:
    """In a worker, before torch is imported: no more threads than its share of the cores."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


def _measure(task: Task) -> Row:
    """The row of one task. Any failure of the codec becomes the row's "error"."""
    row: Row = {
        "codec": task.codec.name,
        "setting": task.setting,
        "image": task.path.name,
        "sha256": task.sha256,
        "encoder": task.codec.describe(),
        "weights": "",
    }
    try:
        row |= _numbers(task)
    except Exception as error:  # whatever a codec raises is its result for this picture
        row["error"] = f"{type(error).__name__}: {error}"
    return row


def _numbers(task: Task) -> Row:
    codec = task.codec
    _warm_up(codec)
    original = _read_rgb(task.path)
    start, start_cpu = time.perf_counter(), time.process_time()
    data = codec.encode(original, task.setting)
    middle, middle_cpu = time.perf_counter(), time.process_time()
    decoded = codec.decode(data)
    end, end_cpu = time.perf_counter(), time.process_time()
    if decoded.size != original.size or decoded.mode != original.mode:
        msg = (
            f"saved {original.mode} of {original.width} x {original.height}, "
            f"but got back {decoded.mode} of {decoded.width} x {decoded.height}"
        )
        raise ValueError(msg)
    row: Row = {
        "weights": str(decoded.info.get("weights", "")),
        "width": original.width,
        "height": original.height,
        "bytes": len(data),
        "bpp": 8 * len(data) / (original.width * original.height),
        "psnr-rgb": metrics.psnr(original, decoded),
        "encoding_time": middle - start,
        "decoding_time": end - middle,
        "encoding_cpu_time": middle_cpu - start_cpu,
        "decoding_cpu_time": end_cpu - middle_cpu,
    }
    if task.with_ms_ssim:
        row["ms-ssim-rgb"] = metrics.ms_ssim(original, decoded)
    return row


@cache
def _warm_up(codec: Codec) -> None:
    """Once a process: have the codec load its library and weights outside the measured time."""
    codec.weights(codec.settings[0])


def _read_rgb(path: Path) -> Image.Image:
    """The pixels as RGB, without any metadata that a codec would store too."""
    with Image.open(path) as image:
        return Image.fromarray(np.asarray(image.convert("RGB")))


# ---- means ---------------------------------------------------------------------------------------


def _curve(
    codec: Codec, tasks: Sequence[Task], rows: Mapping[tuple[str, float, str], Row]
) -> Curve:
    """Means over the pictures for each setting at which none failed."""
    weights: set[str] = set()
    curve = Curve(codec.name, codec.describe())
    for setting in codec.settings:
        group = [rows[t.key] for t in tasks if t.codec.name == codec.name and t.setting == setting]
        if any("error" in row for row in group):
            continue
        weights |= {row["weights"] for row in group if row["weights"]}
        curve.settings.append(setting)
        curve.bpp.append(fmean(row["bpp"] for row in group))
        curve.psnr.append(fmean(row["psnr-rgb"] for row in group))
        if all("ms-ssim-rgb" in row for row in group):
            curve.ms_ssim.append(fmean(row["ms-ssim-rgb"] for row in group))
        for name in _TIMES:
            getattr(curve, name).append(fmean(row[name] for row in group))
    return curve


def _bd_rates(curves: Mapping[str, Curve], anchor: str, kodak: bool) -> list[BdRate]:
    """Of every measured codec and, for Kodak, of the published ones."""
    if anchor in curves:
        anchors = (curves[anchor].points(), curves[anchor].points("ms-ssim"))
    else:
        anchors = (published(anchor), published(anchor, "ms-ssim"))
    rates = [
        _bd_rate(curve.name, anchors, (curve.points(), curve.points("ms-ssim")))
        for curve in curves.values()
    ]
    for name in published_names() if kodak else []:
        points = (published(name), published(name, "ms-ssim"))
        rates.append(_bd_rate(f"{published_label(name)} (published)", anchors, points))
    return rates


def _bd_rate(name: str, anchor: tuple[Points, Points], test: tuple[Points, Points]) -> BdRate:
    try:
        psnr = bd_rate(anchor[0], test[0])
        low, high = common_range(anchor[0], test[0])
    except ValueError as error:
        return BdRate(name, None, None, None, None, str(error))
    try:
        ms_ssim = bd_rate(anchor[1], test[1]) if anchor[1] and test[1] else None
    except ValueError as error:
        return BdRate(name, psnr, None, low, high, f"MS-SSIM: {error}")
    return BdRate(name, psnr, ms_ssim, low, high)


def _describe(images: int, workers: int) -> str:
    shared = f", {workers} processes at once" if workers > 1 else ""
    return (
        f"{_count(images, 'image')} as 8-bit RGB, whole files counted, "
        f"Pillow {PIL.__version__} on Python {platform.python_version()}, "
        f"{platform.machine()} with {os.cpu_count()} cores{shared}."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# ---- command line --------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` what `mlic bench` understands."""
    parser.add_argument(
        "places", nargs="+", type=Path, metavar="DIR", help="folders of pictures, or pictures"
    )
    parser.add_argument(
        "--codecs",
        default=DEFAULT_CODECS,
        metavar="NAMES",
        help=f"codecs to measure, of {', '.join(codecs_under_test.names())}; default: %(default)s",
    )
    parser.add_argument(
        "--quality",
        type=_qualities,
        metavar="Q,Q,...",
        help="qualities from 1 to 8 for the mlic codecs; default: 1,2,3,4,5,6,7,8",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("bench"),
        metavar="OUTDIR",
        help="folder of the report; rows that are there already are not measured again; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--workers", type=_positive, default=1, metavar="N", help="processes; default: 1"
    )
    parser.add_argument("--ms-ssim", action="store_true", help="measure MS-SSIM too")
    parser.add_argument(
        "--anchor",
        metavar="NAME",
        help=f"what BD-rates compare with; default: {KODAK_ANCHOR} for Kodak, "
        f"else {DEFAULT_ANCHOR}",
    )


def main(args: argparse.Namespace) -> int:
    """Run the bench; 0, or 1 if a codec failed on a picture, or 2 if nothing could be measured."""
    names = [name.strip() for name in args.codecs.split(",") if name.strip()]
    settings = {}
    if args.quality is not None:
        settings = {name: args.quality for name in names if name.split(":")[0] == "mlic"}
    try:
        with closing(_Bar()) as bar:
            results = run(
                find_images(args.places),
                names,
                settings,
                args.out,
                progress=bar,
                workers=args.workers,
                ms_ssim=args.ms_ssim,
                anchor=args.anchor,
            )
    except (ValueError, OSError, ModuleNotFoundError, RuntimeError) as error:
        print(f"mlic bench: {error}", file=sys.stderr)
        return 2
    print(report.bd_table(results))
    print(f"\n{args.out / 'table.md'} has the measurements, {args.out / 'rd.png'} the curves.")
    for row in results.errors:
        where = f"{row['codec']} at {row['setting']:g} on {row['image']}"
        print(f"mlic bench: {where} failed: {row['error']}", file=sys.stderr)
    return 1 if results.errors else 0


class _Bar:
    """A progress bar on stderr; nothing where that is no terminal or tqdm is missing."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, done: int, total: int) -> None:
        if self._bar is None:
            if importlib.util.find_spec("tqdm") is None:
                return
            from tqdm import tqdm

            self._bar = tqdm(total=total, unit="file", file=sys.stderr, disable=None)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it stands and end its line."""
        if self._bar is not None:
            self._bar.close()


def _qualities(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        msg = f"{text!r} is not a list of numbers such as 1,3,5.5"
        raise argparse.ArgumentTypeError(msg) from error
    if not all(1 <= value <= 8 for value in values):
        msg = "qualities go from 1 to 8"
        raise argparse.ArgumentTypeError(msg)
    return values


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        msg = f"{text!r} is not a whole number above 0"
        raise argparse.ArgumentTypeError(msg)
    return int(text)
