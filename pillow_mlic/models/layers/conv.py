"""Convolutions and other linear layers on channels-last tensors, in the type of their input.

nn.Conv2d, nn.Linear and nn.LayerNorm with the same parameters, but

- tensors are (B, H, W, C) or (..., C): in this layout CPUs run them fastest;
- weights are converted to the type of the input, layer by layer: a network of float32 weights
  computes in float64 when it is given float64, and no copy of it is kept;
- what follows a convolution pixel by pixel (`finish`) may be handed to it. On a CPU convolutions
  work in bands of rows (see `winograd`), and what follows then finds them in the cache.
"""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import planar, winograd
from .blocks import depth_to_space

WIDENED = 1 << 20
"""About how many weights exist in float64 at a time."""

Finish = Callable[..., Tensor]
"""Turns (B, h, W, C) of some rows, and the same rows of further tensors, into a result.

The result may have more rows and columns, by whole factors.
"""


def _as_it_is(x: Tensor) -> Tensor:
    return x


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: int = 1,
    groups: int = 1,
    finish: Finish = _as_it_is,
    others: tuple[Tensor, ...] = (),
    overwrite: bool = False,
) -> Tensor:
    """finish(convolution of x (B, H, W, C), padding k // 2, *others); others (B, H f, W f, ...).

    Heights of `others` are those of the convolution's result, or multiples. With `overwrite` the
    result may take the place of the first of them.
    """
    if planar.is_planar():
        return finish(planar.convolve(x, weight, bias, stride, groups), *others)
    if stride != 1 or groups != 1 or not winograd.pays(x, weight):
        return finish(_direct(x, weight, bias, stride, groups), *others)
    batch, height = x.shape[:2]
    out = others[0] if overwrite else None
    for band in winograd.bands(x, weight, bias):

        def rows(of: Tensor, band: winograd.Band = band) -> Tensor:
            factor = of.shape[1] // height
            return of[band.sample, None, band.start * factor : band.stop * factor]

        done = finish(band.values, *map(rows, others))
        if out is None:
            factor = done.shape[1] // band.values.shape[1]
            out = done.new_empty(batch, height * factor, *done.shape[2:])
        rows(out).copy_(done)
    assert out is not None
    return out


def _direct(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, groups: int) -> Tensor:
    bias = None if bias is None else bias.to(x.dtype)
    kernel = weight.shape[-1]
    if kernel == stride == groups == 1:
        return F.linear(x, weight.to(x.dtype).flatten(1), bias)
    if x.dtype == torch.float64 and x.device.type == "cpu" and not torch.is_grad_enabled():
        if groups == x.shape[-1]:
            return _depthwise(x, weight.to(x.dtype), bias)
        if groups == 1:
            return _patch_product(x, weight, bias, stride)
    x = x.permute(0, 3, 1, 2)
    x = F.conv2d(x, weight.to(x.dtype), bias, stride, kernel // 2, groups=groups)
    return x.permute(0, 2, 3, 1)


def _patch_product(x: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """Patches times weights: conv2d takes two to three times as long in float64.

    Weights are widened a part at a time.
    """
    batch, height, width, c_in = x.shape
    c_out, _, kernel, _ = weight.shape
    margin = kernel // 2
    padded = F.pad(x, (0, 0, margin, margin, margin, margin))
    size = (batch, -(-height // stride), -(-width // stride))
    sample, row, column, _ = padded.stride()
    patches = padded.as_strided(
        (*size, c_in, kernel, kernel), (sample, stride * row, stride * column, 1, row, column)
    ).reshape(-1, c_in * kernel**2)
    out = x.new_empty(len(patches), c_out)
    step = max(WIDENED // patches.shape[1], 16)
    for start in range(0, c_out, step):
        part = weight[start : start + step].to(x.dtype).flatten(1)
        torch.mm(patches, part.T, out=out[:, start : start + step])
    if bias is not None:
        out += bias
    return out.view(*size, c_out)


def _depthwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Tap by tap: five times as fast as conv2d, which has no depthwise one in float64."""
    height, width = x.shape[1:3]
    kernel = weight.shape[-1]
    padded = F.pad(x, (0, 0, *2 * (kernel // 2, kernel // 2)))
    taps = weight[:, 0].permute(1, 2, 0).contiguous()
    out = torch.zeros_like(x) if bias is None else bias.expand(x.shape).contiguous()
    for i, j in product(range(kernel), repeat=2):
        out.addcmul_(padded[:, i : i + height, j : j + width], taps[i, j])
    return out


class Conv2d(nn.Conv2d):
    """(B, H, W, c_in) -> (B, H, W, c_out), each side divided by the stride; padding k // 2.

    Called with `finish` and further tensors, it returns what `finish` makes of its result.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__(c_in, c_out, kernel, stride, kernel // 2, groups=groups)

    def forward(
        self, x: Tensor, finish: Finish = _as_it_is, *others: Tensor, overwrite: bool = False
    ) -> Tensor:
        stride, groups = self.stride[0], self.groups
        return convolve(x, self.weight, self.bias, stride, groups, finish, others, overwrite)


class ConvTranspose2d(nn.ConvTranspose2d):
    """(B, H, W, c_in) -> (B, 2H, 2W, c_out): transposed convolution of stride 2."""

    def __init__(self, c_in: int, c_out: int, kernel: int) -> None:
        super().__init__(c_in, c_out, kernel, 2, kernel // 2, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        weight, bias = self.weight.to(x.dtype), None if self.bias is None else self.bias.to(x.dtype)
        margin = self.kernel_size[0] // 2
        x = F.conv_transpose2d(x.permute(0, 3, 1, 2), weight, bias, 2, margin, 1)
        return x.permute(0, 2, 3, 1)


class SubpixelConv(nn.Sequential):
    """(B, H, W, c_in) -> (B, 2H, 2W, c_out): 3x3 convolution, then pixel shuffle.

    A `finish` gets the result after the shuffle.
    """

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(Conv2d(c_in, 4 * c_out))

    def forward(self, x: Tensor, finish: Finish = _as_it_is, *others: Tensor) -> Tensor:
        conv = self[0]
        assert isinstance(conv, Conv2d)  # as it was made
        weight, bias = conv.weight, conv.bias
        # Stored weights have the four pixels of a channel side by side (as torch's PixelShuffle
        # wants them); with all channels of a pixel side by side, longer pieces of memory move.
        regroup = weight.numel() < x.shape[:3].numel() * weight.shape[0]
        if regroup:
            weight = weight.unflatten(0, (-1, 4)).transpose(0, 1).flatten(0, 1)
            bias = None if bias is None else bias.unflatten(0, (-1, 4)).T.flatten()

        def shuffled(y: Tensor, *others: Tensor) -> Tensor:
            if regroup:
                y = depth_to_space(y, 2)
            else:
                y = F.pixel_shuffle(y.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
            return finish(y, *others)

        return convolve(x, weight, bias, finish=shuffled, others=others)


class Linear(nn.Linear):
    """(..., c_in) -> (..., c_out)."""

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return F.linear(x, self.weight.to(x.dtype), bias)


class LayerNorm(nn.LayerNorm):
    """(..., c) -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        return F.layer_norm(x, self.normalized_shape, weight, bias, self.eps)
