"""What runs a network, and where; see base.Engine."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..packs import Pack
    from .base import Engine


def engine_for(pack: "Pack", device: str | None = None, half: bool = False) -> "Engine":
    """The engine that runs a pack's network on `device`, by default as `devices.resolve` has it.

    With `half` pixels are computed in bfloat16 where the device is fast at it. Raises ValueError
    for a device that is not there, ImportError where torch is missing.
    """
    from . import devices

    devices.require_torch()
    from .torch_engine import TorchEngine

    return TorchEngine(pack, devices.resolve(device), half)
