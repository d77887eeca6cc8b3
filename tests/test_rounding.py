"""Rate-distortion optimised rounding: cheaper pictures for the same decoder."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic import packs, plugin
from pillow_mlic.coding import codec, encoder, regions
from pillow_mlic.coding.regions import Grid
from pillow_mlic.entropy import rounding
from pillow_mlic.entropy.rounding import FirstWalk, Rounding
from pillow_mlic.models.base import Latents
from pillow_mlic.models.layers.quality import lambda_of
from pillow_mlic.packs import Pack

from .conftest import photograph

CPU = torch.device("cpu")


def cost(picture: np.ndarray, pack: Pack, quality: float, tile: int, optimize: bool) -> float:
    """R + lambda D of a coded picture, in bits, from the real bytes and the real pixels."""
    height, width = picture.shape[:2]
    coded = codec.encode(picture, pack, quality, tile, 1e-9, CPU, optimize=optimize)
    tiles = dict(enumerate(coded.tiles))
    shown = codec.decode(tiles, (width, height), pack, quality, tile, 1e-9, CPU)
    error = ((picture - shown.astype(float)) ** 2).sum() / 3
    lam = float(lambda_of(torch.tensor([quality])))
    return 8 * sum(map(len, coded.tiles)) + lam * error


@pytest.fixture(scope="module")
def bundled() -> Pack:
    return packs.load(packs.find("mlicv2-lite"))


@pytest.mark.parametrize(
    ("quality", "tile", "most"), [(1.0, 1024, 0.992), (3.5, 128, 0.99), (8.0, 1024, 0.97)]
)
def test_it_lowers_the_cost(bundled: Pack, quality: float, tile: int, most: float) -> None:
    with Image.open(Path(__file__).parent / "data" / "photograph.png") as image:
        picture = np.asarray(image.convert("RGB"))
    plain = cost(picture, bundled, quality, tile, optimize=False)
    assert cost(picture, bundled, quality, tile, optimize=True) < most * plain


def test_error_of_regions_is_that_of_the_whole(
    small_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_pack.model(CPU)
    picture = np.asarray(photograph(256, 192))
    grid = Grid(256, 192, 1024, 64)
    quality = torch.tensor([3.0])
    with codec.plain_arithmetic(CPU):
        y_hat = regions.analyse(picture, grid.padded, model, grid, quality).round()
        arguments = (picture, y_hat, grid.padded, grid.padded, model, grid, quality)
        whole = regions.error_of(*arguments, differentiate=True)
        without = regions.error_of(*arguments, differentiate=False)
        monkeypatch.setattr(regions, "GRADIENT_SIDE", 64)
        parts = regions.error_of(*arguments, differentiate=True)
    y = y_hat.clone().requires_grad_(True)
    x = torch.from_numpy(picture.copy()).float()[None] / 255
    squares = (model.synthesis(y, quality) - x).square()
    squares.sum().backward()
    assert y.grad is not None
    assert torch.allclose(whole.gradient, y.grad, atol=1e-5)
    # Pixels at the far edge of a halo are not quite right: a few latents differ a little.
    assert (parts.gradient - y.grad).abs().mean() < 0.05 * y.grad.abs().mean()
    cells = float(squares.detach()[0, 48:64, 80:96].sum())
    for found in (whole, without, parts):
        assert found.cells[0, 3, 5, 0].item() == pytest.approx(cells, rel=1e-3)
    assert without.gradient.numel() == 0


def test_what_spoils_the_picture_is_taken_back(
    bundled: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a slope misleads, only the latents around are rounded as if there were none."""
    picture = np.asarray(photograph(256, 256))
    plain = codec.encode(picture, bundled, 6.0, 1024, 1e-9, CPU).tiles
    good = codec.encode(picture, bundled, 6.0, 1024, 1e-9, CPU, optimize=True).tiles
    walks = []

    class Misled(Rounding):
        """Every latent of one place moves, as long as anything is to be gained there."""

        def __init__(self, first: FirstWalk, gradient: torch.Tensor) -> None:
            gradient = gradient.clone()
            gradient[:, 8, 8] *= 1e6
            super().__init__(first, gradient)
            walks.append(gradient)

    monkeypatch.setattr(encoder, "Rounding", Misled)
    healed = codec.encode(picture, bundled, 6.0, 1024, 1e-9, CPU, optimize=True).tiles
    assert len(walks) == 2  # the second attempt was good
    assert not walks[1][0, 6:11, 6:11].any()
    assert walks[1][0, 3].any()
    errors = {}
    for name, tiles in (("plain", plain), ("good", good), ("healed", healed)):
        shown = codec.decode({0: tiles[0]}, (256, 256), bundled, 6.0, 1024, 1e-9, CPU)
        errors[name] = np.square(picture - shown.astype(float)).mean()
    assert errors["healed"] < 1.01 * errors["good"]
    monkeypatch.setattr(encoder, "SPOILT", -1e9)  # whatever is tried
    assert codec.encode(picture, bundled, 6.0, 1024, 1e-9, CPU, optimize=True).tiles == plain


def test_without_a_gradient_it_rounds_to_the_nearest() -> None:
    latents = Latents(torch.randn(1, 4, 4, 2) * 3, torch.randn(1, 1, 1, 2))
    first = FirstWalk(latents)
    ones = torch.ones(1)
    for select in (lambda v: v.z, lambda v: v.y):
        first(torch.zeros(1), torch.full((1, 4, 4, 2), 40.0), ones, select)
    choose = Rounding(first, torch.zeros_like(latents.y))
    for select in (lambda v: v.z, lambda v: v.y):
        exact = select(latents)
        symbols = choose(exact, torch.zeros(1), torch.full_like(exact, 40.0), ones, select)
        assert torch.equal(symbols, exact.round())


def test_a_strong_gradient_moves_a_symbol_by_one_step() -> None:
    y = torch.full((1, 1, 1, 1), 2.4)
    first = FirstWalk(Latents(y, y))
    arguments = (torch.zeros(1), torch.full((1, 1, 1, 1), 10.0), torch.ones(1))
    first(*arguments, lambda v: v.y)
    for slope, expected in ((3 * rounding.CURVATURE, 1.0), (-3 * rounding.CURVATURE, 3.0)):
        choose = Rounding(first, torch.full_like(y, slope))
        assert choose(y, *arguments, lambda v: v.y).item() == expected


def test_the_option(small_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On for weights of every quality, off for published ones, as the user says for both."""
    asked: list[bool] = []
    plain = codec.encode

    def watching(*args: object, optimize: bool, **options: object) -> codec.Encoded:
        asked.append(optimize)
        return plain(*args, optimize=optimize, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(codec, "encode", watching)
    image = photograph(64, 64)
    image.save(io.BytesIO(), plugin.FORMAT)
    image.save(io.BytesIO(), plugin.FORMAT, optimize=False)
    assert asked == [True, False]
