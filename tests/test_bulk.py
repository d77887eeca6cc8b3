"""`pillow_mlic.batch`: whole trees, any place, any number of workers, the same bytes."""

import io
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

import pillow_mlic
from pillow_mlic import cli
from pillow_mlic.bulk import places, pool, transfer
from pillow_mlic.bulk.order import GROUP, SMALL_FILE, Item, Order, jobs_of
from pillow_mlic.bulk.places import Place
from pillow_mlic.bulk.run import BatchProgress
from pillow_mlic.bulk.work import TOGETHER, BatchWorker

from .conftest import GOLDEN, photograph

pytestmark = pytest.mark.usefixtures("small_weights")
posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
ROOT = Path(__file__).resolve().parent.parent
SIZES = [(100, 90), (70, 65), (110, 120), (64, 64), (300, 40), (90, 100), (30, 30)]


def fill(folder: Path, sizes: list[tuple[int, int]] = SIZES) -> None:
    """Small pictures, one that is not, and one that is broken."""
    (folder / "sub" / "deep").mkdir(parents=True)
    for number, size in enumerate(sizes):
        place = folder / "sub" if number % 3 else folder
        photograph(*size, seed=number).save(place / f"p{number}.png")
    photograph(400, 300, seed=40).save(folder / "sub" / "deep" / "large.png")
    photograph(40, 30, seed=41).convert("LA").save(folder / "la.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    (folder / "notes.txt").write_text("no picture")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    fill(tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process, which starts quicker than others."""
    monkeypatch.setattr(pool, "run", lambda order, jobs, workers: pool.here(order, jobs))


inline = pytest.mark.usefixtures("here")


def outputs(folder: Path) -> dict[str, bytes]:
    """Everything below a folder but the manifest, hidden files too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "manifest" not in path.name
    }


def manifest(folder: Path) -> list[dict]:
    lines = (folder / "manifest.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["mlic-batch"] == 1
    return [json.loads(line) for line in lines[1:]]


def rejects(folder: Path) -> list[dict]:
    path = folder / "manifest.rejects.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@inline
def test_a_tree_there_and_back(source: Path, tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    seen: list[BatchProgress] = []
    summary = pillow_mlic.batch(source, out, workers=1, psnr=True, quality=4, progress=seen.append)
    names = {p.relative_to(source).with_suffix(".mlic").as_posix() for p in source.rglob("*.png")}
    assert set(outputs(out)) == names - {"broken.mlic"}
    assert (summary.done, summary.skipped, len(summary.rejects)) == (9, 0, 1)
    assert [p.done for p in seen] == list(range(1, 11))
    assert {p.total for p in seen} == {10}
    assert summary.output_bytes == sum(map(len, outputs(out).values()))
    for record in manifest(out):
        with Image.open(record["output"]) as image, Image.open(record["input"]) as original:
            assert image.size == original.size == (record["width"], record["height"])
            assert record["quality"] == image.info["quality"] == 4
            assert record["bytes"] == Path(record["output"]).stat().st_size
            assert record["bpp"] == pytest.approx(image.info["bpp"], abs=1e-3)
            mode = original.mode.removesuffix("A")
            planes = [np.asarray(i.convert(mode), dtype=float) for i in (image, original)]
            psnr = 10 * np.log10(255**2 / np.mean((planes[0] - planes[1]) ** 2))
            assert record["psnr"] == pytest.approx(psnr, abs=0.01)
            assert len(record["sha256"]) == 64
    assert [Path(r["input"]).name for r in rejects(out)] == ["broken.png"]
    summary = pillow_mlic.batch(out, back, workers=1, to="png")
    assert summary.done == 9
    with Image.open(back / "la.png") as image:
        assert image.mode == "LA"


@pytest.mark.torch
@pytest.mark.parametrize("many", [(2,), pytest.param((1, 4), marks=pytest.mark.slow)])
def test_the_same_bytes_for_any_number_of_workers(
    source: Path, tmp_path: Path, many: tuple[int, ...]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "run", lambda order, jobs, workers: pool.here(order, jobs))
        pillow_mlic.batch(source, tmp_path / "here")
    want = outputs(tmp_path / "here")
    assert len(want) == 9
    for workers in many:
        out = tmp_path / f"out{workers}"
        pillow_mlic.batch(source, out, workers=workers)
        assert outputs(out) == want


@inline
def test_what_is_done_is_not_done_again(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pillow_mlic.batch(source, out, workers=1)
    before = outputs(out)
    times = {path: path.stat().st_mtime_ns for path in out.rglob("*.mlic")}
    again = pillow_mlic.batch(source, out, workers=1)
    assert (again.done, again.skipped, len(again.rejects)) == (0, 9, 1)
    # Two outputs that vanished, an input that changed, one that is new.
    (out / "p0.mlic").unlink()
    (out / "p3.mlic").unlink()
    photograph(101, 91, seed=77).save(source / "p6.png")
    photograph(20, 20, seed=78).save(source / "zz.png")
    third = pillow_mlic.batch(source, out, workers=1)
    assert (third.done, third.skipped) == (4, 6)
    now = outputs(out)
    assert {name for name in before if now[name] != before[name]} == {"p6.mlic"}
    kept = [p for p, t in times.items() if p.exists() and p.stat().st_mtime_ns == t]
    assert len(kept) == 6


@inline
def test_other_options_are_another_job(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pillow_mlic.batch(source / "sub" / "deep", out, workers=1, quality=2)
    with pytest.raises(ValueError, match=r"quality: 2.* then, 5.* now"):
        pillow_mlic.batch(source / "sub" / "deep", out, workers=1, quality=5)
    summary = pillow_mlic.batch(source / "sub" / "deep", out, workers=1, quality=5, force=True)
    assert summary.done == 1
    assert [r["quality"] for r in manifest(out)] == [5]


@inline
def test_what_was_there_before_is_safe(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "p0.mlic").write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"p0.mlic exists already"):
        pillow_mlic.batch(source, out, workers=1)
    assert outputs(out) == {"p0.mlic": b"precious"}
    assert list(out.iterdir()) == [out / "p0.mlic"]
    pillow_mlic.batch(source, out, workers=1, force=True)
    assert outputs(out)["p0.mlic"] != b"precious"


def test_a_dry_run_touches_nothing(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = pillow_mlic.batch(source, out, dry_run=True)
    assert len(summary.planned) == 10
    assert not out.exists()


@inline
def test_two_that_would_be_one(tmp_path: Path) -> None:
    for suffix in ("png", "jpg"):
        photograph(20, 20).save(tmp_path / f"a.{suffix}")
    summary = pillow_mlic.batch(tmp_path, tmp_path / "out", workers=1)
    assert summary.done == 1
    assert "a.jpg becomes" in summary.rejects[0]["error"]
    assert "a.jpg becomes" in rejects(tmp_path / "out")[0]["error"]


def test_globs_and_single_files(source: Path, tmp_path: Path) -> None:
    for pattern, count in (("*.png", 5), ("**/*.png", 10), ("p[03].png", 2)):
        found = places.find(str(source / pattern), {".png"})
        assert len(found) == count
    assert {f.relative for f in places.find(str(source / "s*" / "p*.png"), {".png"})} == {
        f"sub/p{n}.png" for n in (1, 2, 4, 5)
    }
    (alone,) = places.find(str(source / "p0.png"), set())
    assert alone.relative == "p0.png"
    for missing in (source / "none", source / "*.gif"):
        with pytest.raises(ValueError, match=r"does not exist|no file"):
            places.find(str(missing), {".gif"})


@inline
def test_urls_of_every_kind(source: Path, tmp_path: Path) -> None:
    """file, zip and memory give what the folder gives."""
    fsspec = pytest.importorskip("fsspec")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for path in source.rglob("*.png"):
            archive.write(path, f"top/{path.relative_to(source)}")
    memory = fsspec.filesystem("memory")
    for path in source.rglob("*.png"):
        memory.pipe_file(f"/bucket/{path.relative_to(source).as_posix()}", path.read_bytes())
    try:
        pillow_mlic.batch(source, tmp_path / "plain", workers=1)
        want = outputs(tmp_path / "plain")
        made = pillow_mlic.batch(
            f"zip://top::file://{tmp_path}/photos.zip", f"file://{tmp_path}/unzipped", workers=1
        )
        assert made.done == 9
        assert outputs(tmp_path / "unzipped") == want
        book = tmp_path / "memory.jsonl"
        made = pillow_mlic.batch("memory://bucket", "memory://small", manifest=book)
        assert made.done == 9
        got = {
            name.removeprefix("/small/"): memory.cat_file(name) for name in memory.find("/small")
        }
        assert got == want
        assert pillow_mlic.batch("memory://bucket", "memory://small", manifest=book).skipped == 9
        made = pillow_mlic.batch("memory://bucket/*.png", tmp_path / "top")
        assert made.done == 4
    finally:
        memory.store.clear()


@inline
def test_members_of_archives_cannot_leave_the_folder(tmp_path: Path) -> None:
    pytest.importorskip("fsspec")
    data = io.BytesIO()
    photograph(20, 20).save(data, "PNG")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../../evil.png", data.getvalue())
        archive.writestr("good.png", data.getvalue())
    out = tmp_path / "deep" / "out"
    summary = pillow_mlic.batch(f"zip://::{tmp_path}/x.zip", out, workers=1)
    assert set(outputs(out)) == {"good.mlic"}
    assert not list(tmp_path.rglob("evil*"))
    assert summary.done == 1


@pytest.mark.parametrize("relative", ["../a", "/a", "a/../../b"])
@pytest.mark.parametrize("folder", [Place("out"), Place("bucket/out", "s3://bucket/out")])
def test_names_that_lead_elsewhere(folder: Place, relative: str) -> None:
    with pytest.raises(ValueError, match="out of the folder"):
        places.join(folder, relative)
    name = places.join(folder, "12:30 a.b::c/d.png").name
    assert name == f"{folder.name}/12:30 a.b::c/d.png"


# Jobs and what they share


def items(sizes: list[int | None], done: tuple[int, ...] = ()) -> list[Item]:
    return [
        Item(Place(f"i{n}"), Place(f"o{n}"), size, "", n in done) for n, size in enumerate(sizes)
    ]


def test_what_shares_a_job_does_not_depend_on_what_is_done() -> None:
    sizes = [100] * 11 + [SMALL_FILE + 1, 100, 100, None, 100]
    jobs = [[item.source.name for item in job] for job in jobs_of(items(sizes))]
    assert [len(job) for job in jobs] == [GROUP, 3, 1, 2, 1, 1]
    left = [[i.source.name for i in job] for job in jobs_of(items(sizes, done=(0, 3, 11, 14)))]
    assert left == [job for job in jobs if job not in (["i11"], ["i14"])]


def test_groups_give_the_same_when_some_are_done(source: Path, tmp_path: Path) -> None:
    found = places.find(str(source / "*.png"), {".png"})
    out = tmp_path / "out"

    def job(done: set[str]) -> list[Item]:
        return [
            Item(f.place, Place(str(out / f.relative)), f.size, f.version, f.relative in done)
            for f in found
        ]

    order = Order(options={"optimize": False})
    assert len(list(BatchWorker(order)(job(set())))) == 5
    whole = outputs(out)
    (out / "p0.png").unlink()
    done = {f.relative for f in found} - {"p0.png"}
    (record,) = BatchWorker(order)(job(done))
    assert record["output"] == str(out / "p0.png")
    assert outputs(out) == whole


@inline
def test_together_is_nearly_as_alone(tmp_path: Path) -> None:
    """A batch gives files that decode to the pictures, of the size that they have alone."""
    for number in range(5):
        photograph(120, 100 + number, seed=number).save(tmp_path / f"{number}.png")
    pillow_mlic.batch(tmp_path, tmp_path / "out", workers=1, quality=6)
    for number in range(5):
        alone = io.BytesIO()
        with Image.open(tmp_path / f"{number}.png") as image:
            image.save(alone, "MLIC", quality=6)
        together = tmp_path / "out" / f"{number}.mlic"
        assert together.stat().st_size == pytest.approx(len(alone.getvalue()), rel=0.01)
        with Image.open(together) as a, Image.open(alone) as b:
            pair = [np.asarray(each, dtype=float) for each in (a, b)]
        assert np.abs(pair[0] - pair[1]).mean() < 0.2
    assert TOGETHER >= 128 * 128


# Workers that die, cancelling, kills


@pytest.mark.torch
@posix
def test_a_picture_that_kills_its_worker_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal\n"
        "from pillow_mlic.bulk import transfer\n"
        "read = transfer.read\n"
        "def deadly(place):\n"
        "    if 'deadly' in place.path: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return read(place)\n"
        "transfer.read = deadly\n"
    )
    for name in ("a", "deadly", "z"):
        photograph(40, 30).save(tmp_path / f"{name}.png")
    monkeypatch.syspath_prepend(tmp_path)
    summary = pillow_mlic.batch(tmp_path, tmp_path / "out", workers=1)
    assert set(outputs(tmp_path / "out")) == {"a.mlic", "z.mlic"}
    assert summary.done == 2
    (record,) = summary.rejects
    assert record["input"].endswith("deadly.png")
    assert "signal 9" in record["error"]


STORE = """
from pathlib import Path
import fsspec
from fsspec.implementations.local import LocalFileSystem
from pillow_mlic.bulk import transfer

transfer.PAUSES = (0.0, 0.0)
reads = Path(__file__).with_name("reads")

class Shelf(LocalFileSystem):
    protocol = "shelf"

    @classmethod
    def _strip_protocol(cls, path):
        return path.removeprefix("shelf://").rstrip("/")

    def _answer(self):
        if reads.exists() and reads.stat().st_size >= 5:
            raise RuntimeError("Could not connect to the endpoint URL")

    def ls(self, path, detail=False, **options):
        self._answer()
        return super().ls(path, detail=detail, **options)

    def cat_file(self, path, *where, **options):
        self._answer()
        if reads.exists():
            with reads.open("ab") as file:
                file.write(b".")
        return super().cat_file(path, *where, **options)

fsspec.register_implementation("shelf", Shelf, clobber=True)
"""
"""A store that every process knows. It counts in a file `reads`, if there is one, and is silent for
all after five."""


def test_a_store_that_is_silent_ends_the_job_of_worker_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setattr(transfer, "PAUSES", transfer.PAUSES)  # the store changes it
    customs, source, out = tmp_path / "customs", tmp_path / "in", tmp_path / "out"
    customs.mkdir()
    source.mkdir()
    (customs / "sitecustomize.py").write_text(STORE)
    monkeypatch.syspath_prepend(customs)
    runpy.run_path(str(customs / "sitecustomize.py"))
    for number in range(20):
        photograph(24, 16, seed=number).save(source / f"{number}.png")
    (customs / "reads").touch()
    job = {"lossless": True, "workers": 2, "manifest": tmp_path / "job.jsonl"}
    with pytest.raises(OSError, match=r"Could not connect.*; what is done is not done again"):
        pillow_mlic.batch(f"shelf://{source}", f"shelf://{out}", **job)
    assert not (tmp_path / "job.rejects.jsonl").exists()
    made = outputs(out)
    assert 1 <= len(made) < 20
    assert all(name.endswith(".mlic") for name in made)
    (customs / "reads").unlink()
    summary = pillow_mlic.batch(f"shelf://{source}", f"shelf://{out}", **job)
    assert (summary.done + summary.skipped, summary.rejects) == (20, [])
    assert summary.skipped >= 1
    assert len(outputs(out)) == 20


def test_workers_that_cannot_start_are_an_error(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool.sys, "executable", str(Path(sys.executable).with_name("false")))
    with pytest.raises(OSError, match=r"could not be started|No such file"):
        pillow_mlic.batch(source, tmp_path / "out", workers=2)


@pytest.mark.torch
def test_progress_can_cancel(source: Path, tmp_path: Path) -> None:
    written = []

    def stop(progress: BatchProgress) -> None:
        if "error" not in progress.record:
            written.append(progress.record["output"])
        if len(written) == 2:
            raise InterruptedError

    out = tmp_path / "out"
    with pytest.raises(InterruptedError):
        pillow_mlic.batch(source, out, workers=2, progress=stop)
    assert not [name for name in outputs(out) if not name.endswith(".mlic")]
    assert 2 <= len(outputs(out)) <= 9


COMMAND = [sys.executable, "-m", "pillow_mlic", "batch"]


def start(source: Path, out: Path, *options: str) -> subprocess.Popen:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MLIC_WEIGHTS": str(GOLDEN / "small.safetensors")}
    command = [*COMMAND, str(source), str(out), "--workers", "2", "--no-optimize", *options]
    # Shells start jobs in the background with Ctrl-C switched off, and so what these start.
    signals = {} if os.name == "nt" else {"preexec_fn": allow_interrupts}
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, **signals)


def allow_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition, process: subprocess.Popen) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.02)


@pytest.mark.torch
@posix
def test_interrupted(tmp_path: Path) -> None:
    """Ctrl-C: a sentence, no half file, no worker left; then it goes on."""
    source, out = tmp_path / "in", tmp_path / "out"
    fill(source, [(300, 310 + n) for n in range(30)])
    process = start(source, out)
    wait_for(lambda: any(out.rglob("*.mlic")), process)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=240)  # busy machines are slow
    assert process.returncode == 130, message
    assert "mlic: interrupted" in message
    assert "Traceback" not in message
    assert 0 < len(outputs(out)) < 32
    assert all(name.endswith(".mlic") for name in outputs(out))
    assert len(manifest(out)) <= len(outputs(out))
    again = start(source, out)
    again.communicate()
    check_whole(source, out, 32)


@posix
def test_terminated_while_it_writes(tmp_path: Path) -> None:
    """SIGTERM: an unfinished file is removed, also by the worker that writes it."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(4):
        photograph(24, 16, seed=number).save(source / f"{number}.png")
    slow = "import os, time\nos.fsync = lambda number: time.sleep(60)\n"
    (tmp_path / "sitecustomize.py").write_text(slow)
    process = subprocess.Popen(
        [*COMMAND, str(source), str(out), "--lossless", "--workers", "1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: any(out.rglob("*.part")), process)
    process.terminate()
    _, message = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, message
    assert "Traceback" not in message
    assert outputs(out) == {}
    assert {path.name for path in out.iterdir()} == {"manifest.jsonl"}


def check_whole(source: Path, out: Path, count: int) -> None:
    """Every picture once, whole; the broken one among the rejects; nothing else."""
    made = outputs(out)
    assert len(made) == count
    assert all(name.endswith(".mlic") for name in made)
    records = manifest(out)
    assert sorted(r["output"] for r in records) == sorted(str(out / name) for name in made)
    assert len({r["input"] for r in records}) == len(records)
    for record in records:
        assert record["bytes"] == len(made[Path(record["output"]).relative_to(out).as_posix()])
    for data in made.values():
        with Image.open(io.BytesIO(data)) as image:
            image.verify()
    assert [Path(r["input"]).name for r in rejects(out)] == ["broken.png"]


@posix
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_time(tmp_path: Path, seed: int) -> None:
    """kill -9, of the main process or of all, at a random time, then again: nothing is missing."""
    random = Random(seed)
    source, out = tmp_path / "in", tmp_path / "out"
    fill(source, [(200, 210 + n) for n in range(12)])
    process = start(source, out)
    wait_for((out / "manifest.jsonl").exists, process)
    time.sleep(random.uniform(0, 4))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    process.kill()
    process.communicate()
    if seed % 2:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    again = start(source, out)
    again.communicate()
    assert again.returncode == 1  # for the broken one
    check_whole(source, out, 14)
    reference = tmp_path / "reference"
    pillow_mlic.batch(source, reference, workers=1, optimize=False)
    assert outputs(out) == outputs(reference)


@pytest.mark.torch
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="Linux says who the children are")
def test_no_worker_outlives_a_killed_main_process(tmp_path: Path) -> None:
    """... though its picture would take hours."""
    (tmp_path / "in").mkdir()
    photograph(600, 600).save(tmp_path / "in" / "a.png")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MLIC_WEIGHTS": str(GOLDEN / "small.safetensors")}
    command = [*COMMAND, "in", "out", "--workers", "1", "--refine", "100000"]
    process = subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.DEVNULL)
    threads = Path(f"/proc/{process.pid}/task")

    def workers() -> list[int]:
        return [int(p) for t in threads.glob("*/children") for p in t.read_text().split()]

    wait_for(lambda: bool(workers()), process)
    (worker,) = workers()

    def cpu() -> int:
        return int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[11])

    wait_for(lambda: cpu() > 600, process)  # six seconds: it has its weights and refines
    process.kill()
    process.wait()
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}/stat").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            break  # it has ended; nobody asks how
        time.sleep(0.2)
    else:
        assert not Path(f"/proc/{worker}/stat").exists()
    assert not list((tmp_path / "out").glob("*.part"))


