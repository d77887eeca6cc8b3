"""The fuzzer as a program: many files, several processes, a report."""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path

from .worker import FAILURES, SECONDS, Fuzzer, Report, send

PATIENCE = 12 * SECONDS
"""Seconds without a word, on any clock, after which a process is taken to hang."""
ENOUGH = 100
"""Failures after which there is no point in going on."""


def main() -> int:
    """Run, report, save what failed; -> 1 if anything did."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="files; default %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="processes; default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other files")
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one file, in this process")
    parser.add_argument("--save", type=Path, default=Path("fuzz-failures"), help="folder")
    parser.add_argument("--json", type=Path, help="write the counts to this file, too")
    args = parser.parse_args()
    if args.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(Fuzzer(args.seed, Path(folder)).run(args.only))
        return 0

    counts: Counter[tuple[str, str]] = Counter()
    failures: list[Report] = []
    slowest = Report(0, "", "", 0.0)
    start = last = time.monotonic()
    for done, report in enumerate(run(args.seed, args.count, args.workers), 1):
        failed = report.outcome.split()[0] in FAILURES
        counts[report.target, report.outcome.split()[0] if failed else report.outcome] += 1
        slowest = max(slowest, report, key=lambda r: r.seconds)
        if failed:
            failures.append(report)
            print(f"\n{save(report, args.seed, args.save)}: {report}", file=sys.stderr)
            if len(failures) == ENOUGH:
                break
        if time.monotonic() - last > 5 or done == args.count:
            last = time.monotonic()
            rate = done / (last - start)
            print(
                f"\r{done} of {args.count} files, {rate:.0f} a second, {len(failures)} failures",
                end="" if done < args.count else "\n",
                file=sys.stderr,
            )
    print(table(counts))
    print(f"slowest: {slowest}", file=sys.stderr)
    if args.json:
        found = [{"target": t, "outcome": o, "files": n} for (t, o), n in sorted(counts.items())]
        facts = {"files": done, "failures": len(failures), "slowest": slowest.seconds}
        args.json.write_text(json.dumps({**facts, "outcomes": found}, indent=1), encoding="utf-8")
    return 1 if failures else 0


def run(seed: int, count: int, workers: int) -> Iterator[Report]:
    """Reports of all files; a process that dies or says nothing is replaced by another."""
    lanes = [Lane(seed, range(first, count, workers)) for first in range(min(workers, count))]
    try:
        while lanes:
            ready = wait([lane.reports for lane in lanes], timeout=1.0)
            for lane in list(lanes):
                yield from lane.heard(ready=lane.reports in ready)
                if lane.done:
                    lanes.remove(lane)
    finally:
        for lane in lanes:
            lane.stop()


class Lane:
    """A process and the files that it has still to do."""

    def __init__(self, seed: int, numbers: range) -> None:
        self._seed = seed
        self._left = numbers
        self.reports: Connection
        self._start()

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return not self._left

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.reports, theirs = spawn.Pipe(duplex=False)
        self._process = spawn.Process(target=send, args=(theirs, self._seed, self._left))
        self._process.start()
        theirs.close()
        self._heard = time.monotonic()

    def heard(self, ready: bool) -> Iterator[Report]:
        """The next report, if there is one, be it of the process's death."""
        fate = ""
        if ready:
            self._heard = time.monotonic()
            try:
                report: Report = self.reports.recv()
            except EOFError:
                self._process.join()
                fate = f"CRASH the process ended with {self._process.exitcode}"
            else:
                self._left = self._left[1:]
                yield report
        elif time.monotonic() - self._heard > PATIENCE:
            fate = f"HANG the process said nothing for {PATIENCE:g} s"
        if fate:
            self.stop()
            yield Report(self._left[0], "?", fate, 0.0)
            self._left = self._left[1:]
        if fate and self._left:
            self._start()
        elif self.done:
            self.stop()

    def stop(self) -> None:
        """End the process; one that has done all ends by itself."""
        self._process.join(5.0 if self.done else 0.0)
        self._process.kill()
        self._process.join()
        self.reports.close()


def save(report: Report, seed: int, folder: Path) -> Path:
    """Make the file again and keep it; -> its path."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        target, mutant, _ = Fuzzer(seed, Path(scratch)).make(report.number)
    path = folder / f"{seed}-{report.number}-{target}.mlic"
    path.write_bytes(mutant.data)
    path.with_suffix(".txt").write_text(f"{report}\n", encoding="utf-8")
    return path


def table(counts: Counter[tuple[str, str]]) -> str:
    """What came of the files of each target, as Markdown, and a sentence."""
    sums: dict[str, Counter[str]] = {}
    for (target, outcome), files in counts.items():
        word = outcome.split()[0].rstrip(":")
        kind = {"refused": "refused", "exit": "refused"}.get(word, "accepted")
        kind = word if word in FAILURES else kind
        sums.setdefault(target, Counter())[kind] += files
    columns = ["refused", "accepted", *FAILURES]
    lines = [
        "| target | files | refused | accepted | crashes | garbage | hangs |",
        "|---" * 7 + "|",
    ]
    for target, found in sorted(sums.items()):
        figures = [sum(found.values()), *(found[column] for column in columns)]
        lines.append(f"| {target} | " + " | ".join(f"{figure:,}" for figure in figures) + " |")
    failed = sum(found[word] for found in sums.values() for word in FAILURES)
    return "\n".join([*lines, "", f"{sum(counts.values()):,} files, {failed} failures."])


if __name__ == "__main__":
    sys.exit(main())
