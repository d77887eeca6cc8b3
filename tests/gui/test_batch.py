"""The queue of files, and the files that can be paged through."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pillow_mlic_gui.batch import Batch, ConversionOrder, Existing, Status, expand
from pillow_mlic_gui.file_jobs import Conversion, Converted, convert, measure
from pillow_mlic_gui.opened_files import OpenedFiles
from pillow_mlic_gui.progress import LOADING, Stage
from pillow_mlic_gui.state import FolderOrder, Goal, GoalKind
from pillow_mlic_gui.worker import JobFunction

from ..conftest import photograph
from .conftest import Crew

ORDER = ConversionOrder("webp", Goal(GoalKind.QUALITY, 50))


class Slow:
    """A worker that does what the test says, when it says so."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.cancelled: list[Any] = []
        self.paused: list[bool] = []

    def submit(self, job: JobFunction, **arguments: Any) -> dict[str, Any]:
        self.jobs.append(arguments)
        return arguments

    def cancel(self, ticket: Any) -> None:
        self.cancelled.append(ticket)

    def pause(self, paused: bool) -> None:
        self.paused.append(paused)


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in" / "sub").mkdir(parents=True)
    for name in ("a.png", "b.png", "sub/c.png"):
        photograph(40, 30).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def batch(slow: Slow, clock: Time, folder: Path) -> Batch:
    batch = Batch(slow, lambda _: None, clock)
    batch.add([folder / "in"])
    return batch


def test_folders_stand_for_the_pictures_in_them(folder: Path) -> None:
    names = [(p.name, str(below.parent)) for p, below in expand([folder / "in", folder / "x.txt"])]
    assert names == [("a.png", "."), ("b.png", "."), ("c.png", "sub"), ("x.txt", ".")]


def test_nothing_is_added_twice(batch: Batch, folder: Path) -> None:
    assert batch.add([folder / "in" / "a.png"]) == 0
    assert len(batch.items) == 3
    assert batch.summary().startswith("3 files, ")


def test_one_after_another_to_the_end(batch: Batch, slow: Slow, folder: Path) -> None:
    batch.start(ConversionOrder("webp", Goal(GoalKind.QUALITY, 50), folder=folder / "out"))
    assert [job["target"] for job in slow.jobs] == [folder / "out" / "a.webp"]
    slow.jobs[0]["done"](Converted(1000, 300))
    slow.jobs[1]["failed"]("it is broken")
    assert slow.jobs[2]["target"] == folder / "out" / "sub" / "c.webp"
    slow.jobs[2]["done"](Converted(1000, 200))
    assert not batch.running
    assert batch.progress == 1
    assert batch.summary() == (
        "2 of 3 files done: 2.00 kB → 500 B, 1.50 kB saved (75% smaller); 1 failed"
    )
    assert f"{folder / 'in' / 'b.png'}: it is broken" in batch.report()


def test_time_left_and_pauses(batch: Batch, slow: Slow, clock: Time) -> None:
    for item in batch.items:
        item.before = 1000
    batch.start(ORDER)
    assert batch.time_left is None
    slow.jobs[0]["progress"](Stage(0.0, LOADING))
    clock.at = 500  # does not count
    slow.jobs[0]["progress"](Stage(0.0, "reading"))
    clock.at = 510
    slow.jobs[0]["progress"](Stage(0.5))
    assert batch.progress == pytest.approx(1 / 6)
    assert batch.time_left == pytest.approx(50)
    batch.pause(True)
    clock.at = 1000
    assert batch.time_left == pytest.approx(50)
    batch.pause(False)
    assert slow.paused == [True, False]
    clock.at = 1010
    slow.jobs[0]["progress"](Stage(0.9, "encoding"))
    slow.jobs[0]["done"](Converted(1000, 10))
    assert batch.time_left == pytest.approx(40)


