"""Numbers as people read them, bit maps in colour, and points of the chart."""

import math
from pathlib import Path

import numpy as np
import pytest

from pillow_mlic.files import bytes_text
from pillow_mlic_gui import bitmap, rd_points, words
from pillow_mlic_gui.rd_points import Point, RdPoints


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (999, "999 B"),
        (1000, "1.00 kB"),
        (41_260, "41.3 kB"),
        (754_000, "754 kB"),
        (999_900, "1.00 MB"),
        (5_200_000, "5.20 MB"),
        (7 * 10**9, "7.00 GB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert bytes_text(size) == text


def test_numbers() -> None:
    assert words.psnr(33.14) == "33.1 dB"
    assert words.psnr(math.inf) == "lossless"
    assert words.bpp(0.3756) == "0.376 bpp"
    assert words.bpp(23.97) == "24.0 bpp"
    assert words.similarity(0.99) == "20.0 dB"
    assert words.similarity(1.0) == "∞"
    assert words.similarity(None) == "–"
    assert words.score(71.26) == "71.3"
    assert words.score(-4.04) == "−4.0"
    assert words.score(None) == "–"
    assert [words.seconds(s) for s in (0.0121, 1.44, 200, None)] == ["12 ms", "1.4 s", "4 min", "–"]
    assert [words.duration(s) for s in (7.2, 61, 4800)] == ["8 s", "2 min", "1 h 20 min"]
    assert words.quality(3.25) == "q 3.25"
    assert words.quality(None) == ""
    assert [words.zoom(z) for z in (0.063, 1, 32)] == ["6.3 %", "100 %", "3200 %"]
    assert words.change(1000, 120) == "88% smaller"
    assert words.change(1000, 1500) == "50% larger"
    assert words.change(0, 5) == ""


def test_bit_maps_in_colour() -> None:
    bits = np.array([[0, 50], [100, 1000]], np.float32)
    over = bitmap.overlay(bits, 100.0)
    assert over.shape == (2, 2, 4)
    assert (over[..., :3] <= over[..., 3:]).all()  # premultiplied
    assert over[0, 0].sum() < over[0, 1].sum() < over[1, 0].sum()
    assert np.array_equal(over[1, 0], over[1, 1])  # beyond the scale
    assert bitmap.at(bits, 17, 3) == 50
    assert bitmap.at(bits, 40, 3) is None
    assert bitmap.most(np.zeros((3, 3), np.float32)) == 1
    assert bitmap.colours(np.array([0.0, 1.0])).tolist() == [[13, 8, 50], [252, 220, 100]]


def test_runs_of_marked_blocks() -> None:
    marked = np.array([[1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    assert bitmap.runs(marked) == [(0, 0, 2), (0, 3, 4), (2, 0, 4)]


def test_points_of_a_picture() -> None:
    points = RdPoints()
    points.add("webp", 80, 1.2, 36)
    points.add("webp", 20, 0.3, 30)
    points.add("webp", 80, 1.25, 36.5)  # measured again
    points.add("webp", 100, 9, math.inf)  # lossless: not in the chart
    assert points.of("webp") == [Point(0.3, 30, 20), Point(1.25, 36.5, 80)]
    assert points.has("webp", 20)
    assert not points.has("webp", 100)
    assert points.of("avif") == []
    points.turn_to(Path("another"))
    assert points.of("webp") == []


def test_published_curves_are_for_pictures_like_those() -> None:
    assert rd_points.published_apply((768, 512))
    assert not rd_points.published_apply((4000, 3000))
    curves = {c.name: c for c in rd_points.published()}
    assert curves["mlic++"].label == "MLIC++"
    assert list(curves["mlic++"].points) == sorted(curves["mlic++"].points)


def test_axes() -> None:
    assert rd_points.ticks(26.3, 35.1) == [28, 30, 32, 34]
    assert rd_points.rate_ticks(0.07, 1.4) == [0.1, 0.2, 0.5, 1]
    low_x, high_x, low_y, high_y = rd_points.bounds([Point(0.5, 30), Point(0.6, 32)])
    assert low_x < 0.5 < 0.6 < high_x
    assert low_y < 30 < 32 < high_y
    assert len(rd_points.rate_ticks(low_x, high_x)) >= 1


def test_places_at_home_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert words.place(tmp_path / "a" / "b.csv") == str(Path("~", "a", "b.csv"))
    assert words.place(tmp_path.parent / "b.csv") == str(tmp_path.parent / "b.csv")
