"""Attention contexts of MLIC++: local over a checkerboard window, global at linear cost.

The ideas are MLIC's (arXiv 2211.07273, sections 3.4.2, 3.5.1 and 3.5.2), the linear form and all
details those of the published MLIC++ (arXiv 2307.15421). (B, C, H, W) layout; anchors and
non-anchors are those of `checkerboard`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .checkerboard import ANCHOR, NON_ANCHOR, put, take
from .residual import conv

MASKED = -100.0
"""Added to the logits of pairs that are not two anchors; the published weights expect this."""


def take_half(x: Tensor, half: int) -> Tensor:
    """`checkerboard.take` for (B, C, H, W) -> (B, C, H, W/2)."""
    return take(x.permute(0, 2, 3, 1), half).permute(0, 3, 1, 2)


def put_half(packed: Tensor, half: int) -> Tensor:
    """`checkerboard.put` for (B, C, H, W/2) -> (B, C, H, W)."""
    return put(packed.permute(0, 2, 3, 1), half).permute(0, 3, 1, 2)


def keep_half(x: Tensor, half: int) -> Tensor:
    """One half of (B, C, H, W), zero at the other."""
    kept = torch.zeros_like(x)
    kept[..., 0::2, half::2] = x[..., 0::2, half::2]
    kept[..., 1::2, 1 - half :: 2] = x[..., 1::2, 1 - half :: 2]
    return kept


class Mlp(nn.Module):
    """Linear, GELU, linear over the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LocalContext(nn.Module):
    """Checkerboard attention: anchors (B, c, H, W), zero elsewhere -> context (B, 2c, H, W).

    Every pixel has a window of k x k around it, and within the window every pixel attends to every
    other; a convolution as large as the window then makes one pixel of it.

        anchors -> LN -> q, k, v -> windows -> attention -> fusion -> linear -> + MLP(LN)

    Three details that trained weights depend on: pixels outside the picture have q = k = v = 0
    (not the bias); channel d * heads + h of q, k, v belongs to head h, while the heads' results
    are put one after the other; and the rows of non-anchors, masked everywhere alike, attend to
    the whole window.
    """

    relative_position_index: Tensor

    def __init__(self, channels: int, window: int = 5, heads: int = 2) -> None:
        super().__init__()
        self.window, self.heads = window, heads
        width = 2 * channels
        self.relative_position_table = nn.Parameter(
            0.02 * torch.randn((2 * window - 1) ** 2, heads)
        )
        self.register_buffer("relative_position_index", _relative_positions(window))
        self.qkv_proj = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(width, width)
        self.mlp = Mlp(width, 2 * width)
        self.norm1 = nn.LayerNorm(channels)
        self.norm2 = nn.LayerNorm(width)
        self.fusion = nn.Conv2d(channels, width, window)

    def forward(self, anchors: Tensor) -> Tensor:
        b, c, height, width = anchors.shape
        x = self.norm1(anchors.permute(0, 2, 3, 1))
        windows = self._windows(self.qkv_proj(x).permute(0, 3, 1, 2))
        # (B, 3 c, k k, L) -> q, k, v (B, L, heads, k k, c / heads), L = H W
        windows = windows.reshape(b, 3, c // self.heads, self.heads, self.window**2, -1)
        q, k, v = windows.permute(1, 0, 5, 3, 4, 2)
        bias = self.relative_position_table[self.relative_position_index].permute(2, 0, 1)
        logits = (q * (c // self.heads) ** -0.5) @ k.transpose(-1, -2) + bias
        logits = logits + self._mask(height, width, anchors)
        out = logits.softmax(-1) @ v
        # -> (B, L, c k k), head by head: a k x k convolution without padding is a matrix product
        out = out.transpose(-1, -2).reshape(b, height * width, -1)
        out = self.proj(F.linear(out, self.fusion.weight.flatten(1), self.fusion.bias))
        out = out + self.mlp(self.norm2(out))
        return out.transpose(1, 2).reshape(b, -1, height, width)

    def _windows(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, k k, H W): the window around every pixel, zero outside."""
        b, c, h, w = x.shape
        return F.unfold(x, self.window, padding=self.window // 2).reshape(b, c, -1, h * w)

    def _mask(self, height: int, width: int, like: Tensor) -> Tensor:
        """(H W, 1, k k, k k): 0 where both pixels are anchors inside the picture, else -100."""
        anchor = keep_half(like.new_ones(1, 1, height, width), ANCHOR)
        anchor = self._windows(anchor)[0, 0].T
        return MASKED * (1 - anchor[:, None, :, None] * anchor[:, None, None, :])


def _relative_positions(window: int) -> Tensor:
    """Row of the position table for each pair of pixels of a window: (k k, k k), integers."""
    pixel = torch.arange(window**2)
    row, column = pixel // window, pixel % window
    dy, dx = row[:, None] - row, column[:, None] - column
    return (dy + window - 1) * (2 * window - 1) + dx + window - 1


def _linear_attention(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Queries (B, C, n), keys and values (B, C, m) -> softmax(Q) (softmax(K)^T V), (B, C, n).

    Queries are normalised over the channels of a head, keys over positions, so the cost is linear
    in both n and m (Shen et al., arXiv 1812.01243). Heads are contiguous channels.
    """
    q = queries.unflatten(1, (heads, -1)).softmax(2)
    k = keys.unflatten(1, (heads, -1)).softmax(3)
    v = values.unflatten(1, (heads, -1))
    return ((v @ k.transpose(2, 3)) @ q).flatten(1, 2)


def _projection(channels: int) -> nn.Sequential:
    """1x1 convolution, then a depthwise 3x3 one."""
    return nn.Sequential(conv(channels, channels, 1), conv(channels, channels, groups=channels))


def _conv_mlp(c_in: int, hidden: int, c_out: int) -> nn.Sequential:
    """1x1 convolution, depthwise 3x3, 1x1, with GELU between."""
    return nn.Sequential(
        conv(c_in, hidden, 1),
        nn.GELU(),
        conv(hidden, hidden, groups=hidden),
        nn.GELU(),
        conv(hidden, c_out, 1),
    )


class InterSliceContext(nn.Module):
    """Global context from finished slices: (B, c i, H, W) -> (B, 2c, H, W), i heads."""

    def __init__(self, channels: int, slices: int) -> None:
        super().__init__()
        self.heads = slices
        total, middle, out = channels * slices, 3 * channels, 2 * channels
        self.keys = _projection(total)
        self.queries = _projection(total)
        self.values = _projection(total)
        self.reprojection = conv(total, middle, 5)
        self.mlp = _conv_mlp(middle, 2 * out, out)
        self.skip = conv(middle, out, 1)

    def forward(self, previous: Tensor) -> Tensor:
        projections = (self.queries, self.keys, self.values)
        q, k, v = (projection(previous).flatten(2) for projection in projections)
        out = _linear_attention(q, k, v, self.heads).reshape(previous.shape)
        out = self.reprojection(out)
        return self.skip(out) + self.mlp(out)


class IntraSliceContext(nn.Module):
    """Global context of non-anchors from anchors: two (B, c, H, W) -> (B, 2c, H, W).

    The previous slice says which anchors are like which non-anchors (it is known at both), the
    current slice's anchors are what is carried over.
    """

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        out = 2 * channels
        self.keys = _projection(channels)
        self.queries = _projection(channels)
        self.values = _projection(channels)
        self.reprojection = conv(channels, out, 5)
        self.mlp = _conv_mlp(out, 2 * out, out)

    def forward(self, previous: Tensor, anchors: Tensor) -> Tensor:
        q = take_half(self.queries(keep_half(previous, NON_ANCHOR)), NON_ANCHOR)
        k = take_half(self.keys(keep_half(previous, ANCHOR)), ANCHOR)
        v = take_half(self.values(anchors), ANCHOR)
        out = _linear_attention(q.flatten(2), k.flatten(2), v.flatten(2), self.heads)
        out = self.reprojection(put_half(out.reshape(q.shape), NON_ANCHOR))
        return out + self.mlp(out)
