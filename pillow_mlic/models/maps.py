"""What global contexts look at: rows of their attention.

Linear attention never holds the matrix of all queries with all keys, but a row of it is cheap.
"""

from typing import Any

import torch
from torch import Tensor

from .layers.checkerboard import ANCHOR, NON_ANCHOR, keep, put, take
from .layers.masked_attention import patches


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
    queries = context.queries(keep(previous, NON_ANCHOR))
    return _row_of_anchors(queries, context.keys(keep(previous, ANCHOR)), at, context.heads)


def guided_map(context: Any, guide: Tensor, at: tuple[int, int]) -> Tensor | None:
    """The same with a guide (1, h, w, G) that is known at every position."""
    return _row_of_anchors(context.queries(guide), context.keys(guide), at, context.heads)


def _row_of_anchors(
    queries: Tensor, keys: Tensor, at: tuple[int, int], heads: int
) -> Tensor | None:
    """Weights (h, w) of anchors; queries and keys (1, h, w, C)."""
    if sum(at) % 2:
        return None
    keys = take(keys, ANCHOR)
    weights = linear_attention_row(queries[0][at], keys[0].flatten(0, 1), heads)
    return put(weights.view(1, *keys.shape[1:3], 1), ANCHOR)[0, :, :, 0]


def patch_row(
    maps: list[Tensor],
    size: tuple[int, int],
    at: tuple[int, int],
    asking: int,
    asked: int | None,
) -> Tensor:
    """One query's row of maps by patch (`layers.masked_attention`), as weights (h, w).

    `asking`: the half of the checkerboard that queries are at; `asked`: that of the keys, or None
    for all positions.
    """
    found = maps[0].new_zeros(size)
    for (rows, columns), weights in zip(patches(*size), maps, strict=True):
        if rows.start <= at[0] < rows.stop and columns.start <= at[1] < columns.stop:
            height, width = rows.stop - rows.start, columns.stop - columns.start
            places = torch.arange(height * width).view(1, height, width, 1)
            own = (at[0] - rows.start) * width + at[1] - columns.start
            query = int((take(places, asking).flatten() == own).nonzero())
            keys = places if asked is None else take(places, asked)
            part = maps[0].new_zeros(height * width)
            part[keys.flatten()] = weights[0, query]
            found[rows, columns] = part.view(height, width)
    return found
