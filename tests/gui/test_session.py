"""From settings to outcomes with real workers; plans are tested without any."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pillow_mlic.packs import Pack
from pillow_mlic_gui import file_jobs, outputs
from pillow_mlic_gui.headline import headline, opened_words, progress_of
from pillow_mlic_gui.jobs import NO_EFFORT, CodedPicture, Effort
from pillow_mlic_gui.matching import plan, plan_part
from pillow_mlic_gui.opening import Shelf, stamp_of
from pillow_mlic_gui.pictures import Picture
from pillow_mlic_gui.progress import JobProgress, Stage
from pillow_mlic_gui.raster import Raster
from pillow_mlic_gui.requests import Cache, Desk, Request
from pillow_mlic_gui.reshape import NO_RESHAPE, Reshape
from pillow_mlic_gui.saves import Saves
from pillow_mlic_gui.session import STOPPED, Session
from pillow_mlic_gui.state import (
    ORIGINAL,
    Goal,
    GoalKind,
    Lens,
    Match,
    State,
    Version,
    default_state,
)
from pillow_mlic_gui.waiting import waiting_words
from pillow_mlic_gui.worker import JobFunction

from ..conftest import photograph
from .conftest import Crew

SOURCE = Raster(Path("source"), 96, 64, 3)


def coded(
    codec: str = "mlic", size: int = 1000, psnr: float = 30.0, name: str = "x"
) -> CodedPicture:
    return CodedPicture(codec, 3.0, bytes(size), psnr, 0.1, 0.1, Raster(Path(name), 96, 64, 3))


class TestPlan:
    def test_peers_start_at_their_defaults(self) -> None:
        wanted = plan(default_state(), SOURCE, lambda _: None)
        assert wanted[1] == Request(SOURCE, "mlic", Goal(GoalKind.QUALITY, 3))
        avif_number, avif = next((n, r) for n, r in wanted.items() if r.codec == "avif")
        assert avif.goal == Goal(GoalKind.QUALITY, 60)
        near = plan(default_state(), SOURCE, lambda _: None, starts={avif_number: 41})
        assert near[avif_number].goal == Goal(GoalKind.QUALITY, 41)

    def test_every_codec_obeys_a_limit(self) -> None:
        state = default_state().aim(1, Goal(GoalKind.MAX_BYTES, 5000))
        wanted = plan(state, SOURCE, lambda _: None, 700)
        assert {r.goal for r in wanted.values()} == {Goal(GoalKind.MAX_BYTES, 4300)}

    def test_a_part_is_a_draft_with_its_share_of_a_limit(self) -> None:
        state = default_state().replace(refine=30, texture=0.5)
        state = state.aim(1, Goal(GoalKind.MAX_BYTES, 5000))
        whole = Raster(Path("whole"), 960, 640, 3)
        wanted = plan_part(state, SOURCE, whole, lambda _: None)
        assert wanted[1].effort == Effort(0, 0.5, draft=True)
        assert wanted[1].effort.options()["optimize"] is False
        assert "optimize" not in Effort(30).options()
        assert wanted[1].goal == Goal(GoalKind.MAX_BYTES, 50)
        assert wanted[2].effort == NO_EFFORT

    def test_same_size_and_same_psnr(self) -> None:
        model = coded(size=1234, psnr=31.456)
        for match, goal in (
            (Match.SIZE, Goal(GoalKind.NEAR_BYTES, 1234)),
            (Match.PSNR, Goal(GoalKind.PSNR, 31.46)),
        ):
            wanted = plan(default_state().replace(match=match), SOURCE, lambda _: model)
            assert {r.goal for n, r in wanted.items() if n != 1} == {goal}

    def test_free(self) -> None:
        state = default_state().replace(match=Match.FREE).aim(2, Goal(GoalKind.QUALITY, 33))
        assert plan(state, SOURCE, lambda _: None)[2].goal == Goal(GoalKind.QUALITY, 33)

    def test_only_mlic_is_refined_and_has_texture(self) -> None:
        state = default_state().replace(refine=30, texture=0.5)
        wanted = plan(state, SOURCE, lambda _: coded())
        effort = Effort(30, 0.5)
        assert {n: r.effort for n, r in wanted.items()} == {
            n: effort if n == 1 else NO_EFFORT for n in wanted
        }

    def test_other_weights_are_refined_too(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_pack: Pack
    ) -> None:
        torch = pytest.importorskip("torch")
        from pillow_mlic.training.export import write_half

        model = small_pack.model(torch.device("cpu"))
        write_half(tmp_path / "a.safetensors", "mlicv2-lite", model, {"distortion": "ms-ssim"})
        monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path))
        state = default_state().replace(refine=30).use_codec(1, "mlic:a")
        assert plan(state, SOURCE, lambda _: None)[1].effort.refine == 30

    def test_what_is_in_view_comes_first(self) -> None:
        state = default_state().put(1, len(default_state().versions))
        order = list(plan(state, SOURCE, lambda _: None))
        assert order[:2] == [1, len(default_state().versions)]

    def test_limits_leave_room_for_metadata(self) -> None:
        state = default_state().aim(1, Goal(GoalKind.MAX_BYTES, 5000))
        assert plan(state, SOURCE, lambda _: None, 700)[1].goal.value == 4300

    def test_files_are_read_whatever_is_matched(self) -> None:
        state = default_state().add("file", Goal(GoalKind.QUALITY, 0), "a.webp")
        assert plan(state, SOURCE, lambda _: None)[state.selected].path == "a.webp"


class Nobody:
    """A worker that never comes to an end."""

    def __init__(self) -> None:
        self.asked: list[JobFunction] = []
        self.cancelled = 0

    def submit(self, job: JobFunction, **arguments: object) -> SimpleNamespace:
        self.asked.append(job)
        return SimpleNamespace(**arguments)

    def cancel(self, ticket: object) -> None:
        self.cancelled += 1


def test_the_newest_wish_wins(tmp_path: Path) -> None:
    nobody = Nobody()
    workers = SimpleNamespace(pictures=nobody, peers=nobody, neural=nobody)
    heard: list[object] = []
    desk = Desk(workers, tmp_path, lambda *a: heard.append(a), lambda *_: None, lambda *_: None)
    wishes = [Request(SOURCE, "mlic", Goal(GoalKind.QUALITY, q)) for q in (1, 2, 3)]
    for wish in wishes:
        desk.want([wish, wish])
    assert len(nobody.asked) == 3
    assert nobody.cancelled == 2
    assert desk.progressing() == {wishes[2]}
    desk.want([wishes[2]])
    assert len(nobody.asked) == 3


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    cache = Cache(limit=3 * (96 * 64 * 3 + 1000))
    outcomes = []
    for quality in range(6):
        path = tmp_path / str(quality)
        path.write_bytes(b"")
        outcome = coded(name=str(path))
        outcomes.append(outcome)
        cache.in_use = lambda: outcomes[:1]
        cache.put(Request(SOURCE, "mlic", Goal(GoalKind.QUALITY, quality)), outcome)
    assert cache.bytes <= cache.limit
    kept = [q for q in range(6) if cache.get(Request(SOURCE, "mlic", Goal(GoalKind.QUALITY, q)))]
    assert kept == [0, 4, 5]  # the one in view, and the newest
    assert sorted(int(p.name) for p in tmp_path.iterdir()) == kept
    cache.clear()
    assert not list(tmp_path.iterdir())


@pytest.fixture
def session(crew: Crew, tmp_path: Path) -> Iterator[Session]:
    folder = tmp_path / "pixels"
    folder.mkdir()
    said: list[tuple[str, bool]] = []
    session = Session(
        crew, folder, default_state(), lambda: None, lambda text, bad: said.append((text, bad))
    )
    session.said = said
    yield session
    session.close()


def settle(crew: Crew, session: Session) -> None:
    crew.pump(lambda: session.opening is None and not session.busy)


def test_a_photo_at_the_same_size(crew: Crew, session: Session, photo: Path) -> None:
    session.open(photo)
    assert session.opening == "photo.png"
    settle(crew, session)
    reference = session.shown[1]
    for number, version in session.shown.items():
        assert version.size == pytest.approx(reference.size, rel=0.1), number
    head, parts = headline(session)
    assert head.startswith("At the same ")
    assert [number for number, _ in parts] == [v.number for v in session.state.versions]
    assert all("dB" in text for _, text in parts)
    crew.pump(
        lambda: all(session.measures.similarity(c) is not None for c in session.shown.values())
    )
    assert session.points.of("mlic")


def test_the_same_psnr(crew: Crew, session: Session, small_photo: Path) -> None:
    goal = Goal(GoalKind.QUALITY, 60)
    versions = [Version(n, codec, goal) for n, codec in enumerate(("jpeg", "webp", "avif"), 1)]
    state = State(tuple(versions), (1, 2, 3, ORIGINAL), 1, match=Match.PSNR)
    session.change(state)
    session.open(small_photo)
    settle(crew, session)
    reference = session.shown[1]
    near = [c for c in session.shown.values() if abs(c.psnr - reference.psnr) < 1]
    assert len(near) == 3
    assert headline(session)[0].startswith("At the same ")


def aimed_anew(crew: Crew, session: Session, photo: Path) -> CodedPicture:
    """Open a photo and ask for another quality of .mlic; -> the version that was there."""
    session.open(photo)
    settle(crew, session)
    before = session.shown[1]
    session.change(session.state.aim(1, Goal(GoalKind.QUALITY, 5)), "aim")
    return before


def test_what_was_there_stays_until_the_new_is(
    crew: Crew, session: Session, small_photo: Path
) -> None:
    before = aimed_anew(crew, session, small_photo)
    assert session.shown[1] is before
    assert not session.current(1)
    assert not session.can_save(1)
    settle(crew, session)
    assert session.shown[1].size > before.size
    session.undo()
    assert session.shown[1] is before  # from the cache, at once
    session.redo()
    assert session.shown[1] is not before


def done(session: Session) -> int:
    return sum(session.current(version.number) for version in session.state.versions)


def test_what_runs_is_told_and_can_be_stopped(
    crew: Crew, session: Session, photo: Path, tmp_path: Path
) -> None:
    session.change(session.state.replace(refine=300))
    session.open(photo)
    crew.pump(lambda: 1 in session.progress and session.progress[1].share > 0)
    assert waiting_words(session, 1).startswith("refining ")
    assert " of 300, " in waiting_words(session, 1)
    assert progress_of(session)[2] == f"{done(session)} of {len(session.state.versions)} versions"
    assert session.stop()
    assert session.failures[1] == STOPPED
    assert not session.busy
    assert progress_of(session) == (1.0, None, "")
    assert not session.stop()
    session.resume()
    assert session.busy
    assert session.stop()
    session.change(session.state.replace(refine=0))
    settle(crew, session)
    assert not session.failures
    assert session.shown[1].codec == "mlic"


def test_stopping_one_version_leaves_what_was_there(
    crew: Crew, session: Session, small_photo: Path
) -> None:
    before = aimed_anew(crew, session, small_photo)
    session.stop_version(1)
    assert session.shown[1] is before
    assert not session.can_save(1)


def test_loading_and_waiting_are_told(session: Session, photo: Path) -> None:
    request = Request(SOURCE, "mlic")
    session.requests = {1: request, 3: Request(SOURCE, "webp")}
    session._network.progress = JobProgress()
    assert waiting_words(session, 1) == "loading the network"
    assert waiting_words(session, 2) == "starting"
    session.progress = {2: JobProgress()}
    session.requests[2] = Request(SOURCE, "avif")
    session.progress[2].hear(Stage(0.5, "searching a size"))
    assert waiting_words(session, 2) == "searching a size, 50 %"
    assert waiting_words(session, 3) == "after AVIF"


def test_a_codec_that_fails_says_why(crew: Crew, session: Session, tmp_path: Path) -> None:
    image = photograph(64, 64).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((64, 64)))
    image.save(tmp_path / "a.png")
    session.open(tmp_path / "a.png")
    settle(crew, session)
    jpeg = next(v.number for v in session.state.versions if v.codec == "jpeg")
    assert "transparency" in session.failures[jpeg]
    assert jpeg not in session.shown
    assert session.shown[1].raster.mode == "RGBA"


def test_errors_of_opening(crew: Crew, session: Session, tmp_path: Path, photo: Path) -> None:
    (tmp_path / "no.png").write_text("no picture")
    session.open(tmp_path / "no.png")
    crew.pump(lambda: session.opening is None)
    assert session.broken.reason == "this is no picture of a kind that Pillow can read"
    assert session.picture is None
    session.open(tmp_path / "missing.png")
    crew.pump(lambda: session.opening is None)
    assert "No such file" in session.broken.reason
    session.open(photo)
    crew.pump(lambda: session.picture is not None)
    session.open(tmp_path / "no.png")
    crew.pump(lambda: session.opening is None)
    assert session.picture is None, "a broken picture is not shown as the one before"
    assert not session.requests
    photograph(96, 64).save(tmp_path / "no.png")
    assert session.reread()
    crew.pump(lambda: session.picture is not None)
    assert session.broken is None


def test_the_newest_picture_wins(crew: Crew, session: Session, photo: Path, small_photo) -> None:
    session.open(photo)
    session.open(small_photo)
    crew.pump(lambda: session.picture is not None)
    assert session.picture.name == "small.png"


def test_going_back_finds_what_was_there(
    crew: Crew, session: Session, photo: Path, small_photo: Path
) -> None:
    session.open(small_photo)
    settle(crew, session)
    picture, before = session.picture, dict(session.shown)
    session.open(photo)
    crew.pump(lambda: session.picture.name == "photo.png")
    assert not session.shown
    assert not session.points.of("mlic")
    session.open(small_photo)
    assert session.picture is picture
    assert session.shown == before
    assert not session.busy
    assert session.points.of("mlic")


def test_a_changed_file_is_read_again(crew: Crew, session: Session, small_photo: Path) -> None:
    session.open(small_photo)
    settle(crew, session)
    assert not session.reread()
    old = session.picture.raster.path
    assert session.shown
    Image.new("RGB", (70, 50), "green").save(small_photo)
    assert session.reread()
    crew.pump(lambda: session.opening is None)
    assert session.picture.raster.size == (70, 50)
    assert not old.exists()
    assert all(coded.raster.path.exists() for coded in session.desk.cache._kept.values())


def test_the_next_picture_is_read_ahead(
    crew: Crew, session: Session, photo: Path, small_photo: Path
) -> None:
    session.next_file = lambda: small_photo
    session.open(photo)
    crew.pump(lambda: session.picture is not None)
    crew.pump(lambda: session._opening.shelf.get(small_photo) is not None)
    assert session.picture.name == "photo.png"
    session.open(small_photo)
    assert session.picture.name == "small.png", "at once"


@pytest.mark.parametrize("pasted", [False, True])
def test_a_cut_picture_is_compared_instead(
    crew: Crew, session: Session, small_photo: Path, tmp_path: Path, pasted: bool
) -> None:
    session.open(small_photo.read_bytes() if pasted else small_photo, "p")
    settle(crew, session)
    base, before = session.picture, dict(session.shown)
    session.reshaping.start(Reshape((10, 0, 90, 64), (40, 32)))
    crew.pump(lambda: session.picture is not base)
    settle(crew, session)
    cut = session.picture
    assert cut.raster.size == session.shown[1].raster.size == (40, 32)
    outputs.save(session, 1, tmp_path / "o.mlic")
    crew.pump(lambda: not session.saves.running)
    with Image.open(tmp_path / "o.mlic") as image:
        assert image.size == (40, 32)
    session.reshaping.start(NO_RESHAPE)
    assert session.picture is base
    assert session.shown == before, "at once"
    assert not cut.raster.path.exists()
    session.reshaping.start(Reshape((0, 0, 999, 10)))
    crew.pump(lambda: "does not lie in the picture" in str(session.said))
    assert session.picture is base
    session.reshaping.start(Reshape((0, 0, 40, 40)))
    crew.pump(lambda: session.picture is not base)
    session.open(tmp_path / "o.mlic")
    crew.pump(lambda: session.picture.name == "o.mlic")
    assert base.raster.path.exists() is not pasted
    assert session.reshaping.shape == NO_RESHAPE


def test_what_is_pasted_is_not_kept(crew: Crew, session: Session, small_photo: Path) -> None:
    session.open(small_photo.read_bytes(), "pasted")
    crew.pump(lambda: session.picture is not None)
    pasted = session.picture.raster.path
    session.open(small_photo)
    crew.pump(lambda: session.picture.name == "small.png")
    assert not pasted.exists()


def test_the_shelf_is_bounded(tmp_path: Path) -> None:
    dropped: list[str] = []
    shelf = Shelf(lambda picture: dropped.append(picture.name), most=3)
    for name in "abcde":
        path = tmp_path / name
        path.write_text(name)
        picture = Picture(name, path, "PNG", SOURCE)
        shelf.put(picture, stamp_of(path))
    assert dropped == ["a", "b"]
    assert shelf.get(tmp_path / "c").name == "c"
    (tmp_path / "d").write_text("another")
    assert shelf.get(tmp_path / "d") is None


def test_bits_and_files_and_curves(
    crew: Crew, session: Session, small_photo: Path, tmp_path: Path
) -> None:
    session.open(small_photo)
    settle(crew, session)
    session.change(session.state.replace(lens=Lens.BITS))
    crew.pump(lambda: session.bits(1) is not None)
    assert session.bits(1).bits.shape == (4, 6)
    assert not session.bits(1).lossless.any()
    assert session.bits(2) is None

    photograph(96, 64).save(tmp_path / "v.webp", quality=30)
    goal = Goal(GoalKind.QUALITY, 0)
    session.change(session.state.add("file", goal, str(tmp_path / "v.webp")))
    settle(crew, session)
    number = session.state.selected
    assert session.shown[number].data == (tmp_path / "v.webp").read_bytes()
    assert session.name(number) == outputs.suggested_name(session, number) == "v.webp"

    session.start_curves()
    assert session.curves.left > 20
    crew.pump(lambda: len(session.points.of("jpeg")) > 3)
    session.curves.stop()
    assert session.curves.left == 0


def test_saving(crew: Crew, session: Session, small_photo: Path, tmp_path: Path) -> None:
    session.open(small_photo)
    settle(crew, session)
    assert not session.can_save(ORIGINAL)
    assert outputs.suggested_name(session, 1) == "small.mlic"
    outputs.save(session, 1, tmp_path / "o.mlic")
    crew.pump(lambda: not session.saves.running)
    assert (tmp_path / "o.mlic").read_bytes() == session.shown[1].data
    assert session.said[-1][0].startswith("Saved o.mlic: ")
    (tmp_path / "blocked").write_text("")
    outputs.save(session, 1, tmp_path / "blocked" / "o.mlic")
    crew.pump(lambda: not session.saves.running)
    assert session.said[-1][0].startswith("o.mlic was not saved: ")
    assert session.said[-1][1]


def test_saving_with_metadata_writes_what_is_on_screen(
    small_weights: Path, crew: Crew, session: Session, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a description"
    photograph(96, 64).save(tmp_path / "photo.jpg", exif=exif, quality=30)
    session.open(tmp_path / "photo.jpg")
    settle(crew, session)
    for version in [v for v in session.state.versions if v.codec != "jxl"]:
        assert version.number in session.shown, session.failures
        number, coded = version.number, session.shown[version.number]
        target = tmp_path / outputs.suggested_name(session, number)
        assert target.name != "photo.jpg"
        outputs.save(session, number, target)
        crew.pump(lambda: not session.saves.running)
        assert target.exists(), session.said
        with Image.open(target) as image:
            assert image.getexif()[0x010E] == "a description"
            assert (np.asarray(image.convert("RGB")) == coded.raster.level(0)).all()
    outputs.save(session, 1, tmp_path / "photo.jpg")
    assert session.said[-1] == ("photo.jpg is the original; choose another name", True)


def test_a_larger_file_is_told(crew: Crew, session: Session, tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), "red").save(tmp_path / "plain.png", optimize=True)
    jpeg = next(v.number for v in session.state.versions if v.codec == "jpeg")
    session.change(session.state.replace(match=Match.FREE))
    session.open(tmp_path / "plain.png")
    settle(crew, session)
    outputs.save(session, jpeg, tmp_path / "o.jpg")
    crew.pump(lambda: not session.saves.running)
    text, bad = session.said[-1]
    assert bad, text
    assert text.endswith("larger than the original")


def test_saving_can_be_stopped(
    crew: Crew, session: Session, small_photo: Path, tmp_path: Path
) -> None:
    session.open(small_photo)
    settle(crew, session)
    outputs.save(session, 1, tmp_path / "o.mlic")
    assert progress_of(session)[2] == "Saving o.mlic"
    assert session.stop()
    assert not session.saves.running
    assert session.said[-1][0] == "o.mlic was not saved: stopped"


def test_a_mlic_file_is_shown_and_not_encoded_again(
    crew: Crew, session: Session, small_photo: Path, tmp_path: Path
) -> None:
    session.open(small_photo)
    settle(crew, session)
    (tmp_path / "o.mlic").write_bytes(session.shown[1].data)
    pixels = session.shown[1].raster.level(0).copy()
    session.open(tmp_path / "o.mlic")
    settle(crew, session)
    picture = session.picture
    assert picture.coded
    assert (picture.raster.level(0) == pixels).all()
    assert session.shown == session.requests == {}
    assert not session.desk.progressing()
    assert progress_of(session) == (1.0, None, "")
    assert "quality 3, mlicv2-lite" in opened_words(picture)
    session.start_curves()
    assert not session.curves.left
    session.compare()
    settle(crew, session)
    assert session.shown[1].codec == "mlic"
    session.open(small_photo)
    crew.pump(lambda: session.opening is None)
    assert session.comparing


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "avif", "jpg"])
def test_pixels_are_exported(
    crew: Crew, session: Session, small_photo: Path, tmp_path: Path, suffix: str
) -> None:
    session.open(small_photo)
    crew.pump(lambda: session.picture is not None)
    target = tmp_path / f"o.{suffix}"
    outputs.export(session, ORIGINAL, target)
    crew.pump(lambda: not session.saves.running)
    assert session.said[-1][0].startswith(f"Saved o.{suffix}: ")
    original = session.picture.raster.level(0).astype(int)
    with Image.open(target) as image:
        apart = abs(np.asarray(image.convert("RGB")).astype(int) - original)
    assert apart.mean() < (4 if suffix in ("avif", "jpg") else 1e-9)
    outputs.export(session, ORIGINAL, tmp_path / "o.gif")
    crew.pump(lambda: not session.saves.running)
    assert "choose one of .png" in session.said[-1][0]
    assert not (tmp_path / "o.gif").exists()


def test_what_was_encoded_again_is_said(tmp_path: Path) -> None:
    said: list[tuple[str, bool]] = []
    saves = Saves(lambda: None, lambda text, bad: said.append((text, bad)))
    asked: dict[str, Any] = {}

    class Hears:
        def submit(self, job: object, **arguments: Any) -> None:
            asked.update(arguments)

    saves.start(Hears(), file_jobs.save, tmp_path / "a.avif", 2000)
    asked["done"](file_jobs.Written(1000, file_jobs.AGAIN))
    saves.start(Hears(), file_jobs.save, tmp_path / "b.avif", 500)
    asked["done"](file_jobs.Written(1000))
    assert said == [
        (
            "Saved a.avif: 1.00 kB, 50% smaller than the original; encoded again for its metadata, "
            "with the same pixels",
            False,
        ),
        ("Saved b.avif: 1.00 kB, 100% larger than the original", True),
    ]
    assert not saves.running
