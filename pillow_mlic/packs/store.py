"""Weight packs: one safetensors file with a model's weights, tables and model card.

A pack is found by name in, first to last: MLIC_WEIGHTS (a file or a folder), the folder of
`register_mlic_opener`, the user's data folder, and the packs that came with the package. A file
says by its hash which pack it needs.
"""

import copy
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import models, settings
from ..errors import DecodeError, WeightsError
from ..files import whole_file
from ..format.container import Header

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from ..entropy.tables import Tables

FORMAT = "pillow-mlic pack 1"
SUFFIX = ".safetensors"
HASH_BYTES = 8
DEFAULT_MODEL = "mlicv2-lite"
MOST_ROWS = 4096
"""Most rows of entropy tables in a pack; the widest network here has 256."""
MOST_CONFIG = 1 << 16
"""Largest width or depth that a pack's configuration may ask for."""
MOST_GUARD = 1e-3
"""Widest guard band, relative to the scale, that a file's header can say."""
MOST_HEADER = 1 << 20
"""Longest header of a pack in bytes."""


@dataclass(frozen=True)
class PackFile:
    """A pack on disk: what can be said of it without loading it."""

    path: Path
    model: str
    config: dict[str, Any]
    card: dict[str, Any]
    guard: float
    quality: float | None = None
    """The quality that the weights are for; None where one network serves all."""

    @property
    def name(self) -> str:
        """The name that users give, the file's name without its suffix."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def distortion(self) -> str:
        """What the weights were trained for: "ms-ssim", "visual", else "psnr" or "mse"."""
        lam = self.card.get("lambda")  # imported weights say no more; for the error it is below 1
        imported = isinstance(lam, int | float) and lam > 1
        return "ms-ssim" if imported else str(self.card.get("distortion", "psnr"))

    @property
    def for_squared_error(self) -> bool:
        """Whether lowering the squared error is what the weights were trained for."""
        return self.distortion not in ("ms-ssim", "visual")

    def digest(self) -> bytes:
        """SHA-256 of the file; its first 8 bytes stand for the pack in .mlic files."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()


class Pack:
    """A loaded pack: model and tables. Models are as models.base.Model describes them."""

    def __init__(self, file: PackFile, digest: bytes, model: Any, tables: "Tables") -> None:
        self.file = file
        self.hash = digest[:HASH_BYTES]
        self.tables = tables
        self._models = {"cpu": model}
        self._canonicals = {"cpu": model.exact()}
        self._lock = threading.Lock()

    def model(self, device: "torch.device") -> Any:
        """The model in float32 on `device`."""
        return self._placed(self._models, device)

    def canonical(self, device: "torch.device") -> Any:
        """The model without its transforms in float64, whose choices are the truth of streams."""
        if self._canonicals["cpu"] is self._models["cpu"]:
            return self.model(device)
        return self._placed(self._canonicals, device)

    def _placed(self, modules: dict[str, Any], device: "torch.device") -> Any:
        with self._lock:
            if str(device) not in modules:
                modules[str(device)] = copy.deepcopy(modules["cpu"]).to(device)
            return modules[str(device)]


def folders() -> list[Path]:
    """Where packs are looked for after MLIC_WEIGHTS, first to last; new ones go to the first."""
    from platformdirs import user_data_path

    own = settings.weights_dir()
    user = user_data_path("pillow-mlic", appauthor=False)
    here = Path(__file__).resolve().parents[1]
    first = [] if own is None else [own]
    # Installed, the package's packs lie inside it; in a checkout, beside it.
    return [*first, user / "weights", here / "weights", here.parent / "weights"]


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
    return chosen() + _kept()


def _kept() -> list[PackFile]:
    """The packs in the folders."""
    return [pack for place in folders() for pack in _packs_in(place)]


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
            if length > min(MOST_HEADER, path.stat().st_size):
                msg = "its header is too long"
                raise ValueError(msg)
            metadata = json.loads(file.read(length)).get("__metadata__", {})
        if metadata.get("format") != FORMAT:
            msg = f"its format is not {FORMAT!r}"
            raise ValueError(msg)
        facts = {
            "model": str(metadata["model"]),
            "config": json.loads(metadata["config"]),
            "card": json.loads(metadata["card"]),
            "guard": float(metadata["guard"]),
            "quality": float(metadata["quality"]) if "quality" in metadata else None,
        }
        _check_facts(facts)
        return PackFile(path, **facts)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        msg = f"{path} is not a weight pack of pillow-mlic: {error}"
        raise WeightsError(msg) from error


