"""Options for opening, which `Image.open` cannot be given."""

import os
from pathlib import Path

from . import settings
from .engines import devices
from .engines.devices import available as available_devices
from .plugin import register

__all__ = ["available_devices", "register_mlic_opener"]


def register_mlic_opener(
    *,
    device: str | None = None,
    threads: int | None = None,
    weights_dir: str | os.PathLike[str] | None = None,
    max_pixels: int | None = None,
    precision: str | None = None,
    texture: float | None = None,
    engine: str | None = None,
) -> None:
    """Register the format with options for opening, which `Image.open` cannot be given.

    `device`: as `set_device`. `threads`: CPU threads for decoding and encoding. `weights_dir`: a
    folder of weight packs, searched before the usual ones. `max_pixels`: larger .mlic files raise
    DecompressionBombError when opened, whatever Pillow's own limit is. `precision`:
    "float32", or "bf16" for pixels about twice as fast where the processor multiplies bfloat16
    numbers (AVX512-BF16, AMX, GPUs) and torch is installed; they differ by a tenth of a level on
    average. `texture`: its strength, 0 (the most faithful pictures) to 1, whatever files say.
    `engine`: "onnx" or "torch", for what both can do; by default ONNX Runtime on a CPU, and torch
    where it has a GPU.

    Each call sets all options: one that is not given gets its default again. Raises ValueError for
    impossible values.
    """
    folder = None if weights_dir is None else Path(weights_dir)
    chosen = settings.Opening(
        threads=threads,
        weights_dir=folder,
        max_pixels=max_pixels,
        precision=precision or settings.PRECISIONS[0],
        texture=texture,
        engine=engine,
    )
    devices.set_device(device)
    settings.choose(chosen)
    register()
