"""Lossless files and tiles: exact, no larger than WebP's, and refused where they are forged."""

import io
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFile

import pillow_mlic
from pillow_mlic import cli
from pillow_mlic.coding import lossless as whole
from pillow_mlic.format import alpha, container, lossless, webp
from pillow_mlic.format.container import Chunk, ChunkType, DamagedError
from pillow_mlic.format.tiles import LosslessTile, TileKind, chunk_of, tile_of

from .conftest import photograph

PATIENT = settings(deadline=None, max_examples=120, derandomize=True)
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **{"lossless": True, **options})
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


@st.composite
def pictures(draw: st.DrawFn, modes: tuple[str, ...] = MODES) -> Image.Image:
    """Of any mode and of few or many colours, in runs or in disorder."""
    mode = draw(st.sampled_from(modes))
    width, height = draw(st.integers(1, 140)), draw(st.integers(1, 140))
    count = draw(st.sampled_from([1, 2, 3, 4, 5, 16, 17, 256, 257, 5000]))
    random = np.random.default_rng(draw(st.integers(0, 1 << 20)))
    bands = {"1": 1, "P": 1}.get(mode, len(mode))
    indexes = random.integers(0, count, (height, width))
    if draw(st.booleans()):
        indexes = np.sort(indexes, axis=1)
    pixels = random.integers(0, 256, (count, bands), dtype=np.uint8)[indexes]
    image = Image.fromarray(pixels[..., 0] if bands == 1 else pixels)
    if mode == "1":
        return image.convert("1")
    if mode == "P":
        image = image.convert("P")
        image.putpalette(random.integers(0, 256, 768, dtype=np.uint8).tobytes())
        if draw(st.booleans()):
            image.info["transparency"] = int(random.integers(0, 256))
    return image


# Whole files


@PATIENT
@given(pictures(), st.sampled_from([None, 64]))
def test_every_pixel_comes_back(image: Image.Image, tile: int | None) -> None:
    """Of all modes; colours under alpha 0 are kept."""
    found = opened(saved(image, **({} if tile is None else {"tile": tile})))
    assert found.mode in ("L", "LA", "RGB", "RGBA")
    assert found.tobytes() == image.convert(found.mode).tobytes()
    assert found.info["lossless"] is True
    if image.mode in ("1", "L", "LA", "RGB", "RGBA"):
        assert found.mode == {"1": "L"}.get(image.mode, image.mode)


@PATIENT
@given(pictures())
def test_no_larger_than_webp(image: Image.Image) -> None:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=100, method=4, exact=True)
    assert len(saved(image)) <= 1.01 * len(buffer.getvalue()) + 60


