"""Settings for all files, by a program or its environment: `Image.open` passes no options on."""

import numbers
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

PRECISIONS = ("float32", "bf16")
"""How pixels are computed."""
ENGINES = ("onnx", "torch")
"""What can run networks."""


def number(value: object) -> float | None:
    """The value of any real number, NumPy's too; None for anything else."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return float(value) if real else None  # type: ignore[arg-type]


def whole(value: object) -> int | None:
    """The value of any whole number, also if it is a float; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, numbers.Integral):
        return int(value)
    real = number(value)
    return int(real) if real is not None and real.is_integer() else None


def count(name: str, value: object) -> int:
    """A whole number above 0; ValueError for anything else."""
    plain = whole(value)
    if plain is None or plain < 1:
        msg = f"{name} is {value!r}, but must be a whole number above 0, or None"
        raise ValueError(msg)
    return plain


def flag(name: str, value: object) -> bool:
    """Whether an option is on: a truth value, NumPy's too, or 0 or 1; None: off. ValueError for the
    rest."""
    if value is None:
        return False
    plain = value.item() if getattr(value, "ndim", None) == 0 else value  # type: ignore[attr-defined]
    if not isinstance(plain, numbers.Real) or plain not in (0, 1):
        msg = f"{name} is {value!r}, but must be True or False"
        raise ValueError(msg)
    return bool(plain)


@dataclass(frozen=True)
class Opening:
    """Options for opening; see `pillow_mlic.register_mlic_opener`."""

    threads: int | None = None
    weights_dir: Path | None = None
    max_pixels: int | None = None
    precision: str = "float32"
    texture: float | None = None
    engine: str | None = None

    def __post_init__(self) -> None:
        for name in ("threads", "max_pixels"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, count(name, value))
        if self.weights_dir is not None and not self.weights_dir.is_dir():
            msg = f"weights_dir is {str(self.weights_dir)!r}, which is no folder"
            raise ValueError(msg)
        if self.texture is not None:
            checked_texture(self.texture)
        if self.precision not in PRECISIONS:
            msg = f"precision is {self.precision!r}, but must be one of {', '.join(PRECISIONS)}"
            raise ValueError(msg)
        if self.engine is not None:
            _check_engine(self.engine)


def _check_engine(name: str) -> None:
    if name not in ENGINES:
        msg = f"engine is {name!r}, but must be one of {', '.join(ENGINES)}"
        raise ValueError(msg)


def checked_texture(strength: object, others: str = ", or None") -> float:
    """A strength of texture, 0 to 1; ValueError, which names `others`, for anything else."""
    plain = number(strength)
    if plain is None or not 0 <= plain <= 1:
        msg = f"texture is {strength!r}, but must be a number from 0 (none) to 1{others}"
        raise ValueError(msg)
    return plain


_chosen = Opening()
_changed: ContextVar[Opening | None] = ContextVar("_changed", default=None)
"""What is chosen in this thread alone, while it is in `changed`."""
_forked_with_torch = False
_device: str | None = None


def choose(opening: Opening) -> None:
    """Use these options for all files that are opened from now on."""
    global _chosen
    _chosen = opening


def forked_with_torch() -> bool:
    """Whether this process is a fork of one that had torch: its threads for products are gone, and
    whoever waits for them waits for ever."""
    return _forked_with_torch


def _after_fork() -> None:
    global _forked_with_torch
    _forked_with_torch = sys.modules.get("torch") is not None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def changed(**changes: Any) -> Iterator[None]:
    """Other options for opening (fields of `Opening`) in this thread, while it is inside."""
    token = _changed.set(replace(_opening(), **changes))
    try:
        yield
    finally:
        _changed.reset(token)


def _opening() -> Opening:
    return _changed.get() or _chosen


def choose_device(device: str | None) -> None:
    """Run networks on this device from now on; None: as the environment says, or automatic."""
    global _device
    _device = device


def device() -> str | None:
    """The device that was chosen, by `choose_device` or the variable MLIC_DEVICE."""
    return _device or os.environ.get("MLIC_DEVICE")


def threads() -> int | None:
    """CPU threads that coding uses, if a number was chosen."""
    return _opening().threads


def weights_dir() -> Path | None:
    """The folder where weight packs are looked for before the usual ones, if one was chosen."""
    return _opening().weights_dir


def engine() -> str | None:
    """What shall run networks where it can, by `Opening.engine` or the variable MLIC_ENGINE.

    ValueError where the variable names no engine.
    """
    name = _opening().engine or os.environ.get("MLIC_ENGINE") or None
    if name is not None:
        _check_engine(name)
    return name


def onnx_providers() -> tuple[str, ...]:
    """What ONNX Runtime shall run transforms with, first choice first, by the variable
    MLIC_ONNX_PROVIDERS, in ONNX Runtime's own names; () where nothing was said."""
    names = os.environ.get("MLIC_ONNX_PROVIDERS", "").split(",")
    return tuple(name.strip() for name in names if name.strip())


def precision() -> str:
    """How pixels are computed when files are opened, one of `PRECISIONS`."""
    return _opening().precision


def texture() -> float | None:
    """The strength of texture that pictures are shown with; None: as their files say."""
    return _opening().texture


def strength(wanted: object) -> float | None:
    """The strength of texture that is asked for, or chosen for all files; None: as stored."""
    return texture() if wanted is None else checked_texture(wanted)


def check_size(size: tuple[int, int]) -> None:
    """DecompressionBombError where a picture has more pixels than was allowed."""
    most = _opening().max_pixels
    if most is not None and size[0] * size[1] > most:
        msg = (
            f"this .mlic file has {size[0] * size[1]} pixels, more than the {most} that "
            "register_mlic_opener(max_pixels=...) allows"
        )
        raise Image.DecompressionBombError(msg)
