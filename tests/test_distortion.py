"""Measures with gradients: they give the same figures as the metrics for files."""

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pillow_mlic.distortion import butteraugli, ssimulacra2
from pillow_mlic.distortion.costs import MIN_CROPS, cost, mse
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


def damaged(kind: str) -> tuple[Tensor, Tensor]:
    """An original and what became of it, the same on every machine."""
    levels = np.asarray(photograph(320, 240)).astype(float)
    random = np.random.default_rng(3)
    wide = np.pad(levels, ((1, 1), (1, 1), (0, 0)), "edge")
    made = {
        "blurred": (levels + wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:])
        / 5,
        "coarse": np.round(levels / 24) * 24,
        "noisy": levels + random.normal(0, 5, levels.shape),
        "tinted": levels + np.array([3, -2, 5]),
        "blocks": levels.reshape(60, 4, 80, 4, 3).mean((1, 3)).repeat(4, 0).repeat(4, 1),
        "red grain": levels + random.normal(0, 9, (240, 320, 1)) * [1, -0.5, 0],
    }
    shown = np.round(made[kind]).clip(0, 255).astype(np.uint8)
    return tensor(levels.astype(np.uint8)), tensor(shown)


BY_PROGRAM = {
    "blurred": 0.934795,
    "coarse": 3.16478,
    "noisy": 1.716228,
    "tinted": 1.52754,
    "blocks": 1.745675,
    "red grain": 1.215476,
}
"""What butteraugli_main of libjxl 0.7 says with --pnorm 3."""

ON_GREY = {0: 8.787558, 2: 4.463052, 6: 5.464691, 20: 8.407271, 64: 10.108353}
"""The same of grey and 8 levels more of red (0), or waves of 8 levels and so many pixels."""


class TestButteraugli:
    @pytest.mark.parametrize("kind", BY_PROGRAM)
    def test_is_the_program_s(self, kind: str) -> None:
        original, shown = damaged(kind)
        found = float(butteraugli.distance(original, shown))
        assert found == pytest.approx(BY_PROGRAM[kind], rel=0.01)
        single = float(butteraugli.distance(original.float(), shown.float()))
        assert single == pytest.approx(found, rel=1e-3)

    @pytest.mark.parametrize("kind", ["coarse", "noisy", "blocks"])
    def test_one_pixel_of_16_tells_what_all_do(self, kind: str) -> None:
        original, shown = (x[:, :181, :190] for x in damaged(kind))
        whole = float(butteraugli.distance(original, shown))
        found = []
        for seed in range(8):
            draw = torch.Generator().manual_seed(seed)
            found.append(float(butteraugli.distance(original, shown, draw)))
            assert found[-1] == pytest.approx(whole, rel=0.1)
        assert np.mean(found) == pytest.approx(whole, rel=0.02)
        assert len(set(found)) > 4  # others from draw to draw
        again = torch.Generator().manual_seed(7)
        assert float(butteraugli.distance(original, shown, again)) == found[-1]

    def test_an_error_counts_less_where_the_original_is_busy(self) -> None:
        random = torch.Generator().manual_seed(2)
        flat = torch.full((1, 64, 64, 3), 0.5)
        noise = torch.randn(1, 64, 64, 1, generator=random)
        busy = (flat + 0.15 * noise).clamp(0.1, 0.9)
        error = 0.02 * torch.randn(1, 64, 64, 1, generator=random)
        in_busy = butteraugli.distance(busy, busy + error)
        assert float(in_busy) < 0.8 * float(butteraugli.distance(flat, flat + error))

    def test_lines_count_more_than_grain_of_the_same_squared_error(self) -> None:
        random = torch.Generator().manual_seed(2)
        flat = torch.full((1, 128, 128, 3), 0.5)
        grain = 0.04 * torch.randn(1, 128, 128, 1, generator=random)
        lines = torch.zeros(1, 128, 128, 1)
        lines[:, ::8] = 0.04 * 8**0.5
        on_lines, in_grain = (float(butteraugli.distance(flat, flat + x)) for x in (lines, grain))
        assert on_lines > 1.5 * in_grain

    def test_every_band_counts_and_colours_do(self) -> None:
        """Waves and a tint on grey, as the program sees them."""
        x = torch.full((1, 128, 128, 3), 128 / 255)
        steps = torch.arange(128)[None, None, :, None]
        shown = {
            period: x + torch.round(8 * torch.cos(steps * 2 * torch.pi / period)) / 255
            for period in ON_GREY
            if period
        } | {0: x + torch.tensor([8.0, 0, 0]) / 255}
        found = {period: float(butteraugli.distance(x, each)) for period, each in shown.items()}
        assert found == pytest.approx(ON_GREY, rel=0.03)

    @pytest.mark.parametrize("seed", [None, 0, 5])
    def test_gradient(self, seed: int | None) -> None:
        """Right by finite differences, and finite for equal pictures, of any sides."""

        def distance(x: Tensor, y: Tensor) -> Tensor:
            draw = None if seed is None else torch.Generator().manual_seed(seed)
            return butteraugli.distance(x, y, draw)

        random = torch.Generator().manual_seed(1)
        x = tensor(photograph(90, 71))
        y = (x + 0.05 * torch.randn(x.shape, generator=random, dtype=x.dtype)).clamp(0.01, 0.99)
        y.requires_grad_()
        distance(x, y).sum().backward()
        assert y.grad is not None
        step = 1e-6 * torch.randn(x.shape, generator=random, dtype=x.dtype)
        with torch.no_grad():
            ahead, behind = (distance(x, y + s) for s in (step, -step))
        assert float(ahead - behind) == pytest.approx(float(2 * (y.grad * step).sum()), rel=1e-3)

        equal = x.clone().float().requires_grad_()
        nothing = distance(x.float(), equal)
        assert nothing.item() == pytest.approx(0, abs=1e-3)
        nothing.sum().backward()
        assert equal.grad is not None
        assert torch.isfinite(equal.grad).all()

    def test_autocast_changes_nothing(self) -> None:
        original, shown = (x.float() for x in damaged("noisy"))
        plain = butteraugli.distance(original, shown)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(butteraugli.distance(original, shown), plain)


@pytest.mark.parametrize("distortion", MIN_CROPS)
def test_costs(distortion: str) -> None:
    """Nothing for equal pictures, more for worse ones, and for the same one at higher quality."""
    assert MIN_CROPS.keys() == DISTORTIONS.keys()
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


def test_a_distortion_that_there_is_not() -> None:
    x = torch.zeros(1, 128, 128, 3)
    with pytest.raises(ValueError, match="'mse', but must be one of psnr, ms-ssim, visual"):
        cost("mse", x, x, torch.tensor([4.0]))
