"""Processes that work, report, stop and die."""

import pickle
import queue
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pillow_mlic_gui.worker import JobFunction, Worker

from . import work

Pump = Callable[[Callable[[], bool]], None]


class Bench:
    """A worker with the jobs of `work`, and what was heard of them."""

    def __init__(self, **options: Any) -> None:
        self.posted: queue.Queue[Callable[[], None]] = queue.Queue()
        self.worker = Worker(self.posted.put, **options)
        self.results: list[Any] = []
        self.failures: list[str] = []
        self.shares: list[tuple[float, str]] = []

    def ask(self, job: JobFunction, **arguments: Any) -> Any:
        return self.worker.submit(
            job,
            done=self.results.append,
            failed=self.failures.append,
            progress=self.shares.append,
            **arguments,
        )

    def pump(self, until: Callable[[], bool], timeout: float = 30) -> None:
        end = time.monotonic() + timeout
        while not until():
            assert time.monotonic() < end
            try:
                self.posted.get(timeout=0.05)()
            except queue.Empty:
                continue


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench(environ={"MLIC_FOR_TEST": "7"}, patience=0.2)
    yield bench
    bench.worker.close()


@pytest.fixture(autouse=True)
def afresh(bench: Bench) -> None:
    bench.pump(lambda: not bench.worker.busy)
    for heard in (bench.results, bench.failures, bench.shares):
        heard.clear()


def test_jobs_in_order_of_priority(bench: Bench) -> None:
    bench.ask(work.count, steps=3)
    bench.ask(work.echo, value="late", priority=2)
    bench.ask(work.echo, value="a")
    bench.ask(work.echo, value="b")
    bench.ask(work.echo, value="early", priority=-1)
    bench.pump(lambda: not bench.worker.busy)
    assert bench.results == [3, "early", "a", "b", "late"]
    assert bench.shares


def test_the_environment_is_given(bench: Bench) -> None:
    bench.ask(work.environment, name="MLIC_FOR_TEST")
    bench.pump(lambda: not bench.worker.busy)
    assert bench.results == ["7"]


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("quality is 9", "quality is 9"),
        ("memory", "not enough memory"),
        ("file", "/no/such/file: No such file"),
        ("picture", "no picture of a kind that Pillow can read"),
        ("short", "its end is missing; copy it again"),
        ("codec", "the codec gave up: odd"),
        ("bug", "should not have happened (ZeroDivisionError"),
    ],
)
def test_failures_are_sentences(bench: Bench, kind: str, sentence: str) -> None:
    bench.ask(work.fail, kind=kind)
    bench.pump(lambda: not bench.worker.busy)
    (failure,) = bench.failures
    assert sentence in failure


def test_what_waits_is_cancelled_at_once(bench: Bench) -> None:
    bench.ask(work.count, steps=2)
    ticket = bench.ask(work.echo, value="never")
    bench.worker.cancel(ticket)
    bench.worker.cancel(ticket)
    bench.worker.cancel(None)
    bench.pump(lambda: not bench.worker.busy)
    assert bench.results == [2]


def test_a_job_that_reports_is_cancelled_and_its_process_lives(bench: Bench) -> None:
    bench.ask(work.number)
    ticket = bench.ask(work.count, steps=10_000, pause=0.001)
    bench.pump(lambda: bool(bench.shares))
    bench.worker.cancel(ticket)
    bench.ask(work.number)
    bench.pump(lambda: len(bench.results) == 2)
    assert bench.results[0] == bench.results[1]
    assert not bench.failures


def test_a_job_that_does_not_report_is_ended_with_its_process(bench: Bench) -> None:
    bench.ask(work.number)
    bench.pump(lambda: not bench.worker.busy)
    ticket = bench.ask(work.deaf)
    bench.worker.cancel(ticket)
    bench.ask(work.number)
    bench.pump(lambda: len(bench.results) == 2)
    assert bench.results[0] != bench.results[1]
    assert not bench.failures


def test_a_process_that_dies_is_replaced(bench: Bench) -> None:
    bench.ask(work.die)
    bench.ask(work.echo, value="alive")
    bench.pump(lambda: not bench.worker.busy)
    assert "ended without a word" in bench.failures[0]
    assert bench.results == ["alive"]


def test_pausing_holds_the_job_at_hand(bench: Bench) -> None:
    bench.ask(work.count, steps=30)
    bench.pump(lambda: bool(bench.shares))
    bench.worker.pause(True)
    time.sleep(0.1)
    while not bench.posted.empty():
        bench.posted.get()()
    heard = len(bench.shares)
    time.sleep(0.2)
    assert bench.posted.empty()
    assert len(bench.shares) == heard
    bench.worker.pause(False)
    bench.pump(lambda: not bench.worker.busy)
    assert bench.results == [30]


def test_what_no_process_could_import_is_refused_at_once(bench: Bench) -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)):
        bench.ask(lambda report: 1)
    assert not bench.worker.busy


def test_closing_forgets_everything() -> None:
    bench = Bench()
    bench.ask(work.count, steps=1000)
    bench.ask(work.echo, value=1)
    bench.worker.close()
    bench.worker.submit(work.echo, value=2)
    time.sleep(0.1)
    while not bench.posted.empty():
        bench.posted.get()()
    assert not bench.results
    assert not bench.failures
