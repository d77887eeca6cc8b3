"""Single measurements, the file that keeps them, and the processes that make them.

A `MeasuringJob` says what to measure. Its outcome is a row, one line of a JSON-lines file, written
as soon as it is made. A later run uses the rows that are there.
"""

import json
import multiprocessing
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from ..conversion import read_rgb
from ..files import whole_file
from . import bands, details, matching, memory, metrics
from .bdrate import Measure
from .codecs import MLIC, Codec
from .results import COLUMNS, columns_of

Row = dict[str, Any]
Key = tuple[Any, ...]
CountProgress = Callable[[str, int, int], object]
"""Called with the name of the work, how much of it is done, and how much this run has to do."""

SAMPLE_SIZE = (512, 384)
_SAMPLE_QUALITY = 92  # of the WebP that shows what a codec made of a picture


@dataclass(frozen=True)
class BenchPicture:
    """An original: its file and the hash of its bytes."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class MeasuringJob(ABC):
    """Something to measure of a codec at a setting on a picture."""

    codec: Codec
    picture: BenchPicture
    setting: float

    def identity(self) -> Row:
        """The entries that distinguish its row from those of other kinds of jobs."""
        return {}

    @abstractmethod
    def is_whole(self, row: Row) -> bool:
        """Whether a row measured before has everything that is wanted now."""

    @abstractmethod
    def numbers(self) -> Row:
        """Measure; whatever the codec raises passes through."""


@dataclass(frozen=True)
class Measurement(MeasuringJob):
    """Size, fidelity and times."""

    measures: tuple[Measure, ...] = ("psnr",)

    def is_whole(self, row: Row) -> bool:
        return all(column in row for name in self.measures for column in columns_of(name))

    def numbers(self) -> Row:
        _warm_up(self.codec)
        original = read_rgb(self.picture.path)
        start, start_cpu = time.perf_counter(), time.process_time()
        data = self.codec.encode(original, self.setting)
        middle, middle_cpu = time.perf_counter(), time.process_time()
        decoded = self.codec.decode(data)
        end, end_cpu = time.perf_counter(), time.process_time()
        if decoded.size != original.size or decoded.mode != original.mode:
            msg = (
                f"saved {original.mode} of {original.width} x {original.height}, "
                f"but got back {decoded.mode} of {decoded.width} x {decoded.height}"
            )
            raise ValueError(msg)
        row = {
            "weights": str(decoded.info.get("weights", "")),
            "width": original.width,
            "height": original.height,
            "bytes": len(data),
            "bpp": 8 * len(data) / (original.width * original.height),
            "encoding_time": middle - start,
            "decoding_time": end - middle,
            "encoding_cpu_time": middle_cpu - start_cpu,
            "decoding_cpu_time": end_cpu - middle_cpu,
        }
        for name in self.measures:
            row |= _measured(name, original, decoded)
        return row


@dataclass(frozen=True)
class PeakMemory(MeasuringJob):
    """Peak memory."""

    def identity(self) -> Row:
        return {"kind": "memory"}

    def is_whole(self, row: Row) -> bool:
        return "encoding" in row

    def numbers(self) -> Row:
        with Image.open(self.picture.path) as image:
            size = {"width": image.width, "height": image.height}
        return {**size, **memory.measure(self.codec, self.setting, self.picture.path)}


@dataclass(frozen=True)
class Sample(MeasuringJob):
    """A detail of the picture as a codec shows it in `target` bytes, written into `folder`.

    `known`: settings and sizes in bytes measured before, to begin the search from; `setting` is
    the one that comes nearest.
    """

    target: int
    known: tuple[tuple[float, int], ...]
    folder: Path

    def identity(self) -> Row:
        return {"kind": "sample", "target": self.target}

    def is_whole(self, row: Row) -> bool:
        return "file" in row and (self.folder / row["file"]).exists()

    def numbers(self) -> Row:
        original = read_rgb(self.picture.path)
        setting, data = matching.to_size(self.codec, original, self.target, dict(self.known))
        decoded = self.codec.decode(data)
        box = details.most_detailed(original, SAMPLE_SIZE)
        name = f"{self.picture.sha256[:12]}-{file_stem(self.codec.name)}.webp"
        save_sample(decoded.crop(box), self.folder / name)
        return {
            "found": setting,
            "bytes": len(data),
            "bpp": 8 * len(data) / (original.width * original.height),
            "psnr-rgb": metrics.psnr(original, decoded),
            "file": name,
        }


def save_sample(detail: Image.Image, path: Path) -> None:
    """Write a picture for the report: a small file that looks as its pixels do."""
    with whole_file(path) as file:
        detail.save(file, "WEBP", quality=_SAMPLE_QUALITY, method=4)


def file_stem(codec: str) -> str:
    """A file name for a codec's name: "mlic-mlic++" for "mlic:mlic++"."""
    return "".join(c if c.isalnum() or c in "._+-" else "-" for c in codec)


