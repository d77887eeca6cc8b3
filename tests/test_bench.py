"""`mlic bench`: measurements, resuming, results and their files, on small synthetic pictures."""

import argparse
import base64
import importlib.util
import io
import json
import re
import runpy
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pillow_mlic import cli
from pillow_mlic.cli import bench as command
from pillow_mlic.evaluation import bench, codecs, measure, memory, metrics, plots
from pillow_mlic.evaluation.monotonicity import monotonicity

from .test_evaluation import picture

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")


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

    def touch(results, what, paths):
        for path in paths:
            path.write_text("<svg></svg>")

    monkeypatch.setattr(plots, "rate_distortion", touch)
    monkeypatch.setattr(plots, "liveliness", touch)


def rows_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()]


class TestReport:
    def test_results_and_files(self, images, tmp_path):
        out, calls = tmp_path / "out", []
        ladder = {"jpeg": [30, 60, 90], "webp": [30, 80]}
        results = bench.run(
            images, ["jpeg", "webp"], ladder, out, progress=lambda *call: calls.append(call)
        )
        assert calls == [("measuring", done, 10) for done in range(11)]
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
        bpp, psnr = jpeg.columns["bpp"][0], jpeg.columns["psnr-rgb"][0]
        assert bpp == pytest.approx(sum(row["bpp"] for row in same) / 2)

        document = json.loads((out / "results.json").read_text())
        single = json.loads((out / "jpeg.json").read_text())
        assert single["results"] == document["codecs"]["jpeg"]
        assert {"bpp", "psnr-rgb", "encoding_time", "decoding_time"} <= set(single["results"])
        assert "ms-ssim-rgb" not in single["results"]
        assert document["bd-rate"]["anchor"] == "jpeg"
        assert document["bd-rate"]["psnr-rgb"]["jpeg"] == 0
        table = (out / "table.md").read_text()
        assert "| codec | setting | bpp | PSNR dB | enc s |" in table
        assert f"| jpeg | 30 | {bpp:.4f} | {psnr:.3f} | " in table
        assert "not for PSNR" in table
        assert (out / "rd.svg").read_text().count("<svg") == 1
        with Image.open(out / "rd.png") as plot:
            assert plot.convert("RGB").getpixel((0, 0)) == (255, 255, 255)

    @pytest.mark.usefixtures("no_plot")
    def test_compressai_plots_the_files(self, tmp_path):
        """Its plotting program, run from the file: importing the package needs torchvision."""
        found = importlib.util.find_spec("compressai")
        if found is None or not found.submodule_search_locations:
            pytest.skip("compressai is not installed")
        program = Path(found.submodule_search_locations[0]) / "utils" / "plot" / "__main__.py"
        plot = runpy.run_path(str(program))["parse_json_file"]
        image, out = tmp_path / "large.png", tmp_path / "out"
        Image.fromarray(picture(200, 170)).save(image)
        results = bench.run([image], ["jpeg"], {"jpeg": [30, 60]}, out, metrics=["ms-ssim"])
        curve = results.curves["jpeg"]
        read = plot(out / "jpeg.json", "psnr")
        assert (read["name"], read["xs"]) == ("jpeg", curve.columns["bpp"])
        assert list(read["ys"]) == curve.columns["psnr-rgb"]
        assert list(plot(out / "jpeg.json", "ms-ssim")["ys"]) == curve.quality("ms-ssim")

    @pytest.mark.usefixtures("no_plot")
    def test_json_is_strict(self, tmp_path):
        path, out = tmp_path / "flat.png", tmp_path / "out"
        Image.new("RGB", (16, 16), "gray").save(path)  # equal pictures have no finite PSNR
        bench.run([path], ["jpeg"], {"jpeg": [90, 95]}, out)

        def refuse(name):
            raise AssertionError(name)

        document = json.loads((out / "results.json").read_text(), parse_constant=refuse)
        assert document["codecs"]["jpeg"]["psnr-rgb"] == [None, None]
        assert "no range of quality in common" in (out / "table.md").read_text()

    @pytest.mark.usefixtures("no_plot")
    def test_schema_is_documented(self, images, tmp_path, monkeypatch):
        """Every key of the documents has a row in docs/reports.md."""
        text = (Path(__file__).parent.parent / "docs" / "reports.md").read_text(encoding="utf-8")
        documented = set(re.findall(r"^\| `([^`]+)`", text, flags=re.M))
        out = tmp_path / "out"
        monkeypatch.setitem(metrics.METRICS, "flip", lambda a, b: 0.1)
        monkeypatch.setitem(metrics.METRICS, "butteraugli", lambda a, b: 2.0)
        wanted = metrics.MEASURES
        bench.run(images, ["jpeg"], {"jpeg": [30, 60]}, out, metrics=wanted, memory=True, samples=1)
        document = json.loads((out / "results.json").read_text())
        keys = {*document, *document["codecs"]["jpeg"], *document["bd-rate"]}
        keys |= set(document["memory"]["jpeg"]) | set(json.loads((out / "jpeg.json").read_text()))
        for row in rows_of(out):
            keys |= set(row)
        assert keys <= documented

    def test_second_opinions_and_bands(self, images, tmp_path, monkeypatch):
        """Distances fall with quality, and their BD-rates still say fewer bits where fewer are."""
        fakes = {"flip": 0.2, "butteraugli": 6.0, "ssimulacra2": 90.0}

        def fake(name):
            def metric(original, decoded):
                error = 10 ** (-metrics.psnr(original, decoded) / 20)
                sign = -1 if name == "ssimulacra2" else 1
                return fakes[name] * (error if sign > 0 else 1 - error)

            return metric

        for name in fakes:
            monkeypatch.setitem(metrics.METRICS, name, fake(name))
        for seed, image in enumerate(images):
            Image.fromarray(picture(64, 48, noise=20, seed=seed)).save(image)
        out, ladder = tmp_path / "out", {"jpeg": [30, 60, 90], "webp": [20, 50, 80]}
        wanted = ["psnr", *fakes, "bands"]
        results = bench.run(images, ["jpeg", "webp"], ladder, out, metrics=wanted)
        jpeg, webp = results.curves["jpeg"], results.curves["webp"]
        assert jpeg.columns["flip"] == sorted(jpeg.columns["flip"], reverse=True)
        assert jpeg.quality("flip") == sorted(jpeg.quality("flip"))
        rates = results.bd_rates[1].rates["pchip"]
        assert rates["flip"] == pytest.approx(rates["psnr"], abs=3)  # of the same error
        assert rates["butteraugli"] == pytest.approx(rates["flip"])
        assert abs(rates["psnr"]) > 5
        document = json.loads((out / "results.json").read_text())
        assert document["codecs"]["webp"]["band-2"] == webp.columns["band-2"]
        assert "band-1" not in document["bd-rate"]
        table = (out / "table.md").read_text()
        assert "| SSIMULACRA2 | FLIP | Butteraugli | band 1 | band 2 | band 3 | band 4 |" in table
        energies = " | ".join(f"{webp.columns[f'band-{i}'][0]:.3f}" for i in (1, 2, 3, 4))
        assert energies in table
        page = (out / "report.html").read_text()
        assert "<th>FLIP</th><th>Butteraugli</th>" in page
        for stem in ("rd-flip", "rd-butteraugli", "band-1", "band-4"):
            assert (out / f"{stem}.svg").read_text().count("<svg") == 1
            assert f"curves, {stem}" in page
        again = bench.run(images, ["jpeg", "webp"], ladder, out, metrics=wanted)
        assert again == results
        assert len(rows_of(out)) == 12

    def test_kodak_is_compared_with_vtm(self, tmp_path):
        folder = tmp_path / "kodak"
        folder.mkdir()
        for name in bench.KODAK:
            Image.fromarray(picture(16, 16, noise=60)).save(folder / f"{name}.png")
        out = tmp_path / "out"
        results = bench.run(bench.find_images([folder]), ["jpeg"], {"jpeg": [60, 95]}, out)
        assert (results.kodak, results.anchor) == (True, "vtm-17.0")
        rates = {rate.name: rate.rates["pchip"]["psnr"] for rate in results.bd_rates}
        assert rates["VTM-17.0 (published)"] == 0
        assert rates["MLIC++ (published)"] == pytest.approx(-13.39, abs=0.1)
        assert rates["jpeg"] is None or rates["jpeg"] > 0
        table = (out / "table.md").read_text()
        assert "## BD-rate against VTM-17.0" in table
        assert "MLIC++" in "".join((out / "rd.svg").read_text().split())
        ladder, pictures = {"jpeg": [60, 95]}, bench.find_images([folder])
        again = bench.run(pictures, ["jpeg"], ladder, out, anchor="lalic")
        rates = {rate.name: rate.rates["cubic"]["psnr"] for rate in again.bd_rates}
        assert rates["LALIC (published)"] == 0
        assert rates["VTM-17.0 (published)"] == pytest.approx(100 / (1 - 0.1372) - 100, abs=0.5)


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
        monkeypatch.setattr(measure, "weights_of", lambda codec, setting: hashes[0])
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

        def stop(what, done, total):
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
        assert calls[-1] == ("measuring", 2, 2)
        assert len(results.curves["jpeg"].points()) == 2
        assert len(measure.read_rows(rows)) == 4

    def test_ms_ssim(self, tmp_path):
        path, out = tmp_path / "large.png", tmp_path / "out"
        Image.fromarray(picture(200, 170)).save(path)
        ladder = {"jpeg": [30, 60], "webp": [30, 80]}
        without = bench.run([path], ["jpeg", "webp"], ladder, out)
        assert not without.curves["jpeg"].has("ms-ssim")
        results = bench.run([path], ["jpeg", "webp"], ladder, out, metrics=["ms-ssim"])
        low, high = results.curves["jpeg"].columns["ms-ssim-rgb"]
        assert 0.5 < low < high < 1
        assert results.bd_rates[0].rates["pchip"]["ms-ssim"] == pytest.approx(0)
        assert "ms-ssim-rgb" in json.loads((out / "jpeg.json").read_text())["results"]

    def test_ms_ssim_of_small_pictures_is_left_out(self, images, tmp_path):
        results = bench.run(images, ["jpeg"], {"jpeg": [30]}, tmp_path / "out", metrics=["ms-ssim"])
        assert results.errors == []
        assert not results.curves["jpeg"].has("ms-ssim")
        assert len(results.curves["jpeg"].points()) == 1

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
        assert results.curves["jpeg"].points() == []

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

    def test_a_name_that_is_no_text(self, images, tmp_path):
        named = images[0].rename(images[0].with_name("\udcff.png"))
        out = tmp_path / "out"
        bench.run([named], ["jpeg"], {"jpeg": [30, 60]}, out, samples=1)
        assert r"<b>\udcff.png</b>" in (out / "report.html").read_text(encoding="utf-8")
        assert not list(out.glob("**/*.part"))

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
class TestMemory:
    def test_of_a_process(self, tmp_path):
        small, large = tmp_path / "small.png", tmp_path / "large.png"
        Image.new("RGB", (16, 16), "gray").save(small)
        Image.new("RGB", (2400, 2000), "gray").save(large)
        codec = codecs.create("jpeg")
        little, much = (memory.measure(codec, 50, path) for path in (small, large))
        pixels = 2400 * 2000 * 3 / memory.MIB
        assert 1 < little["idle"] <= little["encoding"] < 500
        assert much["idle"] > little["idle"] + 0.9 * pixels
        assert much["decoding"] > little["decoding"] + 0.9 * pixels

    def test_failure_is_a_sentence(self, tmp_path):
        with pytest.raises(RuntimeError, match="could not be measured: FileNotFoundError"):
            memory.measure(codecs.create("jpeg"), 50, tmp_path / "nothing.png")

    def test_in_a_run(self, images, tmp_path):
        Image.fromarray(picture(100, 90)).save(images[1])
        out, calls = tmp_path / "out", []

        def run():
            ladder = {"jpeg": [30, 60, 90]}
            progress = lambda *call: calls.append(call)  # noqa: E731
            return bench.run(images, ["jpeg"], ladder, out, progress, memory=True)

        peaks = run().curves["jpeg"].memory
        assert peaks["encoding"] >= peaks["idle"] > 1
        (row,) = (row for row in rows_of(out) if row.get("kind") == "memory")
        assert (row["image"], row["width"], row["setting"]) == ("p1.png", 100, 60)
        assert (
            f" {peaks['encoding']:.0f} | {peaks['decoding']:.0f} |"
            in (out / "table.md").read_text()
        )
        calls.clear()
        assert run().curves["jpeg"].memory == peaks
        assert calls == [("measuring", 0, 0), ("measuring memory", 0, 0)]


