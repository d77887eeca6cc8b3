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
"""Matrices (n, k) and (k, m) to their product (n, m), a new array, all of float32."""


_INPUTS, _COLUMNS = 200, 48


def products_are_exact(product: Product = np.matmul) -> bool:
    """Whether products of known integers are right, whose sums reach nearly 2^24.

    Half of the columns have many weights of 6 bits, half of them two of 12 bits: 11 bits, as in
    TF32, bfloat16 or half precision, are too few for these, as they are for sums.
    """
    # A congruential generator of its own, the same everywhere: after n steps from 1 it is at
    # a^n + a^(n-1) + ... + 1, and overflowing is what it lives by.
    powers = np.full(2 * _INPUTS * _COLUMNS, 69069, np.uint32).cumprod(dtype=np.uint32)
    values = (1 + powers.cumsum(dtype=np.uint32)) >> 12
    first, second = values.astype(np.int64).reshape(2, _INPUTS, _COLUMNS)
    x = first.T % (2 * ACTIVATION + 1) - ACTIVATION
    weight = second % 81 - 40
    half = np.arange(_COLUMNS // 2)
    weight[:, half] = 0
    weight[2 * half, half] = 4093 - half
    weight[2 * half + 1, half] = half - 4093
    # Every second row has the largest sums there are.
    x[1::2] = np.where(weight.T[1::2] < 0, -ACTIVATION, ACTIVATION)
    if int(np.abs(weight).sum(0).max()) * ACTIVATION >= EXACT:
        return False
    exact = x @ weight  # of integers, which has no floating point in it
    near = product(x.astype(np.float32), (weight / 64).astype(np.float32))
    return bool(np.array_equal(near.astype(np.float64) * 64, exact))


@functools.cache
def require_exact_products(product: Product) -> None:
    """ArithmeticUnfitError where products are not exact; tried once in a process."""
    if not products_are_exact(product):
        msg = (
            "float32 matrix products of this machine are not exact, as if they were made in a "
            "shorter format; files of this kind would be garbled. Install torch and NumPy as PyPI "
            "has them"
        )
        raise ArithmeticUnfitError(msg)
