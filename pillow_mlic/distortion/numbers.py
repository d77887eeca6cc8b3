"""The fixed numbers of the measures as tensors: copied once to each device, and kept there."""

from functools import cache
from typing import Any

import torch
from torch import Tensor


def numbers(values: tuple[Any, ...], like: Tensor) -> Tensor:
    """`values`, nested tuples of one shape, in the type and on the device of `like`.

    Nobody may change what this gives: it is the same tensor every time.
    """
    return _kept(values, like.dtype, like.device)


@cache
def _kept(values: tuple[Any, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # gradients may be wanted later
        return torch.tensor(values, dtype=dtype, device=device)
