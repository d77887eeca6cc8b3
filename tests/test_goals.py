"""Saving to a wanted size or PSNR instead of a quality."""

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillow_mlic import cli
from pillow_mlic.coding import goals
from pillow_mlic.coding.encoder import Encoder
from pillow_mlic.coding.goals import Target
from pillow_mlic.format.container import Chunk, ChunkType, Header, size, write

from .conftest import GOLDEN, photograph

pytestmark = pytest.mark.usefixtures("small_weights")


def save(image: Image.Image, **options) -> bytes:
    """Without optimised rounding, under which the sizes of untrained weights jump."""
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **{"optimize": False} | options)
    return buffer.getvalue()


def psnr(image: Image.Image, data: bytes) -> float:
    planes = "L" if image.mode.startswith("L") else "RGB"
    with Image.open(io.BytesIO(data)) as decoded:
        first, second = (np.asarray(i.convert(planes), dtype=float) for i in (image, decoded))
    return 10 * math.log10(255**2 / np.mean((first - second) ** 2))


@pytest.fixture
def encodes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The qualities that were encoded."""
    seen: list[float] = []
    encode = Encoder.encode

    def counting(self, *args):
        seen.append(self._coding.quality)
        return encode(self, *args)

    monkeypatch.setattr(Encoder, "encode", counting)
    return seen


@pytest.mark.parametrize("wanted", [1.4, 3.1, 4.75, 7.9])
@pytest.mark.parametrize("kind", ["target_bpp", "max_bytes"])
def test_targets_are_met(kind, wanted, encodes):
    image = photograph(256, 192)
    data = save(image, quality=wanted)
    value = len(data) if kind == "max_bytes" else 8 * len(data) / (256 * 192)
    encodes.clear()
    found = save(image, **{kind: value})
    assert len(encodes) == len(set(encodes)) <= goals.TRIALS
    assert abs(len(found) / len(data) - 1) <= 0.01
    if kind == "max_bytes":
        assert len(found) <= value
    with Image.open(io.BytesIO(found)) as opened:
        assert abs(opened.info["quality"] - wanted) < 0.2
        same = save(image, quality=opened.info["quality"])
    assert same == found  # a target changes nothing but the quality


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_metadata_and_alpha_count(mode):
    image = photograph(200, 150).convert(mode)
    if "A" in mode:
        image.putalpha(photograph(200, 150, seed=3).convert("L"))
    exif = b"MM\x00*\x00\x00\x00\x08" + bytes(range(256)) * 8
    limit = len(save(image, quality=4, exif=exif))
    found = save(image, max_bytes=limit, exif=exif)
    assert 0.99 * limit <= len(found) <= limit
    with Image.open(io.BytesIO(found)) as opened:
        assert opened.mode == mode
        assert opened.info["exif"] == exif


@pytest.mark.parametrize(("mode", "quality"), [("L", 3.3), ("RGBA", 5.7), ("RGB", 4.0)])
def test_bundled_weights(mode, quality, encodes, monkeypatch):
    """As users have it. The small weights, untrained, hardly get closer with quality."""
    monkeypatch.delenv("MLIC_WEIGHTS")
    with Image.open(GOLDEN / "photograph.png") as opened:
        image = opened.crop((0, 0, 192, 128)).convert(mode)
    if mode == "RGBA":
        image.putalpha(128)
    weights = {"model": "mlicv2-lite", "optimize": True}
    data = save(image, quality=quality, **weights)
    wanted = psnr(image, data)
    encodes.clear()
    assert abs(psnr(image, save(image, target_psnr=wanted, **weights)) - wanted) < 0.04
    assert len(encodes) <= goals.TRIALS
    encodes.clear()
    assert 0.99 * len(data) <= len(save(image, max_bytes=len(data), **weights)) <= len(data)
    assert len(encodes) <= goals.TRIALS


def test_complexity_foretells_the_size():
    flat, plain, rich = (
        goals.complexity(image)
        for image in (
            Image.new("L", (300, 200)),
            photograph(300, 200).convert("RGBA"),
            Image.effect_noise((2000, 1500), 90),
        )
    )
    assert flat < plain < rich
    first = []
    for complexity in (-0.5, 0.0, 0.5):
        asked: list[float] = []
        measure = lambda q, asked=asked: asked.append(q) or 1000 * math.exp(0.36 * q)  # noqa: E731
        Target("target_bpp", 0.5).search(measure, 100_000, 0, complexity)
        first.append(asked[0])
    assert first == sorted(first, reverse=True)
    assert 1 < first[-1] < first[0] < 8
    assert goals._where((1, 2, 4), 3) == 2.5
    assert [goals._where((1, 2, 4), level) for level in (0, 9)] == [1, 8]


def test_several_tiles():
    image = photograph(300, 200)
    limit = len(save(image, quality=5, tile=64))
    assert 0.99 * limit <= len(save(image, max_bytes=limit, tile=64)) <= limit


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ({"max_bytes": 60}, r"max_bytes=60 is out of reach .* least possible is \d+ bytes at qu"),
        (
            {"target_bpp": 0.001},
            r"the least possible is \S+ bits a pixel \(\d+ bytes\) at quality 1",
        ),
        ({"target_bpp": 60}, r"the most possible is \S+ bits a pixel \(\d+ bytes\) at quality 8"),
        ({"target_psnr": 1}, r"the least possible is \d\d\.\d\d dB at quality \d"),
    ],
)
def test_the_impossible_says_what_is_possible(target, sentence):
    with pytest.raises(ValueError, match=sentence):
        save(photograph(160, 120), **target)


def test_metadata_that_leave_no_room_are_named():
    with pytest.raises(
        ValueError, match="bytes, 5000 bytes of it metadata and transparency, at qual"
    ):
        save(photograph(64, 64), max_bytes=3000, icc_profile=bytes(5000))


def test_what_is_said_to_be_possible_is():
    image = photograph(160, 120)
    least = len(save(image, quality=1))
    with pytest.raises(ValueError, match=f"{least} bytes"):
        save(image, max_bytes=least - 1)
    assert len(save(image, max_bytes=least)) == least


def test_room_to_spare_gives_the_best():
    """Without loss where that fits, else the highest quality."""
    for image in (photograph(160, 120), photograph(160, 120).convert("RGBA")):
        exact, best = save(image, lossless=True), save(image, quality=8)
        assert len(best) < len(exact)
        assert save(image, max_bytes=10**6) == save(image, max_bytes=len(exact)) == exact
        assert save(image, max_bytes=len(exact) - 1) == best


def test_a_psnr_beyond_the_highest_quality_is_reached_without_loss():
    image = photograph(160, 120)
    assert save(image, target_psnr=90) == save(image, lossless=True)


def test_tiny_and_flat_pictures_never_exceed():
    for image in (photograph(1, 1), photograph(20, 9), Image.new("RGB", (300, 200), "gray")):
        low, high = len(save(image, quality=1)), len(save(image, quality=8))
        for limit in {low, (low + high) // 2, high}:
            assert len(save(image, max_bytes=limit)) <= limit


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_bytes": 0}, "max_bytes is 0, but must be a number above 0"),
        ({"target_bpp": "1"}, "target_bpp is '1', but"),
        ({"target_psnr": float("nan")}, "target_psnr is nan, but"),
        ({"max_bytes": True}, "max_bytes is True, but"),
        ({"max_bytes": 900, "target_bpp": 1}, "target_bpp and max_bytes exclude each other"),
        ({"max_bytes": 900, "quality": 3}, "quality and max_bytes exclude each other"),
    ],
)
def test_wrong_options(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        save(photograph(20, 20), **options)


def test_none_is_no_target():
    image = photograph(20, 20)
    plain = save(image, quality=2)
    assert save(image, quality=2, max_bytes=None, target_bpp=None, target_psnr=None) == plain


def test_weights_for_one_quality():
    with pytest.raises(ValueError, match="weights mlicpp-3 are for quality 3 alone"):
        Target("max_bytes", 1000).check_quality_is_free("mlicpp-3", 3.0)
    Target("max_bytes", 1000).check_quality_is_free("mlicv2-lite", None)


@pytest.mark.parametrize("target", [{"max_bytes": 3000}, {"target_psnr": 35.5}])
def test_progress_rises_to_one_and_cancels(target, monkeypatch):
    if "target_psnr" in target:  # untrained weights hardly get closer with quality
        monkeypatch.delenv("MLIC_WEIGHTS")
    shares: list[float] = []
    save(photograph(200, 150), progress=shares.append, **target)
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)

    class CancelError(Exception):
        pass

    def cancel(share):
        if share > 0.3:
            raise CancelError

    with pytest.raises(CancelError):
        save(photograph(200, 150), progress=cancel, **target)


def test_size_is_what_is_written():
    header = Header("RGB", 100, 50, 1, bytes(8), 0)
    chunks = [Chunk(ChunkType.EXIF, bytes(300)), Chunk(ChunkType.TILE, bytes(20000))]
    buffer = io.BytesIO()
    assert size(header, chunks) == write(buffer, header, chunks) == len(buffer.getvalue())


class TestCommand:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        photograph(200, 150).save("a.png")

    def test_flags(self, capsys, monkeypatch):
        assert cli.main(["encode", "a.png", "--max-bytes", "3kB", "--json", "--no-optimize"]) == 0
        assert json.loads(capsys.readouterr().out)["output_bytes"] <= 3000
        assert 0.99 * 3000 <= Path("a.mlic").stat().st_size <= 3000
        assert cli.main(["encode", "a.png", "--target-bpp", "0.8", "-f", "--no-optimize"]) == 0
        assert abs(8 * Path("a.mlic").stat().st_size / 30000 / 0.8 - 1) <= 0.01 + 1e-9
        monkeypatch.delenv("MLIC_WEIGHTS")
        assert cli.main(["encode", "a.png", "--target-psnr", "35.5", "-f"]) == 0
        with Image.open("a.png") as image:
            assert abs(psnr(image, Path("a.mlic").read_bytes()) - 35.5) < 0.04

    @pytest.mark.parametrize(
        ("words", "status", "sentence"),
        [
            (["--max-bytes", "50"], 1, "the least possible is"),
            (["--target-psnr", "-3"], 2, "must be a number above 0"),
            (["--target-bpp", "0.5", "--model", "bpg"], 2, "no model or weight pack 'bpg'"),
        ],
    )
    def test_mistakes_get_a_sentence_and_leave_nothing(self, capsys, words, status, sentence):
        assert cli.main(["encode", "a.png", *words]) == status
        message = capsys.readouterr().err
        assert sentence in message
        assert "Traceback" not in message
        assert [path.name for path in Path().iterdir()] == ["a.png"]

    @pytest.mark.parametrize(
        "words",
        [["--max-bytes", "many"], ["--max-bytes", "0"], ["-q", "3", "--max-bytes", "9"]],
    )
    def test_words_that_make_no_sense(self, words):
        with pytest.raises(SystemExit):
            cli.main(["encode", "a.png", *words])


@pytest.mark.parametrize(
    ("text", "expected"), [("250000", 250000), ("250kB", 250000), ("1.5 MB", 1500000), ("7b", 7)]
)
def test_sizes(text, expected):
    assert cli.common.size(text) == expected
