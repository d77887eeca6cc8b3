"""From a training state to a weight pack."""

from pathlib import Path
from typing import Any

import torch

from .. import packs
from ..entropy.published import published_tables
from ..entropy.tables import gaussian_tables
from ..models.layers.quality import lambda_of
from ..models.published import SingleQualityNetwork
from .loop import Trainer

FLOAT32_GUARD = 1e-5
"""Relative bound on the scale's error in float32: at least 2.5 x the largest deviation seen."""

NETWORK_GUARD = 1e-4
"""The same for networks for one lambda, whose depth and attention let errors grow more."""


def export(trainer: Trainer, model_name: str, path: Path, averaged: bool) -> dict[str, Any]:
    """Write the trainer's weights (or their moving average) as a pack; -> its model card."""
    if averaged:
        trainer.average.swap(trainer.model)
    try:
        card = describe(trainer, averaged)
        if isinstance(trainer.model, SingleQualityNetwork):
            write_network(path, model_name, trainer.model, card)
        else:
            write_half(path, model_name, trainer.model, card)
    finally:
        if averaged:
            trainer.average.swap(trainer.model)
    return card


def write_half(path: Path, model_name: str, model: Any, card: dict[str, Any]) -> None:
    """Write one of this project's own models as a pack, its weights in half precision."""
    state = {k: v.half() for k, v in model.state_dict().items()}
    config = model.config_dict()
    packs.write(path, model_name, config, state, gaussian_tables(), card, FLOAT32_GUARD)


def write_network(path: Path, name: str, model: SingleQualityNetwork, card: dict[str, Any]) -> None:
    """Write a network for one lambda, in float32, with the tables that its prior of z gives."""
    model.prior.fit_tails()
    tables = published_tables(model.prior, model.conditional)
    config, state = model.config_dict(), model.state_dict()
    packs.write(path, name, config, state, tables, card, NETWORK_GUARD, card["quality"])


def describe(trainer: Trainer, averaged: bool) -> dict[str, Any]:
    """The card's entries about how the weights were trained."""
    s = trainer.settings
    aim: dict[str, Any] = {"distortion": s.distortion}
    if s.quality is not None:
        lam = float(lambda_of(torch.tensor([s.quality]), s.distortion))
        aim |= {"quality": s.quality, "lambda": float(f"{lam:.4g}")}
    return {
        **aim,
        "stage": s.stage,
        "steps": trainer.step,
        "crops": trainer.seen,
        "hours": round(trainer.seconds / 3600, 3),
        "processes": trainer.group.size,
        "device": trainer.device.type,
        "batch": s.batch,
        "crop": s.crop,
        "rate": s.rate,
        "exponent": s.exponent,
        "averaged": averaged,
        "steps_skipped": trainer.skipped,
        "pictures": len(trainer.crops.pictures),
        "megapixels": round(sum(p.shape[0] * p.shape[1] for p in trainer.crops.pictures) / 1e6, 1),
    }
