"""Attention contexts of MLIC++: local over a checkerboard window, global at linear cost.

The ideas are MLIC's (arXiv 2211.07273, sections 3.4.2, 3.5.1 and 3.5.2), the linear form and all
details those of the published MLIC++ (arXiv 2307.15421). (B, H, W, C) layout; anchors and
non-anchors are those of `checkerboard`.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .checkerboard import ANCHOR, NON_ANCHOR, keep, put, take, windows
from .constants import constant
from .conv import Conv2d, LayerNorm, Linear

MASKED = -1e4
"""Added to the logits of pairs of an anchor and a pixel that is not one.

The published code adds -100. Their weight of e^-100 is negligible even in float64, but it is a
subnormal number in float32, and CPUs multiply those a hundred times slower.
"""

BAND = 256
"""About how many windows are worked on together, so that they fit into a core's cache."""


class Mlp(nn.Module):
    """Linear, GELU, linear over the last axis."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LocalContext(nn.Module):
    """Checkerboard attention: anchors (B, H, W, c), zero elsewhere -> context of non-anchors.

    (B, H, W/2, 2c), packed as by `checkerboard.take`. Every non-anchor has a window of k x k around
    it. Within the window every pixel attends to every other; a convolution as large as the window
    then turns it into one pixel.

        anchors -> LN -> q, k, v -> windows -> attention -> fusion -> linear -> + MLP(LN)

    Three details that trained weights depend on: pixels outside the picture have q = k = v = 0
    (not the bias); channel d * heads + h of q, k, v belongs to head h, while the heads' results
    are put one after the other; and the rows of non-anchors attend to the whole window, since the
    mask is the same everywhere in them.
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
        self.qkv_proj = Linear(channels, 3 * channels)
        self.proj = Linear(width, width)
        self.mlp = Mlp(width, 2 * width)
        self.norm1 = LayerNorm(channels)
        self.norm2 = LayerNorm(width)
        self.fusion = nn.Conv2d(channels, width, window)

    def forward(self, anchors: Tensor) -> Tensor:
        batch, height, width, _ = anchors.shape
        q, k, v, shared = self._projections(anchors)
        inside = anchors.new_ones(batch, height, width, 1)
        reach = self.window // 2
        margin = (0, 0, reach, reach, reach, reach)
        pairs = F.pad(torch.cat([q, k], -1), margin).flatten(0, 2)
        singles = F.pad(torch.cat([v, shared, inside], -1), margin).flatten(0, 2)
        index = windows(batch, height, width, self.window, NON_ANCHOR, anchors.device)
        # In a window's order of rows, anchors are the odd pixels.
        border = _border_windows(batch, height, width, reach, anchors.device)
        attended = self._attend(
            F.embedding(index[1::2], pairs), F.embedding(index, singles), border
        )
        weight = self.fusion.weight.to(anchors.dtype).permute(0, 2, 3, 1).flatten(1)
        bias = self.fusion.bias
        assert bias is not None  # as it was made
        context = self.proj(F.linear(attended.flatten(1), weight, bias.to(anchors.dtype)))
        context = context + self.mlp(self.norm2(context))
        return context.view(batch, height, width // 2, -1)

    def _projections(self, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """q (scaled), k, v, each (B, H, W, c) and head by head, and shared (B, H, W, heads).

        `shared` are the products of k with the one query that all zero pixels have.
        """
        channels = anchors.shape[-1]
        size = channels // self.heads

        def by_head(parameter: Tensor) -> Tensor:
            parts = parameter.to(anchors.dtype).unflatten(0, (3, size, self.heads))
            return parts.transpose(1, 2).flatten(0, 2)

        weight, bias = by_head(self.qkv_proj.weight), by_head(self.qkv_proj.bias)
        q, k, v = F.linear(self.norm1(anchors), weight, bias).chunk(3, -1)
        of_zero = F.linear(self.norm1(anchors.new_zeros(channels)), weight, bias)
        shared = (k * of_zero[:channels]).unflatten(-1, (self.heads, size)).sum(-1)
        return q * size**-0.5, k, v, shared * size**-0.5

    def _attend(self, pairs: Tensor, singles: Tensor, border: Tensor) -> Tensor:
        """Attention within L windows: -> (L, k k, c).

        pairs (k k // 2, L, 2c): q and k of the anchors; singles (k k, L, c + heads + 1): v,
        products with the shared query and ones of all pixels; all are zero outside of the picture.
        border: the numbers of the windows that reach outside.
        """
        channels = pairs.shape[-1] // 2
        size = channels // self.heads
        positions = self.relative_position_table.to(pairs.dtype)[self.relative_position_index]
        positions = positions.permute(2, 0, 1)
        values, shared, inside = singles.split((channels, self.heads, 1), -1)
        inside = inside[..., 0]
        masked = (MASKED * (1 - inside[1::2])).T[:, None]
        count = values.shape[1]
        out = values.new_empty(count, len(values), channels)
        for head in range(self.heads):
            part = slice(head * size, (head + 1) * size)
            q, k = pairs[..., :channels][..., part], pairs[..., channels:][..., part]
            v, position = values[..., part], positions[head]
            logits = torch.bmm(q.transpose(0, 1), k.permute(1, 2, 0))
            logits = logits + position[1::2, 1::2] + masked
            # A softmax by hand: torch's is slow in short rows.
            weights = (logits - logits.amax(-1, keepdim=True)).exp()
            top = weights @ v[1::2].transpose(0, 1)
            out[:, 1::2, part] = top / weights.sum(-1, keepdim=True)
            # e^(key + position) is a product: no more than two matrix products for all windows.
            key = (shared[..., head] - shared[..., head].amax(0)).exp()
            place = (position[0::2] - position.amax()).exp()
            top = (place @ (key[..., None] * v).flatten(1)).unflatten(1, (count, size))
            out[:, 0::2, part] = (top / (place @ key)[..., None]).transpose(0, 1)
        # Pixels outside the picture have a query of zero.
        near = values[:, border].unflatten(-1, (self.heads, size))
        means = torch.einsum("hpq,qlhd->lphd", positions.softmax(-1), near).flatten(2)
        outside = inside.T[border, :, None] == 0
        out[border] = torch.where(outside, means, out[border])
        return out


@constant
def _border_windows(
    batch: int, height: int, width: int, reach: int, device: torch.device
) -> Tensor:
    """Which non-anchors, counted in their packed order, have a window that leaves the picture.

    It uses only sizes, so that `complexity` can count a network whose tensors have no values.
    """
    row, column = np.mgrid[:height, :width]
    to_edge = np.minimum(np.minimum(row, height - 1 - row), np.minimum(column, width - 1 - column))[
        (row + column) % 2 == NON_ANCHOR
    ]
    found = np.flatnonzero(np.tile(to_edge, batch) < reach).tolist()
    return torch.tensor(found, device=device)


def _relative_positions(window: int) -> Tensor:
    """Row of the position table for each pair of pixels of a window: (k k, k k), integers."""
    pixel = torch.arange(window**2)
    row, column = pixel // window, pixel % window
    dy, dx = row[:, None] - row, column[:, None] - column
    return (dy + window - 1) * (2 * window - 1) + dx + window - 1


def _linear_attention(queries: Tensor, keys: Tensor, values: Tensor, heads: int) -> Tensor:
    """Queries (B, n, C), keys and values (B, m, C) -> softmax(Q) (softmax(K)^T V), (B, n, C).

    Queries are normalised over the channels of a head, keys over positions, so the cost is linear
    in both n and m (Shen et al., arXiv 1812.01243). Heads are contiguous channels.
    """
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (queries, keys, values))
    context = k.softmax(2).transpose(2, 3) @ v
    return (q.softmax(3) @ context).transpose(1, 2).flatten(2)


def projection(channels: int) -> nn.Sequential:
    """1x1 convolution, then a depthwise 3x3 one."""
    return nn.Sequential(Conv2d(channels, channels, 1), Conv2d(channels, channels, groups=channels))


def conv_mlp(c_in: int, hidden: int, c_out: int, groups: int | None = None) -> nn.Sequential:
    """1x1 convolution, 3x3 (depthwise unless told otherwise), 1x1, with GELU between."""
    return nn.Sequential(
        Conv2d(c_in, hidden, 1),
        nn.GELU(),
        Conv2d(hidden, hidden, groups=groups or hidden),
        nn.GELU(),
        Conv2d(hidden, c_out, 1),
    )


class InterSliceContext(nn.Module):
    """Global context from finished slices: (B, H, W, c i) -> (B, H, W, 2c), i heads."""

    def __init__(self, channels: int, slices: int) -> None:
        super().__init__()
        self.heads = slices
        total, middle, out = channels * slices, 3 * channels, 2 * channels
        self.keys = projection(total)
        self.queries = projection(total)
        self.values = projection(total)
        self.reprojection = Conv2d(total, middle, 5)
        self.mlp = conv_mlp(middle, 2 * out, out)
        self.skip = Conv2d(middle, out, 1)

    def forward(self, previous: Tensor) -> Tensor:
        projections = (self.queries, self.keys, self.values)
        q, k, v = (projection(previous).flatten(1, 2) for projection in projections)
        out = _linear_attention(q, k, v, self.heads).view(previous.shape)
        out = self.reprojection(out)
        return self.skip(out) + self.mlp(out)


class IntraSliceContext(nn.Module):
    """Global context of non-anchors from anchors: two (B, H, W, c) -> (B, H, W, 2c).

    The previous slice is known at both, and says which anchors are similar to which non-anchors.
    By this similarity the current slice's anchors are carried over.
    """

    def __init__(self, channels: int, heads: int = 2) -> None:
        super().__init__()
        self.heads = heads
        out = 2 * channels
        self.keys = projection(channels)
        self.queries = projection(channels)
        self.values = projection(channels)
        self.reprojection = Conv2d(channels, out, 5)
        self.mlp = conv_mlp(out, 2 * out, out)

    def forward(self, previous: Tensor, anchors: Tensor) -> Tensor:
        q = take(self.queries(keep(previous, NON_ANCHOR)), NON_ANCHOR)
        k = take(self.keys(keep(previous, ANCHOR)), ANCHOR)
        v = take(self.values(anchors), ANCHOR)
        out = _linear_attention(q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), self.heads)
        out = self.reprojection(put(out.view(q.shape), NON_ANCHOR))
        return out + self.mlp(out)
