"""A blind test: two unnamed versions of one size in one place, which is better, and what came of
it."""

import csv
import itertools
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .jobs import CodedPicture

NEAR = 0.05
"""Versions whose size differs from the reference's by more take no part: bytes would decide."""
CONFIDENCE = 1.959964
"""Standard deviations of an interval that holds the truth in 95 of 100 cases."""
COLUMNS = ("picture", "first", "first bytes", "second", "second bytes", "better")
SAME = ""
"""Stands for "no difference" in the file."""


class Contender(NamedTuple):
    """A version in a blind test: its number in the session, codec and bytes."""

    number: int
    codec: str
    size: int


class Verdict(NamedTuple):
    """Which of two codecs was better; `better` is one of their names, or SAME."""

    first: str
    second: str
    better: str


class Tally(NamedTuple):
    """How often a codec won where one of two was better, and the share's interval (95 %)."""

    codec: str
    won: int
    of: int
    low: float
    high: float


def contenders(shown: dict[int, CodedPicture], reference: int) -> list[Contender]:
    """Versions of about the reference's size, one of each codec."""
    if reference not in shown:
        return []
    size = shown[reference].size
    found: dict[str, Contender] = {}
    for number, coded in sorted(shown.items(), key=lambda item: item[0] != reference):
        if coded.quality is not None and abs(coded.size / size - 1) <= NEAR:
            found.setdefault(coded.codec, Contender(number, coded.codec, coded.size))
    return list(found.values())


def interval(won: int, of: int, z: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's interval of a share (E. B. Wilson, 1927): from and to, 0..1."""
    if not of:
        return 0.0, 1.0
    share, spread = won / of, z * z / of
    middle = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def tallies(verdicts: Iterable[Verdict]) -> list[Tally]:
    """How often each codec won, the most successful first; "no difference" counts for neither."""
    won: dict[str, int] = {}
    of: dict[str, int] = {}
    for verdict in verdicts:
        if verdict.better == SAME:
            continue
        for codec in (verdict.first, verdict.second):
            of[codec] = of.get(codec, 0) + 1
            won[codec] = won.get(codec, 0) + (codec == verdict.better)
    found = [Tally(codec, won[codec], of[codec], *interval(won[codec], of[codec])) for codec in of]
    return sorted(found, key=lambda tally: (-tally.won / tally.of, tally.codec))


def result(verdicts: list[Verdict], names: dict[str, str]) -> list[str]:
    """The tallies in words, a line for each codec; `names` of codecs for people."""
    lines = [
        f"{names.get(t.codec, t.codec)}: better in {t.won} of {t.of}, {t.won / t.of:.0%} "
        f"({t.low:.0%} to {t.high:.0%})"
        for t in tallies(verdicts)
    ]
    same = sum(verdict.better == SAME for verdict in verdicts)
    return [*lines, f"No difference seen: {same}"] if same else lines


@dataclass
class BlindTest:
    """Pairs of one picture after another, shuffled; verdicts go to `file` (CSV) at once."""

    file: Path
    chance: random.Random = field(default_factory=random.SystemRandom)
    verdicts: list[Verdict] = field(default_factory=list)
    """Of this test."""
    picture: str = ""
    side: int = 0
    """Which of the two is shown, 0 or 1."""
    _pairs: list[tuple[Contender, Contender]] = field(default_factory=list)

    @property
    def pair(self) -> tuple[Contender, Contender] | None:
        """The two that are compared; None while there are none."""
        return self._pairs[0] if self._pairs else None

    @property
    def left(self) -> int:
        """Pairs of this picture that are still to be judged."""
        return len(self._pairs)

    @property
    def shown(self) -> int | None:
        """The number of the version that is shown."""
        return self.pair[self.side].number if self.pair is not None else None

    def begin(self, picture: str, found: list[Contender]) -> None:
        """Judge these versions of a picture, each against each, in any order."""
        self.leave()
        self.picture, self.side = picture, 0
        pairs = list(itertools.combinations(found, 2))
        for first, second in self.chance.sample(pairs, len(pairs)):
            turned = self.chance.random() < 0.5
            self._pairs.append((second, first) if turned else (first, second))

    def leave(self) -> None:
        """The picture is another, or is made anew."""
        self.picture = ""
        self._pairs.clear()

    def swap(self) -> None:
        """Show the other one."""
        self.side = 1 - self.side

    def judge(self, better: bool) -> None:
        """The one that is shown is better, or there is no difference; the next pair follows.

        OSError if the file cannot be written.
        """
        assert self.pair is not None
        first, second = self.pair
        winner = self.pair[self.side].codec if better else SAME
        row = [self.picture, first.codec, first.size, second.codec, second.size, winner]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new = not self.file.exists()
        with open(self.file, "a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(COLUMNS)
            writer.writerow(row)
        self.verdicts.append(Verdict(first.codec, second.codec, winner))
        self._pairs.pop(0)
        self.side = 0


def words(test: BlindTest | None) -> str:
    """What is asked, and which keys answer."""
    if test is None:
        return ""
    if test.pair is None and test.picture:
        return "Blind test: no two versions have about the same size · Page Down · Esc: result"
    if test.pair is None:
        return "Blind test: the versions are being made · Esc ends the test"
    side = "AB"[test.side]
    return (
        f"Blind test, {test.left} to go: {side} · Space: {'BA'[test.side]} · "
        f"Enter: {side} is better · Backspace: no difference · Esc: result"
    )


def read(file: Path) -> list[Verdict]:
    """All verdicts in a file; rows that are none are left out."""
    if not file.exists():
        return []
    with open(file, newline="", encoding="utf-8", errors="replace") as opened:
        rows = list(csv.DictReader(opened))
    found = [
        Verdict(*(row.get(name) or "" for name in ("first", "second", "better"))) for row in rows
    ]
    return [v for v in found if v.first and v.second and v.better in (v.first, v.second, SAME)]
