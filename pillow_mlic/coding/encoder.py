"""Pixels to tiles.

    pixels -> latents of a tile -> rounding -> payload          then, if wanted, tile by tile:
    payload or pixels without loss, whichever costs less (`kinds`)
    payload -> refinement -> the better of both

Contexts of the entropy coding never cross a tile's border; analysis sees beyond it. Only a few
tiles are in memory at a time.
"""

from functools import partial
from typing import NamedTuple

from ..engines.base import CodedTile, Floats, LatentArrays, Pixels, TileStream
from ..format.geometry import Box, area
from ..format.tiles import AnyTile, LosslessTile
from .around import Around
from .coding import Coding
from .content import DrawnParts
from .crew import crew
from .decoder import decode_tile
from .exact import ExactTiles
from .kinds import KindChoice
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
    """Tiles in raster order."""

    tiles: list[AnyTile]
    estimated_bits: float | None
    """The model's own estimate, where it was asked for."""
    cost: float = 0.0
    """R + lambda D of the picture before refinement, in bits, where kinds were chosen."""

    @property
    def payloads(self) -> list[bytes]:
        """The learned tiles: all of them where kinds were not chosen."""
        return [tile for tile in self.tiles if isinstance(tile, bytes)]


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

    def encode(
        self,
        picture: Source,
        progress: Progress | None = None,
        content: DrawnParts | None = None,
    ) -> Encoded:
        """Encode (H, W, 3) uint8; with its `content` tiles are lossless where that costs less."""
        work = partial(self._encode, picture, progress, content)
        (encoded,) = where_memory_suffices(work, self._coding)
        return encoded

    def encode_batch(self, pictures: Pixels) -> list[list[AnyTile]]:
        """Encode B pictures of one size, (B, H, W, 3) uint8, together; -> the tiles of each.

        Faster than one after another if pictures are small. Which pictures share a batch may
        change the last bits of float32 results, and so a symbol here and there. Pictures are not
        refined.
        """
        work = partial(self._encode, _Stack(pictures), None, None)
        encoded = where_memory_suffices(work, self._coding)
        return [each.tiles for each in encoded]

    def _encode(
        self,
        pictures: Source,
        progress: Progress | None,
        content: DrawnParts | None,
        coding: Coding,
    ) -> list[Encoded]:
        """Encode each of the pictures; only a single one is refined or has lossless tiles."""
        height, width = pictures.shape[-3:-1]
        transforms = Transforms(coding.engine, coding.grid((width, height)), coding.quality)
        work = _ANALYSIS + _ENTROPY
        if self._refine:
            work += self._refine * _REFINING + _CHOOSING
        steps = Steps(progress, work * area(transforms.grid.padded))
        encoder = TileEncoder(pictures, transforms, coding, self._estimate)
        choice = None if content is None else KindChoice(encoder, content)

        def coded(box: Box) -> _Coded:
            """A tile of each picture, and what it costs where kinds are chosen."""
            if self._optimize or choice:
                around = transforms.around(pictures, box)
            else:
                around = Around(transforms.analyse(pictures, box), box, box)
            y = around.inside()
            latents = LatentArrays(y, coding.engine.hyper_analysis(y))
            steps.done(_ANALYSIS * area(box))
            if self._optimize:
                found = encoder.optimised(latents, around, rounds=1)
            else:
                found = encoder.code(latents)
            if choice is None:
                return _Coded([tile.stream for tile in found], 0.0)
            (tile,) = found
            chosen, bits = choice.best(tile, around)
            return _Coded([chosen], bits)

        boxes = list(transforms.grid.boxes())
        by_tile: list[list[TileStream | LosslessTile]] = []
        cost = 0.0
        with crew(coding.engine, len(boxes)) as workers:
            for box, found in zip(boxes, workers.map(coded, boxes), strict=True):
                by_tile.append(found.streams)
                cost += found.bits
                steps.done(_ENTROPY * area(box))
        by_picture = [list(streams) for streams in zip(*by_tile, strict=True)]
        if self._refine:
            by_picture = [self._refined(by_picture[0], encoder, steps)]
        return [self._encoded(streams, cost) for streams in by_picture]

    def _encoded(self, streams: list[TileStream | LosslessTile], cost: float) -> Encoded:
        tiles: list[AnyTile] = []
        bits = 0.0
        for stream in streams:
            if isinstance(stream, LosslessTile):
                tiles.append(stream)
                bits += 8 * len(stream.data)
            else:
                tiles.append(stream.payload)
                bits += stream.bits
        return Encoded(tiles, bits if self._estimate else None, cost)

    def _refined(
        self, streams: list[TileStream | LosslessTile], encoder: TileEncoder, steps: Steps
    ) -> list[TileStream | LosslessTile]:
        """The tiles, each learned one replaced by its refined form if that makes the file better.

        A tile is judged with its neighbours as they are at that time, so the picture never gets
        worse, whichever tiles change.
        """
        streams, transforms, coding = list(streams), encoder.transforms, encoder.coding
        grid = transforms.grid
        exact = ExactTiles(dict(enumerate(self._encoded(streams, 0.0).tiles)), transforms)

        def tile_latents(index: int) -> Floats | None:
            stream = streams[index]
            if isinstance(stream, LosslessTile):
                return exact.latents(index)
            return decode_tile(stream.payload, grid.box(index), coding)

        latents = DecodedLatents(tile_latents, grid, coding.engine.channels[0])
        refiner = Refiner(encoder, self._refine, lambda n: steps.done(_REFINING * n))
        choice = TileChoice(encoder, refiner, self._show)
        for index, box in enumerate(grid.boxes()):
            stream = streams[index]
            if isinstance(stream, LosslessTile):
                steps.done((self._refine * _REFINING + _CHOOSING) * area(box))
                continue
            touched = transforms.seen(box)
            outer = transforms.seen(touched)
            around = Around(latents(outer), outer, box)
            coded = CodedTile(stream, around.inside())
            streams[index], y_hat = choice.best(coded, around, touched)
            latents.put(index, y_hat)
            steps.done(_CHOOSING * area(box))
        return streams


class _Coded(NamedTuple):
    """A tile of each of the pictures."""

    streams: list[TileStream | LosslessTile]
    bits: float


class _Stack:
    """Pictures (B, H, W, 3) of one size as a source."""

    def __init__(self, pictures: Pixels) -> None:
        self._pictures = pictures
        self.shape = pictures.shape

    def __getitem__(self, key: tuple[slice, slice]) -> Pixels:
        rows, columns = key
        return self._pictures[:, rows, columns]
