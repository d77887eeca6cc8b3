"""What belongs to the whole process: locks, state that is changed for a while, NumPy's threads.

Locks and state hold in the child of a fork, where of all threads only the one that forked goes on.
"""

import importlib
import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

_PATIENCE, _CYCLES = "OPENBLAS_THREAD_TIMEOUT", "20"


def load_numpy() -> None:
    """Import NumPy, if nobody has yet, with threads that sleep soon.

    Those of its OpenBLAS look for work for 2^28 cycles, a tenth of a second, from the moment that
    it is loaded: a fifth of the time that a fresh process takes for a picture. 2^20 are enough for
    products one after the other. Who says in the environment how long they do is heeded.
    """
    if "numpy" in sys.modules or _PATIENCE in os.environ:
        return
    os.environ[_PATIENCE] = _CYCLES
    try:
        importlib.import_module("numpy")
    finally:
        os.environ.pop(_PATIENCE, None)


def wait_asleep() -> None:
    """In a process of our own, before NumPy or torch is loaded: let their threads sleep while they
    wait, and those of processes that it starts.

    They would spin. Where other programs want the cores, too, that makes coding ten times slower.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault(_PATIENCE, _CYCLES)


class Renewed(Protocol):
    """What `after_fork` knows."""

    def renew(self) -> None:
        """As if no other thread had ever used it."""


_to_renew: "weakref.WeakSet[Renewed]" = weakref.WeakSet()


def after_fork(each: Renewed) -> None:
    """Have it renewed in the child of every fork, as long as it lives."""
    _to_renew.add(each)


class Lock:
    """A lock that the thread which holds it may take again. The child of a fork finds it free."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        after_fork(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def renew(self) -> None:
        """Free it, whoever held it."""
        self._lock = threading.RLock()


class Counted:
    """A state of the whole process that holds while any thread is inside.

    The first one that enters makes it, by a context manager of `make`; the last one that leaves
    ends it. If each put back what it found, one could find what another had set. In the child of a
    fork nobody is inside, and it is ended.
    """

    def __init__(self, make: Callable[[], AbstractContextManager[object]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._inside = 0
        after_fork(self)

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._made = self._make()
                self._made.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._made.__exit__(None, None, None)

    def renew(self) -> None:
        """As if all had left."""
        self._lock = threading.Lock()
        if self._inside:
            self._inside = 0
            self._made.__exit__(None, None, None)


def _renew_all() -> None:
    for each in list(_to_renew):
        each.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
