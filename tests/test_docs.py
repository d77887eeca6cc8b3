"""The documentation: its commands are commands, its links lead somewhere, its figures measured."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

import pillow_mlic
from pillow_mlic import cli, models

from .documentation import PAGES, ROOT, commands, page_name


def script(name: str):
    """A program of scripts/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OURS = sorted({line for lines in commands().values() for line in lines if "mlic " in line})


@pytest.mark.parametrize("command", OURS)
def test_commands_are_understood(command):
    """As they are written; tests/test_docs_commands.py runs them, with smaller numbers."""
    words = shlex.split(command, comments=True)
    while re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    if words[0] == "mlic" and "..." not in command:
        args = cli.build_parser().parse_args(cli.join_words(words[1:]))
        assert callable(args.run)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)


def anchors(page: Path) -> set[str]:
    """What links to places on a page may name: its headings, as forges and MkDocs spell them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page):
    """To files that are there and, behind #, to headings on them; pictures are files, too."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", target):
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


def test_the_sources_name_no_document_that_is_not_there():
    """Pages of docs by path; and what is cited by sections is a paper of the family."""
    sources = [
        *ROOT.glob("pillow_mlic/**/*.py"),
        *ROOT.glob("gui/**/*.py"),
        *ROOT.glob("scripts/*"),
    ]
    for source in [*sources, *ROOT.glob("tests/**/*.py"), ROOT / "pyproject.toml"]:
        text = source.read_text(encoding="utf-8")
        for page in re.findall(r"\b(?:docs|weights)/\w+\.md\b", text):
            assert (ROOT / page).exists(), f"{source.name} names {page}"
        for document in re.findall(r"\b([A-Z]{4,}),? section \d", text):
            assert document in ("MLIC", "LALIC"), f"{source.name} cites {document}"


