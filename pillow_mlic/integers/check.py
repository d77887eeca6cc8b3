"""Whether this machine's float32 products of integers are exact, tried on known ones."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import MlicError
from .numbers import ACTIVATION, EXACT


class ArithmeticUnfitError(MlicError):
    """This machine's products are not what float32 products must be."""


Product = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[Any]]


def products_are_exact(product: Product = np.matmul) -> bool:
    """Whether products of known integers are right, whose sums reach nearly 2^24."""
    state = 1
    values = []
    for _ in range(300 * 48):  # a generator of its own: the same numbers everywhere
        state = state * 69069 + 1 & 0xFFFFFFFF
        values.append(state >> 20)
    x = np.array(values, np.int64).reshape(48, 300)[:, :200] % (2 * ACTIVATION + 1) - ACTIVATION
    weight = np.array(values, np.int64).reshape(300, 48) % 83 - 41
    weight = weight[:200]
    most = int(np.abs(weight).sum(0).max()) * ACTIVATION
    x[0] = np.where(weight[:, 0] < 0, -ACTIVATION, ACTIVATION)  # the largest sum there is
    exact = (x[:, :, None] * weight[None]).sum(1)
    near = product(x.astype(np.float32), (weight / 64).astype(np.float32))
    return most < EXACT and bool(np.array_equal(near.astype(np.float64) * 64, exact))


@functools.cache
def require_exact_products() -> None:
    """ArithmeticUnfitError where products are not exact; tried once in a process."""
    if not products_are_exact():
        msg = (
            "float32 matrix products of this machine's NumPy are not exact, as if they were made "
            "in a shorter format; files of this kind would be garbled. Install NumPy as PyPI has it"
        )
        raise ArithmeticUnfitError(msg)
