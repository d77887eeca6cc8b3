"""The blind test: pairs, intervals, the file of choices."""

import random
from pathlib import Path

import pytest
from scipy.stats import binomtest

from pillow_mlic_gui import blind
from pillow_mlic_gui.blind import SAME, BlindTest, Contender

from .test_session import coded

THREE = [Contender(1, "mlic", 1000), Contender(2, "avif", 1010), Contender(3, "webp", 990)]


@pytest.mark.parametrize(("won", "of"), [(0, 1), (1, 1), (7, 10), (50, 100), (0, 30), (29, 30)])
def test_the_interval_is_wilsons(won: int, of: int) -> None:
    known = binomtest(won, of).proportion_ci(0.95, method="wilson")
    assert blind.interval(won, of) == pytest.approx((known.low, known.high), abs=1e-6)


def test_nothing_is_known_without_choices() -> None:
    assert blind.interval(0, 0) == (0, 1)
    assert blind.tallies([]) == []


def test_only_versions_of_equal_size_take_part() -> None:
    shown = {
        1: coded("avif", 1040),
        2: coded("mlic", 1000),
        3: coded("webp", 1060),  # too large
        4: coded("jpeg", 960),
        5: coded("jpeg", 1000),  # a second one of its kind
    }
    assert blind.contenders(shown, 2) == [
        Contender(2, "mlic", 1000),
        Contender(1, "avif", 1040),
        Contender(4, "jpeg", 960),
    ]
    assert blind.contenders(shown, 9) == []


def test_each_meets_each_in_random_order(tmp_path: Path) -> None:
    orders = set()
    for seed in range(60):
        test = BlindTest(tmp_path / "x.csv", random.Random(seed))
        test.begin("p", THREE)
        pairs = [(a.codec, b.codec) for a, b in test._pairs]
        assert {frozenset(pair) for pair in pairs} == {
            frozenset(pair) for pair in (("mlic", "avif"), ("mlic", "webp"), ("avif", "webp"))
        }
        orders.add(tuple(pairs))
    assert len(orders) > 20
    assert {order[0][0] for order in orders} == {"mlic", "avif", "webp"}


def test_choices_are_written_and_counted(tmp_path: Path) -> None:
    file = tmp_path / "new" / "choices.csv"
    for _ in range(2):
        test = BlindTest(file)
        test.begin("photo, or not", THREE)
        while test.pair is not None:
            codecs = [contender.codec for contender in test.pair]
            if "mlic" in codecs:
                if codecs[test.side] != "mlic":
                    test.swap()
                assert test.shown == 1
                test.judge(better=True)
            else:
                test.judge(better=False)
    verdicts = blind.read(file)
    assert len(verdicts) == 6
    assert verdicts[3:] == test.verdicts
    first = blind.tallies(verdicts)[0]
    assert (first.codec, first.won, first.of) == ("mlic", 4, 4)
    assert sum(verdict.better == SAME for verdict in verdicts) == 2
    lines = blind.result(verdicts, {"mlic": ".mlic"})
    assert lines[0] == ".mlic: better in 4 of 4, 100% (51% to 100%)"
    assert lines[-1] == "No difference seen: 2"
    assert file.read_text().count("photo, or not") == 6


def test_rows_that_are_none_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    assert blind.read(file) == []
    file.write_text("picture,first,first bytes,second,second bytes,better\np,a,1,b,1,c\n\np\n")
    assert blind.read(file) == []


def test_words(tmp_path: Path) -> None:
    test = BlindTest(tmp_path / "x.csv")
    assert "being made" in blind.words(test)
    test.begin("p", THREE[:2])
    assert blind.words(test).startswith("Blind test, 1 to go: A · Space: B · Enter: A is better")
    test.swap()
    assert "B is better" in blind.words(test)
    for name in ("mlic", "avif"):
        assert name not in blind.words(test).lower()
    test.begin("p", THREE[:1])
    assert "no two versions" in blind.words(test)
