"""From a training state to a weight pack."""

import copy
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from .. import packs
from ..entropy.published import published_tables
from ..entropy.tables import gaussian_tables
from ..integers.network import IntegerNetwork
from ..integers.quantise import Example, examples, integers_of
from ..models.layers.quality import lambda_of
from ..models.mlicv2_lite import MlicV2Lite
from ..models.published import SingleQualityNetwork
from .loop import Trainer

FLOAT32_GUARD = 1e-5
"""Relative bound on the scale's error in float32: at least 2.5 x the largest deviation seen."""

NETWORK_GUARD = 1e-4
"""The same for networks for one lambda, whose depth and attention let errors grow more."""

MEASURED_CROPS = 16
"""Training crops on which the ranges of integers are measured, at each of MEASURED_QUALITIES."""

MEASURED_QUALITIES = (1.0, 4.0, 8.0)


def export(trainer: Trainer, model_name: str, path: Path, averaged: bool) -> dict[str, Any]:
    """Write the trainer's weights (or their moving average) as a pack; -> its model card."""
    if averaged:
        trainer.average.swap(trainer.model)
    try:
        card = describe(trainer, averaged)
        if isinstance(trainer.model, SingleQualityNetwork):
            write_network(path, model_name, trainer.model, card)
        else:
            write_half(path, model_name, trainer.model, card, _examples(trainer))
    finally:
        if averaged:
            trainer.average.swap(trainer.model)
    return card


def write_half(
    path: Path,
    model_name: str,
    model: Any,
    card: dict[str, Any],
    measured: Iterable[Example] = (),
) -> None:
    """Write one of this project's own models as a pack, its weights in half precision.

    With the entropy part in integers beside them if there are examples to measure ranges on. Where
    the weights do not fit into integers the card says why.
    """
    state = {k: v.half() for k, v in model.state_dict().items()}
    config, tables, measured = model.config_dict(), gaussian_tables(), list(measured)
    if measured:
        rounded = MlicV2Lite.from_config(config)
        rounded.load_state_dict({k: v.float() for k, v in state.items()})
        try:
            integers = integers_of(rounded, tables, measured)
            IntegerNetwork(config, integers)
        except ValueError as error:
            card = {**card, "integers": f"none: {error}"}
        else:
            arrays = {f"{packs.INTEGERS}{k}": torch.from_numpy(v) for k, v in integers.items()}
            state |= arrays
    packs.write(path, model_name, config, state, tables, card, FLOAT32_GUARD)


def _examples(trainer: Trainer) -> Iterator[Example]:
    """Training crops to measure ranges of integers on."""
    model = copy.deepcopy(trainer.model).cpu().float().eval()
    assert isinstance(model, MlicV2Lite)
    crops = trainer.crops.batch(0, MEASURED_CROPS).numpy()
    return examples(model, crops, MEASURED_QUALITIES)


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
        "crop": trainer.crops.size,
        "rate": trainer.schedule.rate(trainer.step),
        **({"recipe": s.recipe} if s.recipe else {}),
        "exponent": s.exponent,
        "averaged": averaged,
        "steps_skipped": trainer.skipped,
        "pictures": len(trainer.crops.pictures),
        "megapixels": round(sum(p.shape[0] * p.shape[1] for p in trainer.crops.pictures) / 1e6, 1),
    }
