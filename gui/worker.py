"""A process that does one job after another, can be stopped at any moment, and may die.

The window's side holds the queue and hands out one job at a time. A job reports its progress; if it
is no longer wanted, the report raises an exception. A job that does not report in time is ended
with its process, and a new process takes over. All methods of `Worker` are called from one thread;
`post` passes what the reading thread receives to that thread.
"""

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

from PIL import Image, UnidentifiedImageError

from pillow_mlic import process

from .progress import Stage

Post = Callable[[Callable[[], None]], None]


class Report(Protocol):
    """Given to every job: called with the share done, 0..1, and what is being done (by default as
    before); raises CancelledError if unwanted."""

    def __call__(self, share: float, phase: str = "", /) -> None:
        """Tell."""
        ...


JobFunction = Callable[..., Any]
"""A function of a module, so that the process can import it; it is given a `Report` first."""

_context = multiprocessing.get_context("spawn")


class CancelledError(Exception):
    """The current job is no longer wanted."""


def _nothing(*_: Any) -> None:
    """Listen to nothing."""


@dataclass(eq=False)
class Ticket:
    """A job that was asked for, and its callbacks."""

    number: int
    call: bytes
    """The job and its arguments, pickled."""
    priority: int
    done: Callable[[Any], None]
    failed: Callable[[str], None]
    progress: Callable[[Stage], None]
    cancelled: bool = False
    finished: bool = False


@dataclass
class _Life:
    """One process and the line to it."""

    process: BaseProcess
    line: Connection
    sending: threading.Lock = field(default_factory=threading.Lock)


class Worker:
    """See the module."""

    def __init__(
        self,
        post: Post,
        *,
        environ: Mapping[str, str] | None = None,
        patience: float = 1.0,
    ) -> None:
        self._post = post
        self._environ = dict(environ or {})
        self._patience = patience
        self._numbers = itertools.count(1)
        self._waiting: list[Ticket] = []
        self._running: Ticket | None = None
        self._life: _Life | None = None
        self._paused = False
        self._closed = False

    # ---- asking ----------------------------------------------------------------------------------

    def submit(
        self,
        job: JobFunction,
        *,
        priority: int = 0,
        done: Callable[[Any], None] = _nothing,
        failed: Callable[[str], None] = _nothing,
        progress: Callable[[Stage], None] = _nothing,
        **arguments: Any,
    ) -> Ticket:
        """Ask for a job; lower priorities go first, equal ones in the order of asking."""
        call = pickle.dumps((job, arguments))
        ticket = Ticket(next(self._numbers), call, priority, done, failed, progress)
        self._waiting.append(ticket)
        self._waiting.sort(key=lambda t: (t.priority, t.number))
        self._next()
        return ticket

    def cancel(self, ticket: Ticket | None) -> None:
        """Stop this job as soon as possible; its callbacks are not called any more."""
        if ticket is None or ticket.finished or ticket.cancelled:
            return
        ticket.cancelled = True
        if ticket is not self._running:
            self._waiting.remove(ticket)
            return
        self._tell("cancel", ticket.number)
        life = self._life
        timer = threading.Timer(self._patience, self._post, [partial(self._lose, ticket, life)])
        timer.daemon = True
        timer.start()

    def pause(self, paused: bool) -> None:
        """Hold the queue, and the current job at its next report; or let them go on."""
        self._paused = paused
        self._tell("pause", paused)
        self._next()

    @property
    def busy(self) -> bool:
        """Whether anything is running or waiting."""
        return self._running is not None or bool(self._waiting)

    def start(self) -> None:
        """Start the process now rather than with the first job."""
        if self._life is None and not self._closed:
            here, there = _context.Pipe()
            process = _context.Process(target=serve, args=(there, self._environ), daemon=True)
            process.start()
            there.close()
            self._life = _Life(process, here)
            threading.Thread(target=self._listen, args=(self._life,), daemon=True).start()

    def close(self) -> None:
        """End the process and forget all jobs."""
        self._closed = True
        for ticket in self._waiting:
            ticket.cancelled = True
        self._waiting.clear()
        if self._running is not None:
            self._running.cancelled = True
        self._end()

    # ---- the queue -------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._running is None and self._waiting and not self._paused and not self._closed:
            self.start()
            self._running = ticket = self._waiting.pop(0)
            self._tell("job", ticket.number, ticket.call)

    def _tell(self, *message: Any) -> None:
        """Send to the process, if there is one. `_listen` notices if it has died."""
        if self._life is not None:
            with contextlib.suppress(OSError), self._life.sending:
                self._life.line.send(message)

    def _listen(self, life: _Life) -> None:
        """Runs in a thread of its own for every process."""
        try:
            while True:
                message = life.line.recv()
                self._post(partial(self._hear, life, *message))
        except (EOFError, OSError):
            self._post(partial(self._died, life))

    def _hear(self, life: _Life, kind: str, number: int, value: Any) -> None:
        ticket = self._running
        if life is not self._life or ticket is None or ticket.number != number:
            return
        if kind == "progress":
            if not ticket.cancelled:
                ticket.progress(value)
            return
        self._finish(ticket)
        if not ticket.cancelled:
            listener = ticket.done if kind == "done" else ticket.failed
            listener(value)
        self._next()

    def _finish(self, ticket: Ticket) -> None:
        ticket.finished = True
        self._running = None

    def _died(self, life: _Life) -> None:
        """The process has ended without being told to."""
        if life is not self._life:
            return
        self._end()
        ticket = self._running
        if ticket is not None:
            self._finish(ticket)
            if not ticket.cancelled:
                ticket.failed(
                    "the process that worked on this ended without a word; most likely memory ran "
                    "out: close other programs or try a smaller picture"
                )
        self._next()

    def _lose(self, ticket: Ticket, life: _Life | None) -> None:
        """End the process of a cancelled job that did not stop in time."""
        if self._running is ticket and life is self._life:
            self._finish(ticket)
            self._end()
            self._next()

    def _end(self) -> None:
        if self._life is not None:
            life, self._life = self._life, None
            life.process.kill()
            life.process.join(1)
            with contextlib.suppress(OSError):
                life.line.close()


