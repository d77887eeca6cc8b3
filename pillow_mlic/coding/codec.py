"""Pictures to tile payloads and back: tiles, precision, progress, retry.

    pixels -> analysis -> y of a tile -> walk in float64 -> payload               encode
    payloads -> walk (float64, or float32 within the guard band) -> y -> synthesis -> pixels

Contexts of the entropy coding never cross a tile's border; the transforms see beyond it
(`regions`). Neither direction holds more than a few tiles in memory.
"""

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..entropy.payload import Payload, PayloadError
from ..entropy.slices import SliceDecoder
from ..entropy.tables import Tables
from ..entropy.walk import DecodingCoder, SymbolMismatchError
from ..errors import DecodeError
from ..models.base import Latents, Model
from .encoder import Coded, Encoder, Show, best, entropy_device
from .refinement import Refiner
from .regions import (
    HYPER_LATENT,
    LATENT,
    Box,
    Grid,
    Pixels,
    Source,
    analyse,
    overlap,
    regions,
    seen,
    synthesise,
    within,
)

if TYPE_CHECKING:
    from ..packs import Pack

T = TypeVar("T")
Progress = Callable[[float], object]
"""Called with the share done, 0..1; an exception that it raises cancels the work."""

EXACT_GUARD = 1e-9
"""At and below this guard band the decoder's entropy part runs in float64, too."""

_PLAIN, _STEP, _TRIALS = 10, 10, 12
"""Work for each pixel of coding it plainly and of a step of refinement, for progress; and how many
steps' time it takes to choose between what came of them."""


class Encoded(NamedTuple):
    """Tile payloads in raster order, and the model's own estimate of their bits."""

    tiles: list[bytes]
    estimated_bits: float | None


@contextlib.contextmanager
def plain_arithmetic(device: torch.device) -> Iterator[None]:
    """No gradients, and no autocast that the caller may have switched on."""
    with torch.inference_mode(), torch.autocast(device.type, enabled=False):
        yield


