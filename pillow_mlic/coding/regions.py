"""Transforms of pictures of any size: region by region, each with a halo of what is around it.

A region is widened by the reach of the transform (`Model.halo`) before it is transformed, and what
was added is cut off again. So its result depends neither on where regions begin and end nor on how
memory was split, and no seam can exist. A model whose transforms reach everywhere has no halo:
there each tile of the format is transformed by itself.

All boxes are (left, top, right, bottom) in pixels of the padded picture, multiples of 16.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..models.base import Model

Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]

LATENT = 16
"""Pixels along the side of a latent."""
HYPER_LATENT = 64
"""Pixels along the side of a hyper latent."""
SIDE = 1024
"""Regions are at most this wide and high, in pixels, without their halo."""
GRADIENT_SIDE = 768
"""The same where a gradient is needed, which takes several times the memory."""
SMALLEST_SIDE = 128
"""Where memory does not suffice, regions are halved down to this side."""


class Source(Protocol):
    """A picture (H, W, 3) of uint8 that is read piece by piece; a NumPy array is one.

    Or several of one size, (B, H, W, 3), whose pieces have all of them.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3) or (B, H, W, 3)."""
        ...

    def __getitem__(self, key: tuple[slice, slice], /) -> Pixels:
        """The pixels of some rows and columns."""
        ...


class Grid(NamedTuple):
    """A picture cut into tiles; sizes in pixels, `tile` and `stride` multiples of 64."""

    width: int
    height: int
    tile: int
    stride: int

    @property
    def padded(self) -> Box:
        """The picture with its sides rounded up to multiples of `stride`."""
        width, height = (-(-side // self.stride) * self.stride for side in self[:2])
        return 0, 0, width, height

    @property
    def across(self) -> int:
        """Number of tiles in a row."""
        return -(-self.padded[2] // self.tile)

    def boxes(self) -> Iterator[Box]:
        """Tiles of the padded picture in raster order; a header may claim 2^36 of them."""
        return pieces(self.padded, self.tile)

    def box(self, index: int) -> Box:
        """The tile of this index in raster order."""
        row, column = divmod(index, self.across)
        left, top = column * self.tile, row * self.tile
        _, _, width, height = self.padded
        return left, top, min(left + self.tile, width), min(top + self.tile, height)

    def touched(self, box: Box) -> list[int]:
        """Indexes of the tiles that have latents in `box`."""
        columns = range(box[0] // self.tile, -(-box[2] // self.tile))
        rows = range(box[1] // self.tile, -(-box[3] // self.tile))
        return [row * self.across + column for row in rows for column in columns]


def pieces(box: Box, side: int) -> Iterator[Box]:
    """Cut a box into boxes of at most `side` by `side`, in raster order."""
    left, top, right, bottom = box
    for y in range(top, bottom, side):
        for x in range(left, right, side):
            yield x, y, min(x + side, right), min(y + side, bottom)


def within(box: Box, outer: Box, side: int = LATENT) -> tuple[slice, slice]:
    """Rows and columns of the latents of `box` in a tensor that holds those of `outer`.

    `side`: of a latent, in pixels.
    """
    left, top, right, bottom = (edge // side for edge in box)
    x, y = outer[0] // side, outer[1] // side
    return slice(top - y, bottom - y), slice(left - x, right - x)


def overlap(a: Box, b: Box) -> Box | None:
    """What two boxes share, if anything."""
    left, top, right, bottom = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def seen(box: Box, model: Model, grid: Grid) -> Box:
    """What a transform must see for its result in `box` to be that of the whole picture."""
    halo = model.halo
    if halo is None:
        return box
    left, top, right, bottom = box
    _, _, width, height = grid.padded
    return (
        max(left - halo, 0),
        max(top - halo, 0),
        min(right + halo, width),
        min(bottom + halo, height),
    )


def regions(box: Box, model: Model, grid: Grid) -> list[Box]:
    """The boxes that `box` is transformed in: regions in raster order, or whole tiles."""
    if model.halo is not None:
        return list(pieces(box, SIDE))
    return [grid.box(index) for index in grid.touched(box)]


def analyse(source: Source, box: Box, model: Model, grid: Grid, quality: Tensor) -> Tensor:
    """Latents (B, h/16, w/16, M) of a box of the pictures, on the device of `quality`, (B,)."""
    left, top, right, bottom = box
    size = ((bottom - top) // LATENT, (right - left) // LATENT)
    y = torch.empty(len(quality), *size, model.channels[0], device=quality.device)

    def work(region: Box) -> None:
        outer = seen(region, model, grid)
        part = model.analysis(_read(source, outer, grid, quality.device), quality)
        rows, columns = within(region, box)
        inner_rows, inner_columns = within(region, outer)
        y[:, rows, columns] = part[:, inner_rows, inner_columns]

    for region in regions(box, model, grid):
        _as_memory_allows(work, region, model)
    return y


def synthesise(
    latents: Callable[[Box], Tensor], box: Box, model: Model, grid: Grid, quality: Tensor
) -> Pixels:
    """Pixels (h, w, 3) of a box of the padded picture; `latents` gives those of any box."""
    left, top, right, bottom = box
    pixels = np.empty((bottom - top, right - left, 3), dtype=np.uint8)

    def work(region: Box) -> None:
        outer = seen(region, model, grid)
        x = model.synthesis(latents(outer), quality)[0]
        x0, y0, x1, y1 = region
        x = x[y0 - outer[1] : y1 - outer[1], x0 - outer[0] : x1 - outer[0]]
        x = x.mul(255).nan_to_num(0).round_().clamp_(0, 255)
        pixels[y0 - top : y1 - top, x0 - left : x1 - left] = x.to(torch.uint8).cpu().numpy()

    _as_memory_allows(work, box, model)
    return pixels


class Error(NamedTuple):
    """Squared errors, values 0..1, of the pixels under the latents of a box.

    `cells` (B, h/16, w/16, 1): their sum in the 16x16 pixels of each latent; `gradient`
    (B, h/16, w/16, M): of the sum of all, by the latents, or without channels if not wanted.
    """

    cells: Tensor
    gradient: Tensor


def error_of(
    source: Source,
    y_hat: Tensor,
    outer: Box,
    box: Box,
    model: Model,
    grid: Grid,
    quality: Tensor,
    differentiate: bool,
) -> Error:
    """The error in `box` of the latents `y_hat` in `outer`, which is `box` with its halo.

    Pixels near the edges of `outer` are not quite right for want of latents beyond; that is what
    the halo is for.
    """
    rows, columns = within(box, outer)
    cells = torch.empty_like(y_hat[:, rows, columns, :1])
    gradient = torch.empty_like(y_hat[:, rows, columns, : None if differentiate else 0])

    def work(region: Box) -> None:
        around = overlap(seen(region, model, grid), outer)
        assert around is not None
        part_rows, part_columns = within(around, outer)
        to, inside = within(region, box), within(region, around)
        with torch.inference_mode(False), torch.set_grad_enabled(differentiate):
            y = y_hat[:, part_rows, part_columns].clone().requires_grad_(differentiate)
            x = _read(source, around, grid, y.device).clone()
            errors = (model.synthesis(y, quality.clone()) - x).square()
            change = torch.autograd.grad(errors.sum(), y)[0] if differentiate else y[..., :0]
        gradient[:, *to] = change[:, *inside]
        sums = F.avg_pool2d(errors.detach().sum(-1), LATENT, divisor_override=1)
        cells[:, *to] = sums[:, *inside, None]

    for region in pieces(box, GRADIENT_SIDE) if model.halo is not None else [box]:
        _as_memory_allows(work, region, model)
    return Error(cells, gradient)


def _as_memory_allows(work: Callable[[Box], None], box: Box, model: Model) -> None:
    """Do `work` on the box; where a device's memory does not suffice, on its quarters."""
    try:
        work(box)
        return
    except torch.OutOfMemoryError:
        side = max(box[2] - box[0], box[3] - box[1])
        if model.halo is None or side <= SMALLEST_SIDE:
            raise
    # Half a side, rounded up to whole latents. (Outside of `except`, which keeps tensors alive.)
    for quarter in pieces(box, -(-side // (2 * LATENT)) * LATENT):
        _as_memory_allows(work, quarter, model)


def _read(source: Source, box: Box, grid: Grid, device: torch.device) -> Tensor:
    """(B, h, w, 3) in 0..1; beyond the picture's right and lower edges its edges are repeated."""
    left, top, right, bottom = box
    rows = slice(min(top, grid.height - 1), min(bottom, grid.height))
    columns = slice(min(left, grid.width - 1), min(right, grid.width))
    inside = source[rows, columns]
    x = torch.from_numpy(np.array(inside, order="C")).to(device)
    x = x.reshape(-1, *x.shape[-3:]).permute(0, 3, 1, 2).float().div_(255)
    missing = (0, right - left - x.shape[3], 0, bottom - top - x.shape[2])
    x = F.pad(x, missing, mode="replicate")
    return x.permute(0, 2, 3, 1).contiguous()
