"""The models of the MLIC family. A new model is one file here and one line in `REGISTRY`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    from .base import Model


class Entry(NamedTuple):
    """A model's module, its number in files (never reused), and its source."""

    number: int
    module: str
    class_name: str
    paper: str = ""


REGISTRY = {
    "mlicv2-lite": Entry(1, "mlicv2_lite", "MlicV2Lite", "this project"),
    "mlic++": Entry(2, "mlicpp", "MlicPlusPlus", "arXiv 2307.15421"),
    "lalic": Entry(3, "lalic", "Lalic", "arXiv 2502.05741"),
    "mlic": Entry(4, "mlic", "Mlic", "arXiv 2211.07273"),
    "mlic+": Entry(5, "mlic", "MlicPlus", "arXiv 2211.07273"),
    "mlic-ex": Entry(6, "mlic", "MlicEx", "arXiv 2211.07273"),
    "mlicv2": Entry(7, "mlicv2", "MlicV2", "arXiv 2504.19119"),
}


PUBLISHED = ("mlic++", "lalic")
"""Networks whose authors have published weights."""


class Refined(NamedTuple):
    """A network whose files are refined in so many steps unless `save(refine=)` says otherwise."""

    network: str
    steps: int


REFINED = {"mlicv2+": Refined("mlicv2", 3000)}
"""Names that `save` knows besides; to a file it is the network."""


def names() -> list[str]:
    """Names that `create` knows."""
    return list(REGISTRY)


def number_of(name: str) -> int:
    """The number of model `name` in files; ValueError with the known names otherwise."""
    return _entry(name).number


def refined(name: str) -> Refined:
    """What a name given to `save` stands for: by default itself, in no steps."""
    return REFINED.get(name, Refined(name, 0))


def name_of(number: int) -> str | None:
    """The model with this number in files, or None if this version knows none."""
    return next((name for name, entry in REGISTRY.items() if entry.number == number), None)


def create(name: str, config: dict[str, Any] | None = None) -> "Model":
    """A fresh model (a torch.nn.Module besides); `config` as in a pack, or default.

    Raises ValueError for unknown names.
    """
    model = class_of(name)
    return cast("Model", model() if config is None else model.from_config(config))


def class_of(name: str) -> Any:
    """The class of model `name`; ValueError for unknown names."""
    entry = _entry(name)
    return getattr(import_module(f".{entry.module}", __name__), entry.class_name)


def identify(state: Any) -> tuple[str, Any]:
    """The name of the model that a published state dict belongs to, and the loaded model.

    Raises ValueError with the nearest network's first differing keys and shapes otherwise.
    """
    problems = []
    for name in PUBLISHED:
        entry = REGISTRY[name]
        module = import_module(f".{entry.module}", __name__)
        try:
            module.config_from_state_dict(state)
        except (ValueError, IndexError) as error:
            problems.append(str(error))
            continue
        return name, getattr(module, entry.class_name).from_state_dict(state)
    msg = "this is not a checkpoint of a published network that is known here: " + "; ".join(
        problems
    )
    raise ValueError(msg)


def no_network(name: str) -> str:
    """Why a name of `REFINED` is refused where a network is asked for."""
    network = REFINED[name].network
    return f"{name} is {network} with refined latents, for encoding alone; here say {network}"


def _entry(name: str) -> Entry:
    if name in REFINED:
        raise ValueError(no_network(name))
    if name not in REGISTRY:
        msg = f"there is no model {name!r}; the models are {', '.join(REGISTRY)}"
        raise ValueError(msg)
    return REGISTRY[name]
