"""Weight packs: one safetensors file with a model's weights, tables and model card.

A pack is found by name in, first to last: MLIC_WEIGHTS (a file or a folder), the user's data
folder, and the packs that came with the package. A file says by its hash which pack it needs.
"""

import copy
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import models
from .exceptions import WeightsError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .entropy.tables import Tables
    from .models.mlicv2_lite import Entropy, MlicV2Lite

    M = TypeVar("M", bound=nn.Module)

FORMAT = "pillow-mlic pack 1"
SUFFIX = ".safetensors"
HASH_BYTES = 8
DEFAULT_MODEL = "mlicv2-lite"


@dataclass(frozen=True)
class PackFile:
    """A pack on disk: what can be said of it without loading it."""

    path: Path
    model: str
    config: dict[str, Any]
    card: dict[str, Any]
    guard: float

    @property
    def name(self) -> str:
        """The name that users give, the file's name without its suffix."""
        return self.path.name.removesuffix(SUFFIX)

    def digest(self) -> bytes:
        """SHA-256 of the file; its first 8 bytes stand for the pack in .mlic files."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()


class Pack:
    """A loaded pack: model and tables.

    `canonical` is the entropy part in float64, whose choices are the truth of every stream.
    """

    def __init__(
        self, file: PackFile, digest: bytes, model: "MlicV2Lite", tables: "Tables"
    ) -> None:
        self.file = file
        self.hash = digest[:HASH_BYTES]
        self.tables = tables
        self._models = {"cpu": model}
        self._canonicals = {"cpu": copy.deepcopy(model.entropy).double()}
        self._lock = threading.Lock()

    def model(self, device: "torch.device") -> "MlicV2Lite":
        """The model in float32 on `device`."""
        return self._placed(self._models, device)

    def canonical(self, device: "torch.device") -> "Entropy":
        """The entropy part in float64 on `device`."""
        return self._placed(self._canonicals, device)

    def _placed(self, modules: "dict[str, M]", device: "torch.device") -> "M":
        with self._lock:
            if str(device) not in modules:
                modules[str(device)] = copy.deepcopy(modules["cpu"]).to(device)
            return modules[str(device)]


def folders() -> list[Path]:
    """Where packs are looked for besides MLIC_WEIGHTS: the user's folder, the package's own."""
    from platformdirs import user_data_path

    here = Path(__file__).resolve().parent
    # Installed, the package's packs lie inside it; in a checkout, beside it.
    user = user_data_path("pillow-mlic", appauthor=False)
    return [user / "weights", here / "weights", here.parent / "weights"]


def chosen() -> list[PackFile]:
    """The packs that MLIC_WEIGHTS names; WeightsError where it is set and names none."""
    name = os.environ.get("MLIC_WEIGHTS")
    if not name:
        return []
    place = Path(name)
    packs = [inspect(place)] if place.is_file() else list(_packs_in(place))
    if not packs:
        msg = f"MLIC_WEIGHTS is {name!r}, which is neither a weight pack nor a folder with one"
        raise WeightsError(msg)
    return packs


def installed() -> list[PackFile]:
    """All packs that can be found, in order of preference."""
    return chosen() + [pack for place in folders() for pack in _packs_in(place)]


def _packs_in(folder: Path) -> Iterator[PackFile]:
    """The packs in a folder; other files are passed over."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield inspect(path)
        except WeightsError:
            continue