class _WholeFloat32:
    """While entered, by any thread, float32 products are not made of bfloat16 or TF32 ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = "highest"

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = torch.get_float32_matmul_precision()
                torch.set_float32_matmul_precision("highest")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.set_float32_matmul_precision(self._saved)


_whole_float32 = _WholeFloat32()


def encode(
    picture: Source,
    pack: "Pack",
    quality: float,
    tile: int,
    guard: float,
    device: torch.device,
    progress: Progress | None = None,
    estimate: bool = False,
    optimize: bool = False,
    refine: int = 0,
    show: Show = lambda pixels: pixels,
) -> Encoded:
    """Encode (H, W, 3) uint8 at `quality` 1..8. `tile` is the side of a tile, a multiple of 64.

    With `optimize` rounding is rate-distortion optimised (`entropy.rounding`), which takes about
    as much time again. `refine`: steps of refinement (`refinement`), each of which takes about as
    long as `optimize`; what comes of it is kept tile by tile where it lowers R + lambda D, real
    bytes and real pixels as `show` makes them of decoded ones. With `estimate` the model's own
    estimate of the size in bits comes back, too. Should the memory of `device` not suffice, the
    CPU does the work, with a warning.
    """
    (encoded,) = _encode(
        picture, 1, pack, quality, tile, guard, device, progress, estimate, optimize, refine, show
    )
    return encoded


def encode_batch(
    pictures: Pixels,
    pack: "Pack",
    quality: float,
    tile: int,
    guard: float,
    device: torch.device,
    optimize: bool = False,
) -> list[list[bytes]]:
    """Encode B pictures of one size, (B, H, W, 3) uint8, together; -> the tiles of each.

    Faster than one after another where pictures are small. Which pictures share a batch may
    change the last bits of float32 results, and so a symbol here and there.
    """
    coding = (len(pictures), pack, quality, tile, guard, device)
    return [encoded.tiles for encoded in _encode(_Stack(pictures), *coding, optimize=optimize)]


class _Stack:
    """Pictures (B, H, W, 3) of one size as a source."""

    def __init__(self, pictures: Pixels) -> None:
        self._pictures = pictures
        self.shape = pictures.shape

    def __getitem__(self, key: tuple[slice, slice]) -> Pixels:
        rows, columns = key
        return self._pictures[:, rows, columns]


def _encode(
    pictures: Source,
    count: int,
    pack: "Pack",
    quality: float,
    tile: int,
    guard: float,
    device: torch.device,
    progress: Progress | None = None,
    estimate: bool = False,
    optimize: bool = False,
    refine: int = 0,
    show: Show = lambda pixels: pixels,
) -> list[Encoded]:
    """Each of `count` pictures of one size; only a single one can be refined."""
    height, width = pictures.shape[-3:-1]

    def work(device: torch.device) -> list[Encoded]:
        model = pack.model(device)
        grid = Grid(width, height, tile, model.stride)
        q = torch.full((count,), quality, device=device)
        steps = _Steps(
            progress, (_PLAIN + (refine and refine + _TRIALS) * _STEP) * _area(grid.padded)
        )
        encoder = Encoder(pictures, pack, grid, q, guard, estimate)
        coded: list[list[Coded]] = [[] for _ in range(count)]
        with plain_arithmetic(device):
            for box in grid.boxes():
                outer = seen(box, model, grid) if optimize else box
                around = analyse(pictures, outer, model, grid, q)
                rows, columns = within(box, outer)
                y = around[:, rows, columns].clone()
                latents = Latents(y, model.hyper_analysis(y))
                steps.done(3 * _area(box))
                trials = encoder.tiles(latents, around, outer, box, int(optimize))
                for tiles, trial in zip(coded, trials, strict=True):
                    tiles.append(trial.coded)
                steps.done(7 * _area(box))
            if refine:
                coded = [_refined(encoder, coded[0], refine, show, steps)]
        return [
            Encoded([t.payload for t in tiles], sum(t.bits for t in tiles) if estimate else None)
            for tiles in coded
        ]

    return _on_device(work, device)


def _refined(
    encoder: Encoder, coded: list[Coded], steps: int, show: Show, work: "_Steps"
) -> list[Coded]:
    """`coded` tiles, those replaced that refinement makes better as all others are at that time.

    Tile by tile: what comes out is never worse than what came in, whichever tiles change.
    """
    pack, grid, quality, coded = encoder.pack, encoder.grid, encoder.quality, list(coded)
    model, device = encoder.model, quality.device

    def decoded(index: int) -> Tensor:
        payloads, z_size = [coded[index].payload], _z_size(grid.box(index))
        return decode_batch(payloads, pack, float(quality), z_size, encoder.guard, device)

    store = _DecodedLatents(decoded, grid, model.channels[0], device)
    refiner = Refiner(
        encoder.picture,
        model,
        pack.tables,
        grid,
        quality,
        steps,
        lambda pixels: work.done(_STEP * pixels),
    )
    for index, box in enumerate(grid.boxes()):
        touched = seen(box, model, grid)
        outer = seen(touched, model, grid)
        around = store(outer)
        trial = best(encoder, refiner, coded[index], around, outer, touched, box, show)
        work.done(_TRIALS * _STEP * _area(box))
        coded[index] = trial.coded
        store.put(index, trial.y_hat)
    return coded


def tiles_needed(
    box: Box, size: tuple[int, int], pack: "Pack", tile: int, device: torch.device
) -> set[int]:
    """Indexes of the tiles that must be decoded to see a box of a picture of `size`."""
    model = pack.model(device)
    grid = Grid(*size, tile, model.stride)
    return _touched(regions(_whole_latents(box, grid), model, grid), model, grid)


def _touched(parts: Sequence[Box], model: Model, grid: Grid) -> set[int]:
    """Indexes of the tiles that synthesis of these regions sees."""
    return {index for part in parts for index in grid.touched(seen(part, model, grid))}


def decode(
    tiles: Mapping[int, bytes],
    size: tuple[int, int],
    pack: "Pack",
    quality: float,
    tile: int,
    guard: float,
    device: torch.device,
    progress: Progress | None = None,
    box: Box | None = None,
) -> Pixels:
    """Decode a picture of `size` (width, height), or a box of it, to (H, W, 3) uint8.

    See `decode_into`.
    """
    box = box or (0, 0, *size)
    left, top, right, bottom = box
    picture = np.empty((bottom - top, right - left, 3), dtype=np.uint8)

    def put(region: Box, pixels: Pixels) -> None:
        x0, y0, x1, y1 = region
        picture[y0 - top : y1 - top, x0 - left : x1 - left] = pixels

    decode_into(put, tiles, size, pack, quality, tile, guard, device, progress, box)
    return picture


def decode_into(
    put: Callable[[Box, Pixels], object],
    tiles: Mapping[int, bytes],
    size: tuple[int, int],
    pack: "Pack",
    quality: float,
    tile: int,
    guard: float,
    device: torch.device,
    progress: Progress | None = None,
    box: Box | None = None,
    slices: int | None = None,
) -> None:
    """Decode a picture of `size` (width, height), or a box of it, and `put` its regions one by one.

    `tiles` are payloads by their place in raster order; one that is missing comes out grey. `put`
    is given the box of a region, in pixels of the picture, and its pixels (h, w, 3) uint8. With
    `slices` only so many slices of the latents are read (`entropy.slices`). Should the memory of
    `device` not suffice, the CPU does it all again, with a warning.
    Raises DecodeError where a tile does not give the symbols that were encoded.
    """
    wanted = box or (0, 0, *size)

    def work(device: torch.device) -> None:
        model = pack.model(device)
        grid = Grid(*size, tile, model.stride)
        q = torch.tensor([quality], device=device)
        parts = regions(_whole_latents(wanted, grid), model, grid)
        needed = map(grid.box, _touched(parts, model, grid))
        steps = _Steps(progress, 7 * sum(map(_area, needed)) + 3 * sum(map(_area, parts)))

        def tile_latents(index: int) -> Tensor | None:
            box = grid.box(index)
            y_hat = None
            if index in tiles:
                coded, z_size = [tiles[index]], _z_size(box)
                if slices is None:
                    y_hat = decode_batch(coded, pack, quality, z_size, guard, device)
                else:
                    y_hat = _first_slices(coded, pack, quality, z_size, slices, device)
            steps.done(7 * _area(box))
            return y_hat

        latents = _DecodedLatents(tile_latents, grid, model.channels[0], device)
        with plain_arithmetic(device):
            for part in parts:
                pixels = synthesise(latents, part, model, grid, q)
                shown = overlap(part, wanted)
                if shown:
                    left, top, right, bottom = shown
                    x, y = part[:2]
                    put(shown, pixels[top - y : bottom - y, left - x : right - x])
                steps.done(3 * _area(part))

    _on_device(work, device)


class _DecodedLatents:
    """The latents of any box of a picture; tiles are decoded when first needed.

    Boxes must be asked for from top to bottom: tiles above the one at hand are forgotten.
    """

    def __init__(
        self,
        decode_tile: Callable[[int], Tensor | None],
        grid: Grid,
        channels: int,
        device: torch.device,
    ) -> None:
        self._decode_tile = decode_tile
        self._grid = grid
        self._channels = channels
        self._device = device
        self._tiles: dict[int, Tensor | None] = {}

    def __call__(self, box: Box) -> Tensor:
        """(1, h/16, w/16, M); zero where a tile is missing."""
        left, top, right, bottom = (side // LATENT for side in box)
        for index in [i for i in self._tiles if self._grid.box(i)[3] <= box[1]]:
            del self._tiles[index]
        y_hat = torch.zeros(1, bottom - top, right - left, self._channels, device=self._device)
        for index in self._grid.touched(box):
            if index not in self._tiles:
                self._tiles[index] = self._decode_tile(index)
            part = self._tiles[index]
            tile = self._grid.box(index)
            shared = overlap(tile, box)
            if part is not None and shared:
                rows, columns = within(shared, box)
                tile_rows, tile_columns = within(shared, tile)
                y_hat[:, rows, columns] = part[:, tile_rows, tile_columns]
        return y_hat

    def put(self, index: int, y_hat: Tensor) -> None:
        """From now on tile `index` has these latents."""
        self._tiles[index] = y_hat


class _Steps:
    """Adds up work done and reports its share of the whole."""

    def __init__(self, progress: Progress | None, whole: int) -> None:
        self._progress = progress or _silent
        self._whole = whole
        self._sum = 0
        self._progress(0.0)

    def done(self, amount: int) -> None:
        self._sum += amount
        self._progress(self._sum / self._whole)


def _silent(_: float) -> None:
    """Report to nobody."""


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _z_size(tile: Box) -> tuple[int, int]:
    """Height and width of a tile in hyper latents."""
    left, top, right, bottom = tile
    return (bottom - top) // HYPER_LATENT, (right - left) // HYPER_LATENT


def _whole_latents(box: Box, grid: Grid) -> Box:
    """The box widened to whole latents."""
    left, top = (side // LATENT * LATENT for side in box[:2])
    right, bottom = (-(-side // LATENT) * LATENT for side in box[2:])
    return left, top, min(right, grid.padded[2]), min(bottom, grid.padded[3])


def _on_device(work: Callable[[torch.device], T], device: torch.device) -> T:
    """Do `work` on the device, or on the CPU where the device's memory does not suffice."""
    if device.type != "cpu":
        try:
            return work(device)
        except torch.OutOfMemoryError:
            pass
        warnings.warn(
            f"the memory of {device} does not suffice for this picture; the CPU does the work",
            RuntimeWarning,
            stacklevel=3,
        )
    try:
        return work(torch.device("cpu"))
    except RuntimeError as error:
        if "not enough memory" not in str(error):  # torch has no class for it
            raise
        msg = "the memory does not suffice for this picture; smaller tiles or a region need less"
        raise MemoryError(msg) from error


