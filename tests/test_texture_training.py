"""The stage "texture" of training: its measure, its noise, and what it leaves alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from pillow_mlic import packs
from pillow_mlic.distortion.texture import texture_distance
from pillow_mlic.training.session import TrainingRequest, train
from pillow_mlic.training.texture import cut_normal

from .conftest import photograph

CPU = torch.device("cpu")


def tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).float()[None] / 255


def grains(seed: int, deviation: float = 12.0) -> Image.Image:
    values = np.random.default_rng(seed).normal(128, deviation, (128, 128, 3))
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def test_other_grains_of_the_same_kind_are_near() -> None:
    original = tensor(grains(1))
    same_kind = float(texture_distance(tensor(grains(2)), original))
    blurred = grains(1).filter(ImageFilter.GaussianBlur(1.5))
    assert float(texture_distance(original, original)) == 0
    assert same_kind < 0.1 * float(texture_distance(tensor(blurred), original))
    assert same_kind < 0.1 * float(texture_distance(tensor(grains(2, 30.0)), original))


def test_distance_has_a_gradient_in_half_precision_too() -> None:
    original = tensor(photograph(128, 128))
    shown = (original + 0.05 * torch.randn(original.shape)).requires_grad_()
    texture_distance(shown, original).sum().backward()
    assert shown.grad is not None
    assert torch.isfinite(shown.grad).all()
    with torch.autocast("cpu", torch.bfloat16):
        half = texture_distance(shown, original)
    assert torch.equal(half, texture_distance(shown, original))


@pytest.mark.parametrize("scale", [0.05, 0.2, 0.5, 3.0])
def test_noise_follows_the_cut_law(scale: float) -> None:
    """Its deviation is that of a normal law cut to half a step, by the closed formula."""
    uniform = torch.rand(400_000, generator=torch.Generator().manual_seed(0)) - 0.5
    noise = cut_normal(uniform, torch.tensor(scale)).double()
    a = 0.5 / scale
    density = np.exp(-a * a / 2) / np.sqrt(2 * np.pi)
    inside = float(torch.erf(torch.tensor(a / 2**0.5, dtype=torch.float64)))
    expected = scale * np.sqrt(1 - 2 * a * density / inside)
    assert float(noise.std()) == pytest.approx(expected, rel=0.01)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01 * scale)
    assert float(noise.abs().max()) <= 0.5


def test_only_synthesis_learns(tmp_path: Path, small_pack_file: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    photograph(160, 160).save(photos / "a.png")
    changes = {"distortion": "visual", "stage": "texture", "crop": 128, "batch": 4, "warm_up": 1}
    losses: list[float] = []
    request = TrainingRequest(
        photos, tmp_path / "run", steps=4, start=small_pack_file, changes=changes
    )
    pack = train(request, lambda report: losses.append(report.loss))
    assert np.isfinite(losses).all()
    before, after = (
        packs.load(packs.inspect(p)).model(CPU).state_dict() for p in (small_pack_file, pack)
    )
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"synthesis"}
    assert packs.inspect(pack).card["stage"] == "texture"


def test_requests_that_cannot_be(tmp_path: Path) -> None:
    for model, changes, message in (
        ("mlicv2-lite", {}, "--distortion visual"),
        ("mlicv2-lite", {"distortion": "visual"}, "--from"),
        ("mlic", {"quality": 3.0}, "no texture"),
    ):
        request = TrainingRequest(
            tmp_path, tmp_path / "run", model, steps=1, changes={"stage": "texture", **changes}
        )
        with pytest.raises(ValueError, match=message):
            train(request, lambda _: None)
