"""How torch makes tensors, whatever the rest of the program has set, and in forked processes."""

import contextlib
import threading
from collections.abc import Iterator

import torch

from .. import settings


class _Float32:
    """While entered, by any thread, new tensors have float32 numbers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = torch.float32

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = torch.get_default_dtype()
                if self._saved != torch.float32:
                    torch.set_default_dtype(torch.float32)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._saved != torch.float32:
                torch.set_default_dtype(self._saved)


_float32 = _Float32()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def numbered(device: torch.device) -> torch.device:
    """The device by its only name: "cuda" is "cuda:0" or the caller's current one, "cpu:0" "cpu".

    Raises what torch raises where it is not there.
    """
    if device.type == "cpu":
        return torch.device("cpu")
    return torch.empty(0, device=device).device


@contextlib.contextmanager
def plain_defaults() -> Iterator[None]:
    """New tensors in float32 and on the CPU where nothing else is said; then as before.

    In the child of a fork with one thread.
    """
    with contextlib.ExitStack() as stack:
        if settings.forked_with_torch():
            stack.enter_context(_one_thread())
        stack.enter_context(_float32)
        if torch.get_default_device().type != "cpu":  # of this thread
            stack.enter_context(torch.device("cpu"))
        yield
