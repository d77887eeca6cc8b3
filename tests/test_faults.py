"""What can go wrong while a file is written: the file that was there before is never lost."""

import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic import cli, packs
from pillow_mlic.coding.decoder import Decoder
from pillow_mlic.coding.encoder import Encoder
from pillow_mlic.engines.torch_engine import TorchEngine
from pillow_mlic.files import whole_file
from pillow_mlic.packs.checkpoints import export_checkpoint

from .conftest import GOLDEN, photograph

pytestmark = pytest.mark.usefixtures("small_weights")
posix = pytest.mark.skipif(os.name != "posix", reason="limits and signals as POSIX has them")
OLD = b"a good file that was there before"
ROOT = Path(__file__).resolve().parent.parent
COMMAND = "import sys\nfrom pillow_mlic.cli import main\nsys.exit(main(sys.argv[1:]))"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A picture, and good files under the names that are written to."""
    photograph(200, 150).save(tmp_path / "in.png")
    (tmp_path / "out.mlic").write_bytes(OLD)
    (tmp_path / "out.png").write_bytes(OLD)
    (tmp_path / "in.mlic").write_bytes((GOLDEN / "v2" / "rgb.mlic").read_bytes())
    return tmp_path


ENCODE = ["encode", "in.png", "-o", "out.mlic", "--force", "--quiet"]
DECODE = ["decode", "in.mlic", "-o", "out.png", "--force", "--quiet"]


# Whole files


def write_half(path: Path, error: type[BaseException]) -> None:
    with whole_file(path) as file:
        file.write(b"half")
        raise error


@pytest.mark.parametrize("error", [OSError, ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_appears_where_writing_fails(tmp_path: Path, error: type[BaseException]) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    old.write_bytes(OLD)
    for path in (new, old):
        with pytest.raises(error):
            write_half(path, error)
    assert files_in(tmp_path) == ["old"]
    assert old.read_bytes() == OLD


def test_a_whole_file_has_the_usual_rights(tmp_path: Path) -> None:
    with whole_file(tmp_path / "deep" / "a") as file:
        file.write(b"all of it")
    (tmp_path / "b").write_bytes(b"")
    assert (tmp_path / "deep" / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
    assert files_in(tmp_path) == ["a", "b"]


KILLED = """
import os, signal, sys
from pathlib import Path
from pillow_mlic.files import whole_file

def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "while flushing":
    os.fsync = die
with whole_file(Path("out.mlic")) as file:
    file.write(bytes(100_000))
    if sys.argv[1] == "while writing":
        die()
"""


@posix
@pytest.mark.parametrize("moment", ["while writing", "while flushing"])
def test_killed(folder: Path, moment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The good file stays; what is left lies hidden beside it and disturbs nobody."""
    before = files_in(folder)
    assert run(folder, KILLED, moment).returncode == -signal.SIGKILL
    assert (folder / "out.mlic").read_bytes() == OLD
    (left,) = set(files_in(folder)) - set(before)
    assert left.startswith(".out.mlic.")
    assert left.endswith(".part")
    assert cli.main(["info", str(folder), "--json"]) == 1  # the old file is no picture
    assert capsys.readouterr().out.count("\n") == 2


# The command


