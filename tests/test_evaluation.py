"""Metrics, BD-rate and codecs under test, on small synthetic pictures."""

import importlib.util
import io
import math
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pillow_mlic import packs
from pillow_mlic.evaluation import bands, bdrate, codecs, metrics

pytest.importorskip("scipy")

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


class TestSsimulacra2:
    def test_scale(self):
        pytest.importorskip("ssimulacra2")
        a = picture(96, 64, 0)
        assert metrics.ssimulacra2(a, a) == pytest.approx(100)
        values = [metrics.ssimulacra2(a, picture(96, 64, noise)) for noise in (1, 4, 16)]
        assert values == sorted(values, reverse=True)
        assert 60 < values[0] < 100

    def test_what_is_installed_is_available(self, monkeypatch):
        assert {"psnr", "ms-ssim"} <= set(metrics.available())
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        monkeypatch.setattr("shutil.which", lambda name: None)
        assert metrics.available() == ["psnr"]
        monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
        assert metrics.available() == ["psnr", "butteraugli"]
        assert "butteraugli_main" in metrics.how_to_get("butteraugli")
        assert metrics.how_to_get("ssimulacra2") == "pip install ssimulacra2"


def program(folder: Path, lines: str) -> None:
    """A program butteraugli_main that prints `lines`, and keeps what it was called with."""
    path = folder / "butteraugli_main"
    path.write_text(f'#!/bin/sh\necho "$@" > {folder}/words\ncat "$1" > {folder}/first\n{lines}\n')
    path.chmod(0o755)


