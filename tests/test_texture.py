"""Texture: the same grain for everyone, where it belongs, and only where it is asked for."""

import io
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import pillow_mlic
from pillow_mlic import cli, saving
from pillow_mlic.coding import texture as coding_texture
from pillow_mlic.format import container
from pillow_mlic.format.container import ChunkType, DamagedError
from pillow_mlic.format.texture import TextureMap, from_bytes, to_bytes, wanted
from pillow_mlic.integers.grain import grain, laws, random_bytes, table
from pillow_mlic.integers.network import CodingStep

from .conftest import GOLDEN, photograph


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, integer_pack_file: Path) -> Path:
    monkeypatch.setenv("MLIC_WEIGHTS", str(integer_pack_file))
    return integer_pack_file


def saved(image: Image.Image, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, "MLIC", **options)
    return file


def shown(file: io.BytesIO, **options: Any) -> NDArray[np.int16]:
    file.seek(0)
    with Image.open(file) as image:
        assert isinstance(image, pillow_mlic.plugin.MlicImageFile)
        return np.asarray(image.decode(**options).convert("RGB"), np.int16)


# ---- the generator, from the page about the format -----------------------------------------------


def test_numbers_are_those_of_the_page() -> None:
    key, mask = 0xDEADBEEF, (1 << 64) - 1

    def number(n: int) -> int:
        z = (key * 2**32 + n + 1) * 0x9E3779B97F4A7C15 & mask
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & mask
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & mask
        return z ^ (z >> 31)

    found = random_bytes(5, 20, key)
    for place, channel in ((0, 0), (0, 19), (3, 8), (4, 17)):
        byte = number(place * 3 + channel // 8) >> 8 * (channel % 8) & 0xFF
        assert found[place, channel] == byte


def test_values_are_those_of_the_page() -> None:
    """And have the deviation of a normal law that is cut to half a step."""

    def below(x: float, scale: float) -> float:
        return math.erf(x / (scale * math.sqrt(2))) / 2

    values = table()
    assert not values[0].any()
    assert len(values) == 1 + 64 + 14
    for k in (1, 2, 17, 64, 65, 70, 78):
        scale = 0.11 * (256 / 0.11) ** ((k - 1) / 63)
        if k > 64:
            scale = 0.11 * 2 ** (-(k - 65 + 0.5) / 4)
        for b in (128, 150, 200, 255):
            share = below(0.5, scale) * (b - 128 + 0.5) / 128
            edges = (below((i + 0.5) / 256, scale) for i in range(128))
            assert values[k, b] == min(sum(edge < share for edge in edges), 127)
            assert values[k, 255 - b] == -values[k, b]
        a = 0.5 / scale
        density = math.exp(-a * a / 2) / math.sqrt(2 * math.pi)
        cut = scale * math.sqrt(max(1 - a * density / below(0.5, scale), 1e-9))
        assert values[k].std() / 256 == pytest.approx(cut, rel=0.02)


def test_laws_are_those_of_the_page() -> None:
    """What is not coded has ever smaller scales, and then none."""
    first = -815
    logarithm = np.array([first + 300, first, first - 63, first - 64, first - 895, first - 896])
    step = CodingStep(
        np.array([9, 0, 0, 0, 0, 0], np.uint8), None, np.ones(1), np.ones(1), logarithm, None, 0
    )
    assert laws(step, first).tolist() == [9, 65, 65, 66, 78, 0]


def test_grain_is_where_laws_are() -> None:
    rows = np.zeros((3, 4, 16), np.uint8)
    rows[1, 2] = 40
    found = grain(rows, 7)
    assert found[1, 2].any()
    found[1, 2] = 0
    assert not found.any()


# ---- files ---------------------------------------------------------------------------------------


def test_strength_is_stored_and_can_be_overridden(weights: Path) -> None:
    picture = photograph(144, 112)
    plain, lively = saved(picture, texture=0), saved(picture, texture=0.5)
    assert len(plain.getvalue()) == len(lively.getvalue())
    lively.seek(0)
    with Image.open(lively) as image:
        assert image.info["texture"] == 0.5
    assert np.array_equal(shown(plain), shown(lively, texture=0))
    assert np.array_equal(shown(plain, texture=0.5), shown(lively))
    small, large = (np.abs(shown(lively, texture=s) - shown(plain)).mean() for s in (0.25, 1))
    assert 0 < small < large
    pillow_mlic.register_mlic_opener(texture=0)
    try:
        assert np.array_equal(shown(lively), shown(plain))
    finally:
        pillow_mlic.register_mlic_opener()


def test_regions_and_threads_see_the_same_grain(weights: Path) -> None:
    file = saved(photograph(200, 136), texture=1.0, tile=64)
    whole = shown(file)
    for box in ((0, 0, 64, 64), (37, 50, 131, 99), (150, 0, 200, 136)):
        part = pillow_mlic.decode_region(io.BytesIO(file.getvalue()), box)
        left, top, right, bottom = box
        assert np.abs(np.asarray(part, np.int16) - whole[top:bottom, left:right]).max() <= 1
    pillow_mlic.register_mlic_opener(threads=2)
    try:
        assert np.abs(shown(file) - whole).max() <= 1
    finally:
        pillow_mlic.register_mlic_opener()


def test_a_map_weakens_it(weights: Path) -> None:
    file = saved(photograph(128, 64), texture=1.0)
    header = container.read_header(file.seek(0) or file)
    end = len(file.getvalue())
    places = container.scan(file, header, end)
    chunks = [container.Chunk(p.type, container.read_chunk(file, p)) for p in places]
    cells = np.array([[200, 0]], np.uint8)
    mapped = io.BytesIO()
    data = to_bytes(TextureMap(cells, 64))
    container.write(mapped, header, [container.Chunk(ChunkType.TEXTURE, data), *chunks])
    difference = np.abs(shown(mapped) - shown(file, texture=0)).max(axis=(0, 2))
    halo = 40
    assert difference[: 64 - halo].any()
    assert not difference[64 + halo :].any()
    half = np.abs(shown(mapped, texture=0.5) - shown(file, texture=0)).max(axis=(0, 2))
    assert not half[64 + halo :].any()


def test_older_files_and_psnr_have_none(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="texture is 2"):
        saved(photograph(64, 64), texture=2)
    monkeypatch.setenv("MLIC_WEIGHTS", str(GOLDEN))
    with pytest.raises(ValueError, match="cannot have texture"):
        saved(photograph(64, 64), texture=0.5)
    old = io.BytesIO((GOLDEN / "v1" / "rgb.mlic").read_bytes())
    assert np.array_equal(shown(old), shown(old, texture=1.0))


@given(st.binary(max_size=80))
def test_a_damaged_map_is_told(data: bytes) -> None:
    for code in (b"", b"\0", b"\2"):
        try:
            found = from_bytes(code + data, (100, 70), 200)
        except DamagedError:
            continue
        assert found.cells.shape == (-(-70 // found.side), -(-100 // found.side))


def test_maps_that_cannot_be() -> None:
    cells = np.full((2, 2), 80, np.uint8)
    whole = to_bytes(TextureMap(cells, 64))
    assert np.array_equal(from_bytes(whole, (100, 70), 80).cells, cells)
    bomb = b"\2" + zlib.compress(bytes(10_000_000))
    for data, most in ((whole, 79), (whole[:-1], 80), (b"\x09" + whole[1:], 80), (bomb, 200)):
        with pytest.raises(DamagedError, match="map of texture"):
            from_bytes(data, (100, 70), most)


def test_from_the_command_line(weights: Path, tmp_path: Path) -> None:
    photograph(96, 64).save(tmp_path / "a.png")
    coded, out = tmp_path / "a.mlic", tmp_path / "b.png"
    assert cli.main(["encode", str(tmp_path / "a.png"), "--texture", "0.8", "--quiet"]) == 0
    assert cli.main(["decode", str(coded), "-o", str(out), "--texture", "0", "--quiet"]) == 0
    with Image.open(coded) as image, Image.open(out) as decoded:
        assert image.info["texture"] == 0.8
        assert np.array_equal(decoded, image.decode(texture=0))  # type: ignore[attr-defined]


# ---- how strong it is to be ----------------------------------------------------------------------


def test_the_encoder_gives_details_back_where_they_were(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is asked for; smooth parts stay smooth."""
    monkeypatch.setattr(saving, "TEXTURE_SHARE", 1)
    pixels = np.full((128, 256, 3), 120, np.uint8)
    noise = np.random.default_rng(3).normal(0, 20, (128, 128, 1))
    pixels[:, 128:] = (120 + noise).clip(0, 255)
    file = saved(Image.fromarray(pixels), quality=1, texture="auto")
    header = container.read_header(file.seek(0) or file)
    places = container.scan(file, header, len(file.getvalue()))
    data = next(
        (container.read_chunk(file, p) for p in places if p.type == ChunkType.TEXTURE), None
    )
    found = wanted(header, data, None)
    assert found is not None
    strengths = found.latents((0, 0, 256, 128))
    assert strengths[:, :4].max() < strengths[:, 12:].min()
    for options in ({}, {"texture": 0}):
        with Image.open(saved(Image.fromarray(pixels), **options)) as image:
            assert "texture" not in image.info


def test_maps_are_made_to_fit() -> None:
    cells = np.random.default_rng(0).integers(1, 11, (40, 60)).astype(np.uint8) * 20
    strength, data = coding_texture.fitted(TextureMap(cells, 64), 1e9)
    assert strength == cells.max()
    assert data is not None
    for most in (300, 60):
        strength, data = coding_texture.fitted(TextureMap(cells, 64), most)
        assert data is not None
        assert len(data) <= most
        found = from_bytes(data, (60 * 64, 40 * 64), strength)
        for row, column in ((0, 0), (13, 59), (39, 30)):
            at = (64 * column, 64 * row, 64 * column + 16, 64 * row + 16)
            assert found.latents(at)[0, 0] <= cells[row, column] / 200
    assert coding_texture.fitted(TextureMap(cells, 64), 0) == (60, None)
