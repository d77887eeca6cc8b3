"""Local means in Gaussian windows, with gradients: what all measures here look through.

A window is applied along the columns, then along the rows. Up to `LARGEST` pixels a side that is a
product with a matrix, whose columns are the windows: more multiplications than a convolution's, but
four times as fast there and back on a CPU, as no depthwise convolution there is good at few planes.
"""

from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

LARGEST = 512
"""Longer sides are convolved: a matrix grows with the square of the side."""

Border = Literal["reflect", "symmetric", "zero", "valid"]
"""What is beyond the sides: the picture mirrored, without or with its outermost pixels twice, or
zeros. `valid`: only windows that lie within the picture."""


def blur(
    x: Tensor,
    sigma: float,
    radius: int,
    rows: Border = "reflect",
    columns: Border | None = None,
    stride: int = 1,
) -> Tensor:
    """Planes (B, C, H, W) in Gaussian windows, 2 radius + 1 pixels a side; every `stride`-th mean.

    `rows`: what is above and below, `columns`: to the left and right, by default the same.
    """
    down = _along(x.transpose(-1, -2), sigma, radius, rows, stride)
    return _along(down.transpose(-1, -2), sigma, radius, columns or rows, stride)


def _along(x: Tensor, sigma: float, radius: int, border: Border, stride: int) -> Tensor:
    """Along the last dimension."""
    size = x.shape[-1]
    if size <= LARGEST:
        matrix = _matrix(size, sigma, radius, border, stride, x.dtype, x.device)
        return x @ matrix
    window = _window(sigma, radius, x.dtype, x.device).expand(x.shape[1], 1, 1, -1)
    return F.conv2d(_widened(x, radius, border), window, groups=x.shape[1], stride=(1, stride))


def _widened(x: Tensor, radius: int, border: Border) -> Tensor:
    """With `radius` more values at either end of the last dimension."""
    if border == "valid":
        return x
    if border == "symmetric":
        first, last = x[..., :radius], x[..., x.shape[-1] - radius :]
        return torch.cat((first.flip(-1), x, last.flip(-1)), -1)
    if border == "zero":
        return F.pad(x, (radius, radius))
    return F.pad(x, (radius, radius, 0, 0), mode="reflect")


@cache
def _matrix(
    size: int,
    sigma: float,
    radius: int,
    border: Border,
    stride: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """What a line (size,) is multiplied with, (size, means)."""
    with torch.inference_mode(False):  # it is cached, and gradients may be wanted later
        # A line for each pixel that is 1 there and 0 elsewhere shows what every mean takes of it.
        lines = _widened(torch.eye(size, dtype=torch.float64)[None, None], radius, border)
        window = _window(sigma, radius, torch.float64, torch.device("cpu"))
        means = F.conv2d(lines, window.expand(1, 1, 1, -1), stride=(1, stride))
        return means[0, 0].to(device, dtype).contiguous()


@cache
def _window(sigma: float, radius: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        place = torch.arange(-radius, radius + 1, dtype=torch.float64)
        window = torch.exp(-(place**2) / (2 * sigma**2))
        return (window / window.sum()).to(device, dtype)
