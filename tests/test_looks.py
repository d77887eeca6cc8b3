"""scripts/judge.py and scripts/sheets.py, which compare how weights look."""

import argparse
import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic.evaluation import codecs, compare, metrics
from pillow_mlic.evaluation.results import Curve
from pillow_mlic.packs import Pack
from pillow_mlic.training.export import write_half

from .conftest import photograph
from .test_docs import script

pytest.importorskip("scipy")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        photograph(64 + number, 48).save(folder / f"p{number}.png")
    return folder


class TestJudge:
    @pytest.fixture
    def packs(self, tmp_path: Path, small_pack_file: Path, small_pack: Pack) -> list[Path]:
        """Two packs of one name; the second is the first with half the precision."""
        found = [tmp_path / run / "mlicv2-lite.safetensors" for run in ("a", "b")]
        found[0].parent.mkdir()
        shutil.copyfile(small_pack_file, found[0])
        found[1].parent.mkdir()
        model = small_pack.model(torch.device("cpu"))
        write_half(found[1], "mlicv2-lite", model, {"distortion": "visual"})
        return found

    @pytest.fixture
    def judge(self, monkeypatch: pytest.MonkeyPatch, pictures: Path, tmp_path: Path):
        monkeypatch.setenv("MLIC_WEIGHTS", "")  # put back afterwards
        monkeypatch.setattr(metrics, "available", lambda: ["psnr", "flip"])
        monkeypatch.setitem(metrics.METRICS, "flip", lambda a, b: 10 ** (-metrics.psnr(a, b) / 20))
        module = script("judge")
        words = ["--on", str(pictures), "--cache", str(tmp_path / "cache"), "--workers", "1"]

        def run(*more: str) -> None:
            monkeypatch.setattr(sys, "argv", ["judge.py", *more, *words])
            module.main()

        return run

    def test_a_line_a_pack(self, judge, packs, tmp_path, capsys, monkeypatch):
        judge(*map(str, packs), "--qualities", "2,6", "--pictures", "2")
        printed = capsys.readouterr()
        assert "no Butteraugli here: install butteraugli_main" in printed.err
        header, *lines = printed.out.splitlines()
        assert header.split() == ["FLIP", "PSNR", "bpp", "q2", "bpp", "q6"]
        assert [line.split()[0] for line in lines[::3]] == list(map(str, packs))
        assert all(line.startswith("  worst: FLIP") for line in lines[1::3])
        assert all(line.endswith(" of 2") for line in lines[2::3])  # two pictures, a step each
        rows = (tmp_path / "cache" / "rows.jsonl").read_text().splitlines()
        assert len(rows) == 2 * (10 + 2 * 2)
        assert '"image": "p1.png"' not in "".join(rows)
        low, high = (float(figure) for figure in lines[0].split()[-2:])
        assert 0 < low < high
        monkeypatch.setattr(codecs.Codec, "decode", None)  # nothing is measured twice
        monkeypatch.setattr("pillow_mlic.evaluation.measure.weights_of", weights_in(packs))
        judge(str(packs[1]), "--qualities", "2,6", "--pictures", "2")
        assert capsys.readouterr().out.splitlines()[1:] == lines[3:]

    def test_falls_are_counted_by_picture(self):
        columns = [
            {"bpp": [1.0, 2.0, 3.0], "psnr-rgb": [30.0, 31.0, 32.0]},
            {"bpp": [1.0, 3.0, 2.0], "psnr-rgb": [9.0, 8.0, 7.0]},
        ]
        curves = [Curve("p", "", [1, 2, 3], each) for each in columns]
        assert script("judge").falls(curves, ("psnr",)) == "bytes 1, PSNR 2 of 4"

    def test_what_fails_is_said(self, judge, packs, monkeypatch):
        def failing(self, image, setting):
            msg = "no luck"
            raise OSError(msg)

        monkeypatch.setattr(codecs.Codec, "encode", failing)
        with pytest.raises(SystemExit, match=r"avif at 10 on p0.png: OSError: no luck"):
            judge(str(packs[0]))

    def test_figures(self):
        def curve(factor: float) -> Curve:
            columns = {
                "bpp": [0.2 * factor, 0.4 * factor, 0.8 * factor],
                "psnr-rgb": [30, 33, 36],
                "butteraugli": [4, 2, 1],
            }
            return Curve("", "", [1, 2, 3], columns)

        figures = script("judge").figures
        assert figures(curve(1), curve(0.8), ("butteraugli", "psnr")) == ["-20.0 %", "-20.0 %"]
        far = Curve("", "", [1, 2], {"bpp": [1, 2], "psnr-rgb": [50, 60]})
        assert figures(curve(1), far, ("psnr",)) == ["-"]

    def test_pictures_are_spread(self):
        spread, numbers = script("judge").spread, list(range(24))
        assert spread(numbers, 12) == numbers[::2]
        assert spread(numbers, 5) == [0, 4, 9, 14, 19]
        assert spread(numbers, None) == spread(numbers, 99) == numbers