def test_cancelled_is_not_done_and_a_second_run_starts_afresh(
    batch: Batch, slow: Slow, clock: Time
) -> None:
    for item in batch.items:
        item.before = 1000
    batch.start(ORDER)
    slow.jobs[0]["done"](Converted(1000, 10))
    batch.cancel()
    assert batch.progress == pytest.approx(1 / 3)
    assert batch.summary().endswith("; 2 cancelled")
    batch.start(ORDER)  # goes on where it was
    assert len(slow.jobs) == 3
    slow.jobs[2]["progress"](Stage(0.0, "reading"))
    clock.at = 10
    slow.jobs[2]["done"](Converted(1000, 10))
    assert batch.time_left == pytest.approx(10)  # what was done before took no time
    slow.jobs[3]["done"](Converted(1000, 10))
    assert not batch.running
    batch.start(ConversionOrder("webp", Goal(GoalKind.QUALITY, 30), existing=Existing.REPLACE))
    assert batch.running
    assert batch.progress == 0
    assert len(slow.jobs) == 5


def test_progress_goes_by_pixels_and_what_is_skipped_takes_no_time(
    slow: Slow, clock: Time, folder: Path
) -> None:
    reader = Slow()
    batch = Batch(slow, lambda _: None, clock, reader)
    batch.add([folder / "in"])
    assert reader.jobs[0]["sources"] == [item.source for item in batch.items]
    reader.jobs[0]["done"]([1000, 3000, 4000])
    (folder / "in" / "a.webp").write_bytes(b"there")
    batch.start(ORDER)
    assert batch.items[0].status == Status.SKIPPED
    slow.jobs[0]["progress"](Stage(0.0, "reading"))
    clock.at = 30
    slow.jobs[0]["done"](Converted(10, 5))
    assert batch.progress == 0.5
    assert batch.time_left == pytest.approx(40)


def test_what_is_lost_is_said(batch: Batch, slow: Slow, folder: Path) -> None:
    batch.start(ORDER)
    slow.jobs[0]["done"](Converted(1000, 300, True, ("only the first of 3 frames",)))
    slow.jobs[1]["done"](Converted(1000, 1200, False))
    slow.jobs[2]["done"](Converted(1000, 300))
    assert "; 1 not whole; 1 skipped" in batch.summary()
    assert "a.png: only the first of 3 frames" in batch.report()
    assert "b.png: it would not be smaller: 1.20 kB" in batch.report()


def test_names_get_a_suffix(batch: Batch, slow: Slow, folder: Path) -> None:
    (folder / "in" / "a-small.webp").write_bytes(b"there")
    batch.start(ConversionOrder("webp", ORDER.goal, suffix="-small", existing=Existing.KEEP_BOTH))
    assert slow.jobs[0]["target"].name == "a-small (2).webp"


def test_files_as_they_are_and_what_is_lost(tmp_path: Path) -> None:
    image = photograph(64, 48).convert("L")
    deep = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
    deep.save(tmp_path / "deep.png")
    how = Conversion("webp", Goal(GoalKind.QUALITY, 50), only_smaller=True)
    found = convert(lambda *_: None, tmp_path / "deep.png", how, tmp_path / "o.webp")
    assert found.written
    assert found.notes == ("only 8 bits a channel",)
    Image.new("RGB", (64, 48), "red").save(tmp_path / "small.webp", lossless=True)
    close = Conversion("webp", Goal(GoalKind.QUALITY, 100), only_smaller=True)
    found = convert(lambda *_: None, tmp_path / "small.webp", close, tmp_path / "p.webp")
    assert not found.written
    assert not (tmp_path / "p.webp").exists()


def test_pixels_are_read_from_headers(tmp_path: Path) -> None:
    photograph(64, 48).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("none")
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    assert measure(lambda *_: None, paths) == [64 * 48, 0, 0]


def test_cancelling_keeps_what_is_done(batch: Batch, slow: Slow) -> None:
    batch.start(ORDER)
    slow.jobs[0]["done"](Converted(1000, 10))
    batch.cancel()
    assert slow.cancelled == [slow.jobs[1]]
    assert [item.status for item in batch.items] == [
        Status.DONE,
        Status.CANCELLED,
        Status.CANCELLED,
    ]
    batch.start(ORDER)
    assert slow.jobs[-1]["source"].name == "b.png"  # goes on where it stopped


def test_files_that_are_there_already(batch: Batch, slow: Slow, folder: Path) -> None:
    there = folder / "in" / "a.webp"
    there.write_bytes(b"precious")
    batch.start(ORDER)
    assert batch.items[0].status == Status.SKIPPED
    assert "is there already" in batch.items[0].reason
    assert slow.jobs[0]["source"].name == "b.png"
    for existing, name in ((Existing.REPLACE, "a.webp"), (Existing.KEEP_BOTH, "a (2).webp")):
        batch.cancel()
        batch.start(ConversionOrder("webp", ORDER.goal, existing=existing))
        assert slow.jobs[-1]["target"].name == name