def decode_batch(
    payloads: Sequence[bytes],
    pack: "Pack",
    quality: float,
    z_size: tuple[int, int],
    guard: float,
    device: torch.device,
) -> Tensor:
    """Latents (B, H/16, W/16, M) of B tiles of one size, from their payloads.

    The walk runs in float64 if `guard` asks for it; in float32 otherwise, and then once more in
    float64 should the checksum disagree.
    """
    attempts = (True,) if guard <= EXACT_GUARD else (False, True)
    reason: Exception | None = None
    for exact in attempts:
        try:
            return walk(payloads, pack, quality, z_size, exact, device)
        except (SymbolMismatchError, PayloadError) as error:
            reason = error
    msg = (
        f"the file's bytes are whole but do not decode ({reason}): it was not written by these "
        f"weights ({pack.file.name}, {pack.hash.hex()}) or by a broken encoder; "
        "decode it where it was made, and report it"
    )
    raise DecodeError(msg)


def _first_slices(
    payloads: Sequence[bytes],
    pack: "Pack",
    quality: float,
    z_size: tuple[int, int],
    slices: int,
    device: torch.device,
) -> Tensor:
    """`decode_batch` of some slices alone. In float64: no checksum tells that float32 was wrong."""
    channels = pack.model(device).channels[0]
    decoder = partial(SliceDecoder, channels=channels, slices=slices)
    try:
        return walk(payloads, pack, quality, z_size, True, device, decoder)
    except (SymbolMismatchError, PayloadError) as error:
        msg = f"the file's bytes are whole but do not decode: {error}"
        raise DecodeError(msg) from error


