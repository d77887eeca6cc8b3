"""The evaluation package on small synthetic pictures; JPEG, WebP and AVIF stand for all codecs."""

import argparse
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillow_mlic.evaluation import bdrate, bench, codecs, metrics, report

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")

PUBLISHED_BD_RATES = {"mlic": -8.05, "mlic+": -11.39, "mlic++": -13.39, "lalic": -13.72}


def picture(width: int = 48, height: int = 32, noise: float = 6.0, seed: int = 0) -> np.ndarray:
    """A smooth colourful uint8 picture (H, W, 3) with some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    planes = [
        127 + 100 * np.sin(x / 9) * np.cos(y / 13),
        127 + 90 * np.cos((x + y) / 21),
        x * 255 / width,
    ]
    noisy = np.stack(planes, -1) + rng.normal(0, noise, (height, width, 3)) * (noise > 0)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(2):
        Image.fromarray(picture(seed=number)).save(folder / f"p{number}.png")
    return bench.find_images([folder])


@pytest.fixture
def no_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes half a second; few tests look at it."""
    monkeypatch.setattr(report, "plot", lambda results, paths: None)


def rows_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


class TestPsnr:
    def test_by_hand(self):
        a = np.zeros((2, 2, 3), np.uint8)
        b = a.copy()
        b[0, 0] = (3, 0, 0)
        b[1, 1] = (0, 0, 255)
        error = (9 + 255**2) / 12
        assert metrics.psnr(a, b) == pytest.approx(10 * math.log10(255**2 / error), abs=1e-12)

    def test_unsigned_differences_do_not_wrap(self):
        black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
        assert metrics.psnr(black, white) == metrics.psnr(white, black) == 0

    def test_equal_pictures(self):
        assert metrics.psnr(picture(), Image.fromarray(picture())) == math.inf

    def test_refuses_other_shapes_and_types(self):
        with pytest.raises(ValueError, match="differ in shape"):
            metrics.psnr(picture(48), picture(47))
        with pytest.raises(ValueError, match="uint8"):
            metrics.psnr(picture(), picture() / 255)


class TestMsSsim:
    @pytest.mark.parametrize(
        ("height", "width", "noise", "expected"),
        [  # pytorch-msssim 1.0.0, data_range=255, in float64
            (161, 161, 10, 0.9397586),
            (177, 203, 25, 0.7828858),  # odd sides
            (200, 300, 60, 0.5357276),
        ],
    )
    def test_agrees_with_pytorch_msssim(self, height, width, noise, expected):
        a, b = picture(width, height, 0), picture(width, height, noise, seed=7)
        assert metrics.ms_ssim(a, b) == pytest.approx(expected, abs=5e-6)

    def test_equal_pictures(self):
        a = picture(180, 170)
        assert metrics.ms_ssim(a, a) == pytest.approx(1, abs=1e-12)

    def test_falls_with_noise(self):
        a = picture(180, 170, 0)
        values = [metrics.ms_ssim(a, picture(180, 170, noise)) for noise in (1, 4, 16, 64)]
        assert values == sorted(values, reverse=True)
        assert values[0] > 0.99 > values[-1]

    def test_small_picture(self):
        with pytest.raises(ValueError, match="161 pixels a side, but this one is 300 x 160"):
            metrics.ms_ssim(picture(300, 160), picture(300, 160))

    def test_in_db(self):
        assert metrics.ms_ssim_db(0.99) == pytest.approx(20)
        assert metrics.ms_ssim_db(1.0) == math.inf


class TestBdRate:
    @pytest.mark.parametrize("method", ["pchip", "cubic"])
    @pytest.mark.parametrize(("name", "expected"), PUBLISHED_BD_RATES.items())
    def test_published_figures(self, name, expected, method):
        anchor, test = bdrate.published("vtm-17.0"), bdrate.published(name)
        assert bdrate.bd_rate(anchor, test, method) == pytest.approx(expected, abs=0.1)

    @pytest.mark.parametrize("method", ["pchip", "cubic"])
    def test_shifted_curve_gives_the_shift(self, method):
        anchor = bdrate.published("vtm-17.0")
        test = [(1.25 * bpp, quality) for bpp, quality in anchor]
        assert bdrate.bd_rate(anchor, test, method) == pytest.approx(25, abs=1e-9)
        assert bdrate.bd_rate(test, anchor, method) == pytest.approx(-20, abs=1e-9)

    def test_order_of_points_does_not_matter(self):
        anchor, test = bdrate.published("vtm-17.0"), bdrate.published("mlic")
        assert bdrate.bd_rate(anchor[::-1], test[::-1]) == bdrate.bd_rate(anchor, test)

    @pytest.mark.parametrize(
        ("points", "reason"),
        [
            ([], "without points"),
            ([(0.1, 50.0), (0.2, 51.0)], "no range of quality in common"),
            ([(0.1, 30.0), (0.2, 30.0), (0.3, 31.0)], "same quality"),
            ([(0.1, 30.0), (0.2, math.inf)], "finite"),
            ([(0.0, 30.0), (0.2, 31.0)], "above 0"),
        ],
    )
    def test_refuses(self, points, reason):
        with pytest.raises(ValueError, match=reason):
            bdrate.bd_rate(bdrate.published("vtm-17.0"), points)

    def test_too_few_points(self):
        points = [(0.1, 29.0), (0.2, 31.0), (0.3, 32.0)]
        with pytest.raises(ValueError, match="at least 4 points"):
            bdrate.bd_rate(points, points, "cubic")
        with pytest.raises(ValueError, match="'pchip' or 'cubic'"):
            bdrate.bd_rate(points, points, "akima")

    def test_published_names(self):
        assert bdrate.published_names() == ["vtm-17.0", *PUBLISHED_BD_RATES]
        assert len(bdrate.published("vtm-17.0", "ms-ssim")) == 11
        assert bdrate.published("lalic", "ms-ssim") == []
        with pytest.raises(ValueError, match=r"only of vtm-17\.0, mlic"):
            bdrate.published("bpg")