def inspect(path: Path) -> PackFile:
    """Read the header of a pack; WeightsError with a sentence where it is none."""
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(1 << 20, path.stat().st_size):
                msg = "its header is too long"
                raise ValueError(msg)
            metadata = json.loads(file.read(length)).get("__metadata__", {})
        if metadata.get("format") != FORMAT:
            msg = f"its format is not {FORMAT!r}"
            raise ValueError(msg)
        return PackFile(
            path=path,
            model=str(metadata["model"]),
            config=json.loads(metadata["config"]),
            card=json.loads(metadata["card"]),
            guard=float(metadata["guard"]),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        msg = f"{path} is not a weight pack of pillow-mlic: {error}"
        raise WeightsError(msg) from error


def find(name: str = DEFAULT_MODEL) -> PackFile:
    """The preferred pack of this name; a model's name finds its first pack.

    Raises ValueError for a name that is neither, WeightsError where a model has no weights here.
    """
    packs = installed()
    first = chosen()
    # What MLIC_WEIGHTS names goes before a pack that only has the better name.
    for candidates in (first, packs):
        for matches in (lambda p: p.name == name, lambda p: p.model == name):
            found = next(filter(matches, candidates), None)
            if found is not None:
                return found
    have = ", ".join(pack.name for pack in packs) or "none"
    if name in models.names():
        msg = (
            f"no weights of model {name!r} are installed (packs found: {have}); see `mlic weights`"
        )
        raise WeightsError(msg)
    msg = (
        f"there is no model or weight pack {name!r}; "
        f"models: {', '.join(models.names())}; packs found: {have}"
    )
    raise ValueError(msg)


def find_hash(prefix: bytes) -> PackFile:
    """The pack that a file was written with, by the first bytes of its hash."""
    packs = installed()
    for pack in packs:
        if _cached_digest(pack).startswith(prefix):
            return pack
    have = ", ".join(f"{p.name} ({_cached_digest(p)[:HASH_BYTES].hex()})" for p in packs) or "none"
    msg = (
        f"this file was written with the weights {prefix.hex()}, which are not installed here "
        f"(installed: {have}); put that weight pack into {folders()[0]} or name it in MLIC_WEIGHTS"
    )
    raise WeightsError(msg)


_digests: dict[tuple[str, int, int], bytes] = {}
_packs: dict[bytes, Pack] = {}
_lock = threading.Lock()


def _cached_digest(pack: PackFile) -> bytes:
    status = pack.path.stat()
    key = (str(pack.path), status.st_mtime_ns, status.st_size)
    if key not in _digests:
        _digests[key] = pack.digest()
    return _digests[key]


def load(file: PackFile) -> Pack:
    """Load weights and tables (kept for the life of the process)."""
    digest = _cached_digest(file)
    with _lock:
        if digest not in _packs:
            _packs[digest] = _load(file, digest)
        return _packs[digest]


def _load(file: PackFile, digest: bytes) -> Pack:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from .entropy.tables import Tables

    try:
        tensors = load_file(file.path)
        tables = {
            key.removeprefix("tables."): tensors.pop(key).numpy()
            for key in list(tensors)
            if key.startswith("tables.")
        }
        lengths = tables["lengths"].astype(np.int64)
        if np.any(lengths < 0) or lengths.sum() != len(tables["cdfs"]):
            msg = "its tables do not fit together"
            raise ValueError(msg)
        entropy_tables = Tables(
            thresholds=tables["thresholds"],
            cdfs=np.split(tables["cdfs"], np.cumsum(lengths)[:-1]),
            offsets=tables["offsets"],
            skip=bool(tables["skip"]),
        )
        model = models.create(file.model, file.config)
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                msg = f"{name} holds numbers that are not finite"
                raise ValueError(msg)
        model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        msg = f"{file.path} is a damaged weight pack: {error}"
        raise WeightsError(msg) from error
    model.eval().requires_grad_(False)
    return Pack(file, digest, model, entropy_tables)


def write(
    path: Path, model_name: str, model: "nn.Module", card: dict[str, Any], guard: float
) -> None:
    """Write `model` as a pack: weights in half precision, tables as integers.

    `guard` is the relative bound on the scale's error in float32 arithmetic (DESIGN section 4).
    The file is written beside and renamed.
    """
    import torch
    from safetensors.torch import save

    from .entropy.tables import gaussian_tables

    tables = gaussian_tables()
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in model.state_dict().items()}
    if any(not torch.isfinite(v).all() for v in tensors.values()):
        msg = "the weights do not fit into half precision, or training has diverged"
        raise WeightsError(msg)
    tensors |= {
        "tables.thresholds": torch.from_numpy(tables.thresholds),
        "tables.cdfs": torch.from_numpy(np.concatenate(tables.cdfs)),
        "tables.lengths": torch.tensor([len(cdf) for cdf in tables.cdfs], dtype=torch.int32),
        "tables.offsets": torch.from_numpy(tables.offsets),
        "tables.skip": torch.tensor(tables.skip),
    }
    part = path.with_suffix(".part")
    metadata = {
        "format": FORMAT,
        "model": model_name,
        "config": json.dumps(model.config_dict()),  # type: ignore[operator]
        "card": json.dumps(card),
        "guard": repr(guard),
    }
    part.write_bytes(save(tensors, metadata=metadata))
    part.replace(path)