def walk(
    payloads: Sequence[bytes],
    pack: "Pack",
    quality: float,
    z_size: tuple[int, int],
    exact: bool,
    device: torch.device,
    decoder: Callable[[Sequence[Payload], Tables, int], DecodingCoder] = DecodingCoder,
) -> Tensor:
    """One walk in float64 (`exact`) or float32; SymbolMismatchError where symbols are wrong."""
    where = entropy_device(device)
    total = symbols_of(pack.model(where), z_size)
    parsed = [Payload.from_bytes(data, total) for data in payloads]
    coder = decoder(parsed, pack.tables, total)
    model = pack.canonical(where) if exact else pack.model(where)
    dtype = torch.float64 if exact else torch.float32
    q = torch.full((len(parsed),), quality, dtype=dtype, device=where)
    with contextlib.ExitStack() as stack:
        if not exact:
            stack.enter_context(_whole_float32)
            if where.type == "cuda":
                stack.enter_context(torch.backends.cudnn.flags(allow_tf32=False))
        y_hat = model.entropy(q, z_size, coder)
    coder.finish()
    return y_hat.float().to(device)


def symbols_of(model: Model, z_size: tuple[int, int]) -> int:
    """Latents, decisions about them and hyper latents of a tile with `z_size` (height, width)."""
    y, z = model.channels
    return z_size[0] * z_size[1] * (16 * y * (1 + model.decisions) + z)