class TestSecondOpinions:
    def test_flip(self):
        pytest.importorskip("flip_evaluator")
        a = picture(96, 64, 0)
        assert metrics.flip(a, a) == 0
        values = [metrics.flip(a, Image.fromarray(picture(96, 64, n))) for n in (1, 4, 16)]
        assert values == sorted(values)
        assert 0 < values[0] < values[-1] < 1
        # Black against white is the largest difference that there is.
        black, white = np.zeros_like(a), np.full_like(a, 255)
        assert metrics.flip(black, white) > 0.9

    def test_butteraugli(self):
        if "butteraugli" not in metrics.available():
            pytest.skip("butteraugli_main is not installed")
        a = picture(96, 64, 0)
        assert metrics.butteraugli(a, a) == 0
        values = [metrics.butteraugli(a, picture(96, 64, noise)) for noise in (1, 4, 16)]
        assert values == sorted(values)
        assert 0 < values[0] < values[-1]

    @pytest.mark.skipif(os.name == "nt", reason="needs a shell")
    def test_what_the_program_says(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
        a = picture(16, 8)
        for said in ("3-norm: 2.397192", "3.000000-norm: 2.397192"):
            program(tmp_path, f"echo 5.1935758591; echo '{said}'")
            assert metrics.butteraugli(a, a) == 2.397192
        words = (tmp_path / "words").read_text().split()
        assert words[2:] == ["--pnorm", "3"]
        assert (tmp_path / "first").read_bytes().endswith(a.tobytes())  # a PPM
        assert not Path(words[0]).exists()
        for lines in ("echo no memory >&2; exit 1", "echo 5.19"):
            program(tmp_path, lines)
            with pytest.raises(RuntimeError, match=r"gave no 3-norm: (no memory|5\.19)"):
                metrics.butteraugli(a, a)

    def test_small_pictures(self):
        with pytest.raises(ValueError, match="8 pixels a side, but this one is 7 x 9"):
            metrics.butteraugli(picture(7, 9), picture(7, 9))

    def test_levels_rise_with_quality(self):
        assert metrics.level("psnr", 33.0) == 33
        assert metrics.level("ssimulacra2", 70.0) == 70
        assert metrics.level("ms-ssim", 0.99) == pytest.approx(20)
        for name in metrics.DISTANCES:
            assert metrics.level(name, 0.1) == -0.1


class TestBands:
    def test_equal_and_flat_pictures(self):
        flat = np.full((20, 30, 3), 90, np.uint8)
        for a in (picture(), flat, picture(1, 1), picture(5, 300)):
            assert bands.energies(a, Image.fromarray(a)) == pytest.approx((1, 1, 1, 1))

    def test_half_the_contrast_is_half_the_energy(self):
        a = picture(200, 150, 40)
        half = (a.astype(int) // 2).astype(np.uint8)
        assert bands.energies(a, half) == pytest.approx((0.5,) * 4, abs=0.01)

    def test_each_band_holds_its_octave(self):
        """A wave is in the band whose Gaussians lie around it."""
        x = np.mgrid[:128, :256, :3][1]
        flat = np.full(x.shape, 128, np.uint8)
        for band, length in enumerate((2.5, 6, 12, 24)):
            wave = (128 + 16 * np.sin(2 * np.pi * x / length)).astype(np.uint8)
            assert int(np.argmax(bands.energies(flat, wave))) == band

    def test_blur_takes_the_finest_first(self):
        a = Image.fromarray(picture(200, 150, 20))
        found = bands.energies(a, a.filter(ImageFilter.GaussianBlur(1)))
        assert found[0] < 0.5 < found[2] < found[3] < 1.001

    def test_strips_do_not_show(self, monkeypatch):
        a, b = picture(40, 333, 10), picture(40, 333, 20, seed=3)
        whole = bands.energies(a, b)
        monkeypatch.setattr(bands, "STRIP", 50)
        assert bands.energies(a, b) == pytest.approx(whole, rel=1e-6)


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
        assert bdrate.published("vtm-17.0", "ssimulacra2") == []
        assert bdrate.published("vtm-17.0", "flip") == []
        with pytest.raises(ValueError, match=r"only of vtm-17\.0, mlic"):
            bdrate.published("bpg")


class TestCodecs:
    @pytest.mark.parametrize("name", ["jpeg", "webp", "avif", "avif-best", "avif-psnr"])
    def test_round_trip(self, name):
        codec = codecs.create(name)
        image = Image.fromarray(picture())
        small, large = (codec.encode(image, codec.settings[i]) for i in (0, -1))
        decoded = codec.decode(large)
        assert (decoded.size, decoded.mode, decoded.format) == (image.size, "RGB", codec.format)
        assert len(small) < len(large)
        assert codec.weights(codec.settings[0]) == ""

    @pytest.mark.parametrize("name", ["mlic", "mlic:mlicv2-lite"])
    def test_weights_in_use(self, name):
        file = packs.find(name.partition(":")[2] or None)
        assert codecs.create(name).weights(3.0) == packs.load(file).identity.hex()[:16]

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

    def test_jpeg_xl_where_its_plugin_is_installed(self, monkeypatch):
        find_spec = importlib.util.find_spec
        monkeypatch.setattr(
            "importlib.util.find_spec",
            lambda name: None if name == "pillow_jxl" else find_spec(name),
        )
        with pytest.raises(ValueError, match="pip install pillow-jxl-plugin"):
            codecs.create("jxl")
        monkeypatch.undo()
        pytest.importorskip("pillow_jxl")
        codec = codecs.create("jxl")
        small, large = (codec.encode(Image.fromarray(picture()), q) for q in (20, 90))
        assert len(small) < len(large)
        assert codec.decode(large).format == "JXL"

    def test_every_codec_takes_its_whole_range(self):
        image = Image.fromarray(picture())
        for name in ("jpeg", "webp", "avif"):
            codec = codecs.create(name)
            assert len(codec.encode(image, codec.lowest)) < len(codec.encode(image, codec.highest))
            assert codec.lowest <= min(codec.settings) < max(codec.settings) <= codec.highest

    @pytest.mark.parametrize("name", ["bpg", "mlic:", "mlic:NAME", ""])
    def test_unknown_name(self, name):
        with pytest.raises(ValueError, match=r"there are jpeg, webp, avif, .*mlic:NAME"):
            codecs.create(name)


def test_a_codec_may_bear_the_name_of_a_published_curve() -> None:
    from pillow_mlic.evaluation.bdrate import published
    from pillow_mlic.evaluation.results import Curve, bd_rates

    points = published("vtm-17.0")
    columns = {"bpp": [2 * bpp for bpp, _ in points], "psnr-rgb": [psnr for _, psnr in points]}
    rates = bd_rates({"mlic": Curve("mlic", "", columns=columns)}, "vtm-17.0", kodak=True)
    found = {rate.name: rate.rates["pchip"]["psnr"] for rate in rates}
    assert found["mlic"] == pytest.approx(100)
    assert found["MLIC (published)"] == pytest.approx(-8.05, abs=0.1)
