"""What belongs to the whole process: locks, and state that is changed for a while.

Both hold in the child of a fork, where of all threads only the one that forked goes on.
"""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


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


class Changed(Generic[T]):
    """State of the process that is another while any thread is inside, and then as it was.

    `change` changes it and returns what `restore` needs to put it back. In the child of a fork
    nobody is inside, and it is put back.
    """

    def __init__(self, change: Callable[[], T], restore: Callable[[T], object]) -> None:
        self._change, self._restore = change, restore
        self._lock = threading.Lock()
        self._inside: list[T] = []
        """What to restore, once for each that is inside."""
        after_fork(self)

    def __enter__(self) -> None:
        with self._lock:
            self._inside.append(self._inside[0] if self._inside else self._change())

    def __exit__(self, *_: object) -> None:
        with self._lock:
            before = self._inside.pop()
            if not self._inside:
                self._restore(before)

    def renew(self) -> None:
        """As if all had left."""
        self._lock = threading.Lock()
        if self._inside:
            self._restore(self._inside[0])
            self._inside.clear()


def _renew_all() -> None:
    for each in list(_to_renew):
        each.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