def test_the_source_is_never_overwritten(slow: Slow, folder: Path) -> None:
    source = folder / "x.webp"
    photograph(30, 30).save(source)
    photograph(30, 30).save(folder / "x.png")
    batch = Batch(slow, lambda _: None)
    batch.add([source, folder / "x.png"])
    batch.start(ConversionOrder("webp", ORDER.goal, existing=Existing.REPLACE))
    assert slow.jobs[0]["target"].name == "x (2).webp"
    slow.jobs[0]["done"](Converted(10, 5))
    assert slow.jobs[1]["target"] not in (source, folder / "x (2).webp")


def test_removing(batch: Batch, slow: Slow) -> None:
    batch.start(ORDER)
    batch.remove(list(batch.items))
    assert len(batch.items) == 1  # the one that is worked on
    batch.clear()
    assert len(batch.items) == 1
    slow.jobs[0]["done"](Converted(10, 5))
    batch.clear()
    assert batch.summary() == "Drop pictures or folders here."


def test_real_files(crew: Crew, folder: Path) -> None:
    (folder / "in" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    heard: list[object] = []
    batch = Batch(crew.batch, heard.append)
    batch.add([folder / "in"])
    batch.start(ConversionOrder("mlic", Goal(GoalKind.QUALITY, 2), folder=folder / "out"))
    crew.pump(lambda: not batch.running)
    assert sorted(p.name for p in (folder / "out").rglob("*.*")) == ["a.mlic", "b.mlic", "c.mlic"]
    (failed,) = batch.of(Status.FAILED)
    assert failed.source.name == "broken.png"
    assert failed.reason
    assert all(i.after == i.target.stat().st_size for i in batch.of(Status.DONE))


def test_cancelling_real_work_leaves_no_half_file(crew: Crew, folder: Path) -> None:
    started: list[object] = []
    batch = Batch(crew.batch, started.append)
    batch.add([folder / "in"])
    batch.start(ConversionOrder("mlic", Goal(GoalKind.QUALITY, 2), folder=folder / "out"))
    batch.cancel()
    crew.pump(lambda: not crew.batch.busy)
    assert not batch.running
    assert not [p for p in (folder / "out").rglob("*") if p.suffix == ".part"]


def test_opened_files(folder: Path) -> None:
    opened_files = OpenedFiles()
    assert opened_files.fill([folder / "in"]).name == "a.png"
    assert opened_files.words() == "1 of 3"
    assert opened_files.step(-1) is None
    assert opened_files.step(1).name == "b.png"
    assert opened_files.step(1).name == "c.png"
    assert opened_files.step(1) is None
    empty = folder / "empty"
    empty.mkdir()
    assert opened_files.fill([empty]) is None
    assert len(opened_files.paths) == 3
    assert opened_files.step(0) == opened_files.paths[2]


def test_one_file_stands_for_its_folder(folder: Path) -> None:
    place = folder / "in"
    for name in ("a10.png", "a2.PNG"):
        photograph(40, 30).save(place / name)
    files = OpenedFiles()
    assert files.fill([place / "a.png"]) == place / "a.png"
    assert [path.name for path in files.paths] == ["a.png", "a2.PNG", "a10.png", "b.png"]
    assert files.chosen == [place / "a.png"]
    assert files.words() == "1 of 4"
    assert files.peek(1) == place / "a2.PNG"
    for age, name in enumerate(("a.png", "a10.png", "b.png", "a2.PNG")):
        os.utime(place / name, (1000 + age, 1000 + age))
    files.sort(FolderOrder.DATE)
    assert [path.name for path in files.paths] == ["a.png", "a10.png", "b.png", "a2.PNG"]
    assert files.words() == "1 of 4"
    (place / "a10.png").unlink()
    files.look_again()
    assert files.peek(1) == place / "b.png"
    assert files.fill([place / "b.png", place / "a.png"]) == place / "b.png"
    assert files.words() == "1 of 2"


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "scandir", refuse)
    files = OpenedFiles()
    assert files.fill([folder / "in" / "a.png"]) == folder / "in" / "a.png"
    assert files.words() == ""
    assert files.step(1) is None
