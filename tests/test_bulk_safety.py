"""What `mlic batch` must never do: replace what it did not write, take a store's silence for broken
pictures, read names as anything but names, or need memory for all that is done."""

import errno
import io
import json
import os
import re
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from PIL import Image

import pillow_mlic
from pillow_mlic import cli
from pillow_mlic.bulk import manifest as manifests
from pillow_mlic.bulk import transfer
from pillow_mlic.files import start_of_part

from .conftest import photograph
from .test_bulk import here, outputs  # noqa: F401 (a fixture)
from .test_bulk import manifest as lines

fsspec = pytest.importorskip("fsspec")
memory = pytest.importorskip("fsspec.implementations.memory")
pytestmark = pytest.mark.usefixtures("small_weights", "here")
LOSSLESS = {"lossless": True}


def png(seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    photograph(24, 16, seed=seed).save(buffer, "PNG")
    return buffer.getvalue()


def fill(folder: Path, names: str = "abc", seed: int = 0) -> Path:
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        (folder / f"{name}.png").write_bytes(png(seed + number))
    return folder


def shown(path: Path) -> bytes:
    with Image.open(path) as image:
        return image.tobytes()


# What is there stays


def test_a_second_source_with_the_same_names(tmp_path: Path) -> None:
    first, second, out = fill(tmp_path / "1"), fill(tmp_path / "2", seed=9), tmp_path / "out"
    pillow_mlic.batch(first, out, **LOSSLESS)
    before = outputs(out)
    (second / "d.png").write_bytes(png(77))
    summary = pillow_mlic.batch(second, out, **LOSSLESS)
    assert (summary.done, len(summary.rejects)) == (1, 3)
    assert "made of another file or changed since" in summary.rejects[0]["error"]
    assert {**before, "d.mlic": outputs(out)["d.mlic"]} == outputs(out)
    assert pillow_mlic.batch(first, out, **LOSSLESS).skipped == 3
    pillow_mlic.batch(second, out, force=True, **LOSSLESS)
    assert shown(out / "a.mlic") == shown(second / "a.png")


@pytest.mark.parametrize("store", ["", "oss"])
def test_a_foreign_file_in_a_job_that_goes_on(
    store: str, tmp_path: Path, buckets: type["Buckets"]
) -> None:
    source, book = fill(tmp_path / "in"), tmp_path / "job.jsonl"
    out = "oss://bucket/out" if store else str(tmp_path / "out")
    pillow_mlic.batch(source, out, manifest=book, **LOSSLESS)
    (source / "d.png").write_bytes(png(8))
    foreign = transfer.Place("/bucket/out/d.mlic" if store else f"{out}/d.mlic", store and out)
    transfer.write(foreign, b"precious", replace=False)
    for _ in range(2):
        summary = pillow_mlic.batch(source, out, manifest=book, **LOSSLESS)
        assert (summary.done, summary.skipped) == (0, 3)
        assert (
            "d.mlic exists already, and this job did not write it" in (summary.rejects[0]["error"])
        )
        assert transfer.read(foreign) == b"precious"


def test_what_was_written_without_a_line_is_known_by_its_bytes(tmp_path: Path) -> None:
    """The job was killed between an output and its line."""
    source, out = fill(tmp_path / "in"), tmp_path / "out"
    pillow_mlic.batch(source, out, **LOSSLESS)
    book = out / "manifest.jsonl"
    kept = book.read_bytes().splitlines(keepends=True)
    book.write_bytes(b"".join(kept[:-1]))
    times = {p: p.stat().st_mtime_ns for p in out.glob("*.mlic")}
    summary = pillow_mlic.batch(source, out, **LOSSLESS)
    assert (summary.done, summary.skipped, summary.rejects) == (1, 2, [])
    assert times == {p: p.stat().st_mtime_ns for p in out.glob("*.mlic")}
    assert len(lines(out)) == 3


def test_an_input_that_changed_replaces_its_own_output(tmp_path: Path) -> None:
    source, out = fill(tmp_path / "in"), tmp_path / "out"
    pillow_mlic.batch(source, out, **LOSSLESS)
    (source / "a.png").write_bytes(png(50))
    summary = pillow_mlic.batch(source, out, **LOSSLESS)
    assert (summary.done, summary.skipped, summary.rejects) == (1, 2, [])
    assert shown(out / "a.mlic") == shown(source / "a.png")


def test_an_output_that_was_changed_since(tmp_path: Path) -> None:
    """... is somebody's work now, also where its input changed."""
    source, out = fill(tmp_path / "in"), tmp_path / "out"
    pillow_mlic.batch(source, out, **LOSSLESS)
    (out / "a.mlic").write_bytes(b"retouched")
    (source / "a.png").write_bytes(png(50))
    summary = pillow_mlic.batch(source, out, **LOSSLESS)
    assert (summary.done, summary.skipped, len(summary.rejects)) == (0, 2, 1)
    assert (out / "a.mlic").read_bytes() == b"retouched"
    (out / "a.mlic").unlink()
    assert pillow_mlic.batch(source, out, **LOSSLESS).done == 1


def test_a_foreign_output_of_the_same_length(tmp_path: Path) -> None:
    """... is known by its time, of which lines of older versions say nothing."""
    source, out = fill(tmp_path / "in"), tmp_path / "out"
    pillow_mlic.batch(source, out, **LOSSLESS)
    small = out / "a.mlic"
    foreign = bytes(small.stat().st_size)
    small.write_bytes(foreign)
    os.utime(small, (1e9, 1e9))
    (source / "a.png").write_bytes(png(50))
    summary = pillow_mlic.batch(source, out, **LOSSLESS)
    assert (summary.done, summary.skipped) == (0, 2)
    assert "made of another file or changed since" in summary.rejects[0]["error"]
    assert small.read_bytes() == foreign
    book = out / "manifest.jsonl"
    book.write_text(re.sub(r'"written": \d+, ', "", book.read_text()))
    assert pillow_mlic.batch(source, out, **LOSSLESS).done == 1
    assert shown(small) == shown(source / "a.png")


def test_an_input_that_changed_replaces_its_own_member(tmp_path: Path) -> None:
    source, place = fill(tmp_path / "in"), f"zip://::{tmp_path}/out.zip"
    pillow_mlic.batch(source, place, **LOSSLESS)
    (source / "a.png").write_bytes(png(50))
    summary = pillow_mlic.batch(source, place, **LOSSLESS)
    assert (summary.done, summary.skipped, summary.rejects) == (1, 2, [])


def test_a_foreign_member_of_an_archive(tmp_path: Path) -> None:
    source, path = fill(tmp_path / "in"), tmp_path / "out.zip"
    pillow_mlic.batch(source, f"zip://::{path}", **LOSSLESS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("d.mlic", b"precious")
    (source / "d.png").write_bytes(png(8))
    summary = pillow_mlic.batch(source, f"zip://::{path}", **LOSSLESS)
    assert "did not write it" in summary.rejects[0]["error"]
    with zipfile.ZipFile(path) as archive:
        assert archive.read("d.mlic") == b"precious"


# Going on


def test_it_does_not_matter_how_a_source_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = fill(tmp_path / "in"), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to("in", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    pillow_mlic.batch("in", "out", **LOSSLESS)
    for typed, to in (
        ("./in/", "out/"),
        (str(source), str(out)),
        (f"file://{source}", f"file://{out}"),
        ("in/*.png", "./out"),
        ("link", "out"),
        ("elsewhere/../in", "elsewhere/../out"),
    ):
        assert pillow_mlic.batch(typed, to, **LOSSLESS).skipped == 3, typed
    monkeypatch.chdir("elsewhere")
    assert pillow_mlic.batch("../in", "../out", **LOSSLESS).skipped == 3
    assert pillow_mlic.batch(["../in/a.png", "../in/b.png"], "../out", **LOSSLESS).skipped == 2


def test_it_does_not_matter_how_a_url_was_typed(tmp_path: Path) -> None:
    fs, book = memory.MemoryFileSystem(), tmp_path / "job.jsonl"
    fs.pipe_file("/typed/x.png", png())
    skipped = [
        pillow_mlic.batch(source, tmp_path / "out", manifest=book, **LOSSLESS).skipped
        for source in (
            *("memory://typed", "memory://typed/x.png", "memory://typed/*.png"),
            *("memory://typed/", "memory:///typed"),
        )
    ]
    assert skipped == [0, 1, 1, 1, 1]


def test_manifests_of_older_versions_have_relative_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path / "in")
    monkeypatch.chdir(tmp_path)
    pillow_mlic.batch("in", "out", **LOSSLESS)
    book = tmp_path / "out" / "manifest.jsonl"
    book.write_text(book.read_text().replace(f"{tmp_path}{os.sep}", ""))
    assert lines(tmp_path / "out")[0]["input"] == str(Path("in", "a.png"))
    assert pillow_mlic.batch("in", "out", **LOSSLESS).skipped == 3


def test_archives_by_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("in.zip", "w") as archive:
        archive.writestr("top/a.png", png())
    pillow_mlic.batch("zip://::in.zip", "out", **LOSSLESS)
    for typed in (
        "zip://::./in.zip",
        f"zip://::{tmp_path}/in.zip",
        f"zip://::file://{tmp_path}/in.zip",
    ):
        assert pillow_mlic.batch(typed, "out", **LOSSLESS).skipped == 1, typed
    pillow_mlic.batch("zip://::in.zip", "zip://::out.zip", **LOSSLESS)
    again = pillow_mlic.batch("zip://::in.zip", f"zip://::{tmp_path}/out.zip", **LOSSLESS)
    assert again.skipped == 1


def test_a_damaged_line_costs_that_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, out = fill(tmp_path / "in", "abcdef"), tmp_path / "out"
    pillow_mlic.batch(source, out, **LOSSLESS)
    book = out / "manifest.jsonl"
    head, *rest = book.read_bytes().splitlines(keepends=True)
    rest[1] = rest[1].replace(b'"version"', b'"ver\x00\xffion"')
    rest[2] = b"[1, 2]\n"
    rest[3] = b'{"input": 7, "output": null}\n'
    rest[4] = re.sub(rb'"size": \d+', b'"size": Infinity', rest[4])
    rest[5] = b"[" * 200_000 + b"\n"
    book.write_bytes(b"".join([head, *rest]))
    command = ["batch", str(source), str(out), "--lossless", "--workers", "1"]
    assert cli.main(command) == 0
    told = capsys.readouterr().err
    assert "damaged lines of the manifest  5" in told
    again = pillow_mlic.batch(source, out, **LOSSLESS)
    assert (again.done, again.skipped, again.damaged) == (0, 6, 5)
    assert cli.main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["damaged_lines"] == 5


@pytest.mark.parametrize("head", [b"nonsense\n", b"[" * 200_000 + b"\n", b'{"mlic', b""])
def test_a_damaged_first_line_costs_no_picture(head: bytes, tmp_path: Path) -> None:
    """Lines say by themselves which job they are of; cut, the first one takes the next with it."""
    source, out = fill(tmp_path / "in", "abcdef"), tmp_path / "out"
    pillow_mlic.batch(source, out, **LOSSLESS)
    book = out / "manifest.jsonl"
    damaged = head + b"".join(book.read_bytes().splitlines(keepends=True)[1:])
    book.write_bytes(damaged)
    with pytest.raises(ValueError, match="with other options"):
        pillow_mlic.batch(source, out, quality=2)
    assert book.read_bytes() == damaged
    lost = int(head == b'{"mlic')
    (source / "g.png").write_bytes(png(9))
    summary = pillow_mlic.batch(source, out, **LOSSLESS)
    assert (summary.done, summary.skipped) == (1 + lost, 6 - lost)
    assert (summary.damaged, summary.rejects) == (int(head != b""), [])
    again = pillow_mlic.batch(source, out, **LOSSLESS)
    assert (again.done, again.skipped) == (0, 7)
    with pytest.raises(ValueError, match="with other options"):
        pillow_mlic.batch(source, out, quality=2)


def test_a_damaged_first_line_of_an_older_manifest(tmp_path: Path) -> None:
    """Its lines do not say which job they are of: pictures are made again and compared."""
    source, out = fill(tmp_path / "in"), tmp_path / "out"
    pillow_mlic.batch(source, out, **LOSSLESS)
    before = outputs(out)
    book = out / "manifest.jsonl"
    head, *rest = book.read_text().splitlines()
    older = [{k: v for k, v in json.loads(line).items() if k != "job"} for line in rest]
    rest = [json.dumps(line) for line in older]
    book.write_text("\n".join([head, *rest, ""]))
    assert pillow_mlic.batch(source, out, **LOSSLESS).skipped == 3
    book.write_text("\n".join([head[1:], *rest, ""]))
    (out / "a.mlic").write_bytes(b"somebody's")
    summary = pillow_mlic.batch(source, out, **LOSSLESS)
    assert (summary.done, summary.skipped, summary.damaged) == (2, 0, 4)
    assert [Path(r["input"]).name for r in summary.rejects] == ["a.png"]
    assert outputs(out) == {**before, "a.mlic": b"somebody's"}


@pytest.mark.parametrize("options", ["[]", "7", "null"])
def test_a_first_line_without_options(options: str, tmp_path: Path) -> None:
    source, out = fill(tmp_path / "in"), tmp_path / "out"
    out.mkdir()
    (out / "manifest.jsonl").write_text(f'{{"mlic-batch": 1, "options": {options}}}\n')
    with pytest.raises(ValueError, match="is no manifest"):
        pillow_mlic.batch(source, out, **LOSSLESS)


# Stores


class Buckets(memory.MemoryFileSystem):
    """A store as S3 is: files are in buckets, which somebody has to make. It may be silent."""

    protocol = "oss"
    store: ClassVar[dict[str, Any]] = {}
    pseudo_dirs: ClassVar[list[str]] = [""]
    buckets: ClassVar[set[str]] = {"bucket"}
    cachable = False
    silent = False
    asked = 0
    reads_left: int | None = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("oss://").strip("/") if path.strip("/") else ""

    def _answer(self, path: str) -> None:
        Buckets.asked += 1
        if self.silent or self.reads_left == 0:
            message = "Could not connect to the\nendpoint URL"
            raise RuntimeError(message)  # as botocore's errors are: of no kind that one knows
        bucket = self._strip_protocol(path).split("/")[1]
        if bucket not in self.buckets:
            message = "The specified bucket does not exist"
            raise FileNotFoundError(message)

    def exists(self, path: str, **options: Any) -> bool:
        try:
            self._answer(path)
        except FileNotFoundError:
            return False
        return self._strip_protocol(path).strip("/") in self.buckets or super().exists(path)

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        self._answer(path)
        return super().ls(path, detail)

    def isdir(self, path: str) -> bool:
        try:
            self._answer(path)
        except FileNotFoundError:
            return False
        return super().isdir(path)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        self._answer(path)
        super().pipe_file(path, value, mode)

    def cat_file(self, path: str, *where: Any, **options: Any) -> bytes:
        self._answer(path)
        if self.reads_left is not None:
            Buckets.reads_left -= 1
        return super().cat_file(path, *where, **options)


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Buckets]]:
    fsspec.register_implementation("oss", Buckets, clobber=True)
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0))
    for name, value in (("silent", False), ("reads_left", None), ("asked", 0)):
        monkeypatch.setattr(Buckets, name, value)
    yield Buckets
    Buckets.store.clear()
    Buckets.pseudo_dirs[:] = [""]


