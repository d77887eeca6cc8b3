"""How large the models are and how much they multiply, counted without any weights."""

from typing import Any, NamedTuple

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from . import create
from .base import Latents, ZeroCoder

SIDE = 256
"""Pixels a side of the picture that is counted for."""


class Complexity(NamedTuple):
    """`parameters` as a number, the others in thousands of multiplications a pixel.

    `entropy` is a part of `encode` and of `decode`.
    """

    parameters: int
    encode: float
    decode: float
    entropy: float


def complexity(name: str, config: dict[str, Any] | None = None) -> Complexity:
    """Matrix products and convolutions for one 256x256 picture; `config` as in a pack, or default.

    Tensors have shapes but no values, so nothing is multiplied. The encoder is counted without
    optimised rounding and refinement. ValueError for unknown names.
    """
    with FakeTensorMode(), torch.no_grad():
        model = create(name, config).requires_grad_(False)
        x = torch.empty(1, SIDE, SIDE, 3)
        q = torch.full((1,), 3.0)
        y = model.analysis(x, q)
        z_size = Latents(y, model.hyper_analysis(y)).z_size
        transforms = _macs(lambda: (model.analysis(x, q), model.hyper_analysis(y)))
        walk = _macs(lambda: model.entropy(q, z_size, ZeroCoder()))
        synthesis = _macs(lambda: model.synthesis(y, q))
    kilo = 1000 * SIDE**2
    return Complexity(
        sum(parameter.numel() for parameter in model.parameters()),
        (transforms + walk) / kilo,
        (walk + synthesis) / kilo,
        walk / kilo,
    )


def _macs(work: Any) -> float:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2
