"""Where the bits went, in colour."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Dark to bright, and evenly so: violet, magenta, orange, pale yellow.
_STOPS = np.array(
    [
        (13, 8, 50),
        (84, 15, 109),
        (157, 36, 104),
        (221, 73, 65),
        (250, 143, 28),
        (252, 220, 100),
    ],
    dtype=np.float64,
)
OPACITY = 0.78


class BitMap(NamedTuple):
    """Of every 16x16 block: its bits, and whether it lies in a lossless tile; (h, w) each."""

    bits: NDArray[np.float32]
    lossless: NDArray[np.bool_]


def runs(marked: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """Marked blocks in rows: (row, first column, column behind the last)."""
    edges = np.diff(marked.astype(np.int8), axis=1, prepend=0, append=0)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return [(int(y), int(x), int(end)) for (y, x), (_, end) in zip(starts, ends, strict=True)]


def colours(shares: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Shares in 0..1 of any shape -> RGB, with one more axis of 3."""
    places = np.clip(shares, 0, 1) * (len(_STOPS) - 1)
    lower = np.minimum(places.astype(int), len(_STOPS) - 2)
    rest = (places - lower)[..., None]
    mixed = _STOPS[lower] * (1 - rest) + _STOPS[lower + 1] * rest
    return np.asarray(mixed.round(), dtype=np.uint8)


def most(bits: NDArray[np.float32]) -> float:
    """Bits at the bright end of the scale: only a hundredth of the blocks has more."""
    return max(float(np.percentile(bits, 99)), 1.0)


def overlay(bits: NDArray[np.float32], top: float) -> NDArray[np.uint8]:
    """Bits of blocks (h, w) -> premultiplied BGRA (h, w, 4), to lie over the picture."""
    rgb = colours(bits.astype(np.float64) / top)
    out = np.empty((*bits.shape, 4), np.uint8)
    out[..., :3] = (rgb[..., ::-1] * OPACITY).round()
    out[..., 3] = round(255 * OPACITY)
    return out


def at(bits: NDArray[np.float32], x: int, y: int) -> float | None:
    """Bits of the block with pixel (x, y), if there is one."""
    row, column = y // 16, x // 16
    if 0 <= row < bits.shape[0] and 0 <= column < bits.shape[1]:
        return float(bits[row, column])
    return None
