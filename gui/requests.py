"""From wanted pictures to encoded ones. Everything that is wanted is declared at once; the newest
declaration counts."""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pillow_mlic.evaluation import codecs

from . import jobs
from .jobs import NO_EFFORT, CodedPicture, Effort
from .parts import LARGE
from .progress import Stage
from .raster import Raster
from .state import Goal
from .worker import JobFunction, Ticket, Worker


@dataclass(frozen=True)
class Request:
    """A picture through a codec; equal requests have equal outcomes.

    `effort`: what .mlic files alone have. `path` is set for a file of the user's, which
    has neither goal nor device.
    """

    source: Raster
    codec: str
    goal: Goal | None = None
    device: str | None = None
    path: str | None = None
    effort: Effort = NO_EFFORT


class Workers(Protocol):
    """The worker processes, by what they are for."""

    pictures: Worker
    peers: Worker
    neural: Worker
    peers_whole: Worker
    neural_whole: Worker
    """The last two make large pictures as a whole, while parts in view are made beside them."""


class Cache:
    """Outcomes by request, the least recently used dropped when their pixels get too many."""

    def __init__(self, limit: int = 1_500_000_000) -> None:
        self.limit = limit
        self._kept: OrderedDict[Request, CodedPicture] = OrderedDict()
        self.in_use: Callable[[], Iterable[CodedPicture]] = lambda: ()

    def get(self, request: Request) -> CodedPicture | None:
        """The outcome, if it is there."""
        if request in self._kept:
            self._kept.move_to_end(request)
        return self._kept.get(request)

    def put(self, request: Request, coded: CodedPicture) -> None:
        """Keep an outcome."""
        self._kept[request] = coded
        shown = {id(c) for c in self.in_use()} | {id(coded)}
        for old in list(self._kept):
            if self.bytes <= self.limit:
                break
            if id(self._kept[old]) not in shown:
                self._kept.pop(old).raster.delete()

    def drop(self, source: Raster) -> list[CodedPicture]:
        """Drop all that was made of a picture; -> what that was."""
        gone = [self._kept.pop(r) for r in list(self._kept) if r.source == source]
        for coded in gone:
            coded.raster.delete()
        return gone

    def clear(self) -> None:
        """Drop everything."""
        for coded in self._kept.values():
            coded.raster.delete()
        self._kept.clear()

    @property
    def bytes(self) -> int:
        """Bytes kept."""
        return sum(c.raster.bytes + c.size for c in self._kept.values())


class Desk:
    """Takes declarations: cancels work that is no longer wanted, and requests what is missing.

    `outcome`, `failure` and `progress` are called with the request.
    """

    def __init__(
        self,
        workers: Workers,
        folder: Path,
        outcome: Callable[[Request, CodedPicture], None],
        failure: Callable[[Request, str], None],
        progress: Callable[[Request, Stage], None],
    ) -> None:
        self.cache = Cache()
        self._workers = workers
        self._folder = folder
        self._outcome = outcome
        self._failure = failure
        self._progress = progress
        self._running: dict[Request, tuple[Worker, Ticket]] = {}
        self._names = itertools.count(1)

    def want(self, requests: Iterable[Request]) -> None:
        """All that is wanted now, the most urgent first; what has failed is asked for again."""
        wanted = list(dict.fromkeys(requests))
        for request in list(self._running):
            if request not in wanted:
                worker, ticket = self._running.pop(request)
                worker.cancel(ticket)
        for request in wanted:
            if request not in self._running and self.cache.get(request) is None:
                self._running[request] = self._submit(request)

    def progressing(self) -> set[Request]:
        """Requests that are being worked on, or wait."""
        return set(self._running)

    def worker_for(self, codec: str) -> Worker:
        """Who does the work of this codec."""
        return self._workers.neural if codecs.is_mlic(codec) else self._workers.peers

    def worker_of(self, request: Request) -> Worker:
        """Who meets a request."""
        if request.path is not None:
            return self.reader_for(Path(request.path))
        if request.source.pixels <= LARGE:
            return self.worker_for(request.codec)
        neural = codecs.is_mlic(request.codec)
        return self._workers.neural_whole if neural else self._workers.peers_whole

    def reader_for(self, path: Path) -> Worker:
        """Who opens a file: .mlic needs a network."""
        return self._workers.neural if path.suffix.lower() == ".mlic" else self._workers.pictures

    def new_file(self) -> Path:
        """A new, unique name for a file of pixels."""
        return self._folder / f"{next(self._names)}.pixels"

    def _submit(self, request: Request) -> tuple[Worker, Ticket]:
        def done(coded: CodedPicture) -> None:
            self._running.pop(request, None)
            self.cache.put(request, coded)
            self._outcome(request, coded)

        def failed(reason: str) -> None:
            self._running.pop(request, None)
            self._failure(request, reason)

        job: JobFunction
        arguments: dict[str, Any]
        if request.path is not None:
            job, arguments = jobs.load_version, {"path": Path(request.path)}
        else:
            job, arguments = jobs.encode, {"codec": request.codec, "goal": request.goal}
            arguments |= {"device": request.device, "effort": request.effort}
        worker = self.worker_of(request)
        ticket = worker.submit(
            job,
            done=done,
            failed=failed,
            progress=lambda stage: self._progress(request, stage),
            source=request.source,
            target=self.new_file(),
            **arguments,
        )
        return worker, ticket
