"""Interrupted, full, busy: what a program of Unix owes the files of its user."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from pillow_mlic import cli, packs
from pillow_mlic.evaluation import bench
from pillow_mlic.files import whole_file

from .conftest import photograph

pytestmark = [
    pytest.mark.usefixtures("small_weights"),
    pytest.mark.skipif(os.name != "posix", reason="pipes, links and permissions as POSIX has them"),
]

LONG = "n" * 239 + ".mlic"
"""As long as a name of 244 bytes."""


def mlic(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    photograph(24, 16).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def program(*arguments: object, **options: object) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "pillow_mlic", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


@pytest.mark.parametrize("before", [None, b"older"])
@pytest.mark.parametrize("lossless", [False, True])
def test_ctrl_c_leaves_no_file_where_there_was_none(
    tmp_path: Path, before: bytes | None, lossless: bool
) -> None:
    target = tmp_path / "x.mlic"
    if before is not None:
        target.write_bytes(before)

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        photograph(24, 16).save(target, progress=stop, lossless=lossless)
    assert target.exists() == (before is not None)
    own = tmp_path / "own.mlic"
    with pytest.raises(KeyboardInterrupt), open(own, "w+b") as file:
        photograph(24, 16).save(file, progress=stop)
    assert own.exists()  # not made by Pillow


def test_long_names(tmp_path: Path, source: Path) -> None:
    photograph(24, 16).save(tmp_path / LONG, lossless=True)
    assert mlic("encode", source, "--lossless", "-o", tmp_path / "out" / LONG) == 0
    assert mlic("decode", tmp_path / LONG, "-o", tmp_path / ("n" * 240 + ".png")) == 0
    with whole_file(tmp_path / ("ä" * 119 + "\udcff.mlic")) as file:
        file.write(b"x")
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("command", ["encode", "info", "batch"])
def test_pipes_are_not_waited_for(
    command: str, tmp_path: Path, source: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    suffix = ".mlic" if command == "info" else ".png"
    photograph(24, 16).save(source.with_suffix(".mlic"), lossless=True)
    os.mkfifo(tmp_path / f"fifo{suffix}")
    rest = {
        "encode": ["--lossless", "-o", tmp_path / "o"],
        "info": [],
        "batch": [tmp_path / "b", "--lossless", "--workers", "1"],
    }[command]
    done = program(command, tmp_path, *rest)
    assert done.returncode == 0, done.stderr
    done = program(command, tmp_path / f"fifo{suffix}", *rest)
    assert done.returncode == 2
    assert b"is a pipe or a device" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "compare x.png",
        "attention x.png",
        "attention x.mlic",
        "desktop thumbnail x.mlic o.png",
        "bench speed x.png",
        "weights import x.png --lambda 0.0067",
    ],
)
def test_pipes_are_refused_by(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x.png", "x.mlic"):
        os.mkfifo(name)
    signal.alarm(20)  # ends the tests rather than let them wait for ever
    try:
        assert mlic(*words.split()) == 2
    finally:
        signal.alarm(0)
    assert "is a pipe or a device, not a file; write what" in capsys.readouterr().err


def test_the_bench_passes_over_pipes(tmp_path: Path, source: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    assert bench.find_images([tmp_path]) == [source]


def test_weights_that_are_a_pipe(
    tmp_path: Path, small_pack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(small_pack_file.read_bytes())
    monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path))
    assert [pack.name for pack in packs.store.chosen()] == ["b"]


def test_a_device_is_never_replaced(tmp_path: Path, source: Path) -> None:
    os.mkfifo(tmp_path / "x.mlic")
    assert mlic("encode", source, "--lossless", "-f", "-o", tmp_path / "x.mlic") == 1
    assert stat.S_ISFIFO((tmp_path / "x.mlic").stat().st_mode)


def test_standard_input_and_output(tmp_path: Path, source: Path) -> None:
    coded = program("encode", source, "--lossless", "-o", "-", cwd=tmp_path)
    assert coded.returncode == 0, coded.stderr
    assert Image.open(io.BytesIO(coded.stdout)).format == "MLIC"
    again = program("encode", "-", "--lossless", input=source.read_bytes(), cwd=tmp_path)
    assert again.stdout == coded.stdout
    back = program("decode", "-", "-o", "-", "--format", "webp", input=coded.stdout, cwd=tmp_path)
    assert Image.open(io.BytesIO(back.stdout)).format == "WEBP"
    facts = json.loads(program("info", "-", "--json", input=coded.stdout, cwd=tmp_path).stdout)
    assert (facts["file"], facts["bytes"], facts["width"]) == ("-", len(coded.stdout), 24)
    broken = program("info", "-", input=b"no picture", cwd=tmp_path)
    assert (broken.returncode, broken.stderr[:8]) == (1, b"mlic: -:")
    named = program("decode", "-", "-o", "b.png", input=coded.stdout, cwd=tmp_path)
    assert named.returncode == 0, named.stderr
    with Image.open(tmp_path / "b.png") as b, Image.open(source) as a:
        assert a.tobytes() == b.tobytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]
    for wrong in (
        ["encode", source, source, "-o", "-"],
        ["encode", "-", source],
        ["encode", source, "-o", "-", "--json"],
        ["encode", "-", "-o", tmp_path],
    ):
        done = program(*wrong, input=source.read_bytes(), cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, b""), wrong


def test_a_file_called_minus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(source.read_bytes())
    assert mlic("encode", "./-", "--lossless", "-o", "x.mlic") == 0
    assert Path("x.mlic").exists()


def test_force_keeps_permissions_and_links(tmp_path: Path, source: Path) -> None:
    real, link = tmp_path / "real.mlic", tmp_path / "link.mlic"
    real.write_bytes(b"older")
    real.chmod(0o600)
    link.symlink_to("real.mlic")
    seen = []

    def look(_: float) -> None:
        seen.extend(stat.S_IMODE(p.stat().st_mode) for p in tmp_path.glob(".*.part"))

    assert mlic("encode", source, "--lossless", "-f", "-o", link) == 0
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    with Image.open(real) as image:
        assert image.format == "MLIC"
    with whole_file(real):
        look(0)
    assert seen == [0o600]
    (tmp_path / "dangling.mlic").symlink_to("new.mlic")
    with whole_file(tmp_path / "dangling.mlic") as file:
        file.write(b"new")
    assert (tmp_path / "new.mlic").read_bytes() == b"new"


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_names_that_cannot_be_printed(tmp_path: Path, source: Path, errors: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in (b"\xff.mlic", "ü.mlic".encode(), b"z.mlic"):
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118
            photograph(24, 16).save(file, "MLIC", lossless=True)
    ascii_only = {**os.environ, "PYTHONIOENCODING": f"ascii:{errors}"}
    told = program("info", folder, env=ascii_only)
    assert told.returncode == 0, told.stderr
    assert len(told.stdout.splitlines()) == 3
    planned = program(
        *("batch", folder, tmp_path / "out", "--to", "png", "--dry-run", "--quiet"), env=ascii_only
    )
    assert planned.returncode == 0, planned.stderr
    assert len(planned.stdout.splitlines()) == 3


def test_scripts_get_names_as_they_are(tmp_path: Path) -> None:
    name = tmp_path / "\udcff.mlic"
    with open(name, "wb") as file:
        photograph(24, 16).save(file, "MLIC", lossless=True)
    told = program("info", name, env={**os.environ, "PYTHONIOENCODING": "utf-8:surrogateescape"})
    assert os.fsencode(name) in told.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing(tmp_path: Path, number: signal.Signals) -> None:
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("these tests ignore it, as under nohup, and so does what they start")
    photograph(900, 900).save(tmp_path / "a.png")
    command = [sys.executable, "-m", "pillow_mlic", "encode", "a.png", "-o", "out/a.mlic"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("out/.*.part")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    assert process.wait(30) == 128 + number
    assert not list((tmp_path / "out").iterdir())


def test_what_is_ignored_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def look(_: object) -> int:
        seen.extend(map(signal.getsignal, (signal.SIGHUP, signal.SIGTERM)))
        return 0

    monkeypatch.setattr("pillow_mlic.cli.models.run", look)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        assert mlic("models") == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen[0] is signal.SIG_IGN
    assert seen[1] is not signal.SIG_DFL
