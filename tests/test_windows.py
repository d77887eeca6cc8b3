"""Gaussian windows: products with matrices give what convolutions give."""

import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor

from pillow_mlic.distortion import windows
from pillow_mlic.distortion.windows import Border, blur

pytestmark = pytest.mark.torch
BORDERS: list[Border] = ["reflect", "symmetric", "zero", "valid"]


def planes(height: int = 40, width: int = 57) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("stride", [1, 2])
def test_matrices_and_convolutions_agree(
    border: Border, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = planes().requires_grad_()
    found = []
    for largest in (windows.LARGEST, 0):
        monkeypatch.setattr(windows, "LARGEST", largest)
        shown = blur(x, 1.5, 5, border, stride=stride)
        (gradient,) = torch.autograd.grad(shown.square().sum(), x)
        found.append((shown.detach(), gradient))
    for product, convolution in zip(*found, strict=True):
        torch.testing.assert_close(product, convolution, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("border", BORDERS)
def test_means_of_what_is_flat_are_that(border: Border) -> None:
    shown = blur(torch.full((1, 1, 30, 40), 0.5), 2.0, 6, border)
    inner = shown if border == "valid" else shown[..., 6:-6, 6:-6]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5))
    assert shown.shape[-2:] == ((18, 28) if border == "valid" else (30, 40))
    assert (shown[..., 0, 0].item() < 0.3) == (border == "zero")


def test_rows_and_columns_have_borders_of_their_own() -> None:
    shown = blur(torch.ones(1, 1, 30, 40), 2.0, 6, "symmetric", "zero")
    assert shown[0, 0, 0, 20] == pytest.approx(1)
    assert shown[0, 0, 15, 0] < 0.7