def _check_facts(facts: dict[str, Any]) -> None:
    """ValueError where the header says what no pack can."""
    problem = None
    if not facts["model"].isprintable():
        problem = "its model's name is no text"
    elif not isinstance(facts["config"], dict) or not isinstance(facts["card"], dict):
        problem = "its configuration or its card is no list of names and values"
    elif any(number > MOST_CONFIG for number in _numbers(facts["config"])):
        problem = f"its configuration has numbers above {MOST_CONFIG}"
    elif not 0 < facts["guard"] <= MOST_GUARD:
        problem = f"its guard band is {facts['guard']}"
    elif facts["quality"] is not None and not 1 <= facts["quality"] <= 8:
        problem = f"its quality is {facts['quality']}"
    if problem is not None:
        raise ValueError(problem)


def _numbers(config: dict[str, Any]) -> Iterator[float]:
    """All numbers of a configuration, whose values are numbers and lists of them."""
    for value in config.values():
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int | float):
                yield number


def find(name: str = DEFAULT_MODEL, quality: float = 3.0) -> PackFile:
    """The pack of this name; for a model's name its first one, or the one nearest to `quality`.

    Raises ValueError for a name that is neither, WeightsError where a model has no weights here.
    """
    first, others = chosen(), _kept()
    # What MLIC_WEIGHTS names goes before a pack that only has the better name.
    for candidates in (first, others):
        named = [pack for pack in candidates if pack.name == name]
        of_model = [pack for pack in candidates if pack.model == name]
        if named:
            return named[0]
        if of_model:
            return min(of_model, key=lambda p: 0 if p.quality is None else abs(p.quality - quality))
    have = ", ".join(pack.name for pack in first + others) or "none"
    if name in models.names():
        published = ", or import published ones (`mlic weights import`)"
        msg = (
            f"no weights of model {name!r} are installed (packs found: {have}); "
            f"train some (`mlic train PHOTOS RUN --model {name}`)"
            f"{published if name in models.PUBLISHED else ''} and put them into {folders()[0]}"
        )
        raise WeightsError(msg)
    msg = (
        f"there is no model or weight pack {name!r}; "
        f"models: {', '.join(models.names())}; packs found: {have}"
    )
    raise ValueError(msg)


def find_header(header: Header) -> PackFile:
    """The pack that a file with this header was written with.

    DecodeError where its model is unknown or not that pack's, WeightsError where there is none.
    """
    model = models.name_of(header.model)
    if model is None:
        msg = (
            f"this .mlic file needs model number {header.model}, which this version does not "
            "know: update pillow-mlic"
        )
        raise DecodeError(msg)
    file = find_hash(header.pack)
    if file.model != model:
        msg = (
            f"this .mlic file says that its model is {model}, but its weights ({file.name}) "
            f"are those of {file.model}: it was written by a broken program, or forged"
        )
        raise DecodeError(msg)
    return file


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

    from ..models.loading import build

    try:
        tensors = _tensors(file.path)
        tables = _tables(
            {
                key.removeprefix("tables."): tensors.pop(key)
                for key in list(tensors)
                if key.startswith("tables.")
            }
        )
        for name, tensor in tensors.items():
            if not torch.isfinite(tensor).all():
                msg = f"{name} holds numbers that are not finite"
                raise ValueError(msg)
        model = build(lambda: models.create(file.model, file.config), tensors, copy=False)
        # Only networks with a factorised prior have rows of its own, one a hyper latent.
        fixed = model.channels[1] if hasattr(model, "prior") else 0
        if tables.fixed != fixed:
            msg = f"its tables have {tables.fixed} rows for a prior of {fixed} channels"
            raise ValueError(msg)
    except (SafetensorError, OSError, LookupError, ValueError, TypeError, RuntimeError) as error:
        msg = f"{file.path} is a damaged weight pack: {error}"
        raise WeightsError(msg) from error
    model.eval().requires_grad_(False)
    return Pack(file, digest, model, tables)


