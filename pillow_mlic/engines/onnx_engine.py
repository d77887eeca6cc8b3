"""The engine for the bundled packs on a CPU, without torch: transforms by ONNX Runtime.

MLIC_ONNX_PROVIDERS may name other devices for them; callers see no difference. The entropy part is
in integers, in NumPy, always on the CPU. Its products are small: one thread is faster than two,
which wait for each other. What needs gradients is left to torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
from numpy.typing import NDArray

from ..models.lite_config import LiteConfig
from ..packs import Pack
from . import devices, integer_walk, onnx_graphs, onnx_sessions
from .base import (
    CodedTile,
    Descent,
    ErrorBits,
    FirstPass,
    Floats,
    LatentArrays,
    Pixels,
    RoundingArrays,
)


class OnnxEngine:
    """A pack's network on the CPU; see base.Engine.

    For packs with integers whose configuration has graphs. Methods that need gradients raise
    ImportError or, where torch is there, ValueError: `engine_for` gives an engine that has them.
    """

    device = "cpu"

    def __init__(self, pack: Pack) -> None:
        graphs = onnx_graphs.of_pack(pack.file)
        if graphs is None or pack.integers is None:
            msg = f"ONNX Runtime cannot run the network of the weights {pack.file.name}"
            raise ValueError(msg)
        onnx_sessions.providers()  # says it now if one is not there
        self._pack = pack
        self._graphs = graphs
        self._config = LiteConfig.from_dict(pack.file.config)

    @property
    def channels(self) -> tuple[int, int]:
        """See base.Engine."""
        return self._config.latents, self._config.hyper_latents

    @property
    def halo(self) -> int | None:
        """See base.Engine."""
        return self._config.halo

    @property
    def slices(self) -> int:
        """See base.Engine."""
        return len(self._config.slices)

    # ---- transforms --------------------------------------------------------------------------

    def analysis(self, pixels: Pixels, quality: float) -> Floats:
        """See base.Engine."""
        return self._run("analysis", pixels=pixels, quality=_each(quality, pixels))

    def hyper_analysis(self, y: Floats) -> Floats:
        """See base.Engine."""
        return self._run("hyper_analysis", y=y)

    def synthesis(self, y_hat: Floats, quality: float) -> Pixels:
        """See base.Engine."""
        found = self._run("synthesis", y_hat=y_hat, quality=_each(quality, y_hat))
        return cast(Pixels, found)

    def _run(self, step: str, **inputs: NDArray[Any]) -> NDArray[Any]:
        return self._sessions.run(self._pack, self._graph(step), devices.threads(), inputs)

    def _begin(self, step: str) -> None:
        self._sessions.begin(self._pack, self._graph(step), devices.threads())

    def _graph(self, step: str) -> Path:
        return self._graphs / f"{step}.onnx"

    @property
    def _sessions(self) -> onnx_sessions.Sessions:
        return onnx_sessions.of_pack(self._pack)

    # ---- the entropy part --------------------------------------------------------------------

    def encode(
        self,
        latents: LatentArrays,
        quality: float,
        guard: float | None,
        rounding: RoundingArrays | None = None,
        estimate: bool = False,
    ) -> list[CodedTile]:
        """See base.Engine; to the nearest symbols, in integers."""
        if guard is not None or rounding is not None:
            _needs_torch()
        with devices.blas_threads(1):
            return integer_walk.encode(latents, quality, self._pack, estimate=estimate)

    def decode(
        self,
        payloads: Sequence[bytes],
        z_size: tuple[int, int],
        quality: float,
        guard: float | None,
        texture: Floats | None = None,
    ) -> Floats:
        """See base.Engine; in integers."""
        if guard is not None:
            _needs_torch()
        self._begin("synthesis")  # which will show what is decoded here
        with devices.blas_threads(1):
            return integer_walk.decode(payloads, self._pack, quality, z_size, texture)

    def decode_slices(
        self,
        payload: bytes,
        z_size: tuple[int, int],
        quality: float,
        guard: float | None,
        slices: int | None,
    ) -> Floats:
        """See base.Engine; in integers."""
        if guard is not None:
            _needs_torch()
        with devices.blas_threads(1):
            return integer_walk.decode_slices(payload, self._pack, quality, z_size, slices)

    # ---- what torch alone can do -------------------------------------------------------------

    def first_pass(
        self,
        latents: LatentArrays,  # noqa: ARG002
        quality: float,  # noqa: ARG002
        rounding: RoundingArrays | None = None,  # noqa: ARG002
    ) -> FirstPass:
        """Not here."""
        _needs_torch()

    def errors(
        self,
        pixels: Pixels,  # noqa: ARG002
        y_hat: Floats,  # noqa: ARG002
        quality: float,  # noqa: ARG002
        differentiate: bool,  # noqa: ARG002
    ) -> ErrorBits:
        """Not here."""
        _needs_torch()

    def cost(self, pixels: Pixels, shown: Pixels, quality: float) -> float:  # noqa: ARG002
        """Not here."""
        _needs_torch()

    def cost_gradient(self, pixels: Pixels, y_hat: Floats, quality: float) -> Floats:  # noqa: ARG002
        """Not here."""
        _needs_torch()

    def descent(
        self,
        latents: LatentArrays,  # noqa: ARG002
        quality: float,  # noqa: ARG002
        steps: int,  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> Descent:
        """Not here."""
        _needs_torch()


def _needs_torch() -> NoReturn:
    """ImportError where torch is missing, ValueError where the engine of torch was to be asked."""
    what = "choosing symbols by gradients, or deciding them in floating point,"
    devices.require_torch(what)
    msg = f"{what} needs the engine of torch"
    raise ValueError(msg)


def _each(quality: float, batch: NDArray[Any]) -> Floats:
    return np.full(len(batch), quality, np.float32)
