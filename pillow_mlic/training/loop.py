"""The training loop: one for every model, on one process or several, resumable to the bit.

A *trunk* is trained at a constant rate for as long as there is time; its state is saved every few
minutes and resumed exactly. A *cooldown* branches off the trunk, takes the rate down to zero and
yields weights worth exporting; the trunk can go on from where it was.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..distortion.costs import MIN_CROPS
from ..engines.base import Pixels
from ..models.base import Latents
from .data import Crops
from .objective import Figures, rate_distortion, selection, stratified_qualities
from .optimiser import Average, gradients, make_optimiser, set_rate
from .recipes import Schedule, schedule_of
from .texture import textured

STATE = "state.pt"
LOG = "log.jsonl"
MOST_SKIPPED = 100
"""Steps in a row without finite gradients after which training gives up."""
STAGES = ("all", "hyperprior", "selection", "texture")
"""Which part of a network is trained; see `Settings.stage`."""


@dataclass(frozen=True)
class Settings:
    """The settings of a run. They are saved in its state, so that resuming needs none of them."""

    batch: int = 32
    crop: int = 128
    rate: float = 2e-3
    warm_up: int = 200
    clip: float = 1.0
    exponent: float = -0.7
    average: float = 0.9995
    seed: int = 0
    bf16: bool = True
    optimiser: str = "adam"
    """Or "soap"; see `training.soap`."""
    quality: float | None = None
    """The one quality that a network is trained for; None: all of them at once."""
    distortion: str = "psnr"
    """Or "ms-ssim", or "visual"; see `distortion.costs`."""
    stage: str = "all"
    """Or "hyperprior": without contexts; "selection": only the networks that choose which symbols
    are coded; "texture": only synthesis, with noise where symbols are zero."""
    recipe: str = ""
    """A name of `recipes.RECIPES`, whose schedule takes the place of `rate` and `crop`; or none."""

    def schedule(self) -> Schedule:
        """Rates and sides of crops by step; ValueError for a recipe that there is not."""
        if self.recipe:
            return schedule_of(self.recipe, self.stage)
        return Schedule(((0, self.rate),), ((0, self.crop),))


class TrainingReport(NamedTuple):
    """Progress of a run: means since the last report."""

    step: int
    fraction: float
    seconds: float
    seconds_left: float
    loss: float
    bpp: float
    psnr: float
    crops_per_second: float
    rate: float
    skipped: int
    cooldown: bool


class Group:
    """The processes that train together (one, or as many as torchrun started)."""

    def __init__(self, device: torch.device) -> None:
        self.size = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.size > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    def sum(self, tensor: Tensor) -> None:
        """Sum over processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)

    def leave(self) -> None:
        """Leave the group: nothing is summed or shared any more."""
        if self.size > 1 and dist.is_initialized():
            dist.barrier()  # what the first process still writes, the others may want to read
            dist.destroy_process_group()

    def share(self, module: nn.Module) -> None:
        """Give every process the first one's weights: their own may differ in the last bit."""
        if self.size > 1:
            for tensor in module.state_dict().values():
                dist.broadcast(tensor, src=0)


