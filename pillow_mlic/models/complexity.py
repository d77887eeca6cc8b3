"""How large the models are and how much they multiply, counted without any weights."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from . import create
from .base import Latents, ZeroCoder
from .layers.constants import fresh_constants

SIDE = 256
"""Pixels a side of the picture that is counted for."""


class ShapesOnly(FakeTensorMode):
    """Tensors without values; a network that asks for a single number gets 0."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:  # float(tensor), int(tensor), ...
            return 0.0 if args[0].dtype.is_floating_point else 0
        return super().__torch_dispatch__(func, types, args, kwargs)


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

    Tensors have shapes but no values, so nothing is really multiplied; a network's work must not
    depend on values. The encoder is counted without optimised rounding and refinement. ValueError
    for unknown names.
    """
    with ShapesOnly(), torch.no_grad(), fresh_constants():
        model = create(name, config)
        model.requires_grad_(False)
        x = torch.empty(1, SIDE, SIDE, 3)
        q = torch.full((1,), 3.0)
        y, analysis = _counted(lambda: model.analysis(x, q))
        z, hyper_analysis = _counted(lambda: model.hyper_analysis(y))
        y_hat, walk = _counted(lambda: model.entropy(q, Latents(y, z).z_size, ZeroCoder()))
        _, synthesis = _counted(lambda: model.synthesis(y_hat, q))
    kilo = 1000 * SIDE**2
    return Complexity(
        sum(parameter.numel() for parameter in model.parameters()),
        (analysis + hyper_analysis + walk) / kilo,
        (walk + synthesis) / kilo,
        walk / kilo,
    )


def _counted(work: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """What `work` returns, and its multiplications."""
    with FlopCounterMode(display=False) as counter:
        result = work()
    return result, counter.get_total_flops() / 2
