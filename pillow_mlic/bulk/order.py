"""What is to be done, in a form that travels to other processes and machines."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from .places import Place

SMALL_FILE = 1 << 16
"""Files up to this size may hold pictures that are better encoded together."""
GROUP = 8
"""Most files of one job."""


@dataclass(frozen=True)
class Order:
    """What is done with each picture; see `pillow_mlic.batch`."""

    to: str = "mlic"
    options: dict[str, Any] = field(default_factory=dict)
    threads: int = 1
    psnr: bool = False
    strip: bool = False
    huge: bool = False
    eight_bit: bool = False

    def facts(self) -> dict[str, Any]:
        """What the outputs depend on."""
        kept = asdict(self)
        if not self.eight_bit:
            del kept["eight_bit"]  # older manifests know nothing of it
        options = {k: v for k, v in sorted(self.options.items()) if v is not None}
        return {**kept, "options": {k: v for k, v in options.items() if k != "device"}}


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a job."""

    source: Place
    target: Place
    size: int | None
    version: str
    done: bool = False
    """Its output exists already. It is encoded again only because others of its group are,
    whose bytes depend on the group."""
    ours: bool = False
    """Whether an output that is there may be replaced: this job wrote it, or --force was given."""


Job = list[Item]


def jobs_of(items: Iterable[Item]) -> Iterator[Job]:
    """The jobs of which something is to be done. How items are grouped depends on the inputs alone,
    not on what is done already.

    Neighbours of small files share a job, so that a worker can encode them together.
    """
    job: Job = []
    for item in items:
        small = item.size is not None and item.size <= SMALL_FILE
        # A job of one large file stays alone: nothing is added to it.
        if not small or len(job) == GROUP or not _is_small(job):
            yield from _to_do(job)
            job = []
        job.append(item)
    yield from _to_do(job)


def _is_small(job: Job) -> bool:
    return all(item.size is not None and item.size <= SMALL_FILE for item in job)


def _to_do(job: Job) -> Iterator[Job]:
    if not all(item.done for item in job):
        yield job


def dump(job: Job) -> str:
    """A job as one line of JSON."""
    return json.dumps([asdict(item) for item in job])


def load(text: str) -> Job:
    """The job of a line that `dump` made."""
    return [
        Item(Place(*item.pop("source")), Place(*item.pop("target")), **item)
        for item in json.loads(text)
    ]
