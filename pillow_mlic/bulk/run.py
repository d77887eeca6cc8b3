"""One call of `pillow_mlic.batch`: plan the job, have it done, write the manifest."""

import math
import os
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from .. import save_settings
from ..coding.goals import KINDS
from ..files import readable_suffixes
from ..settings import number
from . import manifest as manifests
from . import places, pool
from .archive import Archive
from .manifest import Record
from .order import Order, jobs_of
from .plan import Plan
from .work import suffix_of

ENGINES = ("local", "ray")
OPTIONS = {
    *("quality", *KINDS, "lossless", "model", "device", "optimize", "refine", "preview"),
    *("texture", "tile"),
}
"""Options of saving that can be the same for all pictures."""


@dataclass(frozen=True)
class BatchRequest:
    """What to convert, to where, by whom; see `pillow_mlic.batch`."""

    sources: list[str]
    target: str
    order: Order
    engine: str = "local"
    workers: int | None = None
    address: str | None = None
    num_gpus: float = 0
    manifest: str | None = None
    force: bool = False
    dry_run: bool = False


class BatchProgress(NamedTuple):
    """How far a job is, after each picture."""

    done: int
    """Pictures that this run has finished, including rejected ones."""
    total: int
    """Pictures that this run has to do."""
    record: Record
    """The line of the last picture in the manifest or the rejects."""


@dataclass
class BatchSummary:
    """The result of a job. Bytes, pixels and seconds are of this run; in a dry run all are 0."""

    manifest: Path
    planned: list[tuple[str, str]] = field(default_factory=list)
    """In a dry run: inputs and outputs that there are to do."""
    done: int = 0
    animated: int = 0
    """Of these, files of several frames, of which the first was converted."""
    skipped: int = 0
    """Pictures that an earlier run had done."""
    rejects: list[Record] = field(default_factory=list)
    """Inputs with their "error"."""
    damaged: int = 0
    """Lines of the manifest that could not be read; their pictures are done again."""
    input_bytes: int = 0
    output_bytes: int = 0
    pixels: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """CPU time of all workers, without what they took to start."""
    psnr: float | None = None
    """Mean in dB, where it was asked for."""

    def add(self, record: Record) -> None:
        """Count one picture."""
        if "error" in record:
            self.rejects.append(record)
            return
        if "psnr" in record:
            self.psnr = ((self.psnr or 0.0) * self.done + record["psnr"]) / (self.done + 1)
        self.done += 1
        self.animated += record.get("frames", 1) > 1
        self.input_bytes += record["size"]
        self.output_bytes += record["bytes"]
        self.pixels += record["width"] * record["height"]
        self.cpu_seconds += record["cpu_seconds"]


def run(
    request: BatchRequest, progress: Callable[[BatchProgress], object] | None = None
) -> BatchSummary:
    """Do what is asked; see `pillow_mlic.batch`."""
    _check(request)
    suffix = suffix_of(request.order.to)
    archive = Archive(request.target) if request.target.startswith("zip://") else None
    path = _manifest_path(request, archive)
    folder = archive.target if archive else places.destination(request.target)
    facts = request.order.facts()
    found = _find(request)
    past = manifests.Past() if request.force else manifests.read(path, facts)
    plan = Plan(found, folder, suffix, past, archive, request.force)
    summary = BatchSummary(path, skipped=plan.done, rejects=plan.rejects, damaged=past.damaged)
    if request.dry_run:
        left = (item for item in plan.items() if not item.done)
        summary.planned = [(item.source.name, plan.shown(item.target)) for item in left]
        return summary
    start = time.monotonic()
    with closing(manifests.Manifest(path, facts, past, request.force)) as manifest:
        for part in plan.parts:
            part.unlink(missing_ok=True)
        for record in summary.rejects:
            manifest.add(record)
        with closing(_records(request, plan)) as records:
            for number, record in enumerate(records, start=1):
                if "outage" in record:
                    raise OSError(record["outage"])
                if archive and "output" in record:
                    record["output"] = archive.shown(record["output"])
                    record.pop("written", None)  # it is packed later, as another file
                manifest.add(record)
                summary.add(record)
                summary.seconds = time.monotonic() - start
                if progress is not None:
                    progress(BatchProgress(number, plan.to_do, record))
        if archive:
            archive.pack()
    summary.seconds = time.monotonic() - start
    return summary


def gpus(value: object) -> float:
    """GPUs of each actor; ValueError where it is no number from 0."""
    plain = number(value)
    if plain is None or not 0 <= plain < math.inf:
        msg = f"num_gpus is {value!r}, but must be a number from 0"
        raise ValueError(msg)
    return plain


def _check(request: BatchRequest) -> None:
    """ValueError for a job that cannot begin, before anything is read or written."""
    order = request.order
    unknown = sorted(set(order.options) - OPTIONS)
    if unknown:
        msg = f"there is no option {unknown[0]!r}; there are {', '.join(sorted(OPTIONS))}"
        raise ValueError(msg)
    if request.engine not in ENGINES:
        msg = f"there is no engine {request.engine!r}; there are {', '.join(ENGINES)}"
        raise ValueError(msg)
    given = {k: v for k, v in order.options.items() if v is not None}
    if order.to == "mlic":
        save_settings.check_options(given)
    else:
        extra = [*sorted(set(given) - {"device"}), *(["psnr"] if order.psnr else [])]
        if extra:
            msg = f"{extra[0]} is for encoding, not for .mlic files to {order.to}"
            raise ValueError(msg)
    if request.engine == "ray":
        from . import on_ray

        on_ray.load()
    private = any(map(places.in_this_process, [*request.sources, request.target]))
    if private and request.engine != "local":
        msg = "memory:// is of this process alone; workers on other machines cannot reach it"
        raise ValueError(msg)


def _manifest_path(request: BatchRequest, archive: Archive | None) -> Path:
    if request.manifest is not None:
        return Path(request.manifest)
    if archive:
        return archive.manifest
    if places.is_url(request.target):
        return Path(manifests.NAME)  # lines can be added to no object of a store
    return Path(places.local(request.target)) / manifests.NAME


def _find(request: BatchRequest) -> list[places.FoundFile]:
    """All inputs, each once, in a fixed order."""
    suffixes = {".mlic"} if request.order.to != "mlic" else readable_suffixes()
    found = [file for source in request.sources for file in places.find(source, suffixes)]
    if len(request.sources) == 1:
        return found
    return list({file.place.name: file for file in found}.values())


def _records(request: BatchRequest, plan: Plan) -> Generator[Record, None, None]:
    """The engine at work."""
    if not plan.to_do:
        return
    jobs = jobs_of(plan.items())
    if request.engine == "ray":
        from . import on_ray

        where = (request.workers, request.num_gpus, request.address)
        yield from on_ray.run(request.order, list(jobs), *where)
    elif any(map(places.in_this_process, [*request.sources, request.target])):
        yield from pool.here(request.order, jobs)
    else:
        workers = request.workers or default_workers(request.order.threads)
        yield from pool.run(request.order, jobs, min(workers, plan.to_do))


def default_workers(threads: int) -> int:
    """The number of cores divided by the threads of a process."""
    cores: Any = getattr(os, "sched_getaffinity", None)
    count = len(cores(0)) if cores else os.cpu_count() or 1
    return max(1, count // threads)
