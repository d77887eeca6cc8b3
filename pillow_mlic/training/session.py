"""One call of `mlic train`: load pictures, start or resume a run, train, export."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from .. import models, packs
from ..engines import devices
from ..models.base import HasHyperpriorStage, Model, Selective, StartsFromData, Textured
from ..models.lambdas import quality_of
from ..models.published import SingleQualityNetwork
from ..packs import checkpoints
from .data import Crops, load_folder
from .export import export
from .loop import STAGES, STATE, Settings, Trainer, TrainingReport, load_state, settings_from

START_PATCHES = 4000
PATCH = 16
ALONE = {"selection": "selection.", "texture": "synthesis."}
"""Stages that train only a part of the network, and the prefix of the names of its weights."""

NETWORK = Settings(batch=16, crop=256, rate=1e-4, bf16=False)
"""Default settings for networks for one lambda (MLICv2, section 4.1.2)."""


@dataclass(frozen=True)
class TrainingRequest:
    """What to train, on what, for how long. None in `changes`: as saved, or the default."""

    data: Path
    run: Path
    model: str = packs.DEFAULT_MODEL
    minutes: float | None = None
    steps: int | None = None
    cooldown: bool = False
    out: Path | None = None
    start: Path | None = None
    """A run, a weight pack or a published checkpoint, whose weights a new run starts from."""
    lam: float | None = None
    """The lambda to train for, in place of a quality among `changes`."""
    device: str | None = None
    threads: int | None = None
    changes: dict[str, Any] = field(default_factory=dict)


def train(
    request: TrainingRequest,
    report: Callable[[TrainingReport], None],
    loading: Callable[[int, int], None] | None = None,
) -> Path:
    """Train as `request` says; -> the pack that was written.

    A trunk writes its averaged weights to RUN/MODEL.safetensors at every checkpoint. A cooldown
    branches off the trunk's state, without changing it, and writes its weights to `out`, by
    default RUN/MODEL-cooldown-STEP.safetensors. For a network for one quality, MODEL ends in
    the quality. The stage "hyperprior" writes no pack; the result is then its state.
    A recipe ends by itself, after its steps. Raises ValueError for a folder without pictures, or a
    file that is no state.
    """
    if request.threads:
        torch.set_num_threads(request.threads)
    state_path = request.run / STATE
    state = load_state(state_path) if state_path.exists() else None
    if state is None and request.cooldown:
        msg = f"there is nothing to cool down in {request.run}; train a trunk there first"
        raise ValueError(msg)
    if state is not None and request.start is not None:
        msg = f"{request.run} has been begun already; start from other weights in a new folder"
        raise ValueError(msg)
    settings = _settings(request, state)
    steps = _steps(request, settings, 0 if state is None else state["step"])
    request.run.mkdir(parents=True, exist_ok=True)
    if request.out is not None:
        request.out.parent.mkdir(parents=True, exist_ok=True)
    device = _local(request.device)
    pictures = load_folder(request.data, settings.schedule().sides[0], loading)
    if state is not None:
        model = models.create(request.model, state["config"])
    else:
        torch.manual_seed(settings.seed)
        if request.start is not None:
            model = _started(request.model, request.start, settings.stage)
        else:
            model = models.create(request.model)
            if isinstance(model, StartsFromData):
                patches = Crops(pictures, PATCH, settings.seed + 1).batch(0, START_PATCHES)
                model.start_from_data(patches.float() / 255)
    if settings.stage in ALONE:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(ALONE[settings.stage]))
    trainer = Trainer(cast(nn.Module, model), pictures, request.run, settings, device)
    if state is not None:
        trainer.load(state)
    packed = settings.stage != "hyperprior"
    branch = f"-cooldown-{trainer.step}" if request.cooldown else ""
    out = request.out or request.run / f"{_name(request.model, settings)}{branch}{packs.SUFFIX}"

    def checkpoint() -> None:
        """Weights worth looking at, at any time."""
        export(trainer, request.model, out, averaged=True)

    trainer.train(
        steps,
        request.minutes,
        request.cooldown,
        report,
        checkpoint=checkpoint if packed and not request.cooldown else None,
    )
    if packed and trainer.group.rank == 0:
        export(trainer, request.model, out, averaged=not request.cooldown)
    trainer.group.leave()
    return out if packed else state_path


def _settings(request: TrainingRequest, state: dict[str, Any] | None) -> Settings:
    """The defaults, overridden by saved settings, then by `request`; ValueError for impossible
    ones."""
    model = models.class_of(request.model)
    network = issubclass(model, SingleQualityNetwork)
    changes = dict(request.changes)
    if request.lam is not None:
        if changes.get("quality") is not None:
            msg = "give a quality or a lambda, not both"
            raise ValueError(msg)
        changes["quality"] = quality_of(request.lam, changes.get("distortion") or "psnr")
    settings = settings_from(state, NETWORK if network else None, **changes)
    given = [name for name in ("rate", "crop") if changes.get(name) is not None]
    problem = None
    begun = None if state is None else settings_from(state).optimiser
    if settings.recipe and given:
        problem = f"the recipe {settings.recipe} says the {given[0]}; leave out --{given[0]}"
    elif begun not in (None, settings.optimiser):
        problem = f"the run was begun with {begun}; begin one with --from for another optimiser"
    elif network and settings.quality is None:
        problem = f"{request.model} is trained for one quality; say --quality or --lambda"
    elif not network and settings.quality is not None:
        problem = f"{request.model} serves all qualities; leave out --quality and --lambda"
    elif settings.quality is not None and not 1 <= settings.quality <= 8:
        problem = f"quality is {settings.quality:g}, but must be from 1 to 8"
    elif settings.stage not in STAGES:
        problem = f"there is no stage {settings.stage!r}; there are {', '.join(STAGES)}"
    elif settings.stage == "hyperprior" and not issubclass(model, HasHyperpriorStage):
        problem = f"{request.model} has no stage of its hyperprior alone"
    elif settings.stage == "selection" and not issubclass(model, Selective):
        problem = f"{request.model} has no selective compression"
    elif settings.stage == "texture" and not issubclass(model, Textured):
        problem = f"{request.model} has no texture"
    elif settings.stage == "texture" and settings.distortion != "visual":
        problem = "texture is for weights trained for how pictures look; say --distortion visual"
    elif settings.stage in ALONE and state is None and request.start is None:
        problem = f"the stage {settings.stage} is trained last; say --from which weights"
    if problem is not None:
        raise ValueError(problem)
    settings.schedule()  # raises where the recipe has no such stage
    return settings


def _steps(request: TrainingRequest, settings: Settings, done: int) -> int | None:
    """Steps to train: as asked for, and no more than a recipe has left; ValueError where nothing
    says when to stop, or nothing is left."""
    bounds = [b for b in (request.minutes, request.steps) if b is not None]
    whole = None if request.cooldown else settings.schedule().steps
    if min(bounds, default=0 if whole is None else 1) <= 0:
        msg = "say how long to train: --minutes, --steps or both, more than 0"
        raise ValueError(msg)
    if whole is None:
        return request.steps
    if done >= whole:
        msg = f"{request.run} has had the {whole} steps of the recipe {settings.recipe}: it is done"
        raise ValueError(msg)
    return min(whole - done, request.steps or whole)


def _name(model: str, settings: Settings) -> str:
    """The name of a pack without its suffix."""
    kind = {"psnr": "", "ms-ssim": "-msssim", "visual": "-visual"}[settings.distortion]
    quality = "" if settings.quality is None else f"-{settings.quality:g}"
    return f"{model}{kind}{quality}"


def _started(name: str, place: Path, stage: str) -> Model:
    """A network with the weights of a run (their average), of a pack or of a checkpoint."""
    if place.is_dir():
        state = load_state(place / STATE)
        try:
            model = models.create(name, state["config"])
            model.load_state_dict(state["model"])
        except (TypeError, ValueError, RuntimeError) as error:
            msg = f"the weights in {place} are not those of a network {name!r}"
            raise ValueError(msg) from error
        with torch.no_grad():
            for parameter, average in zip(model.parameters(), state["average"], strict=True):
                parameter.copy_(average)
    elif place.suffix != packs.SUFFIX:
        found, model = models.identify(checkpoints.read(place))
        if found != name:
            msg = f"the weights in {place} are those of {found}, not of {name}"
            raise ValueError(msg)
    else:
        file = packs.inspect(place)
        if file.model != name:
            msg = f"the weights in {place} are those of {file.model}, not of {name}"
            raise ValueError(msg)
        model = models.create(name, file.config)
        model.load_state_dict(packs.load(file).model(torch.device("cpu")).state_dict())
    if stage != "selection":
        return model
    assert isinstance(model, Selective)  # as `_settings` has checked
    return model.add_selection()


def _local(asked: str | None) -> torch.device:
    """The device that was asked for; with several processes each has a GPU of its own."""
    device = devices.resolve(asked)
    numbered = ":" in (devices.named(asked) or "")
    if device.type == "cuda" and not numbered and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device
