"""Convolutions on (B, C, H, W) memory, for comparison only.

Other programs use this memory layout and sum in another order. To see what that changes, run a
network within `planar_memory`; see `diagnostics.portability`.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from torch import Tensor
from torch.nn import functional as F

_planar: ContextVar[bool] = ContextVar("planar", default=False)


@contextlib.contextmanager
def planar_memory() -> Iterator[None]:
    """Within it, convolutions of this thread are computed on (B, C, H, W) memory."""
    token = _planar.set(True)
    try:
        yield
    finally:
        _planar.reset(token)


def is_planar() -> bool:
    """Whether the caller is within `planar_memory`."""
    return _planar.get()


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int = 1, groups: int = 1
) -> Tensor:
    """Convolution of x (B, H, W, C), padding k // 2, in the type of x."""
    x = x.permute(0, 3, 1, 2).contiguous()
    bias = None if bias is None else bias.to(x.dtype)
    weight = weight.to(x.dtype).contiguous()
    x = F.conv2d(x, weight, bias, stride, weight.shape[-1] // 2, groups=groups)
    return x.permute(0, 2, 3, 1).contiguous()
