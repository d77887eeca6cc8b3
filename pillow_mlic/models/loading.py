"""A network from a configuration and tensors that are not checked yet.

    make(), with no more numbers than the state has -> names and shapes, compared -> the network

A configuration may ask for any width or depth, but no more memory is taken than the given tensors
have.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .defaults import plain_defaults

M = TypeVar("M", bound=nn.Module)

FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.eye)
"""The functions that networks make parameters with; their first arguments are the shape."""

ALLOWANCE = 1 << 16
"""Numbers that may be made besides those of the state."""


def build(make: Callable[[], M], state: Mapping[str, Tensor], *, copy: bool = True) -> M:
    """The network that `make` gives, with copies of the tensors of `state`, in float32.

    Without `copy` float32 tensors are not copied. Raises ValueError if `make` fails, if it asks for
    more numbers than `state` has, or (naming the first differences) if names or shapes differ.
    """
    try:
        with plain_defaults(), _Within(sum(tensor.numel() for tensor in state.values())):
            model = make()
    except (RuntimeError, TypeError, ArithmeticError, LookupError) as error:
        msg = f"no network has this configuration: {str(error) or repr(error)}"
        raise ValueError(msg) from error
    expected = model.state_dict()
    for name, tensor in state.items():
        if name in expected and expected[name].is_floating_point() != tensor.is_floating_point():
            msg = f"these weights do not fit the network: {name} is of {tensor.dtype}"
            raise ValueError(msg)
    tensors = {
        name: tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=copy)
        for name, tensor in state.items()
    }
    try:
        model.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        msg = f"these weights do not fit the network: {_difference(state, expected)}"
        raise ValueError(msg) from error
    return model


def _difference(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """What differs first, and in how many other places something does."""
    wrong = [f"there is no {name!r}" for name in expected if name not in state]
    wrong += [
        f"{name!r} has shape {tuple(state[name].shape)} in place of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    wrong += [f"{name!r} is no part of it" for name in state if name not in expected]
    first, *others = wrong or ["it cannot hold them"]
    return f"{first} (and {len(others)} more differences)" if others else first


class _Within(TorchFunctionMode):
    """A context in which this thread can make at most so many numbers, without values."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self._left = numbers + ALLOWANCE

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else kwargs["tensor"]
        if func in FACTORIES:
            shape = args[0] if args and not isinstance(args[0], int) else args
            self._left -= math.prod(shape) ** (2 if func is torch.eye else 1)
            if self._left < 0:
                msg = "these weights do not fit the network: it is larger than they are"
                raise ValueError(msg)
        return func(*args, **kwargs)
