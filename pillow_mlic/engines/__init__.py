"""What runs a network, and where; see base.Engine."""

from typing import TYPE_CHECKING, NamedTuple

from .. import settings

if TYPE_CHECKING:
    from ..packs import Pack
    from .base import Engine


class Needs(NamedTuple):
    """What work asks of an engine, besides what every engine can do."""

    gradients: bool = False
    """Optimised rounding, refinement."""
    floats: bool = False
    """A walk through the entropy part in floating point, as files without integers have it."""
    half: bool = False
    """Pixels in bfloat16 where the device is fast at it; without torch they come in float32."""


def engine_for(pack: "Pack", device: str | None = None, needs: Needs = Needs()) -> "Engine":  # noqa: B008
    """The engine that runs a pack's network on `device`, by default as `devices.resolve` has it.

    ONNX Runtime where it can, on the CPU; torch where it cannot, and where torch has a GPU. The
    engine that was asked for (`settings.engine`) goes before the other if it can do the work.
    Raises ValueError for a device that is not there, ImportError where torch is needed and missing.
    """
    from . import devices

    asked, name = settings.engine(), devices.named(device)
    lack = _lack_of_onnx(pack, name, needs)
    if lack is None and asked != "torch":
        on_gpu = name is None and devices.has_gpu()
        prefers_torch = on_gpu or (needs.half and devices.has_torch())
        if asked == "onnx" or not prefers_torch:
            from .onnx_engine import OnnxEngine

            return OnnxEngine(pack)
    devices.require_torch(lack or "the engine 'torch'")
    from .torch_engine import TorchEngine

    return TorchEngine(pack, devices.resolve(device), needs.half, quick=needs.gradients)


def _lack_of_onnx(pack: "Pack", device: str | None, needs: Needs) -> str | None:
    """What ONNX Runtime cannot do, as the subject of a sentence; None where it can do it all."""
    from . import devices, onnx_graphs

    if needs.gradients:
        return "choosing symbols by gradients (optimize, refine)"
    if device is not None and not devices.is_cpu(device):
        return f"the device {device!r}"
    if needs.floats:
        return "a file whose symbols were decided in floating point (version 1, published networks)"
    if pack.integers is None:
        return f"the network of the weights {pack.file.name}"
    if onnx_graphs.of_pack(pack.file) is None:
        return f"the network of the weights {pack.file.name}, whose widths are unusual,"
    if not devices.has_module("onnxruntime"):
        return "a Python without ONNX Runtime"
    return None