def _measured(name: Measure, original: Image.Image, decoded: Image.Image) -> Row:
    """The columns of a measure; None where the picture is too small for it."""
    if min(original.size) < metrics.LEAST_SIDES.get(name, 0):
        return dict.fromkeys(columns_of(name))
    if name == "bands":
        return dict(zip(columns_of(name), bands.energies(original, decoded), strict=True))
    return {COLUMNS[name]: metrics.METRICS[name](original, decoded)}


@cache
def _warm_up(codec: Codec) -> None:
    """Make the codec load library and weights outside the measured time, once in a process."""
    codec.weights(codec.settings[0])


# ---- rows that survive ---------------------------------------------------------------------------


def rows_of(
    jobs: Iterable[MeasuringJob], store: Path, what: str, progress: CountProgress, workers: int
) -> list[Row]:
    """The rows of all jobs, from `store` where it has them, else measured and appended to it."""
    wanted = list(jobs)
    known = read_rows(store)
    rows: dict[Key, Row] = {}
    missing: dict[Key, MeasuringJob] = {}
    for job in wanted:
        row = known.get(_key(_stamp(job)))
        if row is not None and job.is_whole(row):
            rows[_job_key(job)] = row
        else:
            missing[_job_key(job)] = job
    progress(what, 0, len(missing))
    with (
        store.open("a", encoding="utf-8") as file,
        closing(_measure_all(list(missing.values()), workers)) as measured,
    ):
        for done, (job, row) in enumerate(measured, start=1):
            file.write(json.dumps(row) + "\n")
            file.flush()
            rows[_job_key(job)] = row
            progress(what, done, len(missing))
    return [rows[_job_key(job)] for job in wanted]


def _job_key(job: MeasuringJob) -> Key:
    """A key that is different for each job of one call."""
    return job.codec.name, job.setting, job.picture.sha256


def _stamp(job: MeasuringJob) -> Row:
    """A row is used again only if these entries are the same."""
    return {
        **job.identity(),
        "codec": job.codec.name,
        "setting": job.setting,
        "image": job.picture.path.name,
        "sha256": job.picture.sha256,
        "encoder": job.codec.describe(),
        "weights": weights_of(job.codec, job.setting),
    }


def _key(row: Row) -> Key:
    names = ("kind", "target", "codec", "setting", "sha256", "encoder", "weights")
    return tuple(row.get(name) for name in names)


def read_rows(store: Path) -> dict[Key, Row]:
    """The rows without error in `store`. A last line that a stop has cut short is ended."""
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
            rows[_key(row)] = row
    return rows


@cache
def weights_of(codec: Codec, setting: float) -> str:
    """The hash of the weights in use; "unknown", which no stored row has, where encoding fails."""
    if codec.format != MLIC:
        return ""
    try:
        return codec.weights(setting)
    except Exception:  # the measurement meets it too, and reports it
        return "unknown"


# ---- processes -----------------------------------------------------------------------------------


def _measure_all(
    jobs: Sequence[MeasuringJob], workers: int
) -> Generator[tuple[MeasuringJob, Row], None, None]:
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield job, _measure(job)
        return
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_share_cores,
        initargs=(workers,),
    )
    try:
        futures = {pool.submit(_measure, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        msg = (
            "a worker process died, perhaps for lack of memory; what was measured is kept, "
            "so run again with fewer workers"
        )
        raise RuntimeError(msg) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _share_cores(workers: int) -> None:
    """In a worker, before torch is imported: no more threads than its share of the cores."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


def _measure(job: MeasuringJob) -> Row:
    """The row of one job. Any failure of the codec becomes the row's "error"."""
    row = _stamp(job)
    try:
        row |= job.numbers()
    except Exception as error:  # whatever a codec raises is its result for this picture
        row["error"] = f"{type(error).__name__}: {error}"
    return row
