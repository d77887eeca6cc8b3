"""What opening a .mlic file depends on besides the file, as Pillow has no options for opening."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Opening:
    """Options for opening; see `pillow_mlic.register_mlic_opener`."""

    threads: int | None = None
    weights_dir: Path | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "max_pixels"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and (not whole or value < 1):
                msg = f"{name} is {value!r}, but must be a whole number above 0, or None"
                raise ValueError(msg)
        if self.weights_dir is not None and not self.weights_dir.is_dir():
            msg = f"weights_dir is {str(self.weights_dir)!r}, which is no folder"
            raise ValueError(msg)


_chosen = Opening()


def choose(opening: Opening) -> None:
    """Open files so from now on."""
    global _chosen
    _chosen = opening


def weights_dir() -> Path | None:
    """The folder where weight packs are looked for before the usual ones, if one was chosen."""
    return _chosen.weights_dir


def check_size(size: tuple[int, int]) -> None:
    """DecompressionBombError where a picture has more pixels than was allowed."""
    most = _chosen.max_pixels
    if most is not None and size[0] * size[1] > most:
        msg = (
            f"this .mlic file has {size[0] * size[1]} pixels, more than the {most} that "
            "register_mlic_opener(max_pixels=...) allows"
        )
        raise Image.DecompressionBombError(msg)


@contextlib.contextmanager
def chosen_threads() -> Iterator[None]:
    """As many threads of torch as were chosen, and afterwards as many as before."""
    import torch

    before = torch.get_num_threads()
    if _chosen.threads is None or _chosen.threads == before:
        yield
        return
    torch.set_num_threads(_chosen.threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
