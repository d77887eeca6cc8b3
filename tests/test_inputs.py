"""Pictures that are more than the format holds, and those that a network is wrong for."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

import pillow_mlic
from pillow_mlic import cli, conversion
from pillow_mlic.evaluation import bench
from pillow_mlic.training import data

from .conftest import photograph
from .test_bulk import here  # noqa: F401 (a fixture)
from .test_bulk import manifest as lines
from .test_lossless import icon

pytestmark = pytest.mark.usefixtures("small_weights")


def mlic(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


@pytest.fixture
def animation(tmp_path: Path) -> Path:
    frames = [photograph(24, 16, seed=n) for n in range(3)]
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.webp"
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    return path


# Several frames


def test_saving_several_frames_is_refused(animation: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.mlic"
    with Image.open(animation) as image:
        with pytest.raises(ValueError, match="hold one picture, but these are 3"):
            image.save(out, save_all=True)
        assert not out.exists()
        image.seek(1)
        image.save(out, lossless=True)
        with Image.open(out) as back:
            assert back.tobytes() == image.convert("RGB").tobytes()
    one = photograph(24, 16)
    for more in ({"append_images": [one]}, {"save_all": True, "append_images": iter([one])}):
        with pytest.raises(ValueError, match="but these are 2"):
            one.save(tmp_path / "y.mlic", **more)
    one.save(out, save_all=True, lossless=True)
    with Image.open(out) as back:
        assert back.tobytes() == one.tobytes()


@pytest.mark.usefixtures("here")
def test_commands_say_that_one_frame_is_written(
    animation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mlic("encode", animation, "--lossless") == 0
    assert "a.webp: has 3 frames, of which the first is written" in capsys.readouterr().err
    with Image.open(animation) as image, Image.open(animation.with_suffix(".mlic")) as back:
        assert back.tobytes() == image.convert("RGB").tobytes()
    assert mlic("batch", animation.parent, tmp_path / "out", "--lossless") == 0
    assert "several frames, first one written  1" in capsys.readouterr().err
    assert [line["frames"] for line in lines(tmp_path / "out")] == [3]


@pytest.mark.parametrize("words", [["compare", "--codecs", "jpeg"], ["attention", "--bits"]])
def test_commands_say_that_one_frame_is_taken(
    words: list[str], animation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mlic(*words, animation, "-o", tmp_path / "o.png") == 0
    assert "a.webp: has 3 frames, of which the first is taken" in capsys.readouterr().err
    told: list[str] = []
    assert bench.find_images([animation.parent], told.append) == [animation]
    assert len(told) == 1
    assert "first is taken" in told[0]


def test_second_views_and_broken_ends_are_no_frames(tmp_path: Path, animation: Path) -> None:
    photograph(24, 16).save(
        tmp_path / "a.mpo", save_all=True, append_images=[photograph(24, 16, seed=2)]
    )
    with Image.open(tmp_path / "a.mpo") as image:
        assert (image.format, conversion.frames_of(image)) == ("MPO", 1)
    with Image.open(animation) as image:
        assert conversion.frames_of(image) == 3
    assert conversion.frames_of(photograph(9, 9)) == 1


# 16 bits


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    values = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "somebody"
    (tmp_path / "deep").mkdir()
    path = tmp_path / "deep" / "a.tif"
    Image.fromarray(values).save(path, exif=exif)
    Image.fromarray(values).save(path.with_name("b.png"))
    return path


def test_advice_for_a_command_line(deep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mlic("encode", deep.parent, "--lossless") == 1
    told = capsys.readouterr().err
    assert told.count("it has 16 bits a channel, and MLIC holds 8; --8-bit scales them") == 2
    Image.new("F", (9, 9)).save(deep.with_name("c.tif"))
    assert mlic("encode", deep.with_name("c.tif"), "--8-bit") == 1
    assert "no range that is known" in capsys.readouterr().err
    assert not list(deep.parent.glob("*.mlic"))


@pytest.mark.parametrize(
    "words",
    [
        ["attention", "--at", "10,10"],
        ["compare", "--codecs", "jpeg"],
        ["bench", "--codecs", "jpeg"],
        ["bench", "cost", "--codecs", "jpeg"],
        ["bench", "speed"],
        ["selftest"],
    ],
)
def test_advice_without_8_bit(
    words: list[str],
    deep: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(deep.parent)
    assert mlic(*words, "b.png") == 1
    advice = "and MLIC holds 8; mlic encode --8-bit --lossless scales them"
    assert f"mlic: b.png: it has 16 bits a channel, {advice}" in capsys.readouterr().err
    assert {path.name for path in deep.parent.iterdir()} == {"a.tif", "b.png"}


def test_16_bits_among_others(deep: Path) -> None:
    photograph(16, 16).save(deep.with_name("c.png"))
    told: list[str] = []
    assert bench.find_images([deep.parent], told.append) == [deep.with_name("c.png")]
    assert [line.endswith("scales them; it is passed over") for line in told] == [True, True]
    scaled, again, plain = data.load_folder(deep.parent, 16)
    assert np.array_equal(scaled[..., 0].ravel(), np.arange(256))
    assert np.array_equal(scaled, again)
    assert np.array_equal(plain, np.asarray(photograph(16, 16)))
    with pytest.raises(OSError, match="16 bits a channel"):
        conversion.read_rgb(deep)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("strip", [[], ["--strip"]])
def test_16_bits_are_scaled(deep: Path, tmp_path: Path, strip: list[str]) -> None:
    want = np.arange(256, dtype=np.uint8).tobytes()
    encoded, batched = tmp_path / "encoded", tmp_path / "batched"
    assert mlic("encode", deep.parent, "--8-bit", "--lossless", "-o", encoded, *strip) == 0
    for name in "ab":
        with Image.open(encoded / f"{name}.mlic") as image:
            assert (image.mode, image.tobytes()) == ("L", want)
            kept = image.getexif().get(ExifTags.Base.Artist)
            assert kept == ("somebody" if name == "a" and not strip else None)
    deep.unlink()
    assert mlic("batch", deep.parent, batched, "--8-bit", "--lossless", *strip) == 0
    with Image.open(batched / "b.mlic") as image:
        assert image.tobytes() == want
    head = json.loads((batched / "manifest.jsonl").read_text().splitlines()[0])
    assert head["eight_bit"] is True
    with pytest.raises(ValueError, match="eight_bit: True then"):
        pillow_mlic.batch(deep.parent, batched, lossless=True, strip=bool(strip))


def test_16_bits_with_a_transparent_value(tmp_path: Path) -> None:
    values = np.array([[0, 257, 65535]], np.uint16)
    path = tmp_path / "t.png"
    Image.fromarray(values).save(path, transparency=257)
    with Image.open(path) as image:
        small = conversion.eight_bit(image, scale=True)
    assert small.mode == "LA"
    assert small.tobytes() == bytes([0, 255, 1, 0, 255, 255])


# Few colours


@pytest.mark.parametrize("side", [16, 32, 64])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_icons_are_not_for_a_network(side: int, mode: str) -> None:
    """Smooth edges on nothing: at the highest quality close to the picture, and not larger than
    without loss."""
    image = icon(side).convert(mode)
    files = [io.BytesIO(), io.BytesIO()]
    image.save(files[0], "MLIC", quality=8)
    image.save(files[1], "MLIC", lossless=True)
    assert len(files[0].getvalue()) <= len(files[1].getvalue())
    with Image.open(files[0]) as found:
        error = np.square(np.asarray(found, float) - np.asarray(image))
    assert (error * (np.asarray(image.convert("RGBA"))[..., 3:] > 0)).mean() < 20


def test_few_colours_are_not_for_a_network() -> None:
    """However they are dithered."""
    image = photograph(320, 256).convert("P")
    file = io.BytesIO()
    image.save(file, "MLIC", quality=8)
    with Image.open(file) as found:
        assert found.tobytes() == image.convert("RGB").tobytes()


@pytest.mark.parametrize("quality", [2, 5, 8])
def test_dithered_pictures_are_not_for_a_network(quality: int) -> None:
    """One bit a pixel, dithered: no pixel is wrong, at about PNG's size."""
    image = photograph(320, 256).convert("1")
    sizes = []
    for name, options in (("PNG", {"optimize": True}), ("MLIC", {"quality": quality})):
        buffer = io.BytesIO()
        image.save(buffer, name, **options)
        sizes.append(len(buffer.getvalue()))
    with Image.open(buffer) as back:
        assert back.mode == "L"
        assert back.tobytes() == image.convert("L").tobytes()
    assert sizes[1] < 1.1 * sizes[0]
