"""Transforms of pictures of any size, region by region, each with a halo around it.

A region is widened by the reach of the transform (`Engine.halo`) before it is transformed, and the
margin is cut off again. So its result does not depend on how the picture was cut into regions, and
there are no seams. A network whose transforms reach everywhere has no halo: then each tile of the
format is transformed by itself.

All boxes are in pixels of the padded picture, multiples of 16.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np

from ..engines.base import Engine, ErrorBits, Floats, Pixels
from ..errors import DeviceMemoryError
from ..format.geometry import LATENT, Box, Grid, halves, overlap, pieces, size, within
from .around import Around

SIDE = 1024
"""Regions are at most this wide and high, in pixels, without their halo."""
GRADIENT_SIDE = 768
"""Where a gradient is needed, which takes several times the memory, regions are bands of a box with
no more pixels than a square of this side: fewer pixels of halos than squares have."""
SMALLEST_SIDE = 128
"""Where memory does not suffice, regions are halved down to this side."""


class Source(Protocol):
    """A picture (H, W, 3) of uint8 that is read piece by piece; a NumPy array is one.

    Or several pictures of one size, (B, H, W, 3); each piece is cut from all of them.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, 3) or (B, H, W, 3)."""
        ...

    def __getitem__(self, key: tuple[slice, slice], /) -> Pixels:
        """The pixels of some rows and columns."""
        ...


class Transforms:
    """The transforms of a picture with these tiles, at one quality."""

    def __init__(self, engine: Engine, grid: Grid, quality: float) -> None:
        self.engine = engine
        self.grid = grid
        self.quality = quality

    def seen(self, box: Box) -> Box:
        """The box that a transform must see to give in `box` the result for the whole picture."""
        halo = self.engine.halo
        return box if halo is None else self.grid.widened(box, halo)

    def regions(self, box: Box) -> list[Box]:
        """The boxes that `box` is transformed in: regions in raster order, or whole tiles."""
        if self.engine.halo is not None:
            return list(pieces(box, SIDE))
        return [self.grid.box(index) for index in self.grid.touched(box)]

    def analyse(self, source: Source, box: Box) -> Floats:
        """Latents (B, h/16, w/16, M) of a box of the pictures."""
        count = source.shape[0] if len(source.shape) == 4 else 1
        y = np.empty((count, *size(box, LATENT), self.engine.channels[0]), np.float32)

        def work(region: Box) -> None:
            outer = self.seen(region)
            part = self.engine.analysis(self._read(source, outer), self.quality)
            y[:, *within(region, box)] = part[:, *within(region, outer)]

        for region in self.regions(box):
            self._as_memory_allows(work, region)
        return y

    def around(self, source: Source, box: Box) -> Around:
        """A tile with the latents of its analysis, also in the halo around it.

        Those of the halo stand for neighbours that are not decoded yet. They are what comes with
        the tile's own, and not quite right, as analysis sees no further.
        """
        outer = self.seen(box)
        if self.regions(box) != [box]:
            return Around(self.analyse(source, outer), outer, box)
        try:
            y = self.engine.analysis(self._read(source, outer), self.quality)
        except DeviceMemoryError:
            y = None
        return Around(self.analyse(source, outer) if y is None else y, outer, box)

    def synthesise(self, latents: Callable[[Box], Floats], box: Box) -> Pixels:
        """Pixels (h, w, 3) of a box of the padded picture; `latents` gives those of any box."""
        pixels = np.empty((*size(box), 3), np.uint8)

        def work(region: Box) -> None:
            outer = self.seen(region)
            (part,) = self.engine.synthesis(latents(outer), self.quality)
            pixels[within(region, box, 1)] = part[within(region, outer, 1)]

        self._as_memory_allows(work, box)
        return pixels

    def errors(self, source: Source, around: Around, differentiate: bool) -> ErrorBits:
        """What the errors of the pixels in `around.box` cost, and the gradient by its latents.

        Near the edges of `around.outer` pixels are not quite right, since latents beyond are
        missing. The halo keeps these edges away from the box.
        """
        inner = around.inside()
        cells = np.empty_like(inner[..., :1])
        gradient = np.empty_like(inner if differentiate else inner[..., :0])

        def work(region: Box) -> None:
            outer = overlap(self.seen(region), around.outer)
            assert outer is not None
            found = self.engine.errors(
                self._read(source, outer),
                around.y_hat[:, *within(outer, around.outer)],
                self.quality,
                differentiate,
            )
            to, inside = within(region, around.box), within(region, outer)
            cells[:, *to] = found.cells[:, *inside]
            gradient[:, *to] = found.gradient[:, *inside]

        for region in self._bands(around.box) if differentiate else self.regions(around.box):
            self._as_memory_allows(work, region)
        return ErrorBits(cells, gradient)

    def cost_gradient(self, source: Source, around: Around) -> Floats:
        """Gradient of what the pack was trained for by the latents in `around.box`, in bits.

        A measure that looks at more than a pixel sees each region, with its halo, as a picture.
        """
        gradient = np.empty_like(around.inside())

        def work(region: Box) -> None:
            outer = overlap(self.seen(region), around.outer)
            assert outer is not None
            found = self.engine.cost_gradient(
                self._read(source, outer),
                around.y_hat[:, *within(outer, around.outer)],
                self.quality,
            )
            gradient[:, *within(region, around.box)] = found[:, *within(region, outer)]

        for region in self._bands(around.box):
            self._as_memory_allows(work, region)
        return gradient

    def _bands(self, box: Box) -> list[Box]:
        """The parts of a box that gradients are taken in."""
        if self.engine.halo is None:
            return [box]
        left, top, right, bottom = box
        rows = max(GRADIENT_SIDE**2 // (right - left) // LATENT * LATENT, LATENT)
        count = -(-(bottom - top) // rows)
        rows = -(-(bottom - top) // (LATENT * count)) * LATENT
        return [(left, y, right, min(y + rows, bottom)) for y in range(top, bottom, rows)]

    def _as_memory_allows(self, work: Callable[[Box], None], box: Box) -> None:
        """Do `work` on the box; where a device's memory does not suffice, on its quarters."""
        try:
            work(box)
            return
        except DeviceMemoryError:
            if self.engine.halo is None or max(size(box)) <= SMALLEST_SIDE:
                raise
        # Outside of `except`, which keeps tensors alive.
        for quarter in halves(box):
            self._as_memory_allows(work, quarter)

    def _read(self, source: Source, box: Box) -> Pixels:
        """(B, h, w, 3); beyond the picture's right and lower edges its edges are repeated."""
        left, top, right, bottom = box
        rows = slice(min(top, self.grid.height - 1), min(bottom, self.grid.height))
        columns = slice(min(left, self.grid.width - 1), min(right, self.grid.width))
        inside = source[rows, columns]
        inside = inside.reshape(-1, *inside.shape[-3:])
        height, width = (
            want - have for want, have in zip(size(box), inside.shape[1:3], strict=True)
        )
        return np.pad(inside, ((0, 0), (0, height), (0, width), (0, 0)), mode="edge")