class TestCodecs:
    @pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "avif-psnr", "avif-psnr-s4"])
    def test_round_trip(self, name):
        codec = codecs.create(name)
        image = Image.fromarray(picture())
        small, large = (codec.encode(image, codec.settings[i]) for i in (0, -1))
        decoded = codec.decode(large)
        assert (decoded.size, decoded.mode, decoded.format) == (image.size, "RGB", codec.format)
        assert len(small) < len(large)
        assert codec.weights(codec.settings[0]) == ""

    def test_whole_numbers_may_be_floats(self):
        image, jpeg = Image.fromarray(picture()), codecs.create("jpeg")
        assert jpeg.encode(image, 50.0) == jpeg.encode(image, 50)

    def test_jpeg_halves_colour(self):
        data = codecs.create("jpeg").encode(Image.fromarray(picture()), 50)
        with Image.open(io.BytesIO(data)) as image:
            assert [layer[1:3] for layer in image.layer] == [(2, 2), (1, 1), (1, 1)]
            assert image.info["progressive"]

    def test_mlic_with_a_model(self):
        assert codecs.create("mlic").options == {}
        codec = codecs.create("mlic:mlic++")
        assert (codec.name, codec.format) == ("mlic:mlic++", "MLIC")
        assert codec.options == {"model": "mlic++"}

    @pytest.mark.parametrize("name", ["bpg", "mlic:", "mlic:NAME", ""])
    def test_unknown_name(self, name):
        with pytest.raises(ValueError, match=r"there are jpeg, webp, avif, .*mlic:NAME"):
            codecs.create(name)


class TestReport:
    def test_results_and_files(self, images, tmp_path):
        out, calls = tmp_path / "out", []
        ladder = {"jpeg": [30, 60, 90], "webp": [30, 80]}
        results = bench.run(
            images, ["jpeg", "webp"], ladder, out, progress=lambda *call: calls.append(call)
        )
        assert calls == [(done, 10) for done in range(11)]
        jpeg, rows = results.curves["jpeg"], rows_of(out)
        assert jpeg.settings == [30, 60, 90]
        assert results.images == ["p0.png", "p1.png"]
        assert results.errors == []
        codec, original = codecs.create("jpeg"), Image.open(images[0])
        data = codec.encode(original, 30)
        same = [row for row in rows if (row["codec"], row["setting"]) == ("jpeg", 30)]
        row = next(row for row in same if row["image"] == "p0.png")
        assert row["bytes"] == len(data)
        assert row["bpp"] == 8 * len(data) / (48 * 32)
        assert row["psnr-rgb"] == metrics.psnr(original, codec.decode(data))
        assert row["encoding_time"] > 0 < row["decoding_time"]
        assert jpeg.bpp[0] == pytest.approx(sum(row["bpp"] for row in same) / 2)

        document = json.loads((out / "results.json").read_text())
        single = json.loads((out / "jpeg.json").read_text())
        assert single["results"] == document["codecs"]["jpeg"]
        assert {"bpp", "psnr-rgb", "encoding_time", "decoding_time"} <= set(single["results"])
        assert "ms-ssim-rgb" not in single["results"]
        assert document["bd-rate"]["anchor"] == "jpeg"
        assert document["bd-rate"]["psnr-rgb"]["jpeg"] == 0
        table = (out / "table.md").read_text()
        assert f"| jpeg | 30 | {jpeg.bpp[0]:.4f} | {jpeg.psnr[0]:.3f} | - |" in table
        assert "not for PSNR" in table
        assert (out / "rd.svg").read_text().count("<svg") == 1
        with Image.open(out / "rd.png") as plot:
            assert plot.convert("RGB").getpixel((0, 0)) == (255, 255, 255)

    def test_kodak_is_compared_with_vtm(self, tmp_path):
        folder = tmp_path / "kodak"
        folder.mkdir()
        for name in bench.KODAK:
            Image.fromarray(picture(16, 16, noise=60)).save(folder / f"{name}.png")
        out = tmp_path / "out"
        results = bench.run(bench.find_images([folder]), ["jpeg"], {"jpeg": [60, 95]}, out)
        assert (results.kodak, results.anchor) == (True, "vtm-17.0")
        rates = {rate.name: rate.psnr for rate in results.bd_rates}
        assert rates["VTM-17.0 (published)"] == 0
        assert rates["MLIC++ (published)"] == pytest.approx(-13.39, abs=0.1)
        assert rates["jpeg"] is None or rates["jpeg"] > 0
        table = (out / "table.md").read_text()
        assert "## BD-rate against VTM-17.0" in table
        assert "MLIC++" in "".join((out / "rd.svg").read_text().split())


