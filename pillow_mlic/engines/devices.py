"""Which device the networks run on, and with how many threads."""

import contextlib
import functools
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from .. import process, settings

if TYPE_CHECKING:
    import torch
    from threadpoolctl import ThreadpoolController

_DRIVERS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg", "/dev/kfd")
"""One of them is there where Linux has a GPU that torch can use (NVIDIA's, WSL's, AMD's)."""


def set_device(device: str | None) -> None:
    """Run networks on `device` ("cpu", "cuda", "cuda:1", "mps") from now on; None: automatic.

    Raises ValueError where torch does not know the device or does not have it, ImportError where
    torch, which all but the CPU need, is missing.
    """
    if device is not None:
        check(device)
    settings.choose_device(device)


def has_module(name: str) -> bool:
    """Whether a module is installed; it is not imported."""
    if name in sys.modules:
        return sys.modules[name] is not None
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def has_torch() -> bool:
    """Whether torch is installed."""
    return has_module("torch")


def require_torch(what: str = "this") -> None:
    """ImportError with advice where torch is not installed; `what` needs it."""
    if not has_torch():
        msg = (
            f"{what} needs torch, which is not installed; run: "
            "python -m pip install 'pillow-mlic[torch]'"
        )
        raise ImportError(msg, name="torch")


def named(device: str | None = None) -> str | None:
    """The device that was asked for: `device`, set_device() or MLIC_DEVICE; None: automatic."""
    name = device or settings.device()
    return None if not name or name == "auto" else name


def is_cpu(name: str) -> bool:
    """Whether this is the CPU's name."""
    return name.partition(":")[0] == "cpu"


def check(device: str | None = None) -> None:
    """Raise what `resolve` would raise; for the CPU nothing is imported."""
    name = named(device)
    if name is not None and name != "cpu":
        resolve(name)


def resolve(device: str | None = None) -> "torch.device":
    """The device to use: `device`, set_device(), MLIC_DEVICE, or a GPU of CUDA if there is one.

    ValueError where it is not there, ImportError where torch is missing.
    """
    name = named(device)
    require_torch("this" if name is None else f"the device {name!r}")
    import torch

    from ..models.defaults import numbered

    if name is None:
        return numbered(torch.device(_automatic()))
    try:
        return numbered(torch.device(name))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        msg = f"device {name!r} is not there, or this torch cannot use it; try 'cpu'"
        raise ValueError(msg) from error


def has_gpu() -> bool:
    """Whether torch has a GPU to run on; torch is only asked where there may be one."""
    if "torch" not in sys.modules and not _may_have_gpu():
        return False
    return has_torch() and _automatic() != "cpu"


def _automatic() -> str:
    """The device that is used where none is asked for: NVIDIA's (or AMD's), or the CPU.

    Apple's GPU, "mps", is used only where it is asked for: nothing here has run on one.
    """
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def available() -> list[str]:
    """The devices there are: "cpu", and GPUs of torch where it has some."""
    found = ["cpu"]
    if has_gpu():
        import torch

        found += [f"cuda:{n}" for n in range(torch.cuda.device_count())]
    if sys.platform == "darwin" and has_torch():
        import torch

        found += ["mps"] if torch.backends.mps.is_available() else []
    return found


@functools.cache
def _may_have_gpu() -> bool:
    """Whether there is a driver of a GPU, and a torch that was built for one."""
    if sys.platform == "win32":
        import ctypes.util

        driver = ctypes.util.find_library("nvcuda") is not None
    else:
        driver = any(Path(place).exists() for place in _DRIVERS)
    return driver and has_torch() and not _version_of_torch().endswith("+cpu")


def _version_of_torch() -> str:
    from importlib import metadata

    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        return ""


def threads() -> int:
    """CPU threads that the calling thread may use: its share (`take_share`), else those chosen, as
    OMP_NUM_THREADS says, or one for each core."""
    share: int | None = getattr(_thread, "share", None)
    if share is not None:
        return share
    said = os.environ.get("OMP_NUM_THREADS", "")
    by_environment = int(said) if said.isdecimal() else 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return settings.threads() or by_environment or cores or 1


def take_share(threads: int) -> None:
    """The calling thread, which works on nothing else until it ends, uses so many threads.

    NumPy's products have a number for the whole process: see `blas_threads`.
    """
    _thread.share = threads
    if (torch := sys.modules.get("torch")) is not None:
        torch.get_num_threads()  # a thread's first call sets its number as torch has it
        _pools().limit(limits=threads, user_api="openmp")  # of this thread alone


_thread = threading.local()


@contextlib.contextmanager
def _as_many_as_before() -> Iterator[None]:
    before = _pools().limit(limits=None, user_api="blas")  # changes nothing, but remembers
    try:
        yield
    finally:
        before.restore_original_limits()


_blas = process.Counted(_as_many_as_before)


@contextlib.contextmanager
def blas_threads(threads: int) -> Iterator[None]:
    """So many threads in NumPy's products, as was said last by any thread, and as many as before
    when the last one leaves."""
    with _blas:
        _pools().limit(limits=threads, user_api="blas")
        yield


@contextlib.contextmanager
def chosen_threads() -> Iterator[None]:
    """As many threads as were chosen in NumPy's products and torch, and then as before.

    ONNX Runtime's threads are those of its sessions (`onnx_engine`).
    """
    chosen = settings.threads()
    if chosen is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(blas_threads(chosen))
        if sys.modules.get("torch") is not None:
            from ..models.defaults import threads as torch_threads

            stack.enter_context(torch_threads(chosen))
        yield


def _pools() -> "ThreadpoolController":
    return _pools_of("torch" in sys.modules)


@functools.cache
def _pools_of(with_torch: bool) -> "ThreadpoolController":  # noqa: ARG001
    """The libraries that are loaded now: torch, which may come later, brings one more."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
