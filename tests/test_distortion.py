"""Measures with gradients: they give the same figures as the metrics for files."""

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pillow_mlic.distortion import masked_bands, ssimulacra2
from pillow_mlic.distortion.costs import COSTS, MIN_CROPS, cost, mse
from pillow_mlic.evaluation import metrics
from pillow_mlic.models.lambdas import DISTORTIONS

from .conftest import photograph


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def tensor(image: Image.Image | NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(image)).double()[None] / 255


class TestSsimulacra2:
    @pytest.mark.parametrize("size", [(256, 272), (301, 259)])
    @pytest.mark.parametrize("quality", [5, 30, 60, 95])
    def test_is_the_package_s(self, size: tuple[int, int], quality: int) -> None:
        image = photograph(*size)
        coded = jpeg(image, quality)
        expected = metrics.ssimulacra2(np.array(image), np.array(coded))
        found = float(ssimulacra2.score(tensor(image), tensor(coded)))
        # The polynomial is steep where nearly nothing is wrong with a picture.
        assert found == pytest.approx(expected, abs=0.02)
        single = ssimulacra2.score(tensor(image).float(), tensor(coded).float())
        assert float(single) == pytest.approx(found, abs=0.02)

    def test_equal_pictures(self) -> None:
        x = tensor(photograph(128, 128))
        assert float(ssimulacra2.score(x, x)) == pytest.approx(100, abs=0.2)

    def test_crops_are_worth_what_they_are_in_the_whole(self) -> None:
        image = photograph(512, 512)
        original, shown = tensor(image), tensor(jpeg(image, 30))
        whole = float(ssimulacra2.badness(original, shown))
        parts = [
            [x[:, y : y + 256, z : z + 256] for y in (0, 256) for z in (0, 256)]
            for x in (original, shown)
        ]
        originals, showns = (torch.cat(part) for part in parts)
        mirrored = float(ssimulacra2.badness(originals, showns, crops=True).mean())
        zeros = float(ssimulacra2.badness(originals, showns).mean())
        assert mirrored == pytest.approx(whole, rel=0.07)
        assert abs(mirrored - whole) < abs(zeros - whole)

    def test_gradient(self) -> None:
        """Right by finite differences, finite for equal pictures, none beyond 0..1."""
        random = torch.Generator().manual_seed(1)
        x = tensor(photograph(128, 128))
        y = (x + 0.05 * torch.randn(x.shape, generator=random, dtype=x.dtype)).clamp(0.01, 0.99)
        y.requires_grad_()
        ssimulacra2.badness(x, y, crops=True).sum().backward()
        assert y.grad is not None
        step = 1e-5 * torch.randn(x.shape, generator=random, dtype=x.dtype)
        with torch.no_grad():
            ahead, behind = (ssimulacra2.badness(x, y + s, crops=True) for s in (step, -step))
        assert float(ahead - behind) == pytest.approx(float(2 * (y.grad * step).sum()), rel=1e-3)

        equal = x.clone().requires_grad_()
        ssimulacra2.badness(x, equal).sum().backward()
        assert equal.grad is not None
        assert torch.isfinite(equal.grad).all()

        outside = (x + 2).requires_grad_()
        ssimulacra2.badness(x, outside).sum().backward()
        assert outside.grad is not None
        assert not outside.grad.any()

    def test_autocast_changes_nothing(self) -> None:
        x = tensor(photograph(128, 128)).float()
        y = tensor(jpeg(photograph(128, 128), 50)).float()
        plain = ssimulacra2.badness(x, y)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(ssimulacra2.badness(x, y), plain)


class TestMaskedBands:
    def test_worse_pictures_have_more_and_equal_ones_none(self) -> None:
        image = photograph(200, 152)
        x = tensor(image)
        found = [float(masked_bands.error(x, tensor(jpeg(image, q)))) for q in (90, 60, 30, 10)]
        assert found == sorted(found)
        assert found[0] > 1
        assert float(masked_bands.error(x, x)) == pytest.approx(0, abs=0.01)

    def test_an_error_counts_less_where_the_original_is_busy(self) -> None:
        random = torch.Generator().manual_seed(2)
        flat = torch.full((1, 64, 64, 3), 0.5)
        noise = torch.randn(1, 64, 64, 1, generator=random)
        busy = (flat + 0.15 * noise).clamp(0.1, 0.9)
        error = 0.02 * torch.randn(1, 64, 64, 1, generator=random)
        in_busy = masked_bands.error(busy, busy + error)
        assert float(in_busy) < 0.8 * float(masked_bands.error(flat, flat + error))

    def test_every_band_counts_and_colours_do(self) -> None:
        x = torch.full((1, 128, 128, 3), 0.5)
        for period in (2, 6, 20, 128):
            wave = torch.cos(torch.arange(128) * 2 * torch.pi / period)[None, None, :, None]
            assert float(masked_bands.error(x, x + 0.05 * wave)) > 1
        assert float(masked_bands.error(x, x + torch.tensor([0.02, -0.01, 0.0]))) > 1

    def test_gradient(self) -> None:
        """Right by finite differences, and finite for equal pictures, of any sides."""
        random = torch.Generator().manual_seed(1)
        x = tensor(photograph(90, 71)).float()
        y = (x + 0.05 * torch.randn(x.shape, generator=random)).clamp(0.01, 0.99)
        y.requires_grad_()
        masked_bands.error(x, y).sum().backward()
        assert y.grad is not None
        step = 2e-3 * y.grad.sign()
        with torch.no_grad():
            ahead, behind = (masked_bands.error(x, y + s) for s in (step, -step))
        assert float(ahead - behind) == pytest.approx(float(2 * (y.grad * step).sum()), rel=0.02)

        equal = x.clone().requires_grad_()
        masked_bands.error(x, equal).sum().backward()
        assert equal.grad is not None
        assert torch.isfinite(equal.grad).all()


@pytest.mark.parametrize("distortion", COSTS)
def test_costs(distortion: str) -> None:
    """Nothing for equal pictures, more for worse ones, and for the same one at higher quality."""
    assert COSTS.keys() == MIN_CROPS.keys() == DISTORTIONS.keys()
    image = photograph(192, 192)
    x = tensor(image).float().repeat(3, 1, 1, 1)
    shown = torch.cat([tensor(jpeg(image, q)).float() for q in (80, 30, 30)])
    better, worse, dearer = cost(distortion, shown, x, torch.tensor([3.0, 3.0, 5.0])).tolist()
    assert 0 < better < worse < dearer
    assert float(cost(distortion, x, x, torch.full((3,), 3.0)).max()) == pytest.approx(0, abs=1e-3)


def test_squared_error_in_levels() -> None:
    x = torch.full((2, 64, 64, 3), 0.5)
    assert mse(x + 2 / 255, x).tolist() == pytest.approx([4, 4], rel=1e-3)


def test_values_beyond_the_range_are_brought_back_by_the_visual_cost() -> None:
    x = torch.ones(1, 128, 128, 3)
    shown = (x + 0.1).requires_grad_()
    cost("visual", shown, x, torch.tensor([4.0])).sum().backward()
    assert shown.grad is not None
    assert bool((shown.grad > 0).all())
