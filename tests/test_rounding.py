"""Rate-distortion optimised rounding: cheaper pictures for the same decoder."""

import copy
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic import packs, plugin
from pillow_mlic.coding import tiles, transforms
from pillow_mlic.coding.around import Around
from pillow_mlic.coding.encoder import Encoded, Encoder
from pillow_mlic.entropy import rounding
from pillow_mlic.entropy.rounding import FirstWalk, Rounding
from pillow_mlic.format.geometry import Grid
from pillow_mlic.models.base import Latents
from pillow_mlic.models.lambdas import lambda_at
from pillow_mlic.models.layers.quality import lambda_of
from pillow_mlic.packs import Pack

from .coders import coding_of, decode, encode, transforms_of
from .conftest import photograph

CPU = torch.device("cpu")


def cost(picture: np.ndarray, pack: Pack, quality: float, tile: int, optimize: bool) -> float:
    """R + lambda D of a coded picture, in bits, from the real bytes and the real pixels."""
    height, width = picture.shape[:2]
    coding = coding_of(pack, quality, tile)
    coded = encode(picture, coding, optimize=optimize)
    shown = decode(coded.tiles, (width, height), coding)
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


def test_bfloat16_finds_as_good_symbols(bundled: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = np.asarray(photograph(192, 192))
    whole = cost(picture, bundled, 4.0, 1024, optimize=True)
    monkeypatch.setattr("pillow_mlic.engines.torch_engine.has_fast_bf16", lambda _: True)
    fresh = copy.copy(bundled)
    fresh._halves = {}
    cost(picture, fresh, 4.0, 1024, optimize=False)  # first made where there are no gradients
    halved = cost(picture, fresh, 4.0, 1024, optimize=True)
    assert halved != whole
    assert 0.99 * whole < halved < 1.003 * whole  # a smooth picture; photographs: 1.001


def test_error_of_regions_is_that_of_the_whole(
    small_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_pack.model(CPU)
    picture = np.asarray(photograph(256, 192))
    grid = Grid(256, 192, 1024)
    quality = torch.tensor([3.0])
    price = lambda_at(3.0) * 255**2 / 3
    engine = transforms_of(small_pack, grid, 3.0)
    y_hat = engine.analyse(picture, grid.padded).round()
    around = Around(y_hat, grid.padded, grid.padded)
    whole = engine.errors(picture, around, differentiate=True)
    without = engine.errors(picture, around, differentiate=False)
    monkeypatch.setattr(transforms, "GRADIENT_SIDE", 64)
    parts = engine.errors(picture, around, differentiate=True)
    y = torch.from_numpy(y_hat).requires_grad_(True)
    x = torch.from_numpy(picture.copy()).float()[None] / 255
    squares = (model.synthesis(y, quality) - x).square()
    squares.sum().backward()
    assert y.grad is not None
    expected = price * y.grad.numpy()
    assert np.allclose(whole.gradient, expected, atol=1e-5 * price)
    # Pixels at the far edge of a halo are not quite right: a few latents differ a little.
    assert np.abs(parts.gradient - expected).mean() < 0.05 * np.abs(expected).mean()
    cells = price * float(squares.detach()[0, 48:64, 80:96].sum())
    for found in (whole, without, parts):
        assert found.cells[0, 3, 5, 0].item() == pytest.approx(cells, rel=1e-3)
    assert without.gradient.size == 0


def test_what_spoils_the_picture_is_taken_back(
    bundled: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a slope misleads, only the latents around are rounded as if there were none."""
    picture = np.asarray(photograph(256, 256))
    coding = coding_of(bundled, 6.0)
    plain = encode(picture, coding).tiles
    good = encode(picture, coding, optimize=True).tiles
    walks = []

    class Misled(Rounding):
        """Every latent of one place moves, as long as anything is to be gained there."""

        def __init__(self, first: FirstWalk, gradient: torch.Tensor) -> None:
            gradient = gradient.clone()
            gradient[:, 8, 8] *= 1e6
            super().__init__(first, gradient)
            walks.append(gradient)

    monkeypatch.setattr(rounding, "Rounding", Misled)
    monkeypatch.setattr(tiles, "TAME", 0.0)  # the gradient that is looked at is right
    healed = encode(picture, coding, optimize=True).tiles
    assert len(walks) == 2  # the second attempt was good
    assert not walks[1][0, 6:11, 6:11].any()
    assert walks[1][0, 3].any()
    errors = {}
    for name, payloads in (("plain", plain), ("good", good), ("healed", healed)):
        shown = decode(payloads, (256, 256), coding)
        errors[name] = np.square(picture - shown.astype(float)).mean()
    assert errors["healed"] < 1.01 * errors["good"]
    monkeypatch.setattr(tiles, "SPOILT", -1e9)  # whatever is tried
    assert encode(picture, coding, optimize=True).tiles == plain


@pytest.mark.parametrize(("tame", "looks"), [(tiles.TAME, 1), (1e-3, 2)])
def test_nobody_looks_where_moves_are_tame(
    bundled: Pack, monkeypatch: pytest.MonkeyPatch, tame: float, looks: int
) -> None:
    calls = []
    errors = tiles.TileEncoder._errors
    monkeypatch.setattr(tiles, "TAME", tame)
    monkeypatch.setattr(
        tiles.TileEncoder, "_errors", lambda *a: (calls.append(a[-1]), errors(*a))[1]
    )
    encode(np.asarray(photograph(128, 128)), coding_of(bundled, 3.0), optimize=True)
    assert calls == [True, False][:looks]


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
    plain = Encoder.encode

    def watching(self: Encoder, *args: object) -> Encoded:
        asked.append(self._optimize)
        return plain(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Encoder, "encode", watching)
    image = photograph(64, 64)
    image.save(io.BytesIO(), plugin.FORMAT)
    image.save(io.BytesIO(), plugin.FORMAT, optimize=False)
    assert asked == [True, False]
