"""The part in view of a large picture comes first; how the headline says it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillow_mlic_gui import parts
from pillow_mlic_gui.headline import headline, progress_of
from pillow_mlic_gui.scoring import Score
from pillow_mlic_gui.session import STOPPED, Session
from pillow_mlic_gui.state import Goal, GoalKind, Match, default_state
from pillow_mlic_gui.view_transform import ScreenBox, View

from ..conftest import photograph
from .conftest import Crew
from .test_session import coded, settle

SIZE = (1920, 1200)
BOX = (704, 320, 1216, 832)
sides = st.integers(65, 20_000)


@given(sides, sides, st.floats(1 / 64, 32), st.floats(0, 1), st.floats(0, 1))
def test_the_part_lies_in_the_picture(
    width: int, height: int, zoom: float, x: float, y: float
) -> None:
    view = View(zoom, x * width, y * height)
    left, top, right, bottom = parts.part_in_view((width, height), view, ScreenBox(0, 0, 900, 600))
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    narrow = parts.STEP in (right - left, bottom - top)
    assert (right - left) * (bottom - top) <= parts.MOST or narrow
    assert left % parts.STEP == top % parts.STEP == 0
    near = parts.STEP + (right - left) / 2, parts.STEP + (bottom - top) / 2
    assert abs((left + right) / 2 - view.x) <= near[0]
    assert abs((top + bottom) / 2 - view.y) <= near[1]


def test_what_is_zoomed_in_on_is_all_of_the_part() -> None:
    box = parts.part_in_view((6000, 4000), View(2, 3000, 2000), ScreenBox(0, 0, 1024, 768))
    assert box == (2752, 1792, 3264, 2176)


def test_parts_that_show_the_same() -> None:
    assert parts.shows((0, 0, 100, 100), (40, 0, 140, 100))
    assert not parts.shows((0, 0, 100, 100), (60, 0, 160, 100))
    assert not parts.shows((0, 0, 100, 100), (0, 200, 100, 300))


@pytest.fixture
def session(crew: Crew, tmp_path: Path) -> Iterator[Session]:
    (tmp_path / "pixels").mkdir()
    state = default_state()
    kept = tuple(v for v in state.versions if v.codec in ("mlic", "webp"))
    state = state.replace(versions=kept, slots=(1, kept[1].number, 0, 0))
    session = Session(crew, tmp_path / "pixels", state, lambda: None, lambda *_: None)
    photograph(*SIZE).save(tmp_path / "large.png", compress_level=1)
    session.open(tmp_path / "large.png")
    crew.pump(lambda: session.picture is not None)
    yield session
    session.close()


def test_the_part_in_view_comes_first(crew: Crew, session: Session) -> None:
    webp = session.state.slots[1]
    session.look(BOX)
    crew.pump(lambda: session.part_of(1) is not None)
    assert not session.shown
    crew.pump(lambda: headline(session)[1][-1][0] == webp)
    part = session.part_of(1)
    assert part.raster.size == (512, 512)
    original = session.closeup.part.raster.level(0)
    assert (original == session.picture.raster.level(0)[320:832, 704:1216]).all()
    head, parts_ = headline(session)
    assert head.startswith("In view, at the same ≈ ")
    assert "dB" in parts_[0][1]
    assert progress_of(session)[2] == "0 of 2 versions"
    estimate = session.closeup.estimate(1, session.picture)
    settle(crew, session)
    whole = session.shown[1]
    assert whole.raster.size == SIZE
    assert estimate == pytest.approx(whole.size, rel=0.5)
    assert session.part_of(1) is None
    assert headline(session)[0].startswith("At the same ")
    assert len(session.points.of("mlic")) == 1  # the part is no point of the whole


def test_another_part_is_made_when_the_view_moves(crew: Crew, session: Session) -> None:
    session.look(BOX)
    crew.pump(lambda: session.part_of(1) is not None)
    first = session.closeup.part
    session.look((768, 320, 1280, 832))  # much the same
    assert session.closeup.part is first
    session.look((0, 0, 512, 512))
    crew.pump(lambda: session.closeup.part is not first)
    assert not first.raster.path.exists()
    crew.pump(lambda: session.part_of(1) is not None)
    assert session.stop()
    assert session.failures[1] == STOPPED
    assert not session.desk.progressing()


def test_moving_the_view_does_not_restart_the_whole(crew: Crew, session: Session) -> None:
    session.change(session.state.replace(refine=300))
    session.look(BOX)
    whole = session.requests[1]
    crew.pump(lambda: 1 in session.progress and session.progress[1].share > 0, timeout=120)
    assert session.progress[1].phase.startswith("refining")
    seen, part = session.progress[1].share, session.closeup.part
    ticket = session.desk._running[whole]
    session.look((0, 0, 512, 512))
    crew.pump(lambda: session.closeup.part is not part and session.part_of(1) is not None)
    assert session.requests[1] == whole
    assert session.desk._running[whole] is ticket
    assert session.progress[1].share >= seen
    other = session.state.replace(refine=0).aim(1, Goal(GoalKind.QUALITY, 2))
    session.change(other)  # another setting: the part first, once more
    assert not session.desk.progressing() & set(session.requests.values())


def test_other_wholes_do_not_wait_for_mlic(crew: Crew, session: Session) -> None:
    webp = session.state.slots[1]
    session.change(session.state.replace(refine=300))
    session.look(BOX)
    crew.pump(lambda: webp in session.shown, timeout=120)
    assert 1 not in session.shown
    part = session.closeup.shown[webp]
    assert session.shown[webp].quality == part.quality, "as it was matched in the part"
    assert session.shown[webp].raster.size == SIZE
    session.change(session.state.replace(refine=0))
    settle(crew, session)
    assert session.shown[webp].size == pytest.approx(session.shown[1].size, rel=0.1)


def test_small_pictures_have_no_part(crew: Crew, session: Session, photo: Path) -> None:
    session.open(photo)
    crew.pump(lambda: session.picture.name == "photo.png")
    session.look((0, 0, 64, 64))
    assert session.closeup._cutting is None
    settle(crew, session)
    assert session.closeup.part is None


def test_sizes_that_differ_are_said(session: Session) -> None:
    webp = session.state.slots[1]
    session.shown = {1: coded(size=10_000, psnr=33.1), webp: coded("webp", 10_050, 32.0, "y")}
    session.current = lambda number: True
    session.measures._similarities = {Path("x"): 0.99, Path("y"): 0.97}
    head, (first, second) = headline(session)
    assert head == "At the same 10.0 kB, PSNR / MS-SSIM"
    assert first == (1, "33.1 dB / 20.0 dB")
    assert second == (webp, "32.0 dB / 15.2 dB")  # half a percent is the same
    session.shown[webp] = coded("webp", 10_230, 32.0, "y")
    assert headline(session)[1][1][1].endswith(" at 10.2 kB (+2.3 %)")
    session.state = session.state.replace(match=Match.PSNR)
    assert headline(session)[0] == "At the same 33.1 dB, size / MS-SSIM"
    assert headline(session)[1][1][1] == "10.2 kB / 15.2 dB (PSNR 32.0 dB)"
    session.shown[webp] = coded("webp", 10_230, 33.05, "y")
    assert headline(session)[1][1][1] == "10.2 kB / 15.2 dB"
    session.measures._scores = {Path("x"): Score(71.26)}
    session.state = session.state.replace(match=Match.FREE)
    head, (first, second) = headline(session)
    assert head == "Size / PSNR / SSIMULACRA2 / MS-SSIM"
    assert first[1] == "10.0 kB / 33.1 dB / 71.3 / 20.0 dB"
    assert second[1] == "10.2 kB / 33.0 dB / – / 15.2 dB"
    session.measures._scores = {Path("x"): Score(-4.04, samples=9), Path("y"): Score(3, samples=9)}
    session.state = session.state.replace(match=Match.SIZE)
    head, (first, second) = headline(session)
    assert head == "At the same 10.0 kB, PSNR / SSIMULACRA2 of 9 samples / MS-SSIM"
    assert first[1] == "33.1 dB / −4.0 / 20.0 dB"
    session.shown.clear()


def test_a_limit_holds_for_all(crew: Crew, session: Session, photo: Path) -> None:
    session.change(session.state.aim(1, Goal(GoalKind.MAX_BYTES, 3000)))
    session.open(photo)
    settle(crew, session)
    assert len(session.shown) == 2
    assert all(version.size <= 3000 for version in session.shown.values())


def test_a_part_is_cut_out_of_grey_pictures_too(tmp_path: Path) -> None:
    from pillow_mlic_gui import jobs, raster

    for mode in ("L", "RGB", "RGBA"):
        image = photograph(128, 128).convert(mode)
        whole = raster.write(image, tmp_path / mode)
        part = jobs.cut(lambda *_: None, whole, (64, 0, 128, 64), tmp_path / f"{mode} part")
        assert part.raster.mode == mode
        assert np.array_equal(part.raster.image(), image.crop((64, 0, 128, 64)))
