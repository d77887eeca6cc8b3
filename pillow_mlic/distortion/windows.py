"""Local means in Gaussian windows, with gradients: what all measures here look through."""

from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

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
    # All planes as those of one picture: on a CPU a depthwise convolution of few planes of many
    # pictures takes nine times as long.
    planes = x.flatten(0, 1)[None]
    window = _window(sigma, radius, x.dtype, x.device).expand(planes.shape[1], 1, -1)
    planes = _widened(planes, -2, radius, rows)
    planes = F.conv2d(planes, window[..., None], groups=len(window), stride=(stride, 1))
    planes = _widened(planes, -1, radius, columns or rows)
    planes = F.conv2d(planes, window[:, :, None], groups=len(window), stride=(1, stride))
    return planes.view(*x.shape[:2], *planes.shape[-2:])


def _widened(x: Tensor, dim: int, radius: int, border: Border) -> Tensor:
    """With `radius` more rows (`dim` -2) or columns (-1) at either end."""
    if border == "valid":
        return x
    if border == "symmetric":
        first, last = x.narrow(dim, 0, radius), x.narrow(dim, x.shape[dim] - radius, radius)
        return torch.cat((first.flip(dim), x, last.flip(dim)), dim)
    sides = (radius, radius, 0, 0) if dim == -1 else (0, 0, radius, radius)
    return F.pad(x, sides, mode="constant" if border == "zero" else "reflect")


@cache
def _window(sigma: float, radius: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # it is cached, and gradients may be wanted later
        place = torch.arange(-radius, radius + 1, dtype=torch.float64)
        window = torch.exp(-(place**2) / (2 * sigma**2))
        return (window / window.sum()).to(device, dtype)
