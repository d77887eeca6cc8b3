"""Finding a quality by what it gives."""

import math

import pytest

from pillow_mlic.evaluation.search import search


def sizes(quality: float) -> float:
    return math.log(900 + 40 * 1.05**quality)


@pytest.mark.parametrize("wanted", [0, 1, 37, 99, 100])
def test_finds_the_very_quality(wanted: int) -> None:
    assert search(sizes, sizes(wanted), 0, 100) == wanted


def test_nearest_and_at_most() -> None:
    between = sizes(50) + 0.7 * (sizes(51) - sizes(50))
    assert search(sizes, between, 0, 100) == 51
    assert search(sizes, between, 0, 100, at_most=True) == 50


def test_out_of_reach_gives_the_ends() -> None:
    assert search(sizes, -1e9, 5, 95) == 5
    assert search(sizes, -1e9, 5, 95, at_most=True) == 5
    assert search(sizes, 1e9, 5, 95) == 95


def test_fine_steps_stop_within_tolerance() -> None:
    calls: list[float] = []

    def measure(quality: float) -> float:
        calls.append(quality)
        return 25 + 2 * quality

    found = search(measure, 31.234, 1, 8, step=0.01, tolerance=0.02)
    assert abs(measure(found) - 31.234) <= 0.02
    assert len(calls) < 10
    found = search(measure, 31.234, 1, 8, step=0.01, tolerance=0.02, at_most=True)
    assert 31.214 <= measure(found) <= 31.234


def test_what_is_known_is_not_measured_again() -> None:
    known: dict[float, float] = {}
    first = search(sizes, sizes(60) + 1e-4, 0, 100, known=known)

    def never(quality: float) -> float:
        raise AssertionError(quality)

    assert search(never, sizes(60) + 1e-4, 0, 100, known=known) == first


def test_few_calls_where_sizes_grow_evenly() -> None:
    known: dict[float, float] = {}
    search(lambda q: 3 + 0.03 * q, 4.567, 0, 100, known=known)
    assert len(known) <= 6


def test_plateaus_end() -> None:
    """Several qualities can give one file."""
    assert search(lambda q: q // 10, 5, 0, 100) in range(50, 60)
    assert search(lambda q: 0.0, 5, 0, 100) == 100
