"""Widths and depths of `mlicv2-lite`. Needs no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class LiteConfig:
    """Widths and depths; stages are named by their resolution (4: a quarter of each side)."""

    width4: int = 64
    width8: int = 256
    width16: int = 384
    depth4: int = 1
    depth8: int = 2
    depth16: int = 2
    latents: int = 320
    hyper_latents: int = 32
    hyper_width: int = 192
    context_width: int = 192
    slices: tuple[int, ...] = (16, 16, 32, 64, 192)

    def __post_init__(self) -> None:
        if sum(self.slices) != self.latents:
            msg = f"slices {self.slices} do not add up to {self.latents} latents"
            raise ValueError(msg)

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "LiteConfig":
        """From what `to_dict` gave, as a pack stores it; TypeError, KeyError or ValueError where
        it is something else."""
        return cls(**{**config, "slices": tuple(config["slices"])})

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "slices": list(self.slices)}

    @property
    def halo(self) -> int:
        """How far, in pixels, the transforms see: one position a block, of 4, 8 or 16 pixels."""
        reach = 4 * self.depth4 + 8 * self.depth8 + 16 * self.depth16
        return -(-reach // 16) * 16
