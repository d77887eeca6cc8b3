"""Finding the quality that gives a wanted size or fidelity, in few trials.

It knows neither pictures nor files, only a function of quality: nearly linear, rising (the
logarithm of a size, a PSNR in dB), and slow to call.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scale:
    """Qualities that can be asked for: lowest, lowest + step, lowest + 2 step ... to highest.

    `slope`: about how much the level rises for 1 of quality; only the second trial depends on it.
    """

    lowest: float
    highest: float
    step: float
    slope: float

    @property
    def last(self) -> int:
        """The index of `highest`."""
        return round((self.highest - self.lowest) / self.step)

    def quality(self, index: int) -> float:
        """The quality of an index from 0 to `last`."""
        return self.lowest + index * self.step

    def index(self, quality: float) -> int:
        """The index nearest to `quality`, whatever it is."""
        wanted = (min(max(quality, self.lowest), self.highest) - self.lowest) / self.step
        return min(max(round(wanted), 0), self.last)


@dataclass(frozen=True)
class Aim:
    """The level that is searched for; anything within `tolerance` of it is as good.

    With `ceiling` no level above it is accepted.
    """

    level: float
    tolerance: float
    ceiling: bool = False

    def hit_by(self, level: float) -> bool:
        """Whether this level will do."""
        most = self.level if self.ceiling else self.level + self.tolerance
        return self.level - self.tolerance <= level <= most

    @property
    def middle(self) -> float:
        """The middle of the levels that count as hits."""
        return self.level - 0.4 * self.tolerance if self.ceiling else self.level


@dataclass(frozen=True)
class FoundQuality:
    """The best trial: `quality` gave `level`, within tolerance if `hit`.

    `trials`: levels of all qualities that are known. Without `hit` there are three cases: the level
    jumps between neighbouring qualities, there were too few trials, or the aim lies beyond an end
    of the scale, and `quality` is that end.
    """

    quality: float
    level: float
    hit: bool
    trials: dict[float, float] = field(default_factory=dict)


def search(
    measure: Callable[[float], float],
    aim: Aim,
    scale: Scale,
    *,
    guess: float | None = None,
    known: dict[float, float] | None = None,
    limit: int = 6,
) -> FoundQuality:
    """The quality whose level comes nearest to the aim, by at most `limit` calls of `measure`.

    Stops where the aim is hit. Trials are placed by the line through the nearest levels on both
    sides, so that a straight `measure` is hit by the third. `guess`: where to begin; `known`:
    levels of qualities measured before.

    If the aim is a ceiling, the result lies above it only if every quality does: if all `limit`
    trials are above, the lowest quality is tried, too.
    """
    levels = {scale.index(quality): level for quality, level in (known or {}).items()}

    def cost(index: int) -> tuple[bool, float]:
        return aim.ceiling and levels[index] > aim.level, abs(levels[index] - aim.level)

    calls = 0
    while not any(map(aim.hit_by, levels.values())) and calls < limit:
        index = _next(levels, aim.middle, scale, guess)
        if index is None:
            break
        levels[index] = measure(scale.quality(index))
        calls += 1
    if aim.ceiling and min(levels.values(), default=math.inf) > aim.level and 0 not in levels:
        levels[0] = measure(scale.quality(0))
    chosen = min(levels, key=cost)
    trials = {scale.quality(index): level for index, level in levels.items()}
    return FoundQuality(scale.quality(chosen), levels[chosen], aim.hit_by(levels[chosen]), trials)


def _next(levels: dict[int, float], aim: float, scale: Scale, guess: float | None) -> int | None:
    """Where to look next, never twice at one place; None if there is no place left between."""
    if not levels:
        return scale.index((scale.lowest + scale.highest) / 2 if guess is None else guess)
    below = max((i for i, level in levels.items() if level <= aim), default=None)
    above = min((i for i, level in levels.items() if level > aim), default=None)
    if below is not None and above is not None:
        if above - below < 2:  # neighbours, or noise turned them round: no finer step
            return None
        low, high = aim - levels[below], levels[above] - aim
        *_, before, last = (level > aim for level in levels.values())
        if before == last:  # one end stays where it is: the line is bent, so lean towards that end
            low, high = (low / 2, high) if last else (low, high / 2)
        share = low / (low + high)
        return min(max(below + round(share * (above - below)), below + 1), above - 1)
    if below is None:
        start, bound = min(levels), 0
    else:
        start, bound = max(levels), scale.last
    if start == bound:
        return None
    steps = round((aim - levels[start]) / (_slope(levels, start, scale) * scale.step))
    reached = start + (min(steps, -1) if bound == 0 else max(steps, 1))
    return min(max(reached, 0), scale.last)


def _slope(levels: dict[int, float], start: int, scale: Scale) -> float:
    """Rise of the level for 1 of quality beyond `start`: by the nearest other trial, if it rose."""
    others = sorted((abs(i - start), i) for i in levels if i != start)
    if others:
        near = others[0][1]
        slope = (levels[near] - levels[start]) / ((near - start) * scale.step)
        if slope > scale.slope / 8:
            return slope
    return scale.slope
