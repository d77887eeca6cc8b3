"""The models of the MLIC family. A new model is one file here and one line in `REGISTRY`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .mlicv2_lite import MlicV2Lite


class Entry(NamedTuple):
    """Where a model lives, and the number that stands for it in files (never reused)."""

    number: int
    module: str
    class_name: str


REGISTRY = {
    "mlicv2-lite": Entry(1, "mlicv2_lite", "MlicV2Lite"),
}


def names() -> list[str]:
    """Names that `create` knows."""
    return list(REGISTRY)


def number_of(name: str) -> int:
    """The number of model `name` in files; ValueError with the known names otherwise."""
    return _entry(name).number


def name_of(number: int) -> str | None:
    """The model with this number in files, or None if this version knows none."""
    return next((name for name, entry in REGISTRY.items() if entry.number == number), None)


def create(name: str, config: dict[str, Any] | None = None) -> "MlicV2Lite":
    """A fresh model (torch.nn.Module); `config` as stored in a weight pack, or the default one.

    Raises ValueError for unknown names.
    """
    entry = _entry(name)
    model = getattr(import_module(f".{entry.module}", __name__), entry.class_name)
    return model() if config is None else model.from_config(config)


def _entry(name: str) -> Entry:
    if name not in REGISTRY:
        msg = f"there is no model {name!r}; the models are {', '.join(REGISTRY)}"
        raise ValueError(msg)
    return REGISTRY[name]
