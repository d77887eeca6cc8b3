"""The local engine: worker processes, each fed by a thread here.

For each job, one line of JSON goes to a worker. A line comes back for each picture, then an empty
one. A worker ends when its input does, and in the middle of a picture when the main process is
gone: none outlives one that was killed (on Windows by its current job at most).
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import order as orders
from .manifest import Record
from .order import Job, Order
from .work import BatchWorker, reject

TRIES = 2
"""A picture is rejected when this many workers have died on it."""
READY = "ready"
LOOK = 1.0
"""Seconds between a worker's looks at whether there is a main process."""
PATIENCE = 10.0
"""Seconds that a worker gets to clean up when work is cancelled."""


def here(order: Order, jobs: Iterable[Job]) -> Iterator[Record]:
    """Work in this process, one job after another."""
    worker = BatchWorker(order)
    for job in jobs:
        yield from worker(job)


def run(order: Order, jobs: Iterable[Job], workers: int) -> Iterator[Record]:
    """Work in processes; records come in the order in which pictures are done. Jobs are taken one
    by one, as workers come to them.

    Closing the iterator stops the workers; unfinished outputs are removed.
    """
    pool = _Pool(order, (_Task(job) for job in jobs))
    threads = [threading.Thread(target=pool.serve, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            # With a time limit, as on Windows nothing else lets Ctrl-C through.
            try:
                got = pool.results.get(timeout=0.5)
            except queue.Empty:
                continue
            if isinstance(got, Exception):
                raise got
            if got is None:
                running -= 1
            else:
                yield got
    finally:
        pool.stop()
        for thread in threads:
            thread.join(PATIENCE)


@dataclass
class _Task:
    job: Job
    tries: int = 0


@dataclass
class _Pool:
    order: Order
    tasks: Iterator[_Task]
    again: list[_Task] = field(default_factory=list)
    """Pictures whose worker died."""
    results: "queue.Queue[Record | Exception | None]" = field(default_factory=queue.Queue)
    _running: "set[subprocess.Popen[str]]" = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def serve(self) -> None:
        """Keep one worker busy until nothing is left."""
        try:
            process = None
            while (task := self._next()) is not None:
                process = process or self._start()
                if process is not None and not self._work(process, task):
                    process = None
            if process is not None:
                self._end(process)
        except Exception as error:
            self.results.put(error)
        self.results.put(None)

    def _next(self) -> _Task | None:
        """What is to be done next; None where nothing is left, or work was stopped."""
        with self._lock:
            if self._stopped:
                return None
            return self.again.pop() if self.again else next(self.tasks, None)

    def stop(self) -> None:
        """End all workers."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()

    def _start(self) -> "subprocess.Popen[str] | None":
        """A worker that has loaded what it needs; None if work was stopped meanwhile."""
        threads = str(self.order.threads)
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import worker; worker()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": threads,
                    "MKL_NUM_THREADS": threads,
                    "OPENBLAS_NUM_THREADS": threads,
                    "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
                },
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for the main process, which tells the others
            )
            self._running.add(process)
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # it has ended, which is seen below
            process.stdin.write(json.dumps(asdict(self.order)) + "\n")
            process.stdin.flush()
        if process.stdout.readline().strip() != READY and not self._stopped:
            self._end(process)
            msg = "a worker process could not be started; its own message is above"
            raise OSError(msg)
        return process

    def _work(self, process: "subprocess.Popen[str]", task: _Task) -> bool:
        """Let a worker do one job; -> whether it is still alive."""
        assert process.stdin is not None
        assert process.stdout is not None
        left = {item.source.name: item for item in task.job if not item.done}
        with contextlib.suppress(OSError):  # it has ended, which is seen below
            process.stdin.write(orders.dump(task.job) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            if line == "\n":
                return True
            record = json.loads(line)
            left.pop(record["input"], None)
            self.results.put(record)
        self._end(process)
        if self._stopped:
            return False
        for item in left.values():  # one by one: who was to blame?
            if task.tries + 1 < TRIES or len(task.job) > 1:
                self.again.append(_Task([item], task.tries + 1 if len(task.job) == 1 else 0))
            else:
                how = f"ended with {process.returncode}"
                if process.returncode < 0:
                    how = f"was ended by signal {-process.returncode}"
                reason = f"the process that worked on it {how}; does the memory suffice?"
                self.results.put(reject(item, reason))
        return False

    def _end(self, process: "subprocess.Popen[str]") -> None:
        """Let a worker end by itself."""
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):  # what was in the pipe finds no reader
            process.stdin.close()
        process.wait()
        process.stdout.close()
        with self._lock:
            self._running.discard(process)


def worker() -> None:
    """What a worker process runs: jobs from standard input, records to standard output."""
    import signal

    def leave(*_: object) -> None:
        sys.exit(1)

    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    # Whatever prints goes to standard error: standard output is the parent's.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lines = sys.stdin
    work = BatchWorker(Order(**json.loads(lines.readline())))
    try:
        print(READY, file=out, flush=True)
        for line in lines:
            for record in work(orders.load(line)):
                print(json.dumps(record), file=out, flush=True)
            print(file=out, flush=True)
    except BrokenPipeError:
        os._exit(1)  # the main process is gone: nobody reads the rest


def _watch(parent: int) -> None:
    """End this process, tidily, when its parent is gone. (On Windows it never seems to be.)"""
    import signal

    while os.getppid() == parent:
        time.sleep(LOOK)
    os.kill(os.getpid(), signal.SIGTERM)
