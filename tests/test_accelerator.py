"""Every model on an emulated GPU, NVIDIA's and Apple's: the files and pixels are the CPU's."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pillow_mlic
from pillow_mlic import packs, settings
from pillow_mlic.training.loop import Settings, Trainer

from .accelerator import Accelerator, OnDevice
from .conftest import GOLDEN, WITH_INTEGERS, make_small_model, photograph
from .family import VARIANTS, make, write_pack

pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")

DEVICES = ("cuda", "mps")
FLOATS, INTEGERS = "mlicv2-lite in floats", "mlicv2-lite"
ALL = (INTEGERS, FLOATS, *VARIANTS)


@pytest.fixture(params=DEVICES)
def gpu(request: pytest.FixtureRequest) -> Iterator[Accelerator]:
    with Accelerator(request.param) as accelerator:
        yield accelerator


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pack of every model."""
    folder = tmp_path_factory.mktemp("packs")
    found = {INTEGERS: WITH_INTEGERS, FLOATS: GOLDEN / "small.safetensors"}
    for variant in VARIANTS:
        found[variant] = folder / f"{variant}.safetensors"
        write_pack(make(variant), variant.split()[0], found[variant])
    return found


@pytest.fixture(params=ALL)
def model(
    request: pytest.FixtureRequest, weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> str:
    """The name of a model whose pack is the one that is found; nobody has loaded it before."""
    monkeypatch.setenv("MLIC_WEIGHTS", str(weights[request.param]))
    monkeypatch.setattr(packs.store, "_packs", {})
    monkeypatch.setattr(packs.store, "_latest", None)
    return str(request.param)


def saved(model: str, device: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image = photograph(150, 100)
    image.save(buffer, "MLIC", model=model.split()[0], device=device, tile=64, **options)
    return buffer.getvalue()


def opened(data: bytes, device: str) -> np.ndarray[Any, Any]:
    pillow_mlic.set_device(device)
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image, dtype=int)
    finally:
        pillow_mlic.set_device(None)


OPTIONS = ({"optimize": False}, {"optimize": True}, {"refine": 2})


@pytest.mark.parametrize("options", OPTIONS, ids=("plain", "optimize", "refine"))
def test_files_are_those_of_the_cpu(gpu: Accelerator, model: str, options: dict[str, Any]) -> None:
    data = saved(model, str(gpu.device), **options)
    assert gpu.uploads and gpu.downloads, "then nothing has run there"
    assert data == saved(model, "cpu", **options)
    assert np.abs(opened(data, str(gpu.device)) - opened(data, "cpu")).max() <= 1
