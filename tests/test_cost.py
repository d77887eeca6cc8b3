"""`mlic bench cost` on mosaics of a few thousand pixels."""

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from pillow_mlic import cli
from pillow_mlic.evaluation import codecs, cost

from .conftest import photograph

pytest.importorskip("scipy")
pytest.importorskip("matplotlib")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for seed, path in enumerate(paths):
        photograph(60, 40 + 20 * seed, seed).save(path)
    return paths


@pytest.fixture
def no_plot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "plot", lambda *_: None)


def run(pictures: list[Path], out: Path, sizes: tuple[float, ...], **options) -> cost.Document:
    chosen = [codecs.create(name) for name in options.pop("names", ("avif", "jpeg"))]
    return cost.run(pictures, sizes, chosen, out, repeats=2, **options)


@pytest.mark.parametrize("megapixels", [0.02, 0.3])
def test_mosaic(megapixels):
    picture = cost.mosaic([photograph(60, 40), photograph(50, 70, 1)], megapixels)
    assert picture.width * picture.height == pytest.approx(megapixels * 1e6, rel=0.01)
    assert picture.width / picture.height == pytest.approx(1.5, rel=0.05)
    second = photograph(50, 70, 1).getpixel((5, 5))
    assert picture.width < 60 or picture.getpixel((50 + 5, 5)) == second
    colours = picture.crop((0, picture.height - 1, picture.width, picture.height)).getcolors(10**6)
    assert len(colours) > 10  # no part was left black


def test_report(pictures, tmp_path):
    document = run(pictures, tmp_path / "out", (0.05, 0.02))
    assert json.loads((tmp_path / "out" / "cost.json").read_text()) == document
    assert [entry["megapixels"] for entry in document["sizes"]] == [0.02, 0.05]
    small, large = (entry["codecs"] for entry in document["sizes"])
    assert small["avif"]["setting"] == codecs.create("avif").middle
    assert abs(small["jpeg"]["bytes"] / small["avif"]["bytes"] - 1) < 0.2
    assert large["jpeg"]["bytes"] > small["jpeg"]["bytes"]
    assert small["jpeg"]["memory"]["encoding"] >= small["jpeg"]["memory"]["idle"] > 1
    table = cost.table(document)
    ratio = large["jpeg"]["encoding_time"] / large["avif"]["encoding_time"]
    assert re.search(rf"\| 0\.05 \| jpeg .*\| {ratio:.2f} \|", table)
    assert len(table.splitlines()) == 2 + 4
    assert len(cost.table(document, [0.05]).splitlines()) == 2 + 2
    assert table in (tmp_path / "out" / "cost.md").read_text()
    for name in ("cost-time.png", "cost-memory.png"):
        with Image.open(tmp_path / "out" / name) as plot:
            assert plot.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert "jpeg,decoding" in re.sub(r"\s", "", (tmp_path / "out" / "cost-time.svg").read_text())


@pytest.mark.usefixtures("no_plot")
def test_sizes_are_measured_once(pictures, tmp_path, monkeypatch):
    out, measured = tmp_path / "out", []
    measure = cost._measure
    monkeypatch.setattr(
        cost, "_measure", lambda picture, *rest: measured.append(picture) or measure(picture, *rest)
    )
    first = run(pictures, out, (0.002,), with_memory=False)
    assert run(pictures, out, (0.002,), with_memory=False) == first
    assert len(measured) == 1
    both = run(pictures, out, (0.002, 0.01), with_memory=False)
    assert (len(measured), both["sizes"][0]) == (2, first["sizes"][0])
    run(pictures, out, (0.002,), with_memory=False, quality=70)  # another setting
    run(pictures[:1], out, (0.002,), with_memory=False)  # other pictures
    assert len(measured) == 4
    (out / "cost.json").write_text("{")  # cut short
    run(pictures, out, (0.002,), with_memory=False)
    assert len(measured) == 5


@pytest.mark.usefixtures("no_plot")
def test_a_codec_that_fails_is_reported(pictures, tmp_path, monkeypatch):
    encode = codecs.Codec.encode

    def failing(self, image, setting):
        if self.name == "jpeg" and image.width > 100:
            msg = "too large"
            raise ValueError(msg)
        return encode(self, image, setting)

    monkeypatch.setattr(codecs.Codec, "encode", failing)
    document = run(pictures, tmp_path / "out", (0.002, 0.01), with_memory=False)
    small, large = (entry["codecs"]["jpeg"] for entry in document["sizes"])
    assert "error" not in small
    assert large["error"] == "ValueError: too large"
    assert "jpeg failed at 0.01 MP: ValueError" in (tmp_path / "out" / "cost.md").read_text()


@pytest.mark.usefixtures("no_plot")
def test_command(pictures, tmp_path, capsys, monkeypatch):
    """Two words are one command; the folder of that name can still be measured."""
    monkeypatch.chdir(tmp_path)
    words = ["--megapixels", "0.002", "--codecs", "jpeg,webp", "--no-memory", "--repeats", "1"]
    assert cli.main(["bench", "cost", str(pictures[0]), *words]) == 0
    assert "| 0.002 | jpeg 60 |" in capsys.readouterr().out
    assert Path("cost/cost.md").exists()
    assert cli.main(["bench", "./cost"]) == 2
    assert "there are no pictures" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["bench", "cost", "a.png", "--megapixels", "0,1"])


@pytest.mark.usefixtures("no_plot")
def test_schema_is_documented(pictures, tmp_path):
    text = (Path(__file__).parent.parent / "docs" / "reports.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([^`]+)`", text, flags=re.M))
    document = run(pictures, tmp_path / "out", (0.002,))
    entry = document["sizes"][0]
    assert {*document, *entry, *entry["codecs"]["jpeg"]} <= documented
