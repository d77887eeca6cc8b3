"""One process that makes files, runs them and reports the outcome of each."""

import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import FrameType
from typing import NamedTuple

from ..conftest import GOLDEN
from .mutate import Mutant, mutate

CRASH, GARBAGE, HANG = FAILURES = ("CRASH", "GARBAGE", "HANG")
"""What outcomes begin with that should not be."""
SECONDS = 10.0
"""Processor time that one file may take."""
MEMORY = 1 << 30
"""Address space that may be taken beyond what the program itself has, in bytes."""


class Report(NamedTuple):
    """What came of one file."""

    number: int
    target: str
    outcome: str
    seconds: float


class TooLong(BaseException):
    """The file took more than SECONDS."""


class Fuzzer:
    """Makes and runs files by their number."""

    def __init__(self, seed: int, folder: Path) -> None:
        os.environ["MLIC_WEIGHTS"] = str(GOLDEN / "small.safetensors")
        os.environ["MLIC_DEVICE"] = "cpu"
        import torch

        from .corpus import seeds
        from .targets import targets

        torch.set_num_threads(1)
        self._seed = seed
        self._seeds = seeds()
        self._targets = targets(folder)

    def make(self, number: int) -> tuple[str, Mutant, Random]:
        """The target and the file of this number, and what further choices are made with."""
        random = Random(f"{self._seed}:{number}")
        names = list(self._targets)
        weights = [share for share, _ in self._targets.values()]
        target = random.choices(names, weights)[0]
        return target, mutate(self._seeds, random), random

    def run(self, number: int) -> Report:
        """Make the file of this number, and do to it what its target does."""
        target, mutant, random = self.make(number)
        before = resource.getrusage(resource.RUSAGE_SELF)
        signal.signal(signal.SIGPROF, _too_long)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            outcome = self._targets[target][1](mutant, random)
        except TooLong:
            outcome = f"{HANG} for {SECONDS:g} s"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        after = resource.getrusage(resource.RUSAGE_SELF)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Report(number, target, outcome, seconds)


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise TooLong


def cap_memory() -> None:
    """From now on allocations that go beyond MEMORY fail."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def work(seed: int, numbers: Iterable[int]) -> Iterator[Report]:
    """Run the files of these numbers, with memory capped."""
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(seed, Path(folder))
        cap_memory()
        for number in numbers:
            yield fuzzer.run(number)


def send(reports: Connection, seed: int, numbers: Iterable[int]) -> None:
    """What a process of several does."""
    for report in work(seed, numbers):
        reports.send(report)
