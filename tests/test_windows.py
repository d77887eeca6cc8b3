"""Gaussian windows against their definition."""

import pytest

pytest.importorskip("torch")

import numpy as np
import torch
from torch import Tensor

from pillow_mlic.distortion.windows import Border, blur

pytestmark = pytest.mark.torch
NUMPY = {"reflect": "reflect", "symmetric": "symmetric", "zero": "constant"}
BORDERS: list[Border] = [*NUMPY, "valid"]


def planes(height: int = 40, width: int = 57) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def by_definition(x: Tensor, sigma: float, radius: int, mode: str, stride: int) -> Tensor:
    """The weighted mean around every `stride`-th pixel, one plane after the other, by NumPy."""
    place = np.arange(-radius, radius + 1)
    line = np.exp(-(place**2) / (2 * sigma**2))
    window = np.outer(line, line) / line.sum() ** 2
    found = []
    for plane in x.double().numpy().reshape(-1, *x.shape[-2:]):
        wide = plane if mode == "valid" else np.pad(plane, radius, NUMPY[mode])
        views = np.lib.stride_tricks.sliding_window_view(wide, window.shape)
        found.append((views[::stride, ::stride] * window).sum((2, 3)))
    return torch.from_numpy(np.stack(found).reshape(*x.shape[:2], *found[0].shape)).float()


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("stride", [1, 2])
def test_means_are_those_of_the_definition(border: Border, stride: int) -> None:
    x = planes()
    expected = by_definition(x, 1.5, 5, border, stride)
    torch.testing.assert_close(blur(x, 1.5, 5, border, stride=stride), expected)


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