@inline
def test_a_cut_manifest(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pillow_mlic.batch(source, out, workers=1)
    path = out / "manifest.jsonl"
    whole = path.read_bytes()
    first = whole.index(b"\n")
    for cut in (first // 2, first + 1, len(whole) - 1, len(whole) // 2):
        path.write_bytes(whole[:cut])
        if cut < first:  # not even a first line: as if the job had not begun
            with pytest.raises(ValueError, match="exist already"):
                pillow_mlic.batch(source, out, workers=1)
            continue
        pillow_mlic.batch(source, out, workers=1)
        check_whole(source, out, 9)
    for other in (b"hello\n", b"hello", b"[]\n", b'{"mlic-batch": 7}\n', b"\0" * 200):
        path.write_bytes(other)
        with pytest.raises(ValueError, match="no manifest"):
            pillow_mlic.batch(source, out, workers=1)
        assert path.read_bytes() == other  # somebody else's, perhaps


@posix
@inline
def test_one_job_at_a_time(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def twice(progress: BatchProgress) -> None:
        pillow_mlic.batch(source, out, workers=1)

    with pytest.raises(ValueError, match="running already"):
        pillow_mlic.batch(source, out, workers=1, progress=twice)


@inline
def test_what_a_kill_left_is_cleared_away(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".p0.mlic.abc123.part").write_bytes(b"half")
    (out / ".other.abc123.part").write_bytes(b"somebody's")
    pillow_mlic.batch(source / "p0.png", out, workers=1)
    assert set(outputs(out)) == {"p0.mlic", ".other.abc123.part"}


# The command


def mlic(*arguments: object) -> int:
    return cli.main([str(a) for a in arguments])


@inline
def test_the_command(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert mlic("batch", source, out, "--dry-run") == 0
    listed = capsys.readouterr()
    assert f"{source / 'p0.png'} -> {out / 'p0.mlic'}" in listed.out
    assert mlic("batch", source, out, "-q", 2, "--workers", 2, "--no-optimize") == 1
    message = capsys.readouterr().err
    for word in ("broken.png: Pillow cannot read it", "done", "9", "pictures/s", "manifest.jsonl"):
        assert word in message
    assert mlic("batch", source, out, "-q", 2, "--no-optimize", "--json") == 1
    facts = json.loads(capsys.readouterr().out)
    assert (facts["done"], facts["skipped"], facts["rejected"]) == (0, 9, 1)
    assert facts["damaged_lines"] == 0
    assert mlic("batch", out, tmp_path / "jpeg", "--to", "jpeg", "--workers", 1, "--quiet") == 1
    assert (tmp_path / "jpeg" / "p0.jpg").exists()
    assert not (tmp_path / "jpeg" / "la.jpg").exists()  # JPEG has no transparency


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--to", "docx"], "cannot write 'docx'"),
        (["-q", "75"], "from 1 to 8"),
        (["-q", "0"], "from 1 to 8"),
        (["--model", "none"], "no model or weight pack"),
        (["--to", "png", "-q", "3"], "for encoding"),
        (["--to", "png", "--psnr"], "for encoding"),
        (["--device", "abacus"], "abacus"),
    ],
)
def test_mistakes_get_a_sentence(
    source: Path,
    tmp_path: Path,
    options: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert mlic("batch", source, tmp_path / "out", *options) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.torch
def test_unknown_options_and_places(source: Path, tmp_path: Path) -> None:
    for place, options, sentence in (
        (source, {"qualty": 3}, "no option 'qualty'"),
        (source, {"tile": 100}, "tile is 100"),
        (source, {"engine": "spark"}, "no engine 'spark'"),
        (source, {"workers": 0}, "workers is 0"),
        (tmp_path / "nowhere", {}, "does not exist"),
        ("nosuch://a/b", {}, "nosuch"),
    ):
        with pytest.raises(ValueError, match=sentence):
            pillow_mlic.batch(place, tmp_path / "out", **options)
    with pytest.raises(ValueError, match="on this machine only"):
        pillow_mlic.batch(source, "zip://::s3://bucket/out.zip")


def zip_names(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


@inline
def test_an_archive_as_destination(source: Path, tmp_path: Path) -> None:
    """Stopped, it goes on; packed, it is not done again; what else is in it stays."""
    pillow_mlic.batch(source, tmp_path / "plain")
    want = {f"top/{name}": data for name, data in outputs(tmp_path / "plain").items()}
    path = tmp_path / "out.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other.txt", "kept")

    def stop(progress: BatchProgress) -> None:
        if progress.done == 3:
            raise InterruptedError

    place = f"zip://top::{path}"
    with pytest.raises(InterruptedError):
        pillow_mlic.batch(source, place, progress=stop)
    assert zip_names(path) == ["other.txt"]
    second = pillow_mlic.batch(source, place)
    assert (second.done, second.skipped) == (7, 2)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == {
            **want,
            "other.txt": b"kept",
        }
    third = pillow_mlic.batch(source, place)
    assert (third.done, third.skipped) == (0, 9)
    left = {p.name for p in tmp_path.iterdir()} - {"in", "plain"}
    assert left == {"out.zip", "out.zip.manifest.jsonl", "out.zip.manifest.rejects.jsonl"}


def test_default_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    from pillow_mlic.bulk.run import default_workers

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(6)), raising=False)
    assert [default_workers(threads) for threads in (1, 2, 4, 8)] == [6, 3, 1, 1]
