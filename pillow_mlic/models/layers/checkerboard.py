"""The two halves of a checkerboard, packed densely so that nothing is computed twice.

Anchors are the positions with row + column odd, non-anchors the others (as in MLIC++):

    n a n a        packed anchors       packed non-anchors
    a n a n   ->   (0,1) (0,3)     and  (0,0) (0,2)
                   (1,0) (1,2)          (1,1) (1,3)
"""

import torch
from torch import Tensor

from .constants import constant

ANCHOR, NON_ANCHOR = 1, 0


def take(x: Tensor, half: int) -> Tensor:
    """One half of (B, H, W, C), H and W even, as (B, H, W/2, C): columns close up."""
    b, h, w, c = x.shape
    even = x[:, 0::2, half::2]
    odd = x[:, 1::2, 1 - half :: 2]
    return torch.stack((even, odd), dim=2).reshape(b, h, w // 2, c)


def put(packed: Tensor, half: int) -> Tensor:
    """Inverse of `take`: (B, H, W/2, C) -> (B, H, W, C), zero at the other half."""
    b, h, w, c = packed.shape
    zeros = torch.zeros_like(packed)
    even, odd = packed[:, 0::2], packed[:, 1::2]
    zero = zeros[:, 0::2]
    rows_even = torch.stack((even, zero) if half == 0 else (zero, even), dim=3)
    rows_odd = torch.stack((zero, odd) if half == 0 else (odd, zero), dim=3)
    return torch.stack((rows_even, rows_odd), dim=2).reshape(b, h, 2 * w, c)


def keep(x: Tensor, half: int) -> Tensor:
    """One half of (B, H, W, C), zero at the other."""
    kept = torch.zeros_like(x)
    kept[:, 0::2, half::2] = x[:, 0::2, half::2]
    kept[:, 1::2, 1 - half :: 2] = x[:, 1::2, 1 - half :: 2]
    return kept


@constant
def windows(
    batch: int, height: int, width: int, side: int, half: int, device: torch.device
) -> Tensor:
    """Indexes of the pixels of the side x side windows around one half's positions.

    (side^2, B H W / 2): rows of a (B, H, W, C) map after a margin of side // 2 was added all round
    and it was flattened to (n, C), for `torch.nn.functional.embedding`. If a window is read row by
    row, the other half's pixels are the odd ones.
    """
    outer = (height + side - 1, width + side - 1)
    pixel = torch.arange(batch * outer[0] * outer[1], device=device).view(batch, *outer, 1)
    corner = take(pixel[:, :height, :width], half)
    offset = pixel[0, :side, :side]
    return offset.reshape(-1, 1) + corner.flatten()
