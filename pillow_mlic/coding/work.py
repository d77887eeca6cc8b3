"""Work on a picture: how much is done, and where it is done."""

import threading
import warnings
from collections.abc import Callable
from typing import TypeVar

from ..errors import DeviceMemoryError
from .coding import Coding

T = TypeVar("T")
Progress = Callable[[float], object]
"""Called with the share done, 0..1; an exception that it raises cancels the work."""


class Steps:
    """Adds up work done, by any thread, and reports its share of the whole, in its own thread."""

    def __init__(self, progress: Progress | None, whole: int) -> None:
        self._progress = progress
        self._whole = whole
        self._sum = 0
        self._lock = threading.Lock()
        self._thread = threading.get_ident()
        self.done(0)

    def done(self, amount: int) -> None:
        """This amount of work has been done; another thread's is reported with the next."""
        with self._lock:
            self._sum += amount
        if self._progress is not None and threading.get_ident() == self._thread:
            self._progress(self._sum / self._whole)


def where_memory_suffices(work: Callable[[Coding], T], coding: Coding) -> T:
    """Do `work`; if the memory of the engine's device does not suffice, again on the CPU."""
    try:
        return work(coding)
    except DeviceMemoryError:
        if coding.engine.device == "cpu":
            raise
    warnings.warn(
        f"the memory of {coding.engine.device} does not suffice for this picture; "
        "the CPU does the work",
        RuntimeWarning,
        stacklevel=3,
    )
    return work(coding.on_cpu())
