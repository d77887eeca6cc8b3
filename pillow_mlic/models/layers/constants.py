"""Tensors that depend on sizes alone: made once for each size and device, and kept.

On a GPU a tensor made on the CPU is a copy to wait for, and the walk would make the same ones in
every step.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import torch
from torch import Tensor

KEPT = 16
"""How many tensors of a kind are kept: those of a few sizes of tiles."""

_fresh: ContextVar[bool] = ContextVar("fresh", default=False)


@contextlib.contextmanager
def fresh_constants() -> Iterator[None]:
    """Within it nothing is kept, nor what was kept used: for tensors without values."""
    token = _fresh.set(True)
    try:
        yield
    finally:
        _fresh.reset(token)


def constant(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Decorates a function of hashable arguments, the device the last, that makes a tensor."""

    @functools.lru_cache(maxsize=KEPT)
    def kept(*args: object) -> Tensor:
        with torch.inference_mode(False):  # gradients may be wanted later
            return make(*args)

    @functools.wraps(make)
    def get(*args: object) -> Tensor:
        return make(*args) if _fresh.get() else kept(*args)

    return get
