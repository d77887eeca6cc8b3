"""The search for a quality, on functions that cost nothing."""

import math

import numpy as np
import pytest

from pillow_mlic.coding.search import Aim, Scale, search

QUALITIES = Scale(1, 8, 1 / 8192, 0.36)
TOLERANCE = math.log(1.01)


class Counted:
    """A function that remembers where it was asked."""

    def __init__(self, function):
        self.function, self.asked = function, []

    def __call__(self, quality):
        self.asked.append(quality)
        return self.function(quality)


def log_size(seed):
    """ln of bytes over quality, bent at whole qualities as gains make it, with a little noise."""
    rng = np.random.default_rng(seed)
    levels = np.cumsum([rng.uniform(9, 11), *rng.uniform(0.2, 0.5, 7)])
    phase = rng.uniform(0, 6)
    return Counted(
        lambda q: float(np.interp(q, np.arange(1, 9), levels)) + 1e-3 * math.sin(97 * q + phase)
    )


@pytest.mark.parametrize("ceiling", [False, True])
def test_six_trials_are_enough(ceiling):
    for seed in range(300):
        measure = log_size(seed)
        target = np.random.default_rng(seed + 1000).uniform(measure(1), measure(8))
        measure.asked.clear()
        found = search(measure, Aim(target, TOLERANCE, ceiling=ceiling), QUALITIES, guess=3)
        assert found.hit
        assert len(measure.asked) == len(set(measure.asked)) <= 6
        assert found.level == measure(found.quality)
        assert abs(found.level - target) <= TOLERANCE
        assert not ceiling or found.level <= target


def test_straight_lines_are_hit_by_the_third():
    for target in np.linspace(10.1, 13.4, 20):
        measure = Counted(lambda q: 10 + 0.5 * (q - 1))
        assert search(measure, Aim(target, 1e-3), QUALITIES).hit
        assert len(measure.asked) <= 3


@pytest.mark.parametrize(("target", "end"), [(5.0, 1), (20.0, 8)])
def test_out_of_reach_ends_at_the_nearest_end(target, end):
    measure = log_size(0)
    found = search(measure, Aim(target, TOLERANCE), QUALITIES)
    assert (found.quality, found.hit) == (end, False)
    assert found.trials[end] == found.level
    assert len(measure.asked) <= 4


def test_a_ceiling_above_everything_gives_the_best():
    found = search(log_size(0), Aim(99.0, TOLERANCE, ceiling=True), QUALITIES)
    assert (found.quality, found.hit) == (8, False)


def test_a_ceiling_is_kept_even_where_the_trials_run_out():
    """All but the lowest end of a steep function lies above the ceiling."""
    measure = Counted(lambda q: 10.0 + (q > 1))
    found = search(measure, Aim(10.5, TOLERANCE, ceiling=True), QUALITIES, limit=2)
    assert (found.quality, found.level) == (1, 10.0)


def test_jumps_give_the_better_side():
    """Where no quality is within tolerance, the nearest neighbour of the jump is the answer."""
    whole = Scale(0, 100, 1, 0.03)

    def jump(q):
        return 5.0 if q < 37 else 6.0

    nearest = search(jump, Aim(5.8, 0.01), whole, limit=20)
    below = search(jump, Aim(5.8, 0.01, ceiling=True), whole, limit=20)
    assert (nearest.level, below.level) == (6.0, 5.0)
    assert not nearest.hit
    assert not below.hit


def test_known_levels_save_trials():
    measure = Counted(lambda q: q / 30)
    known = {40: measure(40), 50: measure(50)}
    measure.asked.clear()
    found = search(measure, Aim(46.9 / 30, 0.01), Scale(0, 100, 1, 0.03), known=known)
    assert (found.quality, measure.asked) == (47, [47])
    measure.asked.clear()
    assert search(measure, Aim(50 / 30, 0.01), Scale(0, 100, 1, 0.03), known=known).hit
    assert measure.asked == []


def test_noise_that_turns_the_order_round_ends_the_search():
    found = search(lambda q: -q, Aim(0.0, 0.1), Scale(1, 4, 1, 1.0))
    assert 1 <= found.quality <= 4


def test_scale():
    assert (QUALITIES.last, QUALITIES.quality(QUALITIES.last)) == (57344, 8)
    assert [QUALITIES.index(q) for q in (-3, 1, 8, 99)] == [0, 0, 57344, 57344]
