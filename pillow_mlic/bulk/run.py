"""One call of `pillow_mlic.batch`: plan the job, have it done, write the manifest."""

import os
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from .. import save_settings
from ..coding.goals import KINDS
from ..files import readable_suffixes
from . import manifest as manifests
from . import places, pool
from .archive import Archive
from .manifest import Record
from .order import Item, Job, Order, jobs_of
from .work import reject, suffix_of

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
    """Inputs and outputs that this run had to do."""
    done: int = 0
    skipped: int = 0
    """Pictures that an earlier run had done."""
    rejects: list[Record] = field(default_factory=list)
    """Inputs with their "error"."""
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
    target = archive.target if archive else places.canonical(request.target)
    request = replace(request, target=target)
    facts = request.order.facts()
    found = _find(request)
    before = None if request.force else manifests.read(path, facts)
    items, summary = _plan(request, found, suffix, before, path, archive)
    if request.dry_run:
        return summary
    start = time.monotonic()
    with closing(manifests.Manifest(path, facts, request.force)) as manifest:
        places.remove_parts(request.target, {item.target for item in items})
        for record in summary.rejects:
            manifest.add(record)
        total = len(summary.planned)
        with closing(_records(request, jobs_of(items))) as records:
            for number, record in enumerate(records, start=1):
                if archive and "output" in record:
                    record["output"] = archive.shown(record["output"])
                manifest.add(record)
                summary.add(record)
                summary.seconds = time.monotonic() - start
                if progress is not None:
                    progress(BatchProgress(number, total, record))
        if archive:
            archive.pack()
    summary.seconds = time.monotonic() - start
    return summary


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
    for name, value in (("workers", request.workers), ("threads", order.threads)):
        if value is not None and value < 1:
            msg = f"{name} is {value}, but must be 1 or more"
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
    found = {f.name: f for source in request.sources for f in places.find(source, suffixes)}
    return list(found.values())


def _plan(
    request: BatchRequest,
    found: list[places.FoundFile],
    suffix: str,
    before: dict[str, Record] | None,
    manifest: Path,
    archive: Archive | None,
) -> tuple[list[Item], BatchSummary]:
    """All items, each marked if it is done, and a summary of what is to be done.

    ValueError if a new job finds outputs that exist already; in a resumed job they are its own.
    """
    there = places.sizes(request.target)
    if archive:
        there = {**archive.sizes(), **there}
    summary = BatchSummary(manifest)
    items: list[Item] = []
    taken: dict[str, str] = {}
    for file in found:
        item = Item(file.name, "", file.size, file.version)
        try:
            target = places.join(
                request.target, str(PurePosixPath(file.relative).with_suffix(suffix))
            )
        except ValueError as error:
            summary.rejects.append(reject(item, error))
            continue
        if target in taken:
            reason = f"{taken[target]} becomes {target}, too; rename one, or convert it separately"
            summary.rejects.append(reject(item, reason))
            continue
        taken[target] = file.name
        shown = archive.shown(target) if archive else target
        old = before.get(file.name) if before else None
        done = old is not None and (old["size"], old["version"], old["output"], old["bytes"]) == (
            file.size if file.size is not None else old["size"],
            file.version,
            shown,
            there.get(target),
        )
        items.append(Item(file.name, target, file.size, file.version, done))
        if done:
            summary.skipped += 1
        else:
            summary.planned.append((file.name, shown))
    in_the_way = [item.target for item in items if item.target in there]
    if in_the_way and before is None and not request.force:
        others = f" and {len(in_the_way) - 1} more exist" if len(in_the_way) > 1 else " exists"
        msg = f"{in_the_way[0]}{others} already; use another folder, or --force to replace it"
        raise ValueError(msg)
    return items, summary


def _records(request: BatchRequest, jobs: list[Job]) -> Generator[Record, None, None]:
    """The engine at work."""
    if not jobs:
        return
    if request.engine == "ray":
        from . import on_ray

        where = (request.workers, request.num_gpus, request.address)
        yield from on_ray.run(request.order, jobs, *where)
    elif any(map(places.in_this_process, [*request.sources, request.target])):
        yield from pool.here(request.order, jobs)
    else:
        workers = request.workers or default_workers(request.order.threads)
        yield from pool.run(request.order, jobs, workers)


def default_workers(threads: int) -> int:
    """The number of cores divided by the threads of a process."""
    cores: Any = getattr(os, "sched_getaffinity", None)
    count = len(cores(0)) if cores else os.cpu_count() or 1
    return max(1, count // threads)
