"""`mlic compare` and its parts: matching sizes and PSNR, choosing details, the contact sheet."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillow_mlic import cli
from pillow_mlic.evaluation import codecs, compare, details, matching, metrics
from pillow_mlic_gui import jobs, raster
from pillow_mlic_gui.state import Goal, GoalKind

from .conftest import photograph


def encode(image: Image.Image, names: list[str], **where) -> list[compare.CodecOutcome]:
    return compare.compare(image, [codecs.create(name) for name in names], **where)


class TestMatching:
    @pytest.mark.parametrize("name", ["jpeg", "webp", "avif"])
    def test_size(self, name):
        image, codec = photograph(160, 120), codecs.create(name)
        target = len(codec.encode(image, 60)) + 3
        setting, data = matching.to_size(codec, image, target)
        assert codec.encode(image, setting) == data
        assert abs(len(data) / target - 1) < 0.03
        known = {50: len(codec.encode(image, 50)), 60: target - 3}
        setting, again = matching.to_size(codec, image, target, known)
        assert codec.encode(image, setting) == again
        assert abs(len(again) / target - 1) <= 3 / target

    def test_psnr(self):
        image, codec = photograph(160, 120), codecs.create("jpeg")
        for target in (28.0, 33.0):
            setting, data = matching.to_psnr(codec, image, target)
            error = abs(metrics.psnr(image, codec.decode(data)) - target)
            for other in (setting - 1, setting + 1):
                again = codec.decode(codec.encode(image, other))
                assert abs(metrics.psnr(image, again) - target) >= error

    def test_out_of_reach_is_the_nearest_end(self):
        image, codec = photograph(64, 48), codecs.create("jpeg")
        assert matching.to_size(codec, image, 10)[0] == codec.lowest
        assert matching.to_size(codec, image, 10**6)[0] == codec.highest
        assert matching.to_psnr(codec, image, 90.0)[0] == codec.highest

    @pytest.mark.usefixtures("small_weights")
    def test_mlic_takes_any_quality(self):
        image, codec = photograph(128, 128), codecs.create("mlic")
        target = len(codec.encode(image, 4.3))
        _, data = matching.to_size(codec, image, target)
        assert abs(len(data) / target - 1) < 0.01

    @pytest.mark.usefixtures("small_weights")
    @pytest.mark.parametrize(
        ("option", "goal"), [("max_bytes", GoalKind.MAX_BYTES), ("target_psnr", GoalKind.PSNR)]
    )
    def test_who_wishes_the_same_gets_the_same_file(self, option, goal, tmp_path):
        """By `save`, by comparison and in the viewer."""
        image = photograph(128, 128)
        value = 1500 if option == "max_bytes" else 29.0
        buffer = io.BytesIO()
        image.save(buffer, "MLIC", **{option: value})
        wish = matching.Wish("max_bytes" if option == "max_bytes" else "psnr", value)
        codec = codecs.create("mlic")
        compared = matching.meet(wish, codec, matching.Matched(codec, image))
        assert compared.data == buffer.getvalue()
        source = raster.write(image, tmp_path / "source")
        seen = jobs.encode(
            lambda *_: None, source, "mlic", Goal(goal, value), "cpu", tmp_path / "out"
        )
        assert seen.data == buffer.getvalue()
        assert seen.quality == compared.setting


class TestDetails:
    def test_most_detailed(self):
        pixels = np.full((300, 400, 3), 90, np.uint8)
        pixels[100:180, 250:350] = np.asarray(photograph(100, 80))
        box = details.most_detailed(Image.fromarray(pixels), (110, 90))
        assert box[0] <= 250 < 350 <= box[2]
        assert box[1] <= 100 < 180 <= box[3]
        assert (box[2] - box[0], box[3] - box[1]) == (110, 90)

    def test_most_different(self):
        original = Image.new("RGB", (200, 100), "gray")
        worse = original.copy()
        worse.paste("red", (20, 20, 40, 40))
        worse.paste("orange", (150, 60, 170, 80))
        box = details.most_different(original, [original, worse], (30, 30), (0, 0, 60, 60))
        assert box[0] <= 150 < 170 <= box[2]
        assert box[1] <= 60 < 80 <= box[3]

    @pytest.mark.parametrize("size", [(1, 1), (7, 3000), (1000, 800)])
    def test_stays_inside(self, size):
        image = photograph(*size)
        left, top, right, bottom = details.most_detailed(image, (256, 192))
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        assert (right - left, bottom - top) == (min(256, size[0]), min(192, size[1]))


class TestCompare:
    def test_equal_bytes(self):
        first, *others = encode(photograph(200, 180), ["jpeg", "webp", "avif"], quality=50)
        assert (first.codec.name, first.setting) == ("jpeg", 50)
        assert all(abs(other.size / first.size - 1) < 0.05 for other in others)
        assert {"psnr", "ms-ssim"} <= set(first.fidelity)

    def test_equal_psnr(self):
        found = encode(photograph(100, 80), ["jpeg", "webp"], quality=40, match="psnr")
        assert abs(found[1].fidelity["psnr"] - found[0].fidelity["psnr"]) < 0.3
        found = encode(photograph(100, 80), ["jpeg", "webp"], psnr=33.0)
        assert all(abs(each.fidelity["psnr"] - 33) < 0.3 for each in found)
        assert "ms-ssim" not in found[0].fidelity  # too small

    def test_given_size(self):
        found = encode(photograph(100, 80), ["jpeg", "webp"], size=2000)
        assert all(abs(each.size / 2000 - 1) < 0.05 for each in found)

    def test_table_has_a_line_a_codec(self):
        outcomes = encode(photograph(100, 80), ["jpeg", "avif"], quality=50)
        header, *lines = compare.table(outcomes).splitlines()
        assert header.split()[:5] == ["quality", "bytes", "bpp", "PSNR", "dB"]
        assert [line.split()[:3] for line in lines] == [
            [o.codec.label, f"{o.setting:g}", str(o.size)] for o in outcomes
        ]
        assert len({len(line) for line in lines}) == 1

    def test_sheet(self):
        image = photograph(540, 400)
        outcomes = encode(image, ["jpeg", "webp"], quality=50)
        boxes = compare.choose_boxes(image, outcomes, 2)
        assert len(boxes) == 2
        picture = compare.sheet(image, outcomes, boxes, 2)
        column = compare.MOST_COLUMN + compare.GAP
        assert picture.width == compare.GAP + 3 * column
        left, top = compare.GAP, picture.height - compare.GAP - 384
        crop = image.crop(boxes[1]).resize((512, 384), Image.Resampling.NEAREST)
        assert picture.crop((left, top, left + 512, top + 384)).tobytes() == crop.tobytes()

    def test_tiny_pictures_have_a_sheet(self):
        image = photograph(20, 10)
        outcomes = encode(image, ["jpeg"], quality=50)
        boxes = compare.choose_boxes(image, outcomes, 2)
        assert boxes == [(0, 0, 20, 10)]
        assert compare.sheet(image, outcomes, boxes).width == compare.GAP + 2 * 332


@pytest.mark.usefixtures("small_weights")
class TestCommand:
    @pytest.fixture(autouse=True)
    def picture(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        photograph(200, 150).save("a.png")

    def test_lines_and_picture(self, capsys, monkeypatch):
        monkeypatch.setattr(metrics, "available", lambda: ["psnr"])
        assert cli.main(["compare", "a.png", "--codecs", "mlic,jpeg,webp"]) == 0
        captured = capsys.readouterr()
        lines = captured.out.splitlines()
        assert [line.split()[0] for line in lines[1:4]] == [".mlic", "JPEG", "WebP"]
        assert lines[1].split()[1] == "3"
        assert "JPEG ..." in captured.err
        with Image.open("a-compare.png") as picture:
            assert picture.width > 4 * 320

    def test_json(self, capsys):
        words = ["--codecs", "jpeg,webp", "--target-psnr", "32", "--json", "-o", "b.png"]
        assert cli.main(["compare", "a.png", *words]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [row["codec"] for row in rows] == ["jpeg", "webp"]
        assert all(abs(row["psnr"] - 32) < 0.3 for row in rows)
        assert all(row["bpp"] == 8 * row["bytes"] / (200 * 150) for row in rows)

    def test_crops(self):
        words = ["--codecs", "jpeg", "-q", "50", "--crop", "10,20,64,48", "--zoom", "4"]
        assert cli.main(["compare", "a.png", *words]) == 0
        with Image.open("a-compare.png") as picture:
            assert picture.height == compare.BAND + 150 + 48 * 4 + 2 * compare.GAP

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (["nothing.png"], "nothing.png"),
            (["a.png", "--codecs", "bpg"], "there is no codec 'bpg'"),
            (["a.png", "-q", "75"], "quality is 75, but .mlic's goes from 1 to 8"),
            (["a.png", "--crop", "190,0,64,48"], "beyond the picture, which is 200 x 150"),
            (["a.png", "-o", "b.jpg"], "no .png file"),
            (["a.png", "-o", "a.png"], "exists already"),
        ],
    )
    def test_mistakes_get_a_sentence_and_leave_nothing(self, capsys, words, sentence):
        assert cli.main(["compare", *words]) in (1, 2)
        message = capsys.readouterr().err
        assert sentence in message
        assert "Traceback" not in message
        assert [path.name for path in Path().iterdir()] == ["a.png"]
