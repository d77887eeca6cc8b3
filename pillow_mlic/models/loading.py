"""A network from tensors that nobody has checked: built without memory, compared, then filled.

    make() on torch's "meta" device -> names and shapes, compared with the state -> the network

A configuration may ask for any width or depth; what is taken is never more than the tensors that
are there.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

M = TypeVar("M", bound=nn.Module)


def build(make: Callable[[], M], state: Mapping[str, Tensor]) -> M:
    """The network that `make` gives, with copies of the tensors of `state`, in float32.

    Raises ValueError where `make` fails, and with the first names and shapes that differ.
    """
    try:
        with torch.device("meta"), _at_most(len(state)):
            model = make()
    except (RuntimeError, TypeError, ArithmeticError, LookupError) as error:
        msg = f"no network has this configuration: {str(error) or repr(error)}"
        raise ValueError(msg) from error
    expected = model.state_dict()
    for name, tensor in state.items():
        if name in expected and expected[name].is_floating_point() != tensor.is_floating_point():
            msg = f"these weights do not fit the network: {name} is of {tensor.dtype}"
            raise ValueError(msg)
    copies = {
        name: tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True)
        for name, tensor in state.items()
    }
    try:
        model.load_state_dict(copies, strict=True, assign=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:]]
        msg = "these weights do not fit the network: " + " ".join(lines)[:400]
        raise ValueError(msg) from error
    return model


@contextmanager
def _at_most(count: int) -> Iterator[None]:
    """Within, a ValueError ends the making of more than `count` parameters by this thread."""
    thread = threading.get_ident()
    left = count

    def made(module: nn.Module, name: str, parameter: nn.Parameter) -> None:  # noqa: ARG001
        nonlocal left
        left -= threading.get_ident() == thread
        if left < 0:
            msg = f"these weights do not fit the network: it has more than their {count} tensors"
            raise ValueError(msg)

    hook = register_module_parameter_registration_hook(made)
    try:
        yield
    finally:
        hook.remove()