class _Checker(HTMLParser):
    """Tags are closed in the order they were opened; collects images and attributes."""

    VOID = ("meta", "img", "input", "link", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.mark.usefixtures("no_plot")
class TestPage:
    @pytest.fixture
    def out(self, images, tmp_path) -> Path:
        images[0] = images[0].rename(images[0].with_name("a<b>&.png"))
        out = tmp_path / "out"
        ladder = {"jpeg": [30, 60, 90], "webp": [10, 50, 90], "avif": [30, 50, 70]}
        bench.run(images, list(ladder), ladder, out, samples=24)
        return out

    @pytest.fixture
    def checked(self, out: Path) -> _Checker:
        checker = _Checker()
        checker.feed((out / "report.html").read_text(encoding="utf-8"))
        assert checker.open == []
        return checker

    def test_needs_nothing_else(self, out, checked):
        """No address of any kind but data URIs, and a policy that forbids others."""
        links = [a[k] for _, a in checked.found for k in ("src", "href") if k in a]
        assert len(links) == 1 + 2 * 4
        assert all(link.startswith("data:image/") for link in links)
        text = (out / "report.html").read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        for link in links[1:]:
            with Image.open(io.BytesIO(base64.b64decode(link.split(",")[1]))) as image:
                assert (image.format, image.size) == ("WEBP", (48, 32))

    def test_pictures_have_a_divider_for_mouse_and_keyboard(self, out, checked):
        dividers = checked.all("input")
        assert [each["type"] for each in dividers] == ["range", "range"]
        assert dividers[0]["aria-label"] == "Divider between left and right on a<b>&.png"
        assert [s["class"] for s in checked.all("select")] == ["left", "right"] * 2
        shown = [(i["data-name"], i.get("class")) for i in checked.all("img")[1:5]]
        assert shown == [("original", "left"), ("jpeg", None), ("webp", None), ("avif", "right")]
        assert all(image["alt"] for image in checked.all("img"))

    def test_sizes_match(self, out):
        rows = [row for row in rows_of(out) if row.get("kind") == "sample"]
        assert len(rows) == 2 * 3
        for row in rows:
            close = 0.03 if row["codec"] == "jpeg" else 0.15  # JPEG's middle setting is the target
            assert abs(row["bytes"] / row["target"] - 1) < close
            assert f"<td>{row['bytes']}</td>" in (out / "report.html").read_text(encoding="utf-8")

    def test_samples_are_made_once(self, out, images, monkeypatch):
        ladder = {"jpeg": [30, 60, 90], "webp": [10, 50, 90], "avif": [30, 50, 70]}
        (next((out / "samples").glob("*-webp.webp"))).unlink()
        calls = []
        progress = lambda *call: calls.append(call)  # noqa: E731
        bench.run(images, list(ladder), ladder, out, progress, samples=24)
        assert calls == [
            ("measuring", 0, 0),
            ("choosing samples", 0, 1),
            ("choosing samples", 1, 1),
        ]

    def test_a_codec_that_fails_is_left_out(self, images, tmp_path, monkeypatch):
        to_size = measure.matching.to_size

        def failing(codec, *rest):
            if codec.name == "webp":
                msg = "no luck"
                raise OSError(msg)
            return to_size(codec, *rest)

        monkeypatch.setattr(measure.matching, "to_size", failing)
        ladder = {"jpeg": [30, 60], "webp": [30, 60]}
        results = bench.run(images, list(ladder), ladder, tmp_path / "out", samples=1)
        assert [image.codec for image in results.samples[0].images] == ["jpeg"]
        assert [row["error"] for row in results.errors] == ["OSError: no luck"]


@pytest.mark.usefixtures("no_plot")
class TestCommandLine:
    @staticmethod
    def parse(*words: str) -> argparse.Namespace:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        return parser.parse_args(words)

    def test_defaults(self):
        args = self.parse("photos")
        assert (args.codecs, args.quality, args.workers) == (None, None, 1)
        assert self.parse("a", "b", "--quality", "1,3.5").quality == [1, 3.5]

    @pytest.mark.parametrize(
        "words", [("--quality", "1,9"), ("--quality", "x"), ("--workers", "0")]
    )
    def test_bad_arguments(self, words):
        with pytest.raises(SystemExit):
            self.parse("photos", *words)

    def test_main(self, images, tmp_path, capsys):
        out = tmp_path / "out"
        words = ["--codecs", "jpeg,webp", "--out", str(out), "--anchor", "webp", "--no-memory"]
        assert cli.main(["bench", str(images[0].parent), *words]) == 0
        printed = capsys.readouterr().out
        assert "| webp | +0.0 % |" in printed
        assert str(out / "report.html") in printed
        assert (out / "table.md").exists()

    @pytest.mark.parametrize(
        ("words", "sentence"),
        [
            (("--codecs", "bpg"), "there is no codec 'bpg'"),
            (("--metrics", "vmaf"), "there is no metric 'vmaf' here; there are psnr, ms-ssim"),
            (("--metrics", "butteraugli"), "for butteraugli: install butteraugli_main of libjxl"),
            (("--anchor", "vtm-17.0"), "24 Kodak pictures only"),
        ],
    )
    def test_mistakes_get_a_sentence(self, images, tmp_path, capsys, monkeypatch, words, sentence):
        monkeypatch.setattr("shutil.which", lambda name: None)
        assert cli.main(["bench", str(images[0]), "--out", str(tmp_path / "out"), *words]) == 2
        message = capsys.readouterr().err
        assert sentence in message
        assert "Traceback" not in message


def test_file_stem():
    assert measure.file_stem("mlic:mlic++") == "mlic-mlic++"


def test_monotony() -> None:
    def row(image: str, setting: float, bpp: float, psnr: float) -> dict[str, Any]:
        return {"codec": "mlic", "image": image, "setting": setting, "bpp": bpp, "psnr-rgb": psnr}

    rows = [row("a", 2, 0.5, 31), row("a", 1, 0.4, 30), row("b", 1, 0.2, 33), row("b", 2, 0.3, 34)]
    found = monotonicity("mlic", rows)
    assert found is not None
    assert not found.falls
    assert found.sentence() == (
        "mlic: bytes and PSNR rise at all 2 steps, by 25.00 % and 1.000 dB at least."
    )
    found = monotonicity("mlic", [*rows, row("a", 2.25, 0.6, 30.5)])
    assert found is not None
    assert [(step.image, step.lower, step.higher) for step in found.falls] == [("a", 2, 2.25)]
    assert "1 of 3 steps do not rise: a from 2 to 2.25: +20.00 % bytes, -0.500 dB" in (
        found.sentence()
    )
    assert monotonicity("avif", rows) is None
    assert monotonicity("mlic", [row("a", 1, 1, 1), {**row("a", 2, 1, 1), "error": "no"}]) is None
