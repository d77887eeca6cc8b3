"""How torch computes while a picture is coded, whatever the caller has set up for himself."""

import contextlib
import functools
import os
from collections.abc import Iterator

import torch

from ..errors import DeviceMemoryError
from ..models.defaults import plain_defaults
from ..process import Counted
from .base import NO_MEMORY


@contextlib.contextmanager
def plain_arithmetic(device: torch.device) -> Iterator[None]:
    """No gradients, and no autocast nor defaults that the caller may have chosen."""
    with plain_defaults(), torch.inference_mode(), torch.autocast(device.type, enabled=False):
        yield


@contextlib.contextmanager
def gradients(device: torch.device, enabled: bool = True) -> Iterator[None]:
    """Tensors that gradients can be taken of, even inside `plain_arithmetic`."""
    with (
        plain_defaults(),
        torch.inference_mode(False),
        torch.set_grad_enabled(enabled),
        torch.autocast(device.type, enabled=False),
    ):
        yield


@contextlib.contextmanager
def _whole_products() -> Iterator[None]:
    saved = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(saved)


def _whole_convolutions() -> contextlib.AbstractContextManager[None]:
    cudnn = torch.backends.cudnn
    kept = {name: getattr(cudnn, name) for name in ("enabled", "benchmark", "deterministic")}
    return cudnn.flags(**kept, allow_tf32=False)


_products = Counted(_whole_products)
"""Products of float32 numbers are not made of bfloat16 or TF32 ones."""
_convolutions = Counted(_whole_convolutions)
"""cuDNN's convolutions are not made of TF32 products."""


@contextlib.contextmanager
def whole_float32(device: torch.device) -> Iterator[None]:
    """Products and convolutions of float32 numbers in float32, on every device."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(_products)
        if device.type == "cuda":
            stack.enter_context(_convolutions)
        yield


def has_fast_bf16(device: str = "cpu") -> bool:
    """Whether a device multiplies bfloat16 numbers faster than float32 ones.

    False if the variable MLIC_BF16 is 0: then all processors of a kind choose the same symbols.
    """
    return os.environ.get("MLIC_BF16") != "0" and _multiplies_bf16(torch.device(device).type)


@functools.cache
def _multiplies_bf16(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind != "cpu" or not hasattr(torch.cpu, "get_capabilities"):  # of torch 2.8 and later
        return False
    found = torch.cpu.get_capabilities()
    return any(found.get(name) for name in ("avx512_bf16", "amx_bf16"))


_WANT_OF_MEMORY = ("out of memory", "Invalid buffer size", "ALLOC_FAILED")
"""What a GPU says, besides OutOfMemoryError: MPS, drivers of CUDA, its libraries."""


@contextlib.contextmanager
def memory_errors(device: torch.device) -> Iterator[None]:
    """Torch's errors for want of memory as DeviceMemoryError, or MemoryError on the CPU."""
    try:
        yield
    except RuntimeError as error:  # OutOfMemoryError, too, and what torch has no class for
        said = str(error)
        unclear = device.type != "cpu" and any(phrase in said for phrase in _WANT_OF_MEMORY)
        if unclear or isinstance(error, torch.OutOfMemoryError):
            msg = f"the memory of {device} does not suffice for this picture"
            raise DeviceMemoryError(msg) from error
        if "not enough memory" not in said:
            raise
        raise MemoryError(NO_MEMORY) from error


def entropy_device(device: torch.device) -> torch.device:
    """Where the entropy part runs: the CPU where the device has no float64."""
    return torch.device("cpu") if device.type == "mps" else device
