"""Tiles side by side: several at a time, each with its share of the CPU's threads.

A single thread works on a tile without ever waiting for others, so two tiles on two threads are
done sooner than one after the other on both.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from ..engines import devices
from ..engines.base import Engine
from ..settings import forked_with_torch

S = TypeVar("S")
T = TypeVar("T")

MOST = 4
"""So many tiles at a time: each needs memory."""


class Crew:
    """Does work in several threads, or, without a `pool`, in the caller's."""

    def __init__(self, pool: ThreadPoolExecutor | None, hands: int) -> None:
        self._pool = pool
        self._hands = hands

    def map(self, work: Callable[[S], T], items: Iterable[S]) -> Iterator[T]:
        """What `work` gives for each of `items`, in their order.

        Of the items that are not yet asked for, as many are begun as there are threads.
        """
        if self._pool is None:
            yield from map(work, items)
            return
        begun: deque[Future[T]] = deque()
        for item in items:
            begun.append(self._pool.submit(work, item))
            if len(begun) > self._hands:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


@contextmanager
def crew(engine: Engine, jobs: int) -> Iterator[Crew]:
    """The threads that do so many jobs with an engine. An error ends what is not yet begun."""
    threads = devices.threads() if devices.is_cpu(engine.device) else 1
    hands = min(threads, jobs, MOST)
    if hands <= 1 or forked_with_torch():
        yield Crew(None, 1)
        return
    share = threads // hands
    with (
        devices.blas_threads(share),
        ThreadPoolExecutor(hands, "mlic", devices.take_share, (share,)) as pool,
    ):
        try:
            yield Crew(pool, hands)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
