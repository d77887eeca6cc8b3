"""Convolutions with a quarter of the multiplications, for inference on CPUs.

Winograd's minimal filtering (Lavin and Gray, arXiv 1509.09308): an r x r convolution of a tile of
n x n inputs gives m x m outputs, n = m + r - 1. With polynomials evaluated at n points a side it
takes n^2 products for each pair of channels instead of (m r)^2:

    inputs (n^2, T C_in)    --matrix (n^2, n^2)-->  (n^2, T, C_in)       T tiles
    weights (C_out C_in, r^2) --matrix (n^2, r^2)-->  (n^2, C_in, C_out)
    their products, point by point                    (n^2, T, C_out)
                            --matrix (m^2, n^2)-->  (m^2, T C_out)       outputs

Matrix products throughout, the largest of them n^2 at once. In float32 the points are chosen for
little rounding noise, about six times that of a direct convolution; in float64 it is 1e-13.
Tensors are channels-last.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

POINTS = {
    3: (0.0, 0.75, -0.75, 1.5, -1.5),
    5: (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5),
}
"""Where polynomials are evaluated, besides infinity, for kernels of 3 and of 5."""

OUTPUTS = 4
"""m: outputs along a tile's side."""

BAND = 96
"""At least how many tiles are worked on together; they about fit into a core's cache."""

PART = 1 << 19
"""About how many weights are transformed at a time, into four times as many numbers."""

LEAST_POSITIONS = 768
"""For maps with fewer positions the transformation of the weights costs more than it saves."""

LEAST_CHANNELS = 32
"""With fewer channels on either side, that of inputs and outputs costs more than it saves."""


class Matrices(NamedTuple):
    """The constant matrices for both dimensions at once: Kronecker squares."""

    inputs: Tensor
    weights: Tensor
    outputs: Tensor


class Band(NamedTuple):
    """Rows `start` to `stop` of sample `sample`: values (1, stop - start, W, C_out).

    The memory of `values` is used again for the next band.
    """

    sample: int
    start: int
    stop: int
    values: Tensor


def pays(x: Tensor, weight: Tensor) -> bool:
    """Whether the convolution of x (B, H, W, C_in) with stride 1 is faster (and safe) this way."""
    c_out, c_in, kernel, _ = weight.shape
    return (
        not torch.is_grad_enabled()
        and x.device.type == "cpu"
        # Kernels of 5 would cost too many digits of float32.
        and (kernel == 3 or (kernel == 5 and x.dtype == torch.float64))
        and x.dtype in (torch.float32, torch.float64)
        and min(c_in, c_out) >= LEAST_CHANNELS
        and x.shape[1] * x.shape[2] >= LEAST_POSITIONS
    )


def bands(x: Tensor, weight: Tensor, bias: Tensor | None) -> Iterator[Band]:
    """Convolution of x (B, H, W, C_in) by weight (C_out, C_in, r, r), zero padding, band by band.

    In the type of x.
    """
    batch, height, width, c_in = x.shape
    c_out, _, kernel, _ = weight.shape
    m, n = OUTPUTS, OUTPUTS + kernel - 1
    matrices = _matrices(kernel, x.dtype)
    across = -(-width // m)
    down = min(-(-BAND // across), -(-height // m))
    count = down * across
    starts = range(0, height, down * m)
    bias = x.new_zeros(c_out) if bias is None else bias.to(x.dtype)

    parts = -(-weight.numel() // PART)
    step = -(-c_out // parts)
    transformed: Iterator[Tensor] | list[Tensor] = (
        _transform(weight[i : i + step], matrices) for i in range(0, c_out, step)
    )
    if len(starts) * batch > 1:  # they are needed again
        transformed = list(transformed)

    rows = x.new_zeros(down * m + kernel - 1, across * m + kernel - 1, c_in)
    row, column, _ = rows.stride()
    tiles = rows.as_strided(
        (n, n, down, across, c_in), (row, column, m * row, m * column, 1)
    )  # overlapping
    packed = x.new_empty(n, n, down, across, c_in)
    points = x.new_empty(n * n, count * c_in)
    out = x.new_empty(down * m, across * m, c_out)
    out_tiles = out.view(down, m, across, m, c_out)
    for sample in range(batch):
        for start in starts:
            _copy_rows(x[sample], start - kernel // 2, rows, kernel // 2)
            packed.copy_(tiles)
            torch.mm(matrices.inputs, packed.view(n * n, -1), out=points)
            first = 0
            for part in transformed:
                channels = slice(first, first + part.shape[2])
                products = torch.bmm(points.view(n * n, count, c_in), part)
                result = (matrices.outputs @ products.view(n * n, -1)).view(m, m, down, across, -1)
                torch.add(
                    result.permute(2, 0, 3, 1, 4), bias[channels], out=out_tiles[..., channels]
                )
                first = channels.stop
            stop = min(start + down * m, height)
            yield Band(sample, start, stop, out[None, : stop - start, :width])


def _transform(weight: Tensor, matrices: Matrices) -> Tensor:
    """Weights (C_out, C_in, r, r) -> (n^2, C_in, C_out)."""
    c_out, c_in = weight.shape[:2]
    # Transposed as a matrix first, then in long pieces: at once would be a number at a time.
    taps = weight.flatten(1).T.contiguous().view(c_in, -1, c_out).transpose(0, 1)
    taps = taps.to(matrices.weights.dtype, memory_format=torch.contiguous_format)
    return (matrices.weights @ taps.reshape(len(taps), -1)).view(-1, c_in, c_out)


def _copy_rows(x: Tensor, start: int, rows: Tensor, margin: int) -> None:
    """Rows of x (H, W, C) from `start` on into `rows`, zero where x has none."""
    stop = start + rows.shape[0]
    low, high = max(start, 0), min(stop, x.shape[0])
    rows[: low - start].zero_()
    rows[low - start : high - start, margin : margin + x.shape[1]] = x[low:high]
    rows[high - start :].zero_()


def _matrices(kernel: int, dtype: torch.dtype) -> Matrices:
    return Matrices(*(torch.from_numpy(a).to(dtype) for a in _both_sides(kernel)))


@functools.cache
def _both_sides(kernel: int) -> tuple[NDArray[np.floating[Any]], ...]:
    """Arrays, not tensors: those belong to the mode they were made in (inference, no values)."""
    return tuple(np.kron(a, a) for a in one_side(kernel))


def one_side(kernel: int) -> tuple[NDArray[np.float64], ...]:
    """The matrices for one dimension: inputs (n, n), weights (n, r), outputs (m, n).

    Weights become values of a polynomial at the points, and so (transposed) do products become
    outputs. Rows of the first matrix are coefficients of the points' Lagrange polynomials and, for
    the point at infinity, of the polynomial that vanishes at all the others.
    """
    points = POINTS[kernel]
    n = len(points) + 1
    inputs = np.zeros((n, n))
    for i, point in enumerate(points):
        others = np.array(points[:i] + points[i + 1 :])
        inputs[i, : n - 1] = np.poly(others)[::-1] / np.prod(point - others)
    inputs[-1] = np.poly(points)[::-1]
    powers = np.vander(points, n, increasing=True)
    weights = np.vstack([powers[:, :kernel], np.eye(kernel)[-1]])
    outputs = np.vstack([powers[:, :OUTPUTS], np.eye(OUTPUTS)[-1]]).T
    # A power of two moves between the first two, so that rows of both are of about the same size.
    ratio = np.abs(inputs).sum(1) / np.abs(weights).sum(1)
    balance = 2.0 ** np.round(np.log2(ratio) / 2)
    return inputs / balance[:, None], weights * balance[:, None], outputs