class Trainer:
    """Trains `model` on `pictures`; state lives in the folder `run`."""

    def __init__(
        self,
        model: nn.Module,
        pictures: list[Pixels],
        run: Path,
        settings: Settings,
        device: torch.device,
    ) -> None:
        self.group = Group(device)
        self.model = model.to(device)
        self.group.share(self.model)
        self.settings = settings
        self.run = run
        self.device = device
        self.schedule = settings.schedule()
        self.optimiser = make_optimiser(settings.optimiser, model, device)
        self.average = Average(model, settings.average)
        self.step = 0
        self.seen = 0
        self.seconds = 0.0
        self.skipped = 0
        if settings.batch < 1 or settings.batch % self.group.size:
            msg = f"a batch of {settings.batch} cannot be shared by {self.group.size} processes"
            raise ValueError(msg)
        sides, least = self.schedule.sides, MIN_CROPS[settings.distortion]
        if sides[0] < 1 or sides[0] % 64:
            msg = f"the side of a crop is {sides[0]}, but must be a multiple of 64"
            raise ValueError(msg)
        if sides[0] < least:
            msg = (
                f"training for {settings.distortion} needs crops of {least} pixels a side or more, "
                f"not {sides[0]}; give a larger --crop"
            )
            raise ValueError(msg)
        self._crops = {side: Crops(pictures, side, settings.seed) for side in sides}

    @property
    def crops(self) -> Crops:
        """Those of the current step."""
        return self._crops[self.schedule.crop(self.step)]

    # ---- state -------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Everything that resuming needs; random numbers depend only on seed and step."""
        return {
            "model": self.model.state_dict(),
            "config": self.model.config_dict(),  # type: ignore[operator]
            "average": self.average.parameters,
            "average_steps": self.average.steps,
            "optimiser": self.optimiser.state_dict(),
            "settings": asdict(self.settings),
            "step": self.step,
            "seen": self.seen,
            "seconds": self.seconds,
            "skipped": self.skipped,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from `state`."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        for mine, saved in zip(self.average.parameters, state["average"], strict=True):
            mine.copy_(saved)
        self.average.steps = state.get("average_steps", 0)
        self.step = state["step"]
        self.seen = state.get("seen", self.step * self.settings.batch)
        self.seconds = state["seconds"]
        self.skipped = state["skipped"]

    def save(self, path: Path | None = None) -> None:
        """Write the state beside and rename, so that a kill leaves the old one whole."""
        if self.group.rank:
            return
        path = path or self.run / STATE
        part = path.with_suffix(".part")
        torch.save(self.state(), part)
        part.replace(path)

    # ---- training ----------------------------------------------------------------------------

    def _batch(self) -> tuple[Tensor, Tensor, Latents]:
        """This process's share of the batch of the current step."""
        s = self.settings
        generator = torch.Generator(self.device).manual_seed(s.seed * 1_000_003 + self.step)
        y_channels, z_channels = self.model.channels  # type: ignore[misc]
        y_side, z_side = self.crops.size // 16, self.crops.size // 64
        share = slice(
            self.group.rank * s.batch // self.group.size,
            (self.group.rank + 1) * s.batch // self.group.size,
        )
        serve = self.crops.batch if self.device.type == "cpu" else self.crops.ahead
        crops = serve(self.step, s.batch)[share].to(self.device, non_blocking=True)
        if s.quality is None:
            quality = stratified_qualities(s.batch, generator)[share]
        else:
            quality = torch.full((len(crops),), float(s.quality), device=self.device)

        def noise(side: int, channels: int) -> Tensor:
            """Noise of the whole batch in every process, so that their number makes no
            difference."""
            size = (s.batch, side, side, channels)
            return torch.rand(size, generator=generator, device=self.device)[share] - 0.5

        y, z = noise(y_side, y_channels), noise(z_side, z_channels)
        return crops.float() / 255, quality, Latents(y, z)

    def _forward(self, x: Tensor, quality: Tensor, noise: Latents) -> Figures:
        s = self.settings
        if s.stage == "selection":
            return selection(self.model, x, quality)  # type: ignore[arg-type]
        draw = torch.Generator().manual_seed(s.seed * 2_000_003 + self.step)
        if s.stage == "texture":
            with torch.autocast(self.device.type, torch.bfloat16, enabled=s.bf16):
                return textured(self.model, x, quality, noise, s.exponent, draw)  # type: ignore[arg-type]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=s.bf16):
            return rate_distortion(
                self.model,  # type: ignore[arg-type]
                x,
                quality,
                noise,
                s.exponent,
                s.distortion,
                s.stage == "hyperprior",
                draw,
            )

    def _reduce(self, figures: Figures, fraction: float) -> Tensor:
        """Average gradients over processes; -> (4,): loss, bpp, log10 mse, fraction done."""
        mse = figures.mse.clamp(min=1e-3).log10().mean()
        numbers = torch.stack([figures.loss.detach(), figures.bpp.mean(), mse])
        mine = torch.tensor([fraction], device=self.device)
        numbers = torch.cat([numbers / self.group.size, mine * (self.group.rank == 0)])
        if self.group.size > 1:
            grads = list(gradients(self.model))
            flat = torch.cat([*(g.flatten() for g in grads), numbers])
            self.group.sum(flat)
            start = 0
            for grad in grads:
                share = flat[start : start + grad.numel()].view_as(grad)
                grad.copy_(share / self.group.size)
                start += grad.numel()
            numbers = flat[start:]
        return numbers

    def train(
        self,
        steps: int | None,
        minutes: float | None,
        cooldown: bool,
        report: Callable[[TrainingReport], None],
        checkpoint: Callable[[], None] | None = None,
        save_minutes: float = 5.0,
        report_seconds: float = 10.0,
    ) -> None:
        """Train until `steps` more steps or `minutes` more minutes are done, whichever is first.

        With `cooldown` the rate falls linearly to zero over that span, and the saved state is not
        changed. Without it the rate is constant and the state is saved every `save_minutes`; after
        each save the first process calls `checkpoint`.
        """
        s = self.settings
        start = begin = last_report = last_save = time.monotonic()
        first = self.step
        sums = torch.zeros(3)
        counted = row = 0
        fraction = 0.0
        while fraction < 1:
            elapsed = time.monotonic() - start
            fraction = max(
                (self.step + 1 - first) / steps if steps else 0.0,
                elapsed / (60 * minutes) if minutes else 0.0,
            )
            figures = self._forward(*self._batch())
            figures.loss.backward()
            numbers = self._reduce(figures, fraction).cpu()
            fraction = float(numbers[3])
            rate = self.schedule.rate(self.step) * min(1.0, (self.step + 1) / s.warm_up)
            if cooldown:
                rate *= max(0.0, 1 - fraction)
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), s.clip, foreach=True)
            if torch.isfinite(norm):
                set_rate(self.optimiser, rate)
                self.optimiser.step()
                sums += numbers[:3]
                counted += 1
                row = 0
            else:
                self.skipped += 1
                row += 1
                if row == MOST_SKIPPED:
                    msg = (
                        f"{row} steps in a row gave numbers that are not finite: training has "
                        "diverged; go back to an earlier state and lower --rate"
                    )
                    raise ValueError(msg)
            self.optimiser.zero_grad(set_to_none=True)
            self.step += 1
            self.seen += s.batch
            if self.step % 4 == 0:
                self.average.update(self.model, 4)
            now = time.monotonic()
            if (now - last_report >= report_seconds or fraction >= 1) and counted:
                loss, bpp, log_mse = (sums / counted).tolist()
                spent = now - start
                left = spent * (1 - fraction) / fraction if fraction > 0 else math.inf
                self._log(
                    report,
                    TrainingReport(
                        step=self.step,
                        fraction=fraction,
                        seconds=self.seconds + now - begin,
                        seconds_left=left,
                        loss=loss,
                        bpp=bpp,
                        psnr=20 * math.log10(255) - 10 * log_mse,
                        crops_per_second=s.batch * counted / (now - last_report),
                        rate=rate,
                        skipped=self.skipped,
                        cooldown=cooldown,
                    ),
                )
                sums.zero_()
                counted = 0
                last_report = now
            if not cooldown and now - last_save >= 60 * save_minutes:
                self.seconds, begin = self.seconds + now - begin, now
                self.save()
                if checkpoint is not None and self.group.rank == 0:
                    checkpoint()
                last_save = now
        self.seconds += time.monotonic() - begin
        if not cooldown:
            self.save()

    def _log(self, report: Callable[[TrainingReport], None], entry: TrainingReport) -> None:
        if self.group.rank:
            return
        report(entry)
        with open(self.run / LOG, "a", encoding="utf-8") as log:
            log.write(json.dumps({k: _rounded(v) for k, v in entry._asdict().items()}) + "\n")


def _rounded(value: float) -> float | None:
    if isinstance(value, int):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def load_state(path: Path) -> dict[str, Any]:
    """Read a saved state; ValueError with what to do when it is none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:
        msg = f"{path} is not a training state ({error}); delete it to start afresh"
        raise ValueError(msg) from error
    if not isinstance(state, dict) or not {"model", "config", "settings"} <= set(state):
        msg = f"{path} is not a training state; delete it to start afresh"
        raise ValueError(msg)
    return state


def settings_from(
    state: dict[str, Any] | None, defaults: Settings | None = None, **changes: Any
) -> Settings:
    """The settings of a saved run, or the defaults, with those `changes` that are not None."""
    saved = defaults or Settings()
    if state is not None:
        saved = Settings(**state["settings"])
        if saved.distortion == "mse":  # as version 0.1 had it
            saved = replace(saved, distortion="psnr")
    return replace(saved, **{k: v for k, v in changes.items() if v is not None})
