"""Options for opening, which `Image.open` cannot be given."""

import os
from pathlib import Path

from . import settings
from .engines import devices
from .plugin import register


def register_mlic_opener(
    *,
    device: str | None = None,
    threads: int | None = None,
    weights_dir: str | os.PathLike[str] | None = None,
    max_pixels: int | None = None,
) -> None:
    """Register the format with options for opening, which `Image.open` cannot be given.

    `device`: as `set_device`. `threads`: CPU threads that decoding uses. `weights_dir`: a folder
    of weight packs, searched before the usual ones. `max_pixels`: larger .mlic files raise
    DecompressionBombError when opened, whatever Pillow's own limit is. Each call sets all options:
    one that is not given gets its default again. Raises ValueError for values that cannot be.
    """
    folder = None if weights_dir is None else Path(weights_dir)
    chosen = settings.Opening(threads, folder, max_pixels)
    devices.set_device(device)
    settings.choose(chosen)
    register()