def run(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own in `folder`."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@posix
@pytest.mark.parametrize("arguments", [ENCODE, DECODE], ids=["encode", "decode"])
def test_a_full_disk(
    folder: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Writing ends with an error after 700 bytes, as on a disk that has no more."""
    import resource

    monkeypatch.chdir(folder)
    before = files_in(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, limits[1]))  # Python ignores the signal
    try:
        code = cli.main(arguments)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert code == 1
    assert "File too large" in capsys.readouterr().err
    assert files_in(folder) == before
    assert Path(arguments[3]).read_bytes() == OLD


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_device_is_an_error() -> None:
    with (
        pytest.raises(OSError, match="No space left"),
        open("/dev/full", "wb", buffering=0) as file,
    ):
        photograph(64, 64).save(file, "MLIC")


@pytest.fixture
def read_only(tmp_path: Path) -> Path:
    """A folder that nobody here may write to."""
    place = tmp_path / "read-only"
    place.mkdir()
    place.chmod(0o555)
    for folder in (place, Path("/sys")):  # the superuser may write to the first
        try:
            (folder / "x").touch()
        except OSError:
            return folder
        (folder / "x").unlink()
    pytest.skip("every folder can be written to")


def test_a_read_only_folder(
    folder: Path, read_only: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["encode", folder / "in.png"], ["decode", folder / "in.mlic"]):
        target = read_only / f"out{'.mlic' if arguments[0] == 'encode' else '.png'}"
        assert cli.main([*map(str, arguments), "-o", str(target), "--quiet"]) == 1
        message = capsys.readouterr().err
        assert str(target) in message
        assert ".part" not in message
        assert "Traceback" not in message
        assert not target.exists()


@pytest.mark.parametrize("arguments", [ENCODE, DECODE], ids=["encode", "decode"])
def test_interrupted(
    folder: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupt(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(folder)
    before = files_in(folder)
    monkeypatch.setattr(Encoder, "encode", interrupt)
    monkeypatch.setattr(Decoder, "decode_into", interrupt)
    assert cli.main(arguments) == 130
    assert capsys.readouterr().err.strip() == "mlic: interrupted"
    assert files_in(folder) == before
    assert Path(arguments[3]).read_bytes() == OLD


@posix
@pytest.mark.slow
@pytest.mark.parametrize("arguments", [ENCODE, DECODE], ids=["encode", "decode"])
def test_the_command_killed_while_writing(folder: Path, arguments: list[str]) -> None:
    kill = "import os, signal\nos.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
    assert run(folder, kill + COMMAND, *arguments).returncode == -signal.SIGKILL
    assert (folder / arguments[3]).read_bytes() == OLD
    assert run(folder, COMMAND, *arguments).returncode == 0
    assert (folder / arguments[3]).read_bytes() != OLD


@pytest.mark.slow
def test_two_processes_writing_the_same_name(folder: Path) -> None:
    """One of them wins, and the file is whole."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, *ENCODE, "-q", quality],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for quality in ("2", "7")
    ]
    assert [process.wait() for process in running] == [0, 0]
    with Image.open(folder / "out.mlic") as image:
        image.load()
        assert image.info["quality"] in (2, 7)
    assert [name for name in files_in(folder) if name.endswith(".part")] == []


@pytest.mark.parametrize("arguments", [ENCODE, DECODE], ids=["encode", "decode"])
def test_too_little_memory(
    folder: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*args: object, **options: object) -> None:
        msg = "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator: not enough memory"
        raise RuntimeError(msg)

    monkeypatch.chdir(folder)
    monkeypatch.setattr(TorchEngine, "_tensor", fail)
    assert cli.main(arguments) == 1
    assert "memory does not suffice for this picture" in capsys.readouterr().err
    assert Path(arguments[3]).read_bytes() == OLD


def test_packs_and_checkpoints_are_whole_or_not_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(handle: int) -> None:
        raise OSError(28, "No space left on device")

    pack = packs.load(packs.find("small"))
    state = pack.model(torch.device("cpu")).state_dict()
    monkeypatch.setattr(os, "fsync", fail)
    (folder / "b.safetensors").write_bytes(OLD)
    (folder / "b.pth").write_bytes(OLD)
    before = files_in(folder)
    with pytest.raises(OSError, match="No space"):
        packs.write(folder / "b.safetensors", "mlicv2-lite", {}, state, pack.tables, {}, 1e-5)
    with pytest.raises(OSError, match="No space"):
        export_checkpoint("small", folder / "b.pth")
    assert files_in(folder) == before
    assert (folder / "b.pth").read_bytes() == (folder / "b.safetensors").read_bytes() == OLD


# Image.save, where Pillow opens the file


def test_saving_that_fails_leaves_no_new_file(tmp_path: Path) -> None:
    """Pillow removes a file that it has just made; one that was there before is lost, as ever."""

    def stop(_: float) -> None:
        raise InterruptedError

    for options in ({"progress": stop}, {"quality": 75}, {"model": "none"}):
        with pytest.raises((InterruptedError, ValueError)):
            photograph(64, 64).save(tmp_path / "new.mlic", **options)
    assert files_in(tmp_path) == []


# Several at once


def encoded(seed: int, optimize: bool = True) -> bytes:
    buffer = io.BytesIO()
    image = photograph(150, 100, seed)
    image.save(buffer, "MLIC", quality=1 + seed, tile=64, optimize=optimize)
    return buffer.getvalue()


def decoded(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


def test_threads_at_once_give_the_bytes_of_one() -> None:
    """Other pictures, qualities and directions at the same time, with several threads of torch."""
    alone: list[bytes] = []
    pixels: list[bytes] = []
    found: list[tuple[int, bool, bool]] = []

    def work(seed: int) -> None:
        for _ in range(2):
            same = decoded(alone[-1 - seed]) == pixels[-1 - seed]
            found.append((seed, encoded(seed) == alone[seed], same))

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        alone += [encoded(seed) for seed in range(4)]
        pixels += [decoded(data) for data in alone]
        running = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
    finally:
        torch.set_num_threads(threads)
    assert sorted(found) == [(seed, True, True) for seed in range(4) for _ in range(2)]


PROCESS = """
import pickle, sys
import torch
from tests.test_faults import both

torch.set_num_threads(int(sys.argv[1]))
sys.stdout.buffer.write(pickle.dumps([both(seed) for seed in range(2)]))
"""


def both(seed: int) -> tuple[bytes, bytes]:
    """A file and what it decodes to; what is optimised in float32 depends on threads."""
    data = encoded(seed, optimize=False)
    return data, decoded(data)


def test_processes_at_once_give_the_bytes_of_one() -> None:
    """Started anew, at the same time, with one and with two threads of torch."""
    want = [both(seed) for seed in range(2)]
    running = [
        subprocess.Popen([sys.executable, "-c", PROCESS, threads], cwd=ROOT, stdout=subprocess.PIPE)
        for threads in ("1", "2")
    ]
    results = [pickle.loads(process.communicate()[0]) for process in running]
    assert results[0] == want
    for (data, pixels), (want_data, want_pixels) in zip(results[1], want, strict=True):
        assert data == want_data
        # Pixels may differ by a level between numbers of threads, as with any lossy decoder.
        levels = [np.frombuffer(p, np.uint8).astype(int) for p in (pixels, want_pixels)]
        assert np.abs(levels[0] - levels[1]).max() <= 1
