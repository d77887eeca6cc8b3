"""Global contexts of MLIC and MLIC+: attention over all positions, at quadratic cost.

MLIC (arXiv 2211.07273), sections 3.5.1 and 3.5.2 and appendices C and F. (B, H, W, C) layout;
anchors and non-anchors are those of `checkerboard`.

    queries, keys -> maps: softmax(Q K^T / sqrt(C) + mask)          one a patch
    maps, values  -> convolution -> + values -> + FFN               context

Maps larger than `WHOLE` positions are cut into patches of 28 x 28 (448 pixels a side). Attention
stays within a patch: appendix F finds no difference, and memory grows only with the picture's area.
"""

import torch
from torch import Tensor, nn

from .attention import conv_mlp
from .checkerboard import ANCHOR, NON_ANCHOR, keep, put, take
from .constants import constant
from .conv import Conv2d, Linear

WHOLE = 1536
"""Maps of up to this many positions have no patches: that of a picture of 768 x 512 pixels."""

PATCH = 28
"""Side of a patch in positions."""

Patch = tuple[slice, slice]


def patches(height: int, width: int) -> list[Patch]:
    """Rows and columns of the patches of a map; they begin at even positions."""
    side = max(height, width) if height * width <= WHOLE else PATCH
    return [
        (slice(y, min(y + side, height)), slice(x, min(x + side, width)))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]


def _attention(queries: Tensor, keys: Tensor, mask: Tensor | None = None) -> Tensor:
    """Map (B, n, m) of queries (B, n, C) over keys (B, m, C), 0 where `mask` (n, m) is true.

    A query whose keys are all masked sees all of them.
    """
    logits = queries @ keys.transpose(1, 2) * queries.shape[-1] ** -0.5
    if mask is not None:
        mask = mask & ~mask.all(-1, keepdim=True)
        logits = logits.masked_fill(mask, -torch.inf)
    return logits.softmax(-1)


@constant
def _near(height: int, width: int, window: int, depth: int, device: torch.device) -> Tensor:
    """Whether an anchor (column) reaches a non-anchor (row) in `depth` steps within the window,
    each from one half of the checkerboard to the other: (n, n), booleans."""
    sides = (torch.arange(side, device=device) for side in (height, width))
    y, x = torch.meshgrid(*sides, indexing="ij")
    place = torch.stack((y, x), -1)[None]
    ours, theirs = (take(place, half).flatten(0, 2) for half in (NON_ANCHOR, ANCHOR))
    distance = (ours[:, None] - theirs).abs()
    reach = window // 2  # a step that changes halves is an odd number of positions, in all
    return (distance.amax(-1) <= depth * reach) & (distance.sum(-1) <= depth * (2 * reach - 1))


class IntraSliceMaps(nn.Module):
    """How similar each non-anchor of a slice is to each anchor: (B, H, W, c) -> a map a patch.

    Anchors within reach of the local context are masked: they are used there already, and are so
    similar that hardly any weight would be left for the rest. `depth`: how many convolutions that
    context has; attention sees as far as one.
    """

    def __init__(self, channels: int, window: int, depth: int = 1) -> None:
        super().__init__()
        self.window, self.depth = window, depth
        self.queries = Linear(channels, channels)
        self.keys = Linear(channels, channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        q, k = self.queries(x), self.keys(x)
        maps = []
        for rows, columns in patches(*x.shape[1:3]):
            part = (slice(None), rows, columns)
            ours, theirs = take(q[part], NON_ANCHOR), take(k[part], ANCHOR)
            height, width = ours.shape[1], 2 * ours.shape[2]
            mask = _near(height, width, self.window, self.depth, x.device)
            maps.append(_attention(ours.flatten(1, 2), theirs.flatten(1, 2), mask))
        return maps


class _Fusion(nn.Module):
    """The gathered values and the values themselves, (B, H, W, 2c) -> context (B, H, W, 2c)."""

    def __init__(self, channels: int, window: int) -> None:
        super().__init__()
        self.values = Linear(channels, 2 * channels)
        self.fusion = Conv2d(2 * channels, 2 * channels, window)
        self.mlp = conv_mlp(2 * channels, 4 * channels, 2 * channels, groups=1)

    def fuse(self, gathered: Tensor, values: Tensor) -> Tensor:
        x = self.fusion(gathered) + values
        return x + self.mlp(x)


class IntraSliceAttention(_Fusion):
    """Context of non-anchors from anchors; maps of another slice say which of them are similar.

    Maps of `IntraSliceMaps` and anchors (B, H, W, c), zero elsewhere -> (B, H, W, 2c).
    """

    def forward(self, maps: list[Tensor], anchors: Tensor) -> Tensor:
        values = keep(self.values(anchors), ANCHOR)
        gathered = torch.zeros_like(values)
        for (rows, columns), weights in zip(patches(*anchors.shape[1:3]), maps, strict=True):
            part = (slice(None), rows, columns)
            carried = take(values[part], ANCHOR)
            out = weights @ carried.flatten(1, 2)
            gathered[part] = put(out.view(carried.shape), NON_ANCHOR)
        return self.fuse(gathered, values)


class InterSliceAttention(_Fusion):
    """Context of non-anchors from the previous slice: two (B, H, W, c) -> (B, H, W, 2c).

    The slice's anchors make the queries, since the non-anchors are not known yet; the convolution
    carries the results to the non-anchors beside them.
    """

    def __init__(self, channels: int, window: int) -> None:
        super().__init__(channels, window)
        self.queries = Linear(channels, channels)
        self.keys = Linear(channels, channels)

    def maps(self, previous: Tensor, anchors: Tensor) -> list[Tensor]:
        """How much each anchor takes of each position: a map a patch."""
        q, k = self.queries(anchors), self.keys(previous)
        maps = []
        for rows, columns in patches(*anchors.shape[1:3]):
            part = (slice(None), rows, columns)
            maps.append(_attention(take(q[part], ANCHOR).flatten(1, 2), k[part].flatten(1, 2)))
        return maps

    def forward(self, previous: Tensor, anchors: Tensor) -> Tensor:
        values, maps = self.values(previous), self.maps(previous, anchors)
        gathered = torch.zeros_like(values)
        for (rows, columns), weights in zip(patches(*anchors.shape[1:3]), maps, strict=True):
            part = (slice(None), rows, columns)
            out = weights @ values[part].flatten(1, 2)
            half = take(values[part], ANCHOR)
            gathered[part] = put(out.view(half.shape), ANCHOR)
        return self.fuse(gathered, values)
