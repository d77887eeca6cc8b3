"""What an engine does: it runs a network. Callers see NumPy arrays, and need not know how.

    pixels -> analysis -> y -> hyper_analysis -> z              (encoder only)
    y, z -> encode -> payloads, y_hat    payloads -> decode -> y_hat
    y_hat -> synthesis -> pixels

Arrays are channels-last, (B, H, W, C): pixels uint8, all others float32. `quality` is 1 to 8, the
same for all of a batch. Errors: DeviceMemoryError where a device's memory does not suffice,
DecodeError where payloads do not give the symbols that were encoded.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

NO_MEMORY = "the memory does not suffice for this picture; smaller tiles or a region need less"

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class LatentArrays(NamedTuple):
    """Latents y (B, H/16, W/16, M) and hyper latents z (B, H/64, W/64, Z), before quantisation."""

    y: Floats
    z: Floats


class TileStream(NamedTuple):
    """A coded tile: its payload, and the model's estimate of its bits (0 unless asked for)."""

    payload: bytes
    bits: float


class CodedTile(NamedTuple):
    """A coded tile, and the latents (1, H/16, W/16, M) that a decoder will have of it."""

    stream: TileStream
    y_hat: Floats


class ErrorBits(NamedTuple):
    """What the errors of decoded pixels cost in bits: lambda x squared error.

    `cells` (B, H/16, W/16, 1): the cost of the 16x16 pixels of each latent. `gradient` (B, H/16,
    W/16, M): of their sum, by the latents; with 0 channels if it was not wanted.
    """

    cells: Floats
    gradient: Floats


class FirstPass(Protocol):
    """A walk through the entropy part that notes what each symbol stands for."""

    @property
    def y_hat(self) -> Floats:
        """The latents that a decoder would have, (B, H/16, W/16, M)."""
        ...


class RoundingArrays(NamedTuple):
    """How symbols are chosen: near a first pass, by a gradient (`entropy.rounding`).

    `gradient` (B, H/16, W/16, M): bits that the error costs more for a unit of y.
    """

    first: FirstPass
    gradient: Floats


class Descent(Protocol):
    """Gradient descent on the latents of a tile (`coding.refinement`)."""

    def relaxed(self, step: int) -> Floats:
        """y_hat from the relaxed symbols of this step, 0 to `steps` - 1."""
        ...

    def move(self, gradient: Floats) -> None:
        """Take a step against the rate's gradient and this one, in bits by y_hat."""
        ...

    def latents(self) -> LatentArrays:
        """The latents after the steps so far."""
        ...


class Engine(Protocol):
    """A network with its weights and tables on a device."""

    @property
    def device(self) -> str:
        """Where it runs: "cpu", "cuda:0" ..."""
        ...

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        ...

    @property
    def halo(self) -> int | None:
        """How far, in pixels, analysis and synthesis see at most; None: the whole picture."""
        ...

    @property
    def slices(self) -> int:
        """In how many slices the network codes its latents."""
        ...

    def analysis(self, pixels: Pixels, quality: float) -> Floats:
        """(B, H, W, 3) -> y (B, H/16, W/16, M)."""
        ...

    def hyper_analysis(self, y: Floats) -> Floats:
        """y -> z (B, H/64, W/64, Z)."""
        ...

    def first_pass(
        self, latents: LatentArrays, quality: float, rounding: RoundingArrays | None = None
    ) -> FirstPass:
        """Walk in float32, to the nearest symbols or as `rounding` says."""
        ...

    def encode(
        self,
        latents: LatentArrays,
        quality: float,
        guard: float | None,
        rounding: RoundingArrays | None = None,
        estimate: bool = False,
    ) -> list[CodedTile]:
        """Code B tiles of one size; `guard` is the guard band, None: decide in integers."""
        ...

    def decode(
        self,
        payloads: Sequence[bytes],
        z_size: tuple[int, int],
        quality: float,
        guard: float | None,
        texture: Floats | None = None,
    ) -> Floats:
        """y_hat (B, H/16, W/16, M) of B tiles with `z_size` (H/64, W/64).

        With `texture` (B, H/16, W/16), strengths from 0 to 1, grain is added to latents whose
        symbols are zero (`integers.grain`), for the synthesis to make textures of. It has no effect
        where nothing was decided in integers.
        """
        ...

    def decode_slices(
        self,
        payload: bytes,
        z_size: tuple[int, int],
        quality: float,
        guard: float | None,
        slices: int | None,
    ) -> Floats:
        """y_hat of one tile from its first slices; the others are as the model expects them.

        None: of a payload that is cut, as much as is there. DecodeError where its hyper latents
        are not.
        """
        ...

    def synthesis(self, y_hat: Floats, quality: float) -> Pixels:
        """y_hat (B, H/16, W/16, M) -> pixels (B, H, W, 3)."""
        ...

    def errors(
        self, pixels: Pixels, y_hat: Floats, quality: float, differentiate: bool
    ) -> ErrorBits:
        """What it costs that the pixels of y_hat differ from these."""
        ...

    def cost(self, pixels: Pixels, shown: Pixels, quality: float) -> float:
        """Bits that it costs that `shown` differs from `pixels`, by what the pack was trained for.

        Both (B, H, W, 3); of the whole batch.
        """
        ...

    def cost_gradient(self, pixels: Pixels, y_hat: Floats, quality: float) -> Floats:
        """Gradient, by y_hat, of what it costs that its pixels differ from these."""
        ...

    def descent(self, latents: LatentArrays, quality: float, steps: int, seed: int) -> Descent:
        """Begin to refine the latents of one tile in so many steps."""
        ...