def weights_in(paths: list[Path]):
    """`measure.weights_of` without encoding: judge names a pack by the hash of its file."""
    from pillow_mlic import packs

    known = {
        hashlib.sha256(path.read_bytes()).hexdigest()[:16]: packs.name_in_files(
            packs.inspect(path)
        ).hex()
        for path in paths
    }

    def weights(codec: codecs.Codec, setting: float) -> str:
        return known.get(str(codec.options.get("model", "")), "")

    return weights


class TestSheets:
    @pytest.mark.usefixtures("small_weights")
    def test_one_picture(self, pictures, tmp_path, monkeypatch, capsys):
        module, out = script("sheets"), tmp_path / "out"
        monkeypatch.setattr(codecs, "names", lambda: ["avif-best"])  # JPEG XL or not
        words = [str(pictures / "p1.png"), "--out", str(out), "--columns", "2", "--zoom", "3"]
        more = ["--ours", "mlic", "mlic optimize=false", "--crop", "p1=8,4,40,30"]
        monkeypatch.setattr(sys, "argv", ["sheets.py", *words, *more])
        module.main()
        assert ", mlic optimize=false " in capsys.readouterr().out
        with Image.open(out / "p1.png") as sheet:
            pixels = np.asarray(sheet.convert("RGB"))
        gap, legend = compare.GAP, module._LEGEND
        assert pixels.shape[:2] == (gap + 3 * (90 + legend + gap), gap + 2 * (120 + gap))
        with Image.open(pictures / "p1.png") as picture:
            crop = np.asarray(picture.convert("RGB").crop((8, 4, 48, 34)))
        assert (pixels[gap : gap + 90 : 3, gap : gap + 120 : 3] == crop).all()

    def test_sizes(self, monkeypatch):
        """AVIF sets the size, and the last one has twice of it."""
        module, image = script("sheets"), photograph(160, 120)
        monkeypatch.setattr(codecs, "names", lambda: ["jxl"])
        create = codecs.create
        monkeypatch.setattr(codecs, "create", lambda n: create("webp" if n == "jxl" else n))
        mine = [create("jpeg")]
        outcomes = module.versions(image, mine, 40)
        names = [outcome.codec.name for outcome in outcomes]
        assert names == ["jpeg", "avif-best", "webp", "avif-best"]
        jpeg, avif, webp, twice = (outcome.size for outcome in outcomes)
        assert abs(avif / len(mine[0].encode(image, 40)) - 1) < 0.05
        assert abs(jpeg / avif - 1) < 0.03 > abs(webp / avif - 1)
        assert abs(twice / avif - 2) < 0.08
        bytes_, fidelity = module.legend(outcomes[0]).splitlines()
        assert bytes_ == f"{jpeg} bytes   {8 * jpeg / 160 / 120:.3f} bpp"
        assert fidelity.endswith(f"PSNR {outcomes[0].fidelity['psnr']:.2f} dB")

    def test_where_to_look(self):
        module = script("sheets")
        kodak, small = Image.new("RGB", (768, 512)), photograph(300, 270)
        assert module.box_of(Path("kodim04.png"), kodak, {}) == (128, 288, 384, 544)
        assert module.box_of(Path("kodim04.png"), kodak, {"kodim04": (1, 2, 3, 4)}) == (1, 2, 3, 4)
        left, top, right, bottom = module.box_of(Path("kodim04.png"), small, {})
        assert (right - left, bottom - top) == (256, 256)
        with pytest.raises(ValueError, match=r"not inside its 300 x 270"):
            module.box_of(Path("a.png"), small, {"a": (0, 0, 301, 10)})

    def test_every_kodak_crop_lies_inside(self):
        module = script("sheets")
        upright = {"kodim04", "kodim09", "kodim10", "kodim17", "kodim18", "kodim19"}
        assert len(module.KODAK) == 24
        for name, (left, top) in module.KODAK.items():
            width, height = (512, 768) if name in upright else (768, 512)
            assert 0 <= left <= width - module.SIDE
            assert 0 <= top <= height - module.SIDE

    def test_words(self):
        module = script("sheets")
        codec = module.ours("mlic:mlicv2-lite-visual refine=20 optimize=false")
        assert codec.label == "mlic:mlicv2-lite-visual refine=20 optimize=false"
        options = {"model": "mlicv2-lite-visual", "refine": 20, "optimize": False}
        assert codec.options == options
        assert module.crop_argument("a.b=1,2,30,40") == ("a.b", (1, 2, 31, 42))
        for function, text in (
            (module.ours, "bpg"),
            (module.ours, "mlic refine=x"),
            (module.crop_argument, "a=1,2,3"),
        ):
            with pytest.raises(argparse.ArgumentTypeError):
                function(text)
