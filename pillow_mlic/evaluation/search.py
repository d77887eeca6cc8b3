"""Which quality gives a file of this size, or a picture of this PSNR."""

from collections.abc import Callable, MutableMapping


def search(
    measure: Callable[[float], float],
    target: float,
    lowest: float,
    highest: float,
    *,
    step: float = 1.0,
    tolerance: float = 0.0,
    at_most: bool = False,
    known: MutableMapping[float, float] | None = None,
) -> float:
    """The quality, `lowest` + k `step`, at which `measure` is nearest to `target`.

    `measure(quality)` must not fall as quality grows; the nearer it is to a straight line, the
    fewer calls are made (for sizes: their logarithm). With `at_most` the highest quality whose
    measure is not above `target`, or `lowest`. The search ends early within `tolerance` of the
    target. `known` holds what was measured before, by quality, and learns what is measured now.
    """
    seen = {} if known is None else known
    last = round((highest - lowest) / step)

    def at(place: int) -> float:
        quality = round(lowest + place * step, 6)
        if quality not in seen:
            seen[quality] = measure(quality)
        return seen[quality]

    def good(value: float) -> bool:
        return -tolerance <= value - target <= (0 if at_most else tolerance)

    # Places whose measures are known: the nearest one below the target, and above.
    below, above = -1, last + 1
    for quality in sorted(seen):
        place = round((quality - lowest) / step)
        if 0 <= place <= last and abs(lowest + place * step - quality) < 1e-6:
            if good(seen[quality]):
                return quality
            if seen[quality] <= target:
                below = max(below, place)
            elif place > below:
                above = min(above, place)
    interpolated = False
    while above - below > 1:
        place = (below + above) // 2
        if not interpolated and below >= 0 and above <= last:
            low, high = at(below), at(above)
            share = (target - low) / (high - low)
            place = min(max(round(below + share * (above - below)), below + 1), above - 1)
        interpolated = not interpolated
        value = at(place)
        if good(value):
            return round(lowest + place * step, 6)
        if value <= target:
            below = place
        else:
            above = place
    candidates = [place for place in (below, above) if 0 <= place <= last]
    best = candidates[0] if at_most else min(candidates, key=lambda p: abs(at(p) - target))
    return round(lowest + best * step, 6)
