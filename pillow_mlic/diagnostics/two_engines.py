"""ONNX Runtime's engine and torch's side by side: each reads what the other wrote.

    pixels -> analysis of each engine -> a stream of each -> y_hat -> synthesis of each -> pixels

Symbols must be the same ones, which the checksum in a stream says; pixels may differ by one level.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..coding.coding import Coding
from ..coding.encoder import Encoder
from ..engines import devices, onnx_graphs

if TYPE_CHECKING:
    from ..engines.base import Engine, Floats, Pixels
    from ..packs import Pack

ONNX, TORCH = "onnx", "torch"
MOST_LEVELS = 1
"""How far pixels by the two may be apart."""


def names(pack: "Pack") -> tuple[str, ...]:
    """The engines that can code with this pack in integers."""
    if pack.integers is None:
        return ()
    has_graphs = onnx_graphs.of_pack(pack.file) is not None
    return (TORCH, ONNX) if has_graphs and devices.has_module("onnxruntime") else (TORCH,)


def engine(name: str, pack: "Pack", device: Any = "cpu") -> "Engine":
    """The engine of this name; that of ONNX Runtime is on the CPU, whatever the device."""
    if name == ONNX:
        from ..engines.onnx_engine import OnnxEngine

        return OnnxEngine(pack)
    from ..engines.torch_engine import TorchEngine

    return TorchEngine(pack, devices.resolve(str(device)))


def streams(
    pack: "Pack", pixels: "Pixels", quality: float, side: int, device: str
) -> dict[str, list[bytes]]:
    """The tiles of a picture, in integers, by each of `names`: pixels (H, W, 3)."""
    found = {}
    for name in names(pack):
        coding = Coding(pack, quality, side, None, engine(name, pack, device))
        found[name] = Encoder(coding).encode(pixels).payloads
    return found


def levels_apart(pack: "Pack", y_hat: "Floats", quality: float) -> int:
    """How far the pixels that the engines make of the same latents are apart at most."""
    shown = [engine(name, pack).synthesis(y_hat, quality) for name in (ONNX, TORCH)]
    return int(np.abs(np.subtract(*shown, dtype=np.int16)).max())