def put(*names: str) -> None:
    fs = Buckets()
    for number, name in enumerate(names):
        fs.pipe_file(f"/bucket/in/{name}", png(number))


def test_a_store_that_is_silent_ends_the_job(
    buckets: type[Buckets], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """... after a few tries, with a sentence; then it goes on."""
    put(*[f"{n}.png" for n in range(20)])
    Buckets.reads_left = 5
    out, book = tmp_path / "out", tmp_path / "out" / "manifest.jsonl"
    Buckets.asked = 0
    assert cli.main(["batch", "oss://bucket/in", str(out), "--lossless"]) == 1
    told = capsys.readouterr().err
    assert ".png: Could not connect to the endpoint URL; what is done is not done again" in told
    assert "Traceback" not in told
    assert Buckets.asked < 40
    assert not manifests.rejects_of(book).exists()
    assert len(list(out.glob("*.mlic"))) == 5
    Buckets.reads_left = None
    summary = pillow_mlic.batch("oss://bucket/in", out, **LOSSLESS)
    assert (summary.done, summary.skipped, summary.rejects) == (15, 5, [])


def test_a_short_silence_is_waited_for(
    buckets: type[Buckets], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.png")
    read, failed = transfer._read, []

    def flaky(place: transfer.Place) -> bytes:
        if len(failed) < 2:
            failed.append(place)
            raise TimeoutError
        return read(place)

    monkeypatch.setattr(transfer, "_read", flaky)
    assert pillow_mlic.batch("oss://bucket/in", tmp_path / "out", **LOSSLESS).done == 1


def test_one_file_that_cannot_be_had_is_a_reject(
    buckets: type[Buckets], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("a.png", "b.png", "c.png")
    read = transfer._read

    def refuse(place: transfer.Place) -> bytes:
        if place.path.endswith("b.png"):
            raise PermissionError(*["Access Denied"])
        return read(place)

    monkeypatch.setattr(transfer, "_read", refuse)
    summary = pillow_mlic.batch("oss://bucket/in", tmp_path / "out", **LOSSLESS)
    assert summary.done == 2
    assert [r["error"] for r in summary.rejects] == ["Access Denied"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_disk_is_an_outage(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = fill(tmp_path / "in"), tmp_path / "out"
    monkeypatch.setattr(transfer, "PAUSES", ())

    def full(place: transfer.Place, data: bytes) -> None:
        raise OSError(code, os.strerror(code), place.path)

    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_write", full)
        with pytest.raises(OSError, match=os.strerror(code)):
            pillow_mlic.batch(source, out, **LOSSLESS)
    assert not manifests.rejects_of(out / "manifest.jsonl").exists()
    assert pillow_mlic.batch(source, out, **LOSSLESS).done == 3


def test_a_source_that_vanishes_is_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file that is gone is a reject, a folder that is gone is not."""
    source = fill(tmp_path / "in" / "disk").parent
    read = transfer._read

    def unplug(place: transfer.Place) -> bytes:
        if place.path.endswith("a.png"):
            (source / "disk" / "a.png").unlink()
        if place.path.endswith("c.png"):
            (source / "disk").rename(tmp_path / "gone")
        return read(place)

    monkeypatch.setattr(transfer, "_read", unplug)
    with pytest.raises(OSError, match="No such file or directory; what is done"):
        pillow_mlic.batch(source, tmp_path / "out", **LOSSLESS)
    (gone,) = (tmp_path / "out" / "manifest.rejects.jsonl").read_text().splitlines()
    assert json.loads(gone)["input"].endswith("a.png")


def test_missing_buckets_and_servers_are_told_first(
    buckets: type[Buckets], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = fill(tmp_path / "in")
    put("a.png")
    book = ["--lossless", "--manifest", str(tmp_path / "job.jsonl")]
    for arguments, code, sentence in (
        ([str(source), "oss://nowhere/out"], 2, "there is no bucket 'nowhere'; make it first"),
        (["oss://nowhere/in", str(tmp_path / "out")], 2, "oss://nowhere/in does not exist"),
    ):
        assert cli.main(["batch", *arguments, *book]) == code
        assert sentence in capsys.readouterr().err
    Buckets.silent = True
    for arguments in (
        [str(source), "oss://bucket/out"],
        ["oss://bucket/in", str(tmp_path / "out")],
    ):
        assert cli.main(["batch", *arguments, *book]) == 1
        told = capsys.readouterr().err
        assert "cannot be listed: Could not connect to the endpoint URL" in told
        assert len(told.splitlines()) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


# Names


ODD = ["a.png::b.png", "zip:a.png", "[ab].png", "a*.png", "memory:x.png", "file:a?.png"]


@pytest.mark.skipif(os.name != "posix", reason="names that Windows does not have")
def test_listed_names_are_taken_literally(tmp_path: Path, buckets: type[Buckets]) -> None:
    folder = tmp_path / "in" / "s3:"
    folder.mkdir(parents=True)
    (tmp_path / "b.png").write_bytes(png(99))
    for number, name in enumerate([*ODD, "a.png"]):
        (folder / name).write_bytes(png(number))
    for out in (tmp_path / "out", f"zip://::{tmp_path}/out.zip", "oss://bucket/out"):
        book = tmp_path / "job.jsonl"
        book.unlink(missing_ok=True)
        summary = pillow_mlic.batch(tmp_path / "in", out, manifest=book, **LOSSLESS)
        assert (summary.done, summary.rejects) == (7, []), out
    for name in ODD:
        want = shown(folder / name)
        small = name.removesuffix(".png") + ".mlic"
        assert shown(tmp_path / "out" / "s3:" / small) == want
        data = Buckets().cat_file(f"/bucket/out/s3:/{small}")
        assert Image.open(io.BytesIO(data)).tobytes() == want
        alone = pillow_mlic.batch(folder / name, tmp_path / "alone" / name, **LOSSLESS)
        assert alone.done == 1
        assert shown(tmp_path / "alone" / name / small) == want


@pytest.mark.skipif(os.name != "posix", reason="Windows counts characters, not bytes")
@pytest.mark.parametrize("archive", [False, True])
def test_very_long_names(archive: bool, tmp_path: Path) -> None:
    """Of 250 bytes, equal but for the last; those whose output's name is too long are rejects."""
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    names = ["n" * 245 + "1", "n" * 245 + "2", "ä" * 123]
    for number, name in enumerate([*names, "x" * 251]):
        (source / f"{name}.png").write_bytes(png(number))
        assert name[0] == "x" or len(f"{name}.png".encode()) == 250
    place = f"zip://::{tmp_path}/out.zip" if archive else str(out)
    if not archive:  # what a kill left is known by the beginning of a name
        out.mkdir()
        (out / f".{start_of_part(names[0] + '.mlic')}.abc123.part").write_bytes(b"half")
    summary = pillow_mlic.batch(source, place, **LOSSLESS)
    assert summary.done == 3
    assert ["File name too long" in r["error"] for r in summary.rejects] == [True]
    if archive:
        with zipfile.ZipFile(tmp_path / "out.zip") as packed:
            assert sorted(packed.namelist()) == sorted(f"{name}.mlic" for name in names)
    else:
        assert set(outputs(out)) == {f"{name}.mlic" for name in names}
        for name in names:
            assert shown(out / f"{name}.mlic") == shown(source / f"{name}.png")
    assert pillow_mlic.batch(source, place, **LOSSLESS).skipped == 3


def test_members_of_a_strangers_archive_name_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile("private.zip", "w") as archive:
        archive.writestr("secret.png", png(5))
    Path("secret.png").write_bytes(png(6))
    names = ["secret.png::private.zip", f"file://{tmp_path}/secret.png", "zip://secret.png"]
    with zipfile.ZipFile("stranger.zip", "w") as archive:
        for name in names:
            archive.writestr(name, png(1))
        archive.writestr("x::private.png", png(1))
    summary = pillow_mlic.batch("zip://::stranger.zip", "out", **LOSSLESS)
    made = [shown(p) for p in Path("out").rglob("*.mlic")]
    assert made
    assert set(made) == {shown_bytes(png(1))}
    assert len(made) + len(summary.rejects) + 1 >= len(names)


def shown_bytes(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).tobytes()


# Memory


def test_a_restart_needs_little_memory_for_what_is_done(tmp_path: Path) -> None:
    """A million records within 1 GB: less than 900 bytes each beside what the program needs."""
    source, out, count = tmp_path / "in", tmp_path / "out", 3000
    pillow_mlic.batch(fill(source, "a"), out, **LOSSLESS)
    (line,) = lines(out)
    with open(out / "manifest.jsonl", "a", encoding="utf-8") as book:
        for number in range(count):
            name = f"a photograph with a name of some length {number:06}"
            os.link(source / "a.png", source / f"{name}.png")
            os.link(out / "a.mlic", out / f"{name}.mlic")
            names = {"input": str(source / f"{name}.png"), "output": str(out / f"{name}.mlic")}
            book.write(json.dumps({**line, **names}) + "\n")
    tracemalloc.start()
    try:
        summary = pillow_mlic.batch(source, out, **LOSSLESS)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (summary.done, summary.skipped) == (0, count + 1)
    assert peak < 900 * count
