"""The `mlic` command, mostly in this process; a few runs as a user would start it."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillow_mlic import cli

from .conftest import photograph

pytestmark = pytest.mark.usefixtures("small_weights")


TORCH = pytest.mark.torch


def mlic(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    photograph(70, 50).save(tmp_path / "in" / "a.png")
    photograph(30, 40).convert("L").save(tmp_path / "in" / "sub" / "b.jpg")
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path


def test_encode_and_decode_beside_the_input(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = folder / "in" / "a.png"
    assert mlic("encode", source, "-q", 5) == 0
    assert "->" in capsys.readouterr().err
    coded = source.with_suffix(".mlic")
    assert coded.exists()
    assert mlic("decode", coded, "-o", folder / "back.png") == 0
    with Image.open(folder / "back.png") as image:
        assert image.size == (70, 50)


def test_folders_keep_their_shape(folder: Path) -> None:
    assert mlic("encode", folder / "in", "-o", folder / "out", "--quiet") == 0
    found = sorted(p.relative_to(folder / "out").as_posix() for p in (folder / "out").rglob("*.*"))
    assert found == ["a.mlic", "sub/b.mlic"]
    assert mlic("decode", folder / "out", "-o", folder / "png", "--format", "jpg") == 0
    with Image.open(folder / "png" / "sub" / "b.jpg") as image:
        assert image.mode == "L"


def test_json_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mlic("encode", folder / "in", "-o", folder / "out", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(r["output"]).name for r in rows] == ["a.mlic", "b.mlic"]
    assert all(r["output_bytes"] == Path(r["output"]).stat().st_size for r in rows)
    assert mlic("info", folder / "out", "--json") == 0
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert facts[0]["width"] == 70
    assert facts[1]["mode"] == "L"


def test_info_says_what_a_file_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    photograph(40, 30).save(folder / "x.mlic", quality=2.5, exif=exif)
    assert mlic("info", folder / "x.mlic") == 0
    out = capsys.readouterr().out
    assert "40 x 30 RGB" in out
    assert "quality 2.5" in out
    assert "exif" in out


def test_metadata_is_kept_unless_stripped(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(40, 30).save(folder / "x.jpg", exif=exif)
    mlic("encode", folder / "x.jpg", "-o", folder / "kept.mlic")
    mlic("encode", folder / "x.jpg", "-o", folder / "bare.mlic", "--strip")
    with Image.open(folder / "kept.mlic") as kept, Image.open(folder / "bare.mlic") as bare:
        assert kept.getexif()[0x0112] == 6
        assert not bare.getexif()
    mlic("decode", folder / "kept.mlic", "-o", folder / "kept.png")
    with Image.open(folder / "kept.png") as png:
        assert png.getexif()[0x0112] == 6


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["encode", "missing.png"], 2, "does not exist"),
        (["encode", "in/a.png", "y.mlic"], 2, "y.mlic does not exist; if it is what to write"),
        (["decode", "in/a.mlic", "y.png"], 2, "name it with -o y.png"),
        (["encode", "in", "-o", "one.mlic"], 2, "one file, but there are 2 inputs"),
        (["encode", "in/a.png", "-q", "75"], 2, "from 1 to 8"),
        (["encode", "in/a.png", "--model", "mlic-9"], 2, "no model or weight pack 'mlic-9'"),
        (["encode", "in/a.png", "--device", "abacus"], 2, "abacus"),
        (["encode", "in/notes.txt"], 1, "cannot identify"),
        (["decode", "in/a.png", "-o", "y.png"], 1, "not a .mlic file"),
        (["decode", "in/a.mlic", "--format", "docx"], 2, "cannot write '.docx'"),
        (["info", "in/a.png"], 1, "cannot identify"),
        (["decode", "in/sub"], 2, "no file of a kind"),
        (["encode", "in/a.png", "-o", "x.png"], 2, "no .mlic file"),
        pytest.param(["train", "in/sub", "run"], 2, "how long to train", marks=TORCH),
        pytest.param(["train", "in/sub", "run", "--steps", "0"], 2, "more than 0", marks=TORCH),
    ],
)
def test_mistakes_get_a_sentence_and_leave_nothing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    status: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(folder)
    if "in/a.mlic" in arguments:
        photograph(8, 8).save("in/a.mlic")
    before = sorted(folder.rglob("*"))
    assert mlic(*arguments) == status
    message = capsys.readouterr().err
    assert sentence in message
    assert "Traceback" not in message
    assert sorted(folder.rglob("*")) == before


@pytest.mark.torch
def test_mistakes_in_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, sentence in (
        (["--crop", 30], "multiple of 64"),
        (["--device", "abacus"], "abacus"),
        (["--cooldown"], "nothing to cool down"),
    ):
        assert mlic("train", folder / "in", folder / "run", "--steps", 1, *options) == 2
        assert sentence in capsys.readouterr().err


def test_strip_turns_pictures_upright(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photograph(40, 30).save(folder / "x.jpg", exif=exif)
    assert mlic("encode", folder / "x.jpg", "--strip") == 0
    with Image.open(folder / "x.mlic") as image:
        assert image.size == (30, 40)


def test_one_bad_file_does_not_stop_the_others(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert mlic("encode", folder / "in", "-o", folder / "out") == 1
    assert (folder / "out" / "a.mlic").exists()
    assert (folder / "out" / "sub" / "b.mlic").exists()
    assert not (folder / "out" / "broken.mlic").exists()
    assert "broken.png" in capsys.readouterr().err


def test_existing_files_are_safe_without_force(folder: Path) -> None:
    target = folder / "in" / "a.mlic"
    target.write_bytes(b"precious")
    assert mlic("encode", folder / "in" / "a.png") == 2
    assert target.read_bytes() == b"precious"
    assert mlic("encode", folder / "in" / "a.png", "--force") == 0
    assert target.read_bytes() != b"precious"


def test_two_inputs_never_become_one_output(folder: Path) -> None:
    photograph(20, 20).save(folder / "in" / "a.jpg")
    assert mlic("encode", folder / "in", "-o", folder / "out") == 2


@pytest.mark.torch
def test_weights_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert mlic("weights", "list", "--json") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["name"], first["model"]) == ("small", "mlicv2-lite")


def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    assert mlic("demo", "-o", tmp_path / "demo", "-q", 1) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines() if line.startswith((".mlic", "JPEG", "AVIF"))]
    assert len(rows) == 3
    size = int(rows[0][2])
    assert (tmp_path / "demo" / "grace_hopper.mlic").stat().st_size == size
    with Image.open(tmp_path / "demo" / "comparison.png") as picture:
        assert picture.width > 5 * 512


@pytest.mark.torch
def test_training_from_the_command_line(folder: Path) -> None:
    """The whole way, with the real model for two steps: train, resume, cool down, use."""
    photograph(80, 80).save(folder / "in" / "c.png")
    run = folder / "run"
    common = [folder / "in", run, "--batch", 1, "--crop", 64]
    assert mlic("train", *common, "--steps", 1) == 0
    assert mlic("train", folder / "in", run, "--steps", 1, "--cooldown") == 0
    assert (run / "mlicv2-lite.safetensors").exists()
    log = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert log == [1, 2]
    assert (run / "mlicv2-lite-cooldown-1.safetensors").exists()


@pytest.mark.torch
def test_as_a_program_in_another_process(folder: Path) -> None:
    """What one process wrote, another reads to the very same pixels."""
    source = folder / "in" / "a.png"
    target = folder / "p.mlic"
    command = [sys.executable, "-m", "pillow_mlic"]
    subprocess.run([*command, "encode", source, "-o", target, "--quiet"], check=True)
    subprocess.run([*command, "decode", target, "-o", folder / "p.png", "--quiet"], check=True)
    with Image.open(target) as here, Image.open(folder / "p.png") as there:
        assert here.tobytes() == there.tobytes()
    failed = subprocess.run(
        [*command, "decode", source, "-o", folder / "q.png"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr


def test_previews_are_asked_for(tmp_path: Path) -> None:
    photograph(900, 600).save(tmp_path / "photo.png")
    for options, drafted in (([], None), (["--preview"], "RGB")):
        command = ["encode", tmp_path / "photo.png", "--no-optimize", "--force", "--quiet"]
        assert mlic(*command, *options) == 0
        with Image.open(tmp_path / "photo.mlic") as image:
            found = image.draft(None, (64, 64))
            assert (found[0] if found else None) == drafted


def test_decode_a_region(tmp_path: Path) -> None:
    source = tmp_path / "photo.png"
    photograph(200, 150).save(source)
    assert mlic(*["encode", str(source)]) == 0
    part = tmp_path / "part.png"
    command = ["decode", str(tmp_path / "photo.mlic"), "-o", str(part), "--region"]
    assert mlic(*[*command, "100,50,64,32"]) == 0
    with Image.open(part) as image, Image.open(tmp_path / "photo.mlic") as whole:
        assert image.size == (64, 32)
        expected = np.asarray(whole.crop((100, 50, 164, 82))).astype(int)
        assert np.abs(np.asarray(image) - expected).max() <= 1


@pytest.mark.parametrize("region", ["1,2,3", "a,b,c,d", "190,0,20,20", "0,0,0,5"])
def test_impossible_regions(
    region: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "photo.png"
    photograph(200, 150).save(source)
    assert mlic(*["encode", str(source)]) == 0
    part = tmp_path / "part.png"
    with contextlib.suppress(SystemExit):
        code = mlic("decode", tmp_path / "photo.mlic", "-o", part, "--region", region)
        assert code == 1
    assert not part.exists()
    assert "mlic" in capsys.readouterr().err


def test_huge_pictures_must_be_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = tmp_path / "photo.png"
    photograph(200, 150).save(source)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    assert mlic(*["encode", str(source)]) == 1
    assert "--huge" in capsys.readouterr().err
    assert mlic(*["encode", "--huge", str(source)]) == 0
