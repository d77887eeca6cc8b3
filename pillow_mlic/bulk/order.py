"""What is to be done, in a form that travels to other processes and machines."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

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

    def facts(self) -> dict[str, Any]:
        """What the outputs depend on."""
        kept = asdict(self)
        options = {k: v for k, v in sorted(self.options.items()) if v is not None}
        return {**kept, "options": {k: v for k, v in options.items() if k != "device"}}


@dataclass(frozen=True)
class Item:
    """One picture of a job."""

    source: str
    target: str
    size: int | None
    version: str
    done: bool = False
    """Its output exists already. It is encoded again only because others of its group are,
    whose bytes depend on the group."""


Job = list[Item]


def jobs_of(items: list[Item]) -> list[Job]:
    """All items, in jobs. How they are grouped depends on the inputs alone, not on what is done
    already.

    Neighbours of small files share a job, so that a worker can encode them together.
    """
    jobs: list[Job] = []
    open_job: Job | None = None
    for item in items:
        small = item.size is not None and item.size <= SMALL_FILE
        if small and open_job is not None and len(open_job) < GROUP:
            open_job.append(item)
            continue
        jobs.append([item])
        open_job = jobs[-1] if small else None
    return [job for job in jobs if not all(item.done for item in job)]


def dump(job: Job) -> str:
    """A job as one line of JSON."""
    return json.dumps([asdict(item) for item in job])


def load(text: str) -> Job:
    """The job of a line that `dump` made."""
    return [Item(**item) for item in json.loads(text)]
