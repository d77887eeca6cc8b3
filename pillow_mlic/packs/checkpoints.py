"""Published checkpoints in and out: `mlic weights import` and `export`."""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import models
from ..errors import WeightsError
from ..files import refuse_pipe, whole_file
from ..models import lambdas
from . import identity, store
from .file import SUFFIX, stored, write
from .file import read as read_pack

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params")
PREFIXES = ("module.", "_orig_mod.", "net.", "model.")
NEAR_WHOLE = 0.03
"""Qualities so near a whole one are that one: lambdas are published with two digits."""
COUNTERS = ("total_ops", "total_params")
"""What thop leaves in every layer that it has counted."""

MOST_REPEATED = 4
"""Most bytes of tensors for a byte of the file: a tensor can be a view that repeats a few
numbers."""

OF_NUMPY = (
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"numpy.{core}.multiarray.{made}"
        for core in ("core", "_core")
        for made in ("scalar", "_reconstruct")
    ),
)
"""What a pickled number or array is made of, by the names that NumPy 1 and 2 write."""

_FOREIGN = re.compile(r"GLOBAL (\S+) was not an allowed|but got <class '([\w.]+)'>")
"""How torch names what it does not read."""

UNMEASURED_GUARD = 1e-4
"""Float32 guard band of imported weights, before anyone has measured their drift."""


def read(path: Path) -> "dict[str, Tensor]":
    """The state dict in a checkpoint, plain or wrapped, without prefixes; no code is run.

    Raises WeightsError with a sentence where there is none, ValueError for a pipe.
    """
    import torch

    refuse_pipe(path)
    try:
        # Options and losses often lie beside the weights; a Namespace is a bag of values.
        ignored = [(_Nothing, name) for name in OF_NUMPY]
        with torch.serialization.safe_globals([argparse.Namespace, *ignored]):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        raise WeightsError(_refusal(path, str(error))) from error
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        msg = f"{path} holds no state dict"
        raise WeightsError(msg)
    problem = _problem(content, MOST_REPEATED * path.stat().st_size)
    if problem is not None:
        msg = f"{path} holds no state dict: {problem}"
        raise WeightsError(msg)
    state = {}
    for key, value in content.items():
        while key.startswith(PREFIXES):
            key = key.split(".", 1)[1]
        if key.rpartition(".")[2] not in COUNTERS:
            state[key] = value
    return state


def _refusal(path: Path, said: str) -> str:
    """A sentence about a file that torch's reader of tensors alone did not take, as it `said`."""
    found = _FOREIGN.search(said)
    if found is None:
        return (
            f"{path} cannot be read as a checkpoint of tensors: it is damaged, or torch.save did "
            "not write it"
        )
    return (
        f"{path} holds {found[1] or found[2]} besides tensors and plain values, and reading that "
        "could run code: import a file with the state dict alone, as torch.save("
        "model.state_dict(), path) writes it"
    )


class _Nothing:
    """Stands for a value of NumPy, or for a part of one, that lies beside the weights.

    Nobody asks for these values, so none is made: NumPy would believe a file that says where in
    memory the objects of an array are.
    """

    def __init__(self, *said: object) -> None:
        del said

    def __setstate__(self, said: object) -> None:
        del said


def _problem(content: "Mapping[Any, Any]", most: int) -> str | None:
    """Why `content` is no state dict of `most` bytes, None if it is one."""
    import torch

    total = 0
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            return f"{key!r} is no tensor"
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            return f"{key!r} is no plain tensor"
        total += value.numel() * value.element_size()
        if total > most:
            return f"{key!r} of shape {tuple(value.shape)} is larger than the file"
        if not torch.isfinite(value).all():
            return f"{key!r} holds numbers that are not finite"
    return None


def quality_of(lam: float) -> float:
    """The quality 1 to 8 that lambda is for: of MSE (CompressAI's convention) or, above 1, MS-SSIM.

    Between whole ones it is interpolated. ValueError with the range outside of it.
    """
    quality = lambdas.quality_of(lam, "ms-ssim" if lam > 1 else "psnr")
    return float(round(quality)) if abs(quality - round(quality)) < NEAR_WHOLE else quality


def import_checkpoint(
    path: Path, lam: float, folder: Path | None = None, force: bool = False
) -> Path:
    """Make a weight pack of a published checkpoint; -> its path in `folder`, or the first place.

    `lam` is the lambda that the weights were trained for. Tensors are kept as they are. Where a
    pack of that name and another content is there already it is replaced only with `force`;
    WeightsError otherwise.
    """
    from ..entropy.published import published_tables

    quality = quality_of(lam)
    state = read(path)
    try:
        name, model = models.identify(dict(state))
        tables = published_tables(model.prior, model.conditional)
    except ValueError as error:
        msg = f"{path}: {error}"
        raise WeightsError(msg) from error
    target = folder or store.folders()[0]
    target.mkdir(parents=True, exist_ok=True)
    kind = "-msssim" if lam > 1 else ""
    out = target / f"{name}{kind}-{quality:g}{SUFFIX}"
    if out.exists() and not force:
        arrays = {key: value.numpy() for key, value in stored(state, tables).items()}
        _check_same(out, identity.of(name, model.config_dict(), arrays))
    write(
        out,
        name,
        model.config_dict(),
        state,
        tables,
        {"source": path.name, "lambda": lam},
        UNMEASURED_GUARD,
        quality,
    )
    return out


def _check_same(path: Path, who: bytes) -> None:
    """WeightsError unless the pack at `path` has this identity."""
    try:
        _, content = read_pack(path)
        same = content.identity == who
    except WeightsError:
        same = False
    if not same:
        msg = (
            f"{path} is there already and holds other weights, which files may need; import into "
            "another folder (--folder), or replace it with --force"
        )
        raise WeightsError(msg)


def export_checkpoint(name: str, path: Path) -> None:
    """Write the tensors of a pack as a plain state dict, equal to the one that was imported."""
    import torch
    from safetensors.torch import load_file

    file = store.find(name)
    tensors = load_file(file.path)
    # Copies: tensors of a mapped file share one storage, which torch.save would write whole.
    state = {k: v.clone() for k, v in tensors.items() if not k.startswith("tables.")}
    with whole_file(path) as out:
        torch.save(state, out)
