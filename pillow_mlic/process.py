"""What belongs to the whole process: locks, and state that is changed for a while.

Both hold in the child of a fork, where of all threads only the one that forked goes on.
"""

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


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
