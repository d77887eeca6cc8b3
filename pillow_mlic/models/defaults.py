"""How torch makes tensors, whatever the rest of the program has set, and in forked processes."""

import contextlib
import os
import threading
from collections.abc import Iterator

import torch

from .. import settings
from ..process import Counted, Lock


@contextlib.contextmanager
def _in_float32() -> Iterator[None]:
    saved = torch.get_default_dtype()
    if saved != torch.float32:
        torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        if saved != torch.float32:
            torch.set_default_dtype(saved)


_float32 = Counted(_in_float32)
"""New tensors have float32 numbers."""
_threads_lock = Lock()
_threads_inside: list[tuple[int, int]] = []
"""The threads of the program that are in `threads`: process and thread, as forks inherit them."""
_threads_before = 1
"""As many had torch when the first of them entered."""


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """So many threads for torch in the calling thread, and then as before.

    Threads that are new to torch begin with the number that was set last, whoever set it. So what
    one finds while others are inside may be theirs, and is not put back.
    """
    global _threads_before
    own = os.getpid(), threading.get_ident()
    with _threads_lock:
        _threads_inside[:] = [each for each in _threads_inside if each[0] == own[0]]
        before = torch.get_num_threads()
        if not _threads_inside:
            _threads_before = before
        elif own not in _threads_inside:
            before = _threads_before
        _threads_inside.append(own)
        torch.set_num_threads(number)
    try:
        yield
    finally:
        with _threads_lock:
            _threads_inside.remove(own)
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
            stack.enter_context(threads(1))
        stack.enter_context(_float32)
        if torch.get_default_device().type != "cpu":  # of this thread
            stack.enter_context(torch.device("cpu"))
        yield
