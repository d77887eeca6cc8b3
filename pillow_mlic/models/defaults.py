"""How torch makes tensors, whatever the rest of the program has set, and in forked processes."""

import contextlib
from collections.abc import Iterator

import torch

from .. import settings
from ..process import Changed


def _to_float32() -> torch.dtype:
    before = torch.get_default_dtype()
    _set_dtype(torch.float32)
    return before


def _set_dtype(kind: torch.dtype) -> None:
    if torch.get_default_dtype() != kind:
        torch.set_default_dtype(kind)


_float32 = Changed(_to_float32, _set_dtype)
"""New tensors have float32 numbers."""


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
