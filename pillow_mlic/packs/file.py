"""A weight pack on disk: one safetensors file with weights, tables and a model card."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import WeightsError
from ..files import whole_file
from . import identity

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from ..entropy.tables import Tables
    from ..integers.network import IntegerNetwork

FORMAT = "pillow-mlic pack 1"
SUFFIX = ".safetensors"
MOST_ROWS = 4096
"""Most rows of entropy tables in a pack; the widest network here has 256."""
MOST_CONFIG = 1 << 16
"""Largest width or depth that a pack's configuration may ask for."""
MOST_GUARD = 1e-3
"""Widest guard band, relative to the scale, that a file's header can say."""
MOST_HEADER = 1 << 20
"""Longest header of a pack in bytes."""
TABLES = "tables."
"""What the names of the tables' arrays begin with."""
INTEGERS = "integers."
"""What the names of the arrays of the entropy part in integers begin with."""

Arrays = dict[str, NDArray[Any]]

_HALF_EXPONENT = 0x7C00
"""The exponent of a float16 number; all of it is set where the number is not finite."""

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4"}
_TYPES |= {"I16": "<i2", "I8": "i1", "BOOL": "?"}


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
    claim: bytes = b""
    """The identity that the file says it has. It only saves reading other packs first."""

    @property
    def name(self) -> str:
        """The name that users give, the file's name without its suffix."""
        return self.path.name.removesuffix(SUFFIX)

    @property
    def distortion(self) -> str:
        """What the weights were trained for: "psnr", "ms-ssim" or "visual"."""
        lam = self.card.get("lambda")  # imported weights say no more; for the error it is below 1
        if isinstance(lam, int | float) and lam > 1:
            return "ms-ssim"
        said = str(self.card.get("distortion", "psnr"))
        return "psnr" if said == "mse" else said  # as version 0.1 called it

    @property
    def for_squared_error(self) -> bool:
        """Whether lowering the squared error is what the weights were trained for."""
        return self.distortion == "psnr"


class Content(NamedTuple):
    """What is in a pack, and its identity."""

    arrays: Arrays
    """Weights by name, as they are stored."""
    tables: "Tables"
    identity: bytes
    """See `identity.of`."""
    integers: "IntegerNetwork | None" = None
    """The entropy part in integers, where the pack has it."""


def inspect(path: Path) -> PackFile:
    """Read the header of a pack; WeightsError with a sentence where it is none."""
    try:
        _check_is_file(path)
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(MOST_HEADER, path.stat().st_size):
                msg = "its header is too long"
                raise ValueError(msg)
            return PackFile(path, **_facts(json.loads(file.read(length))))
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        msg = f"{path} is not a weight pack of pillow-mlic: {error}"
        raise WeightsError(msg) from error


