"""Pictures to tile payloads and back: colour planes, padding, tiles, precision, retry.

    pixels -> analysis -> y, cut into tiles -> walk in float64 -> payloads       encode
    payloads -> walk (float64, or float32 within the guard band) -> y -> synthesis -> pixels

Contexts of the entropy coding never cross a tile's border; the transforms see the whole picture.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .entropy.payload import Payload, PayloadError
from .entropy.walk import DecodingCoder, EncodingCoder, SymbolMismatchError
from .exceptions import DecodeError
from .models.base import Latents, Model

if TYPE_CHECKING:
    from .packs import Pack

Pixels = NDArray[np.uint8]
Progress = Callable[[float], object]
"""Called with the share done, 0..1; an exception that it raises cancels the work."""

EXACT_GUARD = 1e-9
"""At and below this guard band the decoder's entropy part runs in float64, too."""


class Encoded(NamedTuple):
    """Tile payloads in raster order, and the picture that a decoder will show."""

    tiles: list[bytes]
    reconstruction: Pixels | None
    estimated_bits: float | None


class Grid(NamedTuple):
    """A picture cut into tiles; sizes in pixels, `tile` and `stride` multiples of 64."""

    width: int
    height: int
    tile: int
    stride: int

    def boxes(self) -> Iterator[tuple[int, int, int, int]]:
        """Tiles of the padded picture in raster order: left, top, right, bottom."""
        width, height = (-(-side // self.stride) * self.stride for side in self[:2])
        for top in range(0, height, self.tile):
            for left in range(0, width, self.tile):
                yield left, top, min(left + self.tile, width), min(top + self.tile, height)


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
    pixels: Pixels,
    pack: "Pack",
    quality: float,
    tile: int,
    guard: float,
    device: torch.device,
    progress: Progress | None = None,
    reconstruct: bool = False,
    estimate: bool = False,
) -> Encoded:
    """Encode (H, W, 3) uint8 at `quality` 1..8. `tile` is the side of a tile, a multiple of 64.

    With `reconstruct` the picture that a decoder will show comes back too, with `estimate` the
    model's own estimate of the size in bits.
    """
    report = progress or _silent
    report(0.0)
    model = pack.model(device)
    where = _entropy_device(device)
    canonical = pack.canonical(where)
    q = torch.tensor([quality], device=device)
    exact_q = torch.tensor([quality], dtype=torch.float64, device=where)
    grid = Grid(pixels.shape[1], pixels.shape[0], tile, model.stride)
    with plain_arithmetic(device):
        x = _to_tensor(pixels, model.stride, device)
        y = model.analysis(x, q)
        del x
        report(0.3)
        payloads: list[Payload] = []
        y_hat = torch.empty_like(y) if reconstruct else None
        bits = 0.0
        boxes = list(grid.boxes())
        for done, box in enumerate(boxes, start=1):
            part = _cut(y, box)
            z = model.hyper_analysis(part)
            coder = EncodingCoder(
                Latents(part.to(where), z.to(where)), pack.tables, guard, estimate
            )
            decoded = canonical.entropy(exact_q, (z.shape[1], z.shape[2]), coder)
            if y_hat is not None:
                _cut(y_hat, box).copy_(decoded)
            payloads += coder.payloads()
            bits += coder.estimated_bits
            report(0.3 + 0.6 * done / len(boxes))
        picture = None
        if y_hat is not None:
            picture = _to_pixels(model.synthesis(y_hat, q), grid)
        report(1.0)
    return Encoded([p.to_bytes() for p in payloads], picture, bits if estimate else None)


def decode(
    tiles: Mapping[int, bytes],
    size: tuple[int, int],
    pack: "Pack",
    quality: float,
    tile: int,
    guard: float,
    device: torch.device,
    progress: Progress | None = None,
) -> Pixels:
    """Decode the tiles of a picture of `size` (width, height) to (H, W, 3) uint8.

    `tiles` are payloads by their place in raster order; one that is missing comes out grey.
    Raises DecodeError where a tile does not give the symbols that were encoded.
    """
    report = progress or _silent
    report(0.0)
    model = pack.model(device)
    grid = Grid(*size, tile, model.stride)
    with plain_arithmetic(device):
        width, height = (-(-side // model.stride) * model.stride for side in size)
        y_hat = torch.zeros(1, height // 16, width // 16, model.channels[0], device=device)
        for index, box in enumerate(grid.boxes()):
            if index not in tiles:
                continue
            shape = ((box[3] - box[1]) // 64, (box[2] - box[0]) // 64)
            decoded = decode_batch([tiles[index]], pack, quality, shape, guard, device)
            _cut(y_hat, box).copy_(decoded)
            report(0.7 * (index + 1) / (max(tiles) + 1))
        q = torch.tensor([quality], device=device)
        picture = _to_pixels(model.synthesis(y_hat, q), grid)
        report(1.0)
    return picture


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


def walk(
    payloads: Sequence[bytes],
    pack: "Pack",
    quality: float,
    z_size: tuple[int, int],
    exact: bool,
    device: torch.device,
) -> Tensor:
    """One walk in float64 (`exact`) or float32; SymbolMismatchError where symbols are wrong."""
    where = _entropy_device(device)
    total = symbols_of(pack.model(where), z_size)
    parsed = [Payload.from_bytes(data, total) for data in payloads]
    coder = DecodingCoder(parsed, pack.tables, total)
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
    """Number of latents and hyper latents of a tile with `z_size` (height, width) hyper latents."""
    y, z = model.channels
    return z_size[0] * z_size[1] * (16 * y + z)


def _silent(_: float) -> None:
    """Report to nobody."""


def _entropy_device(device: torch.device) -> torch.device:
    """Where the entropy part runs: the CPU where the device has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def _cut(y: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """The latents of a box of pixels, a view."""
    left, top, right, bottom = (side // 16 for side in box)
    return y[:, top:bottom, left:right]


def _to_tensor(pixels: Pixels, stride: int, device: torch.device) -> Tensor:
    """(H, W, 3) uint8 -> (1, H', W', 3) in 0..1, edges repeated up to multiples of `stride`."""
    height, width = pixels.shape[:2]
    x = torch.from_numpy(np.array(pixels, order="C")).to(device)
    x = x.permute(2, 0, 1)[None].float().div_(255)
    x = F.pad(x, (0, -width % stride, 0, -height % stride), mode="replicate")
    return x.permute(0, 2, 3, 1).contiguous()


def _to_pixels(x: Tensor, grid: Grid) -> Pixels:
    """(1, H', W', 3), nominally in 0..1 -> (H, W, 3) uint8, rounded."""
    x = x[0, : grid.height, : grid.width].mul(255).nan_to_num(0).round_().clamp_(0, 255)
    return x.to(torch.uint8).cpu().numpy()