def test_what_the_pages_say_of_the_code_and_of_their_own_tables():
    """Statements that have been wrong before."""
    text = (ROOT / "docs/models.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"A model offers these maps by one method.*?\.\s", text)
    having, lacking = (re.findall(r"`(\w*lic[\w+-]*)`", part) for part in sentence.split("), "))
    classes = {model: models.class_of(model) for model in models.names()}
    assert set(having) == {m for m, c in classes.items() if hasattr(c, "context_maps")}
    assert set(lacking) == set(classes) - set(having)

    text = (ROOT / "docs/portability.md").read_text(encoding="utf-8")
    (measured,) = re.findall(r"latents listed a stream, \+([\d.]+)% bytes", text)
    (said,) = re.findall(r"\*fast\*, whose list would cost ([\d.]+) % of the bytes", text)
    assert said == f"{float(measured):.1f}"


def test_the_reference_has_all_that_is_public():
    text = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^::: pillow_mlic\.(\w+)$", text, flags=re.M))
    assert listed == set(pillow_mlic.__all__) - {"__version__"}


def test_versions_agree():
    """Of the package, the citation and the newest dated entry of the changes."""
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, day = re.findall(r"^## (\d\S*) \((\d{4}-\d\d-\d\d)\)$", changes, flags=re.M)[0]
    assert re.search(r"^version: (.*)$", citation, flags=re.M)[1] == pillow_mlic.__version__
    assert (version, f'date-released: "{day}"' in citation) == (pillow_mlic.__version__, True)


REGIONS = {"headline", "bd", "eye", "qualities", "memory", "kodak run", "ratios", "cost"}
WHOLE_FILES = {"selftest", "speed", "fuzz", "scale"}


def test_every_region_has_a_source():
    """All regions of all pages are filled by scripts/update_docs.py, and all are on some page."""
    found = set()
    for page in script("update_docs").PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        begun = re.findall(r"<!-- begin (.*?) -->", text)
        assert begun == re.findall(r"<!-- end (.*?) -->", text)
        found |= set(begun)
    assert found == REGIONS | WHOLE_FILES


class TestUpdate:
    @pytest.fixture
    def reports(self, tmp_path: Path) -> Path:
        """What scripts/reproduce.py leaves, with easy numbers."""

        def curve(factor: float, settings: list[float]) -> dict:
            return {
                "setting": settings,
                "bpp": [0.25 * factor, 0.5 * factor, 1.0 * factor],
                "psnr-rgb": [30.0, 33.0, 36.0],
                "ms-ssim-rgb": [0.9, 0.99, 0.999],
                "ssimulacra2": [40.0, 60.0, 80.0],
                "flip": [0.1, 0.05, 0.025],
                "butteraugli": [4.0, 2.0, 1.0],
                "band-1": [0.6, 0.8, 1.0],
                "band-2": [0.8, 0.9, 1.0],
            }

        def figures(avif: float) -> dict:
            others = {"mlic": 10.0, "avif": avif, "jpeg": 200.0, "webp": None}
            return {"psnr-rgb": others, "ms-ssim-rgb": others}

        kodak = {
            "description": "24 images",
            "images": [f"kodim{number:02d}.png" for number in range(1, 25)],
            "bd-rate": {"anchor": "vtm-17.0", **figures(25.0), "cubic": figures(26.0)},
            "codecs": {
                "mlic": curve(1, [1.0, 3.0, 8.0]),
                "avif": curve(1.25, [30, 50, 70]),
                "jpeg": curve(2, [30, 50, 70]),
                "webp": curve(1.5, [30, 50, 70]),
                "mlic:mlicv2-lite": curve(0.8, [1.0, 3.0, 8.0]),
                "mlic:mlicv2-lite-msssim": curve(1, [1.0, 3.0, 8.0]),
            },
            "memory": {"mlic": {"idle": 20.0, "encoding": 400.4, "decoding": 300.0}},
        }
        times = {f"{way}_{kind}": 1.5 for way in ("encoding", "decoding") for kind in ("time",)}
        entry = {"setting": 3, "bytes": 1000, **times, "memory": {"encoding": 1, "decoding": 2}}
        cost = {
            "name": "Cost",
            "description": "Mosaics of 24 pictures",
            "sizes": [
                {"megapixels": m, "width": 100, "height": 100, "codecs": {"mlic": entry}}
                for m in (0.1, 0.5, 4)
            ],
        }
        for name, document in (("kodak/results", kodak), ("cost/cost", cost)):
            path = tmp_path / f"{name}.json"
            path.parent.mkdir()
            path.write_text(json.dumps(document))
        (tmp_path / "selftest.md").write_text("| a |\n")
        return tmp_path

    def test_regions(self, reports):
        update = script("update_docs")
        regions = update.regions(reports)
        assert set(regions) == REGIONS | {"selftest"}
        headline = regions["headline"]
        assert "at the SSIMULACRA2 of its default quality 3 (60 points, 0.50 bits" in headline
        assert "at its PSNR (33.0 dB)" in headline
        figures = "50% smaller than JPEG, 33% smaller than WebP and 20% smaller than AVIF"
        assert headline.count(figures) == 2
        assert "tuned for PSNR: -36.0 % against AVIF" in headline
        assert "tuned for MS-SSIM: -20.0 % against AVIF" in headline
        row = next(line for line in regions["bd"].splitlines() if line.startswith("| mlic"))
        assert row == "| mlic | +10.0 % | +10.0 % | +10.0 % | -20.0 % |"
        assert regions["bd"].splitlines()[-1].startswith("| webp | - |")
        assert (
            "| 3 | 0.500 | 33.00 | 20.00 | 60.0 | 2.00 | 0.050 | 0.80 | 0.90 |"
            in (regions["qualities"])
        )
        lines = regions["eye"].splitlines()
        assert lines[0] == "24 images"
        assert "| mlic | -20.0 % | -20.0 % | -20.0 % | -20.0 % | 0.60 | 0.80 |" in lines
        assert lines[-1] == "| jpeg | +60.0 % | +60.0 % | +60.0 % | +60.0 % | - | - |"
        assert "| mlic | 400 | 300 |" in regions["memory"]
        assert [line.split(" | ")[0] for line in regions["ratios"].splitlines()[2:]] == ["| 0.5"]
        assert len(regions["cost"].splitlines()) == 2 + 2 + 3

    def test_other_pictures_are_not_passed_off_as_kodak(self, reports):
        path = reports / "kodak/results.json"
        path.write_text(path.read_text().replace("kodim07", "mine"))
        with pytest.raises(ValueError, match="not about the 24 Kodak pictures"):
            script("update_docs").regions(reports)

    def test_fill(self):
        text = "a\n<!-- begin x y -->\nold\nolder\n<!-- end x y -->\nb <!-- begin z -->\n"
        filled = script("update_docs").fill(text, {"x y": r"new \1", "nothing": "?"})
        assert filled == "a\n<!-- begin x y -->\nnew \\1\n<!-- end x y -->\nb <!-- begin z -->\n"

    def test_the_whole_program(self, reports, tmp_path, monkeypatch, capsys):
        update = script("update_docs")
        root = tmp_path / "root"
        for page in update.PAGES:
            (root / page).parent.mkdir(parents=True, exist_ok=True)
            (root / page).write_text((ROOT / page).read_text(encoding="utf-8"), encoding="utf-8")
        (root / "docs/images").mkdir()
        (reports / "kodak/rd.png").write_bytes(b"plot")
        monkeypatch.setattr(update, "ROOT", root)
        monkeypatch.setattr(sys, "argv", ["update_docs.py", str(reports)])
        update.main()
        assert "headline" in capsys.readouterr().out
        assert "50% smaller than JPEG" in (root / "README.md").read_text(encoding="utf-8")
        assert (root / "docs/images/rd.png").read_bytes() == b"plot"


def test_reproduce_knows_its_steps(tmp_path, monkeypatch, capsys):
    """Its commands are commands, and a wrong name of a step is said."""
    reproduce = script("reproduce")
    (tmp_path / "kodim01.png").write_bytes(b"")
    monkeypatch.setattr(sys, "argv", ["reproduce.py", str(tmp_path), "--only", "nothing"])
    assert reproduce.main() == 2
    assert "there are kodak, cost, selftest" in capsys.readouterr().err
    monkeypatch.setattr(
        reproduce.subprocess, "run", lambda command, **_: ran.append(command) or done
    )
    ran: list[list[str]] = []
    done = reproduce.subprocess.CompletedProcess([], 0, "text")
    out, valid = str(tmp_path / "out"), str(tmp_path)
    words = ["reproduce.py", str(tmp_path), "--valid", valid, "--out", out, "--megapixels", "1,2"]
    monkeypatch.setattr(sys, "argv", words)
    assert reproduce.main() == 0
    assert len(ran) == 8
    for command in ran:
        if command[1:3] == ["-m", "pillow_mlic"]:
            cli.build_parser().parse_args(cli.join_words(command[3:]))
        elif command[1] != "-m":
            assert Path(command[1]).exists()
    assert (tmp_path / "out" / "speed.md").read_text() == "text"
