"""Pixels to tile payloads.

    pixels -> latents of a tile -> rounding -> payload          then, if wanted, tile by tile:
    payload -> refinement -> the better of both

Contexts of the entropy coding never cross a tile's border; analysis sees beyond it. Only a few
tiles are in memory at a time.
"""

from functools import partial
from typing import NamedTuple

from ..engines.base import CodedTile, LatentArrays, Pixels, TileStream
from ..format.geometry import area
from .around import Around
from .coding import Coding
from .decoder import decode_tile
from .latents import DecodedLatents
from .refinement import Refiner, Show, TileChoice
from .tiles import TileEncoder
from .transforms import Source, Transforms
from .work import Progress, Steps, where_memory_suffices

_ANALYSIS, _ENTROPY = 3, 7
"""About how much time a pixel takes in the two parts of plain coding, for progress."""
_REFINING, _CHOOSING = 10, 120
"""The same for one step of refinement, and for choosing the best result of the steps."""


class Encoded(NamedTuple):
    """Tile payloads in raster order, and the model's own estimate of their bits."""

    tiles: list[bytes]
    estimated_bits: float | None


class Encoder:
    """Encodes pictures by one coding.

    With `optimize` rounding is rate-distortion optimised (`entropy.rounding`). `refine`: steps of
    refinement, each of which takes about as long as plain encoding; a tile keeps the result only if
    the file gets better. For this comparison `show` turns decoded pixels into what a viewer of the
    file sees. With `estimate` the model's own estimate of the size in bits is returned, too. If the
    memory of the engine's device does not suffice, the CPU does the work, with a warning.
    """

    def __init__(
        self,
        coding: Coding,
        optimize: bool = False,
        refine: int = 0,
        show: Show = lambda pixels: pixels,
        estimate: bool = False,
    ) -> None:
        self._coding = coding
        self._optimize = optimize
        self._refine = refine
        self._show = show
        self._estimate = estimate

    def encode(self, picture: Source, progress: Progress | None = None) -> Encoded:
        """Encode (H, W, 3) uint8."""
        (encoded,) = where_memory_suffices(partial(self._encode, picture, progress), self._coding)
        return encoded

    def encode_batch(self, pictures: Pixels) -> list[list[bytes]]:
        """Encode B pictures of one size, (B, H, W, 3) uint8, together; -> the tiles of each.

        Faster than one after another if pictures are small. Which pictures share a batch may
        change the last bits of float32 results, and so a symbol here and there. Pictures are not
        refined.
        """
        encoded = where_memory_suffices(partial(self._encode, _Stack(pictures), None), self._coding)
        return [each.tiles for each in encoded]

    def _encode(self, pictures: Source, progress: Progress | None, coding: Coding) -> list[Encoded]:
        """Encode each of the pictures; only a single one is refined."""
        height, width = pictures.shape[-3:-1]
        transforms = Transforms(coding.engine, coding.grid((width, height)), coding.quality)
        work = _ANALYSIS + _ENTROPY
        if self._refine:
            work += self._refine * _REFINING + _CHOOSING
        steps = Steps(progress, work * area(transforms.grid.padded))
        encoder = TileEncoder(pictures, transforms, coding, self._estimate)
        by_tile = []
        for box in transforms.grid.boxes():
            if self._optimize:
                around = transforms.around(pictures, box)
            else:
                around = Around(transforms.analyse(pictures, box), box, box)
            y = around.inside()
            latents = LatentArrays(y, coding.engine.hyper_analysis(y))
            steps.done(_ANALYSIS * area(box))
            if self._optimize:
                coded = encoder.optimised(latents, around, rounds=1)
            else:
                coded = encoder.code(latents)
            by_tile.append([tile.stream for tile in coded])
            steps.done(_ENTROPY * area(box))
        by_picture = [list(streams) for streams in zip(*by_tile, strict=True)]
        if self._refine:
            by_picture = [self._refined(by_picture[0], encoder, steps)]
        return [
            Encoded(
                [stream.payload for stream in streams],
                sum(stream.bits for stream in streams) if self._estimate else None,
            )
            for streams in by_picture
        ]

    def _refined(
        self, streams: list[TileStream], encoder: TileEncoder, steps: Steps
    ) -> list[TileStream]:
        """The tiles, each replaced by its refined form if that makes the file better.

        A tile is judged with its neighbours as they are at that time, so the picture never gets
        worse, whichever tiles change.
        """
        streams, transforms, coding = list(streams), encoder.transforms, encoder.coding
        grid = transforms.grid
        latents = DecodedLatents(
            lambda index: decode_tile(streams[index].payload, grid.box(index), coding),
            grid,
            coding.engine.channels[0],
        )
        refiner = Refiner(encoder, self._refine, lambda n: steps.done(_REFINING * n))
        choice = TileChoice(encoder, refiner, self._show)
        for index, box in enumerate(grid.boxes()):
            touched = transforms.seen(box)
            outer = transforms.seen(touched)
            around = Around(latents(outer), outer, box)
            coded = CodedTile(streams[index], around.inside())
            streams[index], y_hat = choice.best(coded, around, touched)
            latents.put(index, y_hat)
            steps.done(_CHOOSING * area(box))
        return streams


class _Stack:
    """Pictures (B, H, W, 3) of one size as a source."""

    def __init__(self, pictures: Pixels) -> None:
        self._pictures = pictures
        self.shape = pictures.shape

    def __getitem__(self, key: tuple[slice, slice]) -> Pixels:
        rows, columns = key
        return self._pictures[:, rows, columns]