def _tensors(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors of a safetensors file, each in memory of its own.

    safetensors' own tensors are views of a mapped file: with the copies of them that a network
    holds, all weights would be in memory twice. SafetensorError or ValueError for a damaged file.
    """
    import torch
    from safetensors import safe_open

    types = {
        "F64": torch.float64,
        "F32": torch.float32,
        "F16": torch.float16,
        "I64": torch.int64,
        "I32": torch.int32,
        "BOOL": torch.bool,
    }
    tensors = {}
    with safe_open(path, "pt"), open(path, "rb") as file:  # the former checks types and places
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
        header.pop("__metadata__", None)
        for name, entry in header.items():
            if entry["dtype"] not in types:
                msg = f"{name} is of type {entry['dtype']}"
                raise ValueError(msg)
            tensor = torch.empty(entry["shape"], dtype=types[entry["dtype"]])
            file.seek(start + entry["data_offsets"][0])
            if tensor.numel() and file.readinto(tensor.view(-1).numpy().data) != tensor.nbytes:
                msg = f"it ends within {name}"
                raise ValueError(msg)
            tensors[name] = tensor
    return tensors


def _tables(tensors: "dict[str, torch.Tensor]") -> "Tables":
    """The entropy tables of a pack; KeyError or ValueError where they are none."""
    from ..entropy.tables import Tables

    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    kinds = {"thresholds": "f8", "cdfs": "i4", "lengths": "i4", "offsets": "i4"}
    if any(
        arrays[name].dtype != kind or arrays[name].ndim != 1 for name, kind in kinds.items()
    ) or (arrays["skip"].ndim or arrays.get("fixed", arrays["skip"]).ndim):
        msg = "its tables are not the lists of numbers that they must be"
        raise ValueError(msg)
    lengths = arrays["lengths"].astype(np.int64)
    if len(lengths) > MOST_ROWS or np.any(lengths < 0) or lengths.sum() != len(arrays["cdfs"]):
        msg = "its tables do not fit together"
        raise ValueError(msg)
    return Tables(
        thresholds=arrays["thresholds"],
        cdfs=np.split(arrays["cdfs"], np.cumsum(lengths)[:-1]),
        offsets=arrays["offsets"],
        skip=bool(arrays["skip"]),
        fixed=int(arrays.get("fixed", 0)),
    )


def write(
    path: Path,
    model_name: str,
    config: dict[str, Any],
    state: "Mapping[str, torch.Tensor]",
    tables: "Tables",
    card: dict[str, Any],
    guard: float,
    quality: float | None = None,
) -> None:
    """Write a pack: the tensors of `state` as they are, `tables` as integers.

    `guard` is the relative bound on the scale's error in float32 arithmetic (DESIGN section 4),
    `quality` that of weights for one lambda.
    """
    import torch
    from safetensors.torch import save

    # Copies: safetensors refuses tensors that share memory, as some of LALIC's do.
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in state.items()}
    if any(not torch.isfinite(v).all() for v in tensors.values()):
        msg = "these weights hold numbers that are not finite: training has diverged"
        raise WeightsError(msg)
    tensors |= {
        "tables.thresholds": torch.from_numpy(tables.thresholds),
        "tables.cdfs": torch.from_numpy(np.concatenate(tables.cdfs)),
        "tables.lengths": torch.tensor([len(cdf) for cdf in tables.cdfs], dtype=torch.int32),
        "tables.offsets": torch.from_numpy(tables.offsets),
        "tables.skip": torch.tensor(tables.skip),
    }
    if tables.fixed:
        tensors["tables.fixed"] = torch.tensor(tables.fixed)
    metadata = {
        "format": FORMAT,
        "model": model_name,
        "config": json.dumps(config),
        "card": json.dumps(card),
        "guard": repr(guard),
    }
    if quality is not None:
        metadata["quality"] = repr(quality)
    with whole_file(path) as file:
        file.write(save(tensors, metadata=metadata))
