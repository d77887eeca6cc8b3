"""Pictures of learned and lossless tiles."""

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

import pillow_mlic
from pillow_mlic import cli, packs
from pillow_mlic.coding.colours import cheapest, own_colours
from pillow_mlic.coding.content import look
from pillow_mlic.format import container
from pillow_mlic.format.tiles import TileKind
from pillow_mlic.models.lambdas import lambda_at
from pillow_mlic.plugin import MlicImageFile

from .conftest import photograph
from .test_lossless import icon, page


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **options)
    return buffer.getvalue()


def opened(data: bytes) -> MlicImageFile:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, MlicImageFile)
    return image


def both(width: int = 512, height: int = 384) -> Image.Image:
    """A page with a photograph at its upper left."""
    image = page(width, height)
    image.paste(photograph(256, 256), (0, 0))
    return image


def cost(image: Image.Image, data: bytes, quality: float) -> float:
    """R + lambda D of a file, in bits."""
    error = np.square(np.asarray(opened(data), float) - np.asarray(image)).sum() / 3
    return 8 * len(data) + lambda_at(quality) * float(error)


@pytest.fixture(scope="module")
def mixed() -> bytes:
    """By the bundled weights: untrained ones would not be worth their bits."""
    return saved(both(), quality=5)


def test_a_page_with_a_photograph_gets_both_kinds(mixed: bytes) -> None:
    with opened(mixed) as image:
        assert not image.info["lossless"]
        assert image.info["model"] == "mlicv2-lite"
        assert image._header.tile_size == 256
        across, down = image._header.grid.across, image._header.grid.down
        kinds = np.array(image.tile_kinds()).reshape(down, across)
        part = 256 // image._header.tile_size
        assert (kinds[:part, :part] == TileKind.LEARNED).all()
        assert (kinds[part:] != TileKind.LEARNED).all()
        image.load()
        writing = np.asarray(image, int)[256:] - np.asarray(both(), int)[256:]
    assert np.square(writing).mean() < 4


def test_cheaper_than_one_kind(mixed: bytes) -> None:
    exact = saved(both(), lossless=True)
    least = cost(both(), mixed, 5)
    assert least < cost(both(), exact, 5)
    assert least < cost(both(), saved(both(), quality=5, tile=1024), 5)


@pytest.mark.parametrize("quality", [6, 7])
def test_the_best_side_of_tiles_is_taken(quality: int) -> None:
    """Of all, also where the first smaller one gains nothing: the photograph ends at 192."""
    image = page(512, 384)
    image.paste(photograph(192, 192), (0, 0))
    chosen = cost(image, saved(image, quality=quality), quality)
    given = [saved(image, quality=quality, tile=side) for side in (1024, 256, 128)]
    assert chosen <= 1.001 * min(cost(image, data, quality) for data in given)


def test_regions_are_crops(mixed: bytes) -> None:
    whole = opened(mixed).convert("RGB")
    for box in ((0, 0, 512, 384), (250, 250, 262, 262), (300, 0, 512, 100), (3, 120, 260, 130)):
        part = np.asarray(pillow_mlic.decode_region(io.BytesIO(mixed), box), int)
        assert np.abs(part - np.asarray(whole.crop(box), int)).max() <= 1


def test_nothing_shows_at_borders(mixed: bytes) -> None:
    """Errors beside a lossless tile are like those within the learned ones. A photograph alone
    is cut at a border of tiles: one half gets flat, so it is lossless."""
    image = photograph(512, 256)
    image.paste("white", (256, 0, 512, 256))
    data = saved(image, quality=6, tile=256)
    with opened(data) as found:
        assert [kind == TileKind.LEARNED for kind in found.tile_kinds()] == [True, False]
        # Without the latents of the lossless tile this is 20 times the rest.
        error = np.square(np.asarray(found, float) - np.asarray(image)).mean(axis=(0, 2))
    assert error[256:].max() == 0
    assert error[252:256].mean() < 3 * error[:252].mean()


