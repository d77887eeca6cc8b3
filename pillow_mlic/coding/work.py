"""Work on a picture: how much is done, and where it is done."""

import warnings
from collections.abc import Callable
from typing import TypeVar

from ..errors import DeviceMemoryError
from .coding import Coding

T = TypeVar("T")
Progress = Callable[[float], object]
"""Called with the share done, 0..1; an exception that it raises cancels the work."""


class Steps:
    """Adds up work done and reports its share of the whole."""

    def __init__(self, progress: Progress | None, whole: int) -> None:
        self._progress = progress
        self._whole = whole
        self._sum = 0
        self.done(0)

    def done(self, amount: int) -> None:
        """Report that this amount of work has been done."""
        self._sum += amount
        if self._progress is not None:
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
