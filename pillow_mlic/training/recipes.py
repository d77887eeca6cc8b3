"""Schedules of papers, by name: learning rates and sides of crops, each from a step on.

Steps are those of one run; a recipe has a schedule for each of its stages.
"""

from bisect import bisect_right
from typing import NamedTuple, TypeVar

T = TypeVar("T")
M = 1_000_000


class Schedule(NamedTuple):
    """What a step is trained with. `rates` and `crops` begin with step 0."""

    rates: tuple[tuple[int, float], ...]
    """(first step, learning rate)."""
    crops: tuple[tuple[int, int], ...]
    """(first step, side of a crop in pixels)."""
    steps: int | None = None
    """How many there are; None: as many as are asked for."""

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return _valid(self.rates, step)

    def crop(self, step: int) -> int:
        """Side of the crops of a step, in pixels."""
        return _valid(self.crops, step)

    @property
    def sides(self) -> tuple[int, ...]:
        """All sides of crops, smallest first."""
        return tuple(sorted({side for _, side in self.crops}))


def _valid(values: tuple[tuple[int, T], ...], step: int) -> T:
    """The value of the last first step that is not after `step`."""
    return values[bisect_right(values, step, key=lambda entry: entry[0]) - 1][1]


FALLING = (
    *((0, 1e-4), (1_500_000, 3e-5), (1_800_000, 1e-5)),
    *((1_900_000, 3e-6), (1_950_000, 1e-6)),
)
"""Rates of both papers."""

RECIPES = {
    "mlic": {"all": Schedule(FALLING, ((0, 256), (1_200_000, 448)), 2 * M)},  # MLIC, section 4.1
    "mlicv2": {  # MLICv2, section 4.1.2
        "hyperprior": Schedule(((0, 1e-4),), ((0, 256),), 2 * M),
        "all": Schedule(FALLING, ((0, 256), (1_200_000, 512)), 2 * M),
        "selection": Schedule(((0, 1e-3),), ((0, 256),), 20_000),
    },
}
"""By name, and by stage."""


def schedule_of(recipe: str, stage: str) -> Schedule:
    """The schedule of a stage; ValueError where there is none."""
    if recipe not in RECIPES:
        msg = f"there is no recipe {recipe!r}; there are {', '.join(RECIPES)}"
        raise ValueError(msg)
    stages = RECIPES[recipe]
    if stage not in stages:
        msg = f"the recipe {recipe} has no stage {stage!r}; it has {', '.join(stages)}"
        raise ValueError(msg)
    return stages[stage]