# ---- the process's side --------------------------------------------------------------------------


class _Desk:
    """What the process's listening thread and its working thread share."""

    def __init__(self) -> None:
        self.unwanted: set[int] = set()
        self.going = threading.Event()
        self.going.set()


def serve(line: Connection, environ: Mapping[str, str]) -> None:
    """The process: does what comes in over `line` until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the window
    process.wait_asleep()
    os.environ.update(environ)
    # No warnings of large pictures; beyond twice the limit there is an error anyway.
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    if hasattr(os, "nice"):
        os.nice(5)  # the window goes first
    desk = _Desk()
    queue: list[tuple[int, bytes]] = []
    ready = threading.Semaphore(0)
    sending = threading.Lock()

    def send(kind: str, number: int, value: Any = None) -> None:
        with sending:
            line.send((kind, number, value))

    def listen() -> None:
        while True:
            try:
                kind, *rest = line.recv()
            except (EOFError, OSError):
                os._exit(0)  # the window is gone
            if kind == "cancel":
                desk.unwanted.add(rest[0])
                desk.going.set()
            elif kind == "pause":
                desk.going.clear() if rest[0] else desk.going.set()
            else:
                queue.append((rest[0], rest[1]))
                ready.release()

    threading.Thread(target=listen, daemon=True).start()
    while True:
        ready.acquire()
        number, call = queue.pop(0)
        try:
            # Here, not where it was received: what this imports may take seconds.
            job, arguments = pickle.loads(call)
            send("done", number, job(_reporter(number, desk, send), **arguments))
        except CancelledError:
            send("failed", number, "cancelled")  # which nobody hears
        except BaseException as error:
            if not isinstance(error, EXPECTED):
                traceback.print_exc()
            send("failed", number, sentence(error))


def _reporter(number: int, desk: _Desk, send: Callable[..., None]) -> Report:
    last, doing = 0.0, ""

    def report(share: float, phase: str = "", /) -> None:
        nonlocal last, doing
        desk.going.wait()
        if number in desk.unwanted:
            raise CancelledError
        now = time.monotonic()
        if now - last > 0.05 or phase not in ("", doing):
            last, doing = now, phase or doing
            send("progress", number, Stage(share, doing))

    return report


EXPECTED = (OSError, ValueError, SyntaxError, EOFError, MemoryError, ImportError)
"""Errors that come of pictures, settings and machines, not of mistakes in the program."""


def sentence(error: BaseException) -> str:
    """What went wrong, for people."""
    if isinstance(error, UnidentifiedImageError):
        return "this is no picture of a kind that Pillow can read"
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; close other programs or try a smaller picture"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    text = str(error).strip()
    if isinstance(error, (OSError, SyntaxError)) and "truncated" in text.lower():
        return "its end is missing; copy it again from where it came from"
    if isinstance(error, RuntimeError):
        return f"the codec gave up: {text}"
    if isinstance(error, EXPECTED) and text:
        return text
    return f"this should not have happened ({type(error).__name__}: {text}); please report it"
