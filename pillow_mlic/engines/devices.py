"""Which device the networks run on."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .. import settings

if TYPE_CHECKING:
    import torch


def set_device(device: str | None) -> None:
    """Run networks on `device` ("cpu", "cuda", "cuda:1", "mps") from now on; None: automatic.

    Raises ValueError where torch does not know the device or does not have it.
    """
    if device is not None:
        resolve(device)
    settings.choose_device(device)


def require_torch() -> None:
    """ImportError with advice where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        msg = (
            "the pixels of .mlic pictures need torch, which is not installed; run: "
            "python -m pip install 'pillow-mlic[torch]'"
        )
        raise ImportError(msg, name="torch") from error


def resolve(device: str | None = None) -> "torch.device":
    """The device to use: `device`, set_device(), MLIC_DEVICE, or a GPU if there is one."""
    import torch

    name = device or settings.device()
    if not name or name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(name)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        msg = f"device {name!r} is not there, or this torch cannot use it; try 'cpu'"
        raise ValueError(msg) from error
    return chosen


@contextlib.contextmanager
def chosen_threads() -> Iterator[None]:
    """As many threads of torch as were chosen, and afterwards as many as before."""
    import torch

    before, chosen = torch.get_num_threads(), settings.threads()
    if chosen is None or chosen == before:
        yield
        return
    torch.set_num_threads(chosen)
    try:
        yield
    finally:
        torch.set_num_threads(before)