def read(path: Path) -> tuple[PackFile, Content]:
    """Read a whole pack at once, so that its identity is that of the bytes that are used.

    WeightsError with a sentence where it is damaged.
    """
    try:
        _check_is_file(path)
        data = np.fromfile(path, np.uint8)  # half the time of a bytearray, which begins as zeros
        header = json.loads(_header(data))
        file_ = PackFile(path, **_facts(header))
        arrays = dict(_arrays(header, data))
        who = identity.of(file_.model, file_.config, arrays)
        tables = _tables(_taken(arrays, TABLES))
        integers = _integers(file_, _taken(arrays, INTEGERS), tables)
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not _finite(array):
                msg = f"{name} holds numbers that are not finite"
                raise ValueError(msg)
    except (OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        msg = f"{path} is a damaged weight pack: {error}"
        raise WeightsError(msg) from error
    return file_, Content(arrays, tables, who, integers)


def _check_is_file(path: Path) -> None:
    """ValueError for a pipe, which would be waited for."""
    if path.exists() and not path.is_file():
        msg = "it is no file"
        raise ValueError(msg)


def _finite(array: NDArray[Any]) -> bool:
    if array.dtype == np.float16:  # whose isfinite takes three times as long
        exponents = array.view(np.uint16) & np.uint16(_HALF_EXPONENT)
        return not array.size or int(exponents.max()) != _HALF_EXPONENT
    return bool(np.isfinite(array).all())


def _taken(arrays: Arrays, prefix: str) -> Arrays:
    """The arrays whose names begin so, without that; they are taken away."""
    return {n.removeprefix(prefix): arrays.pop(n) for n in list(arrays) if n.startswith(prefix)}


def _integers(file: PackFile, arrays: Arrays, tables: "Tables") -> "IntegerNetwork | None":
    """The entropy part in integers; KeyError, TypeError or ValueError where it is damaged."""
    if not arrays:
        return None
    from ..integers.network import IntegerNetwork

    if file.model != "mlicv2-lite":
        msg = f"{file.model} has no form in integers"
        raise ValueError(msg)
    network = IntegerNetwork(file.config, arrays)
    if network.classes != tables.classes or not tables.skip:
        msg = "its integers have other classes than its tables"
        raise ValueError(msg)
    return network


def _header(data: NDArray[np.uint8]) -> bytes:
    length = int.from_bytes(data[:8].tobytes(), "little")
    if not 0 < length <= min(MOST_HEADER, len(data) - 8):
        msg = "it ends early, or its header is too long"
        raise ValueError(msg)
    return data[8 : 8 + length].tobytes()


def _facts(header: dict[str, Any]) -> dict[str, Any]:
    """The fields of PackFile from the header; ValueError or KeyError where it is wrong."""
    metadata = header.get("__metadata__", {})
    if metadata.get("format") != FORMAT:
        msg = f"its format is not {FORMAT!r}"
        raise ValueError(msg)
    facts = {
        "model": str(metadata["model"]),
        "config": json.loads(metadata["config"]),
        "card": json.loads(metadata["card"]),
        "guard": float(metadata["guard"]),
        "quality": float(metadata["quality"]) if "quality" in metadata else None,
        "claim": bytes.fromhex(metadata.get("identity", "")),
    }
    _check_facts(facts)
    return facts


def _check_facts(facts: dict[str, Any]) -> None:
    """ValueError where the header says something that cannot be."""
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


def _arrays(header: dict[str, Any], data: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[Any]]]:
    """The arrays in a safetensors file, all of them views of `data`; ValueError for a wrong one."""
    start = 8 + int.from_bytes(data[:8].tobytes(), "little")
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _TYPES:
            msg = f"{name} is of type {entry['dtype']}"
            raise ValueError(msg)
        kind = np.dtype(_TYPES[entry["dtype"]])
        shape = tuple(entry["shape"])
        first, last = entry["data_offsets"]
        if any(not isinstance(n, int) or n < 0 for n in (*shape, first, last)):
            msg = f"{name} has a shape or a place that is none"
            raise ValueError(msg)
        count = math.prod(shape)
        if last - first != count * kind.itemsize or start + last > len(data):
            msg = f"it ends within {name}, or its size is wrong"
            raise ValueError(msg)
        yield name, np.frombuffer(data, kind, count, start + first).reshape(shape)


def _tables(arrays: Arrays) -> "Tables":
    """The entropy tables of a pack; KeyError or ValueError where they are none."""
    from ..entropy.tables import Tables

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

    `guard` is the relative bound on the scale's error in float32 arithmetic (docs/portability.md),
    `quality` that of weights for one lambda.
    """
    from safetensors.torch import save

    tensors = stored(state, tables)
    metadata = {
        "format": FORMAT,
        "model": model_name,
        "config": json.dumps(config),
        "card": json.dumps(card),
        "guard": repr(guard),
        "identity": identity.of(
            model_name, config, {name: tensor.numpy() for name, tensor in tensors.items()}
        ).hex(),
    }
    if quality is not None:
        metadata["quality"] = repr(quality)
    with whole_file(path) as file:
        file.write(save(tensors, metadata=metadata))


def stored(state: "Mapping[str, torch.Tensor]", tables: "Tables") -> "dict[str, torch.Tensor]":
    """What a pack stores of weights and tables; WeightsError where training has diverged."""
    import torch

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
    return tensors
