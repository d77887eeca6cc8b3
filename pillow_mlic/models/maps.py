"""What global contexts look at: the weights of attention that is linear in the number of positions.

Linear attention never holds the matrix of all queries with all keys, but a row of it is cheap.
"""

from typing import Any

import torch
from torch import Tensor

from .layers.checkerboard import ANCHOR, NON_ANCHOR, keep, put, take


def linear_attention_row(query: Tensor, keys: Tensor, heads: int) -> Tensor:
    """Weights (n,), sum 1, of all positions for one query (C,); keys (n, C), mean of the heads.

    As in softmax(Q) (softmax(K)^T V): queries normalised over the channels of a head, keys over
    positions (Shen et al., arXiv 1812.01243).
    """
    q = query.unflatten(0, (heads, -1)).softmax(1)
    k = keys.unflatten(1, (heads, -1)).softmax(0)
    return torch.einsum("hc,nhc->n", q, k) / heads


def inter_slice_map(context: Any, previous: Tensor, at: tuple[int, int]) -> Tensor:
    """Weights (h, w) in finished slices (1, h, w, c i) for the latent at (row, column).

    `context` has `queries`, `keys` and `heads`.
    """
    query = context.queries(previous)[0][at]
    keys = context.keys(previous)[0].flatten(0, 1)
    return linear_attention_row(query, keys, context.heads).view(previous.shape[1:3])


def intra_slice_map(context: Any, previous: Tensor, at: tuple[int, int]) -> Tensor | None:
    """Weights (h, w) of a slice's anchors for its non-anchor at (row, column); None for anchors.

    By the slice before, (1, h, w, c), which is known at both.
    """
    if sum(at) % 2:
        return None
    query = context.queries(keep(previous, NON_ANCHOR))[0][at]
    keys = take(context.keys(keep(previous, ANCHOR)), ANCHOR)
    weights = linear_attention_row(query, keys[0].flatten(0, 1), context.heads)
    return put(weights.view(1, *keys.shape[1:3], 1), ANCHOR)[0, :, :, 0]