def test_files_that_are_cut_short(mixed: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    whole = np.asarray(opened(mixed).convert("RGB"), int)
    part = np.asarray(opened(mixed[: -len(mixed) // 5]).convert("RGB"), int)
    assert np.abs(part[:200] - whole[:200]).max() <= 1
    assert np.abs(part - whole).max() > 50


def test_slices_draft_and_progress(mixed: bytes) -> None:
    shares: list[float] = []
    with opened(mixed) as image:
        image.decode(progress=shares.append)
        whole = np.asarray(image, int)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    rough = np.asarray(pillow_mlic.decode_slices(io.BytesIO(mixed), 0), int)
    assert (rough[256:] == whole[256:]).all()
    assert (rough[:256, :256] != whole[:256, :256]).any()


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_other_modes(mode: str) -> None:
    image = both(384, 256).convert(mode)
    if "A" in mode:
        image.putalpha(photograph(384, 256, seed=3).convert("L"))
    data = saved(image, quality=6, tile=128, optimize=False)
    with opened(data) as found:
        kinds = found.tile_kinds()
        assert {kind == TileKind.LEARNED for kind in kinds} == {True, False}
        assert found.mode == mode
        found.load()
        if "A" in mode:
            assert found.getchannel("A").tobytes() == image.getchannel("A").tobytes()
        gap = np.asarray(found.convert("RGB"), int) - np.asarray(image.convert("RGB"), int)
    assert np.square(gap[:, 256:]).mean() < 4


@pytest.mark.torch
def test_refinement_leaves_lossless_tiles_alone() -> None:
    image = both(256, 128)
    plain, refined = (
        saved(image, quality=5, tile=64, optimize=False, refine=steps) for steps in (0, 1)
    )
    kinds = [opened(data).tile_kinds() for data in (plain, refined)]
    assert kinds[0] == kinds[1]

    image = page(300, 128)
    image.paste(photograph(128, 128), (0, 0))
    data = [saved(image, quality=5, tile=128, refine=steps) for steps in (0, 2)]
    before, after = (opened(each).tile_kinds() for each in data)
    assert before == after == [TileKind.LEARNED, *before[1:]]
    right = [np.asarray(opened(each))[:, 128:] for each in data]
    assert (right[0] == right[1]).all()


# What is tried, and what is chosen


def test_photographs_are_not_tried() -> None:
    assert not look(photograph(700, 300)).drawn.any()
    assert look(page(700, 300)).drawn.all()
    assert look(photograph(300, 200).convert("1").convert("L")).drawn.all()
    assert look(icon(256).convert("RGB")).worth_trying
    assert look(Image.new("L", (1, 1))).worth_trying
    assert look(Image.new("RGB", (129, 3))).drawn.shape == (1, 2)


def test_a_narrow_edge_is_little_of_a_picture() -> None:
    image = Image.new("RGB", (512, 516), "white")
    image.paste(photograph(512, 512), (0, 0))
    content = look(image)
    assert content.drawn[-1].all()
    assert not content.worth_trying


def test_photographs_are_coded_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(photograph(200, 150), quality=4)
    monkeypatch.setattr("pillow_mlic.coding.content.PICTURE", 2.0)  # nothing is worth trying
    assert saved(photograph(200, 150), quality=4) == data
    assert saved(page(200, 150), quality=4) != data


def test_fewer_colours_at_lower_quality() -> None:
    image = icon(256).convert("RGB")
    own = own_colours(image)
    sizes = [len(cheapest(image, q, own, math.inf).tile.data) for q in (1, 3, 5, 8)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_files_of_merged_colours_do_not_claim_to_be_exact() -> None:
    image = icon(256).convert("RGB")
    low, high = (opened(saved(image, quality=quality)) for quality in (1, 8))
    assert low.info["model"] == "none"
    assert not low.info["lossless"]
    assert low.info["quality"] == 1
    exact = high.tobytes() == image.tobytes()
    assert high.info["lossless"] == exact
    flat = opened(saved(Image.new("RGB", (80, 60), "teal"), quality=2))
    assert flat.info["lossless"]
    assert flat.getpixel((5, 5)) == (0, 128, 128)


@pytest.mark.parametrize("quality", [2, 5, 8])
def test_never_lossy_and_larger_than_without_loss(quality: int) -> None:
    """Whatever is drawn, and on whatever ground."""
    for image in (page(300, 200), icon(200), icon(48), page(300, 200).convert("1")):
        exact = saved(image, lossless=True)
        assert len(saved(image, quality=quality, optimize=False)) <= len(exact)


def test_a_given_side_is_kept() -> None:
    for side in (64, 1024):
        assert opened(saved(both(256, 256), tile=side, optimize=False))._header.tile_size == side


# Rate control


def psnr(image: Image.Image, data: bytes) -> float:
    error = np.square(np.asarray(opened(data), float) - np.asarray(image)).mean()
    return 10 * np.log10(255**2 / error) if error else np.inf


@pytest.mark.parametrize("wanted", [38.0, 70.0])
def test_target_psnr_is_reached_with_lossless_tiles(wanted: float) -> None:
    """Where lossless costs less, it is that; never less than what was asked for."""
    image = icon(300).convert("RGB")
    assert psnr(image, saved(image, target_psnr=wanted)) >= wanted - 0.5


def test_flat_pictures_meet_any_psnr() -> None:
    image = Image.new("RGB", (100, 80), "navy")
    assert psnr(image, saved(image, target_psnr=30)) == np.inf


def test_max_bytes_with_lossless_tiles() -> None:
    image = icon(300).convert("RGB")
    exact = len(saved(image, lossless=True))
    assert psnr(image, saved(image, max_bytes=20 * exact)) > 50
    for share in (0.3, 0.5):
        assert 0.2 * exact < len(saved(image, max_bytes=int(share * exact))) <= share * exact


# Diagnostics


@pytest.mark.torch
def test_bit_map_and_info(mixed: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pillow_mlic.diagnostics import bits

    assert 0.9 < bits.bit_map(io.BytesIO(mixed)).sum() / (8 * len(mixed)) < 1.02
    kinds = bits.kind_map(io.BytesIO(mixed))
    assert kinds.shape == (24, 32)
    assert (kinds[:16, :16] == TileKind.LEARNED).all()
    assert (kinds[16:] != TileKind.LEARNED).all()
    with pytest.raises(ValueError, match="this tile is lossless"):
        bits.context_maps(io.BytesIO(mixed), (500, 380))
    (tmp_path / "x.mlic").write_bytes(mixed)
    assert cli.main(["info", str(tmp_path / "x.mlic")]) == 0
    assert " tiles lossless, weights " in capsys.readouterr().out


def test_header_still_names_the_pack(mixed: bytes) -> None:
    header = container.read_header(io.BytesIO(mixed))
    assert packs.find_header(header).name == packs.DEFAULT_PACK


def test_colours_are_not_merged_where_that_is_hopeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of 64 colours alone is more than the learned tile costs: no more are tried."""
    image = photograph(256, 256)
    tried = []
    quantize = Image.Image.quantize

    def count(self: Image.Image, colours: int, *how: object, **more: object) -> Image.Image:
        tried.append(colours)
        return quantize(self, colours, *how, **more)

    monkeypatch.setattr(Image.Image, "quantize", count)
    own = own_colours(image)
    assert cheapest(image, 6.0, own, own.bits / 50) == own
    assert tried == [64]
    assert cheapest(image, 6.0, own, math.inf).bits <= own.bits
    assert len(tried) > 2