@pytest.mark.usefixtures("no_plot")
class TestRun:
    def test_metadata_does_not_count(self, images, tmp_path):
        plain = Image.open(images[0])
        plain.load()
        path = tmp_path / "p0.png"
        plain.save(path, icc_profile=b"x" * 5000)
        bench.run([images[0], path], ["webp"], {"webp": [50]}, tmp_path / "out")
        sizes = {row["bytes"] for row in rows_of(tmp_path / "out")}
        assert len(sizes) == 1

    def test_resumes(self, images, tmp_path, monkeypatch):
        out, encoded = tmp_path / "out", []
        encode = codecs.Codec.encode

        def counting(self, image, setting):
            if image.size == (48, 32):
                encoded.append(setting)
            return encode(self, image, setting)

        monkeypatch.setattr(codecs.Codec, "encode", counting)
        first = bench.run(images, ["jpeg"], {"jpeg": [30, 60]}, out)
        assert encoded == [30, 30, 60, 60]
        assert bench.run(images, ["jpeg"], {"jpeg": [30, 60]}, out) == first
        assert len(encoded) == 4
        bench.run(images, ["jpeg"], {"jpeg": [30, 60, 90]}, out)
        assert encoded[4:] == [90, 90]
        Image.fromarray(picture(seed=9)).save(images[1])  # another picture, the same name
        bench.run(images, ["jpeg"], {"jpeg": [30]}, out)
        assert encoded[6:] == [30]
        coarse = replace(codecs.create("jpeg"), options={"subsampling": "4:4:4"}, settings=(30,))
        bench.run(images, [coarse], None, out)
        assert encoded[7:] == [30, 30]

    def test_other_weights_are_measured_again(self, images, tmp_path, monkeypatch):
        out, hashes = tmp_path / "out", ["aa", "aa", "bb"]
        learned = replace(codecs.create("webp"), name="learned", settings=(50,))
        monkeypatch.setattr(bench, "_weights", lambda codec, setting: hashes[0])
        decode = codecs.Codec.decode

        def decode_with_hash(self, data):
            image = decode(self, data)
            image.info["weights"] = hashes[0]
            return image

        monkeypatch.setattr(codecs.Codec, "decode", decode_with_hash)
        counts = []
        while hashes:
            bench.run(images, [learned], None, out)
            counts.append(len(rows_of(out)))
            del hashes[0]
        assert counts == [2, 2, 4]

    def test_resumes_after_a_stop_in_the_middle(self, images, tmp_path):
        out = tmp_path / "out"

        def stop(done, total):
            if done == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            bench.run(images, ["jpeg"], {"jpeg": [30, 60]}, out, progress=stop)
        rows = out / "rows.jsonl"
        assert len(rows_of(out)) == 3
        rows.write_text(rows.read_text()[:-40])  # the last line was cut short
        calls = []
        results = bench.run(
            images, ["jpeg"], {"jpeg": [30, 60]}, out, progress=lambda *call: calls.append(call)
        )
        assert calls[-1] == (2, 2)
        assert len(results.curves["jpeg"].bpp) == 2
        assert len(bench._read_rows(rows)) == 4

    def test_ms_ssim(self, tmp_path):
        path, out = tmp_path / "large.png", tmp_path / "out"
        Image.fromarray(picture(200, 170)).save(path)
        ladder = {"jpeg": [30, 60], "webp": [30, 80]}
        without = bench.run([path], ["jpeg", "webp"], ladder, out)
        assert without.curves["jpeg"].ms_ssim == []
        results = bench.run([path], ["jpeg", "webp"], ladder, out, ms_ssim=True)
        assert 0.5 < results.curves["jpeg"].ms_ssim[0] < results.curves["jpeg"].ms_ssim[1] < 1
        assert results.bd_rates[0].ms_ssim == pytest.approx(0)
        assert "ms-ssim-rgb" in json.loads((out / "jpeg.json").read_text())["results"]

    def test_failures_are_reported(self, images, tmp_path, monkeypatch):
        out, fails = tmp_path / "out", [True]
        encode = codecs.Codec.encode

        def failing(self, image, setting):
            if fails[0] and setting == 60 and image.size == (48, 32):
                msg = "no | luck"
                raise OSError(msg)
            return encode(self, image, setting)

        monkeypatch.setattr(codecs.Codec, "encode", failing)
        results = bench.run(images, ["jpeg"], {"jpeg": [30, 60]}, out)
        assert results.curves["jpeg"].settings == [30]
        assert [(row["setting"], row["error"]) for row in results.errors] == [
            (60, "OSError: no | luck")
        ] * 2
        assert "| jpeg | 60 | p0.png | OSError: no \\| luck |" in (out / "table.md").read_text()
        fails[0] = False
        results = bench.run(images, ["jpeg"], {"jpeg": [30, 60]}, out)
        assert results.errors == []
        assert results.curves["jpeg"].settings == [30, 60]

    def test_a_changed_size_is_a_failure(self, images, tmp_path, monkeypatch):
        monkeypatch.setattr(codecs.Codec, "decode", lambda self, data: Image.new("RGB", (5, 5)))
        results = bench.run(images, ["jpeg"], {"jpeg": [30]}, tmp_path / "out")
        assert "got back RGB of 5 x 5" in results.errors[0]["error"]
        assert results.curves["jpeg"].bpp == []

    def test_workers_give_the_same_results(self, images, tmp_path):
        ladder = {"jpeg": [30, 60], "avif": [50]}
        alone = bench.run(images, ["jpeg", "avif"], ladder, tmp_path / "a")
        shared = bench.run(images, ["jpeg", "avif"], ladder, tmp_path / "b", workers=2)
        for name, curve in alone.curves.items():
            assert shared.curves[name].points() == curve.points()
        assert "2 processes at once" in shared.description

    def test_anchor(self, images, tmp_path):
        def anchor(name, names):
            ladder = {each: [30, 60] for each in names}
            return bench.run(images, names, ladder, tmp_path / "out", anchor=name).anchor

        assert anchor(None, ["jpeg", "avif"]) == "avif"
        assert anchor("jpeg", ["jpeg", "avif"]) == "jpeg"
        with pytest.raises(ValueError, match="must be one of jpeg"):
            anchor("webp", ["jpeg"])
        with pytest.raises(ValueError, match="24 Kodak pictures only"):
            anchor("vtm-17.0", ["jpeg"])

    def test_refuses(self, images, tmp_path):
        with pytest.raises(ValueError, match="no codec 'bpg'"):
            bench.run(images, ["bpg"], None, tmp_path)
        with pytest.raises(ValueError, match="named twice"):
            bench.run(images, ["jpeg", "jpeg"], None, tmp_path)
        with pytest.raises(ValueError, match="no pictures"):
            bench.run([], ["jpeg"], None, tmp_path)
        with pytest.raises(ValueError, match="settings for 'webp'"):
            bench.run(images, ["jpeg"], {"webp": [3]}, tmp_path)
        with pytest.raises(ValueError, match="no file or folder"):
            bench.find_images([tmp_path / "nothing"])


