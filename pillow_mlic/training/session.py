"""One call of `mlic train`: load pictures, start or resume a run, train, export."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .. import devices, models, packs
from .data import Crops, load_folder
from .export import export
from .loop import STATE, Report, Trainer, load_state, settings_from

START_PATCHES = 4000
PATCH = 16


@dataclass(frozen=True)
class Request:
    """What to train, on what, for how long. None in `changes`: as saved, or the default."""

    data: Path
    run: Path
    model: str = "mlicv2-lite"
    minutes: float | None = None
    steps: int | None = None
    cooldown: bool = False
    out: Path | None = None
    device: str | None = None
    threads: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)


def train(
    request: Request,
    report: Callable[[Report], None],
    loading: Callable[[int, int], None] | None = None,
) -> Path:
    """Train as `request` says; -> the pack that was written.

    A trunk writes its averaged weights to RUN/MODEL.safetensors at every checkpoint. A cooldown
    branches off the trunk's state, which it leaves alone, and writes its weights to `out`, by
    default RUN/MODEL-cooldown-STEP.safetensors.
    Raises ValueError for a folder without pictures or a state that is none.
    """
    if request.model in models.PUBLISHED:
        msg = f"model {request.model!r} cannot be trained here yet; import its published weights"
        raise ValueError(msg)
    bounds = [b for b in (request.minutes, request.steps) if b is not None]
    if not bounds or min(bounds) <= 0:
        msg = "say how long to train: --minutes, --steps or both, more than 0"
        raise ValueError(msg)
    if request.threads:
        torch.set_num_threads(request.threads)
    request.run.mkdir(parents=True, exist_ok=True)
    if request.out is not None:
        request.out.parent.mkdir(parents=True, exist_ok=True)
    state_path = request.run / STATE
    state = load_state(state_path) if state_path.exists() else None
    if state is None and request.cooldown:
        msg = f"there is nothing to cool down in {request.run}; train a trunk there first"
        raise ValueError(msg)
    settings = settings_from(state, **request.changes)
    device = _local(devices.resolve(request.device))
    pictures = load_folder(request.data, settings.crop, loading)
    if state is not None:
        model = models.create(request.model, state["config"])
    else:
        torch.manual_seed(settings.seed)
        model = models.create(request.model)
        patches = Crops(pictures, PATCH, settings.seed + 1).batch(0, START_PATCHES)
        model.start_from_data(patches.float() / 255)
    trainer = Trainer(model, pictures, request.run, settings, device)
    if state is not None:
        trainer.load(state)
    branch = f"-cooldown-{trainer.step}" if request.cooldown else ""
    out = request.out or request.run / f"{request.model}{branch}{packs.SUFFIX}"

    def checkpoint() -> None:
        """Weights worth looking at, at any time."""
        export(trainer, request.model, out, averaged=True)

    trainer.train(
        request.steps,
        request.minutes,
        request.cooldown,
        report,
        checkpoint=None if request.cooldown else checkpoint,
    )
    if trainer.group.rank == 0:
        export(trainer, request.model, out, averaged=not request.cooldown)
    trainer.group.leave()
    return out


def _local(device: torch.device) -> torch.device:
    """With several processes on one machine, each has a GPU of its own."""
    if str(device) == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device
