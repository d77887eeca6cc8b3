"""A tile, or a part of one, among its decoded neighbours."""

from typing import NamedTuple

from ..engines.base import Floats
from ..format.geometry import Box, within


class Around(NamedTuple):
    """Decoded latents y_hat (B, h/16, w/16, M) in `outer`, which is `box` with its halo.

    The latents in `box` are overwritten by each trial.
    """

    y_hat: Floats
    outer: Box
    box: Box

    def inside(self) -> Floats:
        """A copy of the latents in `box`."""
        return self.y_hat[:, *within(self.box, self.outer)].copy()

    def put(self, y_hat: Floats) -> None:
        """From now on `box` has these latents."""
        self.y_hat[:, *within(self.box, self.outer)] = y_hat