@pytest.mark.usefixtures("no_plot")
class TestCommandLine:
    @staticmethod
    def parse(*words: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        bench.add_arguments(parser)
        return parser.parse_args(words)

    def test_defaults(self):
        args = self.parse("photos")
        assert (args.codecs, args.quality, args.workers) == ("jpeg,webp,avif,mlic", None, 1)
        assert self.parse("a", "b", "--quality", "1,3.5").quality == [1, 3.5]

    @pytest.mark.parametrize(
        "words", [("--quality", "1,9"), ("--quality", "x"), ("--workers", "0")]
    )
    def test_bad_arguments(self, words):
        with pytest.raises(SystemExit):
            self.parse("photos", *words)

    def test_main(self, images, tmp_path, capsys):
        out = tmp_path / "out"
        words = ("--codecs", "jpeg,webp", "--out", str(out), "--anchor", "webp")
        assert bench.main(self.parse(str(images[0].parent), *words)) == 0
        assert "| webp | +0.0 % |" in capsys.readouterr().out
        assert (out / "table.md").exists()

    def test_main_says_what_is_wrong(self, images, capsys):
        assert bench.main(self.parse(str(images[0]), "--codecs", "bpg")) == 2
        assert "mlic bench: there is no codec 'bpg'" in capsys.readouterr().err


def test_file_stem():
    assert report.file_stem("mlic:mlic++") == "mlic-mlic++"
