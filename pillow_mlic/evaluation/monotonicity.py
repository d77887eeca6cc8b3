"""Does a higher quality give more bytes and more PSNR, on every single picture?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Step:
    """The change from one quality to the next on a picture: bytes in percent, PSNR in dB."""

    image: str
    lower: float
    higher: float
    more_bytes: float
    more_psnr: float


@dataclass(frozen=True)
class Monotonicity:
    """All steps of a codec between neighbouring qualities, on all pictures."""

    codec: str
    steps: list[Step]

    @property
    def falls(self) -> list[Step]:
        """The steps that give fewer bytes or less PSNR."""
        return [step for step in self.steps if step.more_bytes <= 0 or step.more_psnr <= 0]

    def sentence(self) -> str:
        """What was found, in words."""
        if not self.falls:
            return (
                f"{self.codec}: bytes and PSNR rise at all {len(self.steps)} steps, by "
                f"{min(step.more_bytes for step in self.steps):.2f} % and "
                f"{min(step.more_psnr for step in self.steps):.3f} dB at least."
            )
        worst = "; ".join(
            f"{step.image} from {step.lower:g} to {step.higher:g}: {step.more_bytes:+.2f} % bytes, "
            f"{step.more_psnr:+.3f} dB"
            for step in self.falls
        )
        return f"{self.codec}: {len(self.falls)} of {len(self.steps)} steps do not rise: {worst}."


def monotonicity(codec: str, rows: Iterable[Mapping[str, Any]]) -> Monotonicity | None:
    """The steps in the rows of a bench run; None if no picture has two qualities."""
    pictures: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["codec"] == codec and "error" not in row:
            pictures.setdefault(row["image"], []).append(row)
    steps = [
        Step(
            image,
            low["setting"],
            high["setting"],
            100 * (high["bpp"] / low["bpp"] - 1),
            high["psnr-rgb"] - low["psnr-rgb"],
        )
        for image, found in pictures.items()
        for low, high in pairwise(sorted(found, key=lambda row: row["setting"]))
    ]
    return Monotonicity(codec, steps) if steps else None