def icon(side: int) -> Image.Image:
    """A few shapes with smooth edges on nothing."""
    large = Image.new("RGBA", (4 * side, 4 * side))
    pen = ImageDraw.Draw(large)
    pen.ellipse((side, side, 3 * side, 3 * side), fill=(200, 30, 40, 255))
    pen.rectangle((side // 2, side // 2, 2 * side, 2 * side), fill=(20, 90, 240, 200))
    return large.resize((side, side), Image.Resampling.LANCZOS)


def page(width: int, height: int) -> Image.Image:
    """Lines of writing, black on white."""
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    for line, top in enumerate(range(6, height - 12, 16)):
        pen.text((8, top), f"{line}: {'the quick brown fox ' * (width // 120)}", fill="black")
    return image


def repeated(width: int, height: int) -> Image.Image:
    """Disorder, twice: the second half is free for who sees the first one."""
    size = (width // 2, height) if width > height else (width, height // 2)
    half = Image.effect_noise(size, 80).convert("RGB")
    image = Image.new("RGB", (width, height))
    image.paste(half, (0, 0))
    image.paste(half, (width - size[0], height - size[1]))
    return image


@pytest.mark.parametrize(
    "make",
    [
        lambda: icon(16),
        lambda: icon(48),
        lambda: icon(256),
        lambda: page(640, 480),
        lambda: photograph(300, 200),
        lambda: photograph(300, 200).convert("1"),
        lambda: photograph(300, 200).quantize(50),
        lambda: Image.new("RGB", (5000, 4100), "teal"),
        lambda: page(4200, 90),
        lambda: repeated(8192, 16),
        lambda: repeated(16, 16383),
    ],
)
def test_real_content_is_no_larger_than_webp(make: Callable[[], Image.Image]) -> None:
    image = make()
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True, quality=100, method=4, exact=True)
    data = saved(image)
    assert len(data) <= 1.01 * len(buffer.getvalue()) + 60
    found = opened(data)
    assert found.tobytes() == image.convert(found.mode).tobytes()


def test_no_network_is_loaded(tmp_path: Path) -> None:
    """Neither to write nor to read, and no torch."""
    code = """
import sys
from PIL import Image
import pillow_mlic
image = Image.new("RGBA", (40, 30), (1, 2, 3, 4))
image.save("x.mlic", lossless=True)
with Image.open("x.mlic") as found:
    assert found.tobytes() == image.tobytes()
    assert found.info["model"] == "none", found.info
assert pillow_mlic.decode_region("x.mlic", (3, 4, 9, 9)).size == (6, 5)
assert "torch" not in sys.modules and "safetensors" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_header_names_no_model() -> None:
    header = container.read_header(io.BytesIO(saved(page(100, 80))))
    assert (header.model, header.pack, header.quality) == (0, bytes(8), 8)
    assert header.tile_size == 128
    assert whole.tile_for((129, 3)) == 256
    assert whole.tile_for((5000, 16383)) == 16384
    assert whole.tile_for((70_000, 3)) == 8192  # WebP has no sides so long


def test_a_side_beyond_what_webp_has() -> None:
    image = Image.effect_noise((16_500, 2), 80)
    found = opened(saved(image))
    assert found.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    "options", [{"quality": 3}, {"max_bytes": 900}, {"target_psnr": 40.0}, {"refine": 2}]
)
def test_what_it_excludes(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"nothing for {next(iter(options))} to say"):
        saved(photograph(20, 20), **options)
    assert saved(photograph(20, 20), **dict.fromkeys(options)) == saved(photograph(20, 20))


def test_metadata_preview_and_progress() -> None:
    shares: list[float] = []
    image = photograph(900, 700)
    data = saved(image, xmp=b"<x/>", preview=True, progress=shares.append, tile=256)
    with Image.open(io.BytesIO(data)) as found:
        assert found.info["xmp"] == b"<x/>"
        assert found.draft("RGB", (80, 60)) is not None
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    with Image.open(io.BytesIO(data)) as found:
        found.verify()


def test_regions_are_crops() -> None:
    image = photograph(300, 200).convert("RGBA")
    image.putalpha(photograph(300, 200, seed=2).convert("L"))
    data = saved(image, tile=64)
    for box in ((0, 0, 1, 1), (60, 60, 70, 70), (13, 99, 300, 200)):
        part = pillow_mlic.decode_region(io.BytesIO(data), box)
        assert part.tobytes() == image.crop(box).tobytes()
    assert pillow_mlic.decode_slices(io.BytesIO(data), 1).tobytes() == image.tobytes()


def test_files_that_are_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photograph(200, 100)
    data = saved(image, tile=64)
    cut = data[: 2 * len(data) // 3]
    with pytest.raises(container.TruncatedError):
        opened(cut)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    found = opened(cut)
    assert found.crop((0, 0, 200, 64)).tobytes() == image.crop((0, 0, 200, 64)).tobytes()
    assert found.getpixel((199, 99)) == (128, 128, 128)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "a.png", tmp_path / "a.mlic"
    page(100, 60).save(source)
    assert cli.main(["encode", str(source), "--lossless", "--quiet"]) == 0
    assert opened(target.read_bytes()).tobytes() == page(100, 60).tobytes()
    assert cli.main(["info", str(target)]) == 0
    assert ", lossless, format 2" in capsys.readouterr().out
    assert cli.main(["decode", str(target), "-o", str(tmp_path / "b.png"), "--quiet"]) == 0
    assert cli.main(["batch", str(tmp_path), str(tmp_path / "out"), "--lossless", "--quiet"]) == 0
    found = opened((tmp_path / "out" / "a.mlic").read_bytes())
    assert found.tobytes() == page(100, 60).tobytes()


# Tiles


@PATIENT
@given(pictures(("L", "LA", "RGB", "RGBA")))
def test_tiles_come_back_by_both_ways(image: Image.Image) -> None:
    ways = {lossless.to_tile(image)}
    palette = lossless._palette(image)
    if palette is not None:
        ways.add(LosslessTile(TileKind.PALETTE, palette, image.mode))
    written = webp.to_bytes(image.convert("RGBA" if "A" in image.mode else "RGB"))
    assert written is not None
    ways.add(LosslessTile(TileKind.WEBP, written, image.mode))
    for tile in ways:
        assert lossless.to_picture(tile, image.size).tobytes() == image.tobytes()


def test_palette_as_the_page_says() -> None:
    """Indexes of 2 bits, the first pixel in the highest bits, each row from a new byte on."""
    colours = bytes([10, 20, 30])
    rows = bytes([0b00011000, 0b10000000, 0b10010000, 0b01000000])
    data = b"\x02" + colours + zlib.compress(rows)
    image = lossless.to_picture(LosslessTile(TileKind.PALETTE, data, "L"), (5, 2))
    assert list(image.tobytes()) == [10, 20, 30, 10, 30, 30, 20, 10, 10, 20]
    one = LosslessTile(TileKind.PALETTE, b"\x00\x07\x08\x09", "RGB")
    assert lossless.to_picture(one, (3, 1)).tobytes() == b"\x07\x08\x09" * 3


def palette_of(count: int, rows: bytes) -> bytes:
    return bytes([count - 1]) + bytes(range(count)) + zlib.compress(rows)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        (TileKind.PALETTE, b"", "palette is cut short"),
        (TileKind.PALETTE, b"\x05abc", "palette is cut short"),
        (TileKind.PALETTE, b"\x00a!", "follows its only colour"),
        (TileKind.PALETTE, b"\x01ab", "does not end with its last pixel"),
        (TileKind.PALETTE, palette_of(2, bytes(3)), "does not end with its last pixel"),
        (TileKind.PALETTE, palette_of(2, bytes(5)), "does not end with its last pixel"),
        (TileKind.PALETTE, palette_of(2, bytes(4)) + b"!", "does not end with its last pixel"),
        (TileKind.PALETTE, palette_of(2, bytes(4))[:-3], "does not end with its last pixel"),
        (TileKind.PALETTE, palette_of(3, b"\xff" * 8), "index beyond its 3 colours"),
        (TileKind.PALETTE, b"\x01ab" + b"nonsense", "header"),
        (TileKind.WEBP, b"", "no lossless WebP file"),
        (TileKind.WEBP, b"RIFF" + bytes(60), "no lossless WebP file"),
    ],
)
def test_damaged_tiles(kind: TileKind, data: bytes, words: str) -> None:
    with pytest.raises(DamagedError, match=words):
        lossless.to_picture(LosslessTile(kind, data, "L"), (8, 4))


def test_webp_tiles_of_another_size_or_cut() -> None:
    """Before a decoder is asked, and whatever the decoder says."""
    other = webp.to_bytes(photograph(9, 4))
    good = webp.to_bytes(photograph(8, 4))
    assert other is not None
    assert good is not None
    header = 21, 25
    lying = other[: header[0]] + good[slice(*header)] + other[header[1] :]
    huge = good[:21] + b"\xff\xff\xff\x0f" + good[25:]
    for data, words in (
        (other, "another size"),
        (huge, "another size"),
        (good[:40], "cannot be read"),
    ):
        with pytest.raises(DamagedError, match=words):
            lossless.to_picture(LosslessTile(TileKind.WEBP, data, "RGB"), (8, 4))
    try:  # bits of a picture of another width: an error or nonsense of the right size
        found = lossless.to_picture(LosslessTile(TileKind.WEBP, lying, "RGB"), (8, 4))
    except DamagedError:
        pass
    else:
        assert found.size == (8, 4)


def test_a_bomb_takes_no_memory() -> None:
    """100 MB of zlib data of zeros, for a tile of 8 x 4 pixels."""
    import tracemalloc

    bomb = palette_of(200, bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(DamagedError, match="last pixel"):
        lossless.to_picture(LosslessTile(TileKind.PALETTE, bomb, "L"), (8, 4))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_learned_tiles_without_a_model() -> None:
    header = container.read_header(io.BytesIO(saved(photograph(20, 20))))
    file = io.BytesIO()
    container.write(file, header, [Chunk(ChunkType.TILE, b"\x00" + bytes(5))])
    with pytest.raises(DamagedError, match="tile 1 needs a model"):
        opened(file.getvalue())


def test_alpha_in_tiles_only_where_all_are_lossless(small_weights: Path) -> None:
    image = photograph(136, 136).convert("RGBA")
    data = saved(image, lossless=False, quality=3)
    file = io.BytesIO(data)
    header = container.read_header(file)
    places = container.scan(file, header, len(data))
    chunks = [Chunk(place.type, container.read_chunk(file, place)) for place in places]
    assert isinstance(tile_of(header, chunks[-1].data), bytes)
    chunks[0] = Chunk(ChunkType.ALPHA, alpha.IN_TILES)
    forged = io.BytesIO()
    container.write(forged, header, chunks)
    with pytest.raises(DamagedError, match="transparency"):
        opened(forged.getvalue())
    assert chunk_of(header, tile_of(header, chunks[-1].data)) == chunks[-1]
