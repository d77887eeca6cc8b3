"""Contexts of MLICv2 (Jiang et al., arXiv 2504.19119, section 3.4).

They are those of MLIC++ with rotary position embedding in place of position tables, gate blocks in
place of MLPs, and a second stage, which weighs the channels of a context against each other. The
first slice has a global context, too: similarity is taken from the hyper parameters. (B, H, W, C)
layout; anchors and non-anchors are those of `checkerboard`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import MASKED, projection
from .checkerboard import ANCHOR, NON_ANCHOR, put, take, windows
from .conv import Conv2d, LayerNorm, Linear
from .rotary import Rotary
from .token_mixing import Gate


class Reweighting(nn.Module):
    """Attention between the channels of a context: (B, H, W, C) -> the same (3.4.2, figure 4).

        x -> q, k, v;  softmax(q^T k / positions) v -> + x -> + gate block

    The paper has no scale in the softmax. Here products are divided by the number of positions, so
    that the map of C x C does not depend on the picture's size.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = Linear(width, 3 * width)
        self.gate = Gate(width)

    def weights(self, x: Tensor) -> Tensor:
        """How much each channel (row) takes of each (column): (B, C, C), rows add up to 1."""
        return self._attend(x)[0]

    def forward(self, x: Tensor) -> Tensor:
        weights, values = self._attend(x)
        x = x + (values @ weights.transpose(1, 2)).view(x.shape)
        return x + self.gate(x)

    def _attend(self, x: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = self.qkv(x.flatten(1, 2)).chunk(3, dim=-1)
        return (q.transpose(1, 2) @ k / q.shape[1]).softmax(-1), v


def _linear_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Normalised queries (B, n, C) and keys (B, m, C), values (B, m, V) -> (B, n, V)."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    return (q @ (k.transpose(2, 3) @ v)).transpose(1, 2).flatten(2)


def _by_head(x: Tensor, heads: int) -> Tensor:
    """Softmax over the channels of each head, (..., C)."""
    return x.unflatten(-1, (heads, -1)).softmax(-1).flatten(-2)


class InterSliceContext(nn.Module):
    """Global context from finished slices: (B, H, W, c i) -> (B, H, W, 2c), i heads."""

    def __init__(self, channels: int, slices: int) -> None:
        super().__init__()
        self.heads = slices
        total, out = channels * slices, 2 * channels
        self.keys = projection(total)
        self.queries = projection(total)
        self.values = projection(total)
        self.rotary = Rotary(total, slices)
        self.reprojection = Conv2d(total, out, 5)
        self.gate = Gate(out)
        self.reweighting = Reweighting(out)

    def forward(self, previous: Tensor) -> Tensor:
        queries = _by_head(self.queries(previous), self.heads)
        keys = self.keys(previous).flatten(1, 2).softmax(1).view(previous.shape)
        q, k = (self.rotary(x).flatten(1, 2) for x in (queries, keys))
        gathered = _linear_attention(q, k, self.values(previous).flatten(1, 2), self.heads)
        x = self.reprojection(gathered.view(previous.shape))
        return self.reweighting(x + self.gate(x))


class GuidedContext(nn.Module):
    """Global context of non-anchors from anchors: (B, H, W, G), (B, H, W, c) -> (B, H, W/2, 2c).

    A guide that is known everywhere says which anchors are similar to which non-anchors: the
    previous slice or, for the first slice, the hyper parameters (3.4.1, equation 8).
    """

    def __init__(self, guide: int, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        out = 2 * channels
        self.keys = projection(guide)
        self.queries = projection(guide)
        self.values = projection(channels)
        self.rotary = Rotary(guide, heads)
        self.reprojection = Conv2d(channels, out, 5)
        self.gate = Gate(out)
        self.reweighting = Reweighting(out)

    def similarity(self, guide: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised queries of non-anchors and keys of anchors, (B, H W / 2, G) each."""
        queries = _by_head(self.queries(guide), self.heads)
        keys = take(self.keys(guide), ANCHOR)
        keys = put(keys.flatten(1, 2).softmax(1).view(keys.shape), ANCHOR)
        q, k = self.rotary(queries), self.rotary(keys)
        return take(q, NON_ANCHOR).flatten(1, 2), take(k, ANCHOR).flatten(1, 2)

    def forward(self, guide: Tensor, anchors: Tensor) -> Tensor:
        q, k = self.similarity(guide)
        v = take(self.values(anchors), ANCHOR)
        gathered = _linear_attention(q, k, v.flatten(1, 2), self.heads).view(v.shape)
        x = take(self.reprojection(put(gathered, NON_ANCHOR)), NON_ANCHOR)
        return self.reweighting(x + self.gate(x))


class RotaryLocalContext(nn.Module):
    """Checkerboard attention: anchors (B, H, W, c), zero elsewhere -> non-anchors (B, H, W/2, 2c).

    Within the window of k x k around a non-anchor the anchors attend to each other; a linear map
    turns them into one vector.
    """

    def __init__(self, channels: int, window: int, heads: int = 2) -> None:
        super().__init__()
        self.window, self.heads = window, heads
        width = 2 * channels
        self.norm1 = LayerNorm(channels)
        self.qkv = Linear(channels, 3 * channels)
        self.rotary = Rotary(channels, heads)
        self.fusion = Linear(window**2 // 2 * channels, width)
        self.norm2 = LayerNorm(width)
        self.gate = Gate(width)

    def forward(self, anchors: Tensor) -> Tensor:
        batch, height, width, channels = anchors.shape
        q, k, v = self.qkv(self.norm1(anchors)).chunk(3, dim=-1)
        inside = torch.ones_like(q[..., :1])
        parts = torch.cat([self.rotary(q), self.rotary(k), v, inside], dim=-1)
        reach = self.window // 2
        parts = F.pad(parts, (0, 0, reach, reach, reach, reach)).flatten(0, 2)
        # In a window's order of rows, anchors are the odd pixels.
        index = windows(batch, height, width, self.window, NON_ANCHOR, anchors.device)[1::2].T
        q, k, v, inside = F.embedding(index, parts).split([channels] * 3 + [1], dim=-1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        logits = q @ k.transpose(2, 3) * q.shape[-1] ** -0.5
        logits = logits + MASKED * (1 - inside.transpose(1, 2))[:, None]
        found = (logits.softmax(-1) @ v).transpose(1, 2).flatten(2) * inside
        x = self.fusion(found.flatten(1))
        x = x + self.gate(self.norm2(x))
        return x.view(batch, height, width // 2, -1)
