"""The integer walk for the engine of torch: choosing symbols by its tensors.

The walk itself is NumPy's and runs on the CPU, whatever the engine's device. Torch multiplies its
matrices, so that torch's number of threads holds here, too: two pools of threads would disturb each
other.
"""

from functools import partial
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..entropy.rounding import Rounding
from ..integers.coders import Choose
from ..integers.estimate import scales
from ..integers.network import CodingStep
from ..models.base import Select
from ..models.layers import checkerboard
from .arithmetic import whole_float32
from .base import Floats

CPU = torch.device("cpu")


def chooser(rounding: Rounding | None) -> Choose | None:
    """What chooses the symbols of a step as `rounding` has them; None: to the nearest."""
    return None if rounding is None else partial(_chosen, rounding)


def product(x: Floats, weight: Floats) -> Floats:
    """A matrix product by torch on the CPU, in whole float32; see integers.check.Product."""
    with whole_float32(CPU), torch.autocast("cpu", enabled=False):
        return cast(Floats, torch.mm(torch.from_numpy(x), torch.from_numpy(weight)).numpy())


def _chosen(
    rounding: Rounding, step: CodingStep, exact: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Symbols of a step as `rounding` has them."""

    def tensor(values: NDArray[np.floating[Any]]) -> Tensor:
        return torch.from_numpy(np.array(values, np.float32))

    mean = np.zeros_like(exact) if step.mean is None else step.mean / step.step
    symbols = rounding(
        tensor(exact),
        tensor(mean),
        tensor(scales(step)),
        tensor(1 / (step.unit * step.step)),
        selected(step),
    )
    return np.asarray(symbols.numpy())


def selected(step: CodingStep) -> Select:
    """What picks the latents of a step; see models.base.Coder."""
    channels = step.channels
    if channels is None:
        return lambda latents: latents.z
    return lambda latents: checkerboard.take(latents.y[..., channels], step.half)
