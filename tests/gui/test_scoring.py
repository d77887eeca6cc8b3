"""SSIMULACRA2 in the headline: measured after all else, of large pictures on samples."""

import time
from pathlib import Path

import pytest

from pillow_mlic.evaluation import metrics
from pillow_mlic_gui import raster as rasters
from pillow_mlic_gui import scoring, words
from pillow_mlic_gui.headline import headline
from pillow_mlic_gui.session import Session
from pillow_mlic_gui.state import Goal, GoalKind

from ..conftest import photograph
from .test_jobs import silent
from .test_session import session, settle  # noqa: F401

needs_package = pytest.mark.skipif(
    "ssimulacra2" not in metrics.available(), reason="the package ssimulacra2 is not there"
)


@pytest.mark.parametrize("size", [(768, 512), (600, 1000), (3000, 2000), (9000, 100), (700, 900)])
def test_samples_lie_in_the_picture_and_are_a_second_of_work(size: tuple[int, int]) -> None:
    boxes = scoring.samples(size)
    whole = size[0] * size[1] <= scoring.WHOLE
    assert (len(boxes) == 1) == whole
    areas = []
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]
        areas.append((right - left) * (bottom - top))
    assert sum(areas) <= scoring.WHOLE
    if not whole:
        middle = sum(left + right for left, _, right, _ in boxes) / len(boxes) / 2
        assert middle == pytest.approx(size[0] / 2, abs=1)
        firsts, others = zip(*[(box[:2], box[2:]) for box in boxes], strict=True)
        assert len(set(firsts)) == len(set(others)) == len(boxes)


@needs_package
def test_a_large_picture_is_scored_by_its_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photograph(192, 168)
    worse = image.reduce(2).resize(image.size)
    pair = [rasters.write(i, tmp_path / n) for i, n in ((image, "a"), (worse, "b"))]
    told: list[float] = []
    whole = scoring.score(silent, *pair)
    assert whole == (pytest.approx(metrics.ssimulacra2(image, worse)), 0)
    monkeypatch.setattr(scoring, "WHOLE", 1000)
    monkeypatch.setattr(scoring, "SIDE", 64)
    sampled = scoring.score(lambda share, _: told.append(share), *pair)
    assert sampled.samples == 6
    assert len(told) == 6  # so that it can be stopped
    boxes = scoring.samples(image.size)
    single = [metrics.ssimulacra2(image.crop(box), worse.crop(box)) for box in boxes]
    assert sampled.value == pytest.approx(sum(single) / 6)


def test_what_is_small_or_cannot_be_measured_has_no_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = rasters.write(photograph(63, 168), tmp_path / "a")
    assert scoring.score(silent, small, small) is None
    enough = rasters.write(photograph(64, 64), tmp_path / "b")
    monkeypatch.setattr(metrics, "available", lambda: ["psnr"])
    assert scoring.score(silent, enough, enough) is None


@needs_package
def test_scores_come_unasked_after_all_else(
    crew,
    session: Session,  # noqa: F811
    photo: Path,
) -> None:
    asked: list[bool] = []
    want = session.measures.want_scores
    session.measures.want_scores = lambda pairs: (
        asked.append(bool(session._unfinished()) and bool(pairs)),
        want(pairs),
    )
    session.open(photo)
    settle(crew, session)
    assert asked
    assert not any(asked), "never while a version is being made"
    end = time.monotonic() + 30
    crew.pump(
        lambda: all(session.measures.score(c) for c in session.shown.values())
        or time.monotonic() > end
    )
    head, parts = headline(session)
    assert "PSNR / SSIMULACRA2 / MS-SSIM" in head
    for number, text in parts:
        score = words.score(session.measures.score(session.shown[number]).value)
        assert f" dB / {score} / " in text
    # Another wish stops what still is measured.
    session.measures.forget(session.shown.values())
    session._replan()
    assert any(kind == "score" for kind, _ in session.measures._tickets)
    session.change(session.state.aim(1, Goal(GoalKind.QUALITY, 4)))
    assert not any(kind == "score" for kind, _ in session.measures._tickets)
    settle(crew, session)
