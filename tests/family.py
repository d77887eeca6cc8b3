"""Every network for one lambda at a small width, and packs of them with random weights."""

from pathlib import Path
from typing import Any

import torch

from pillow_mlic import models, packs
from pillow_mlic.entropy.published import published_tables

NARROW = {"width": 8, "latents": 24, "slices": 3, "slice_channels": 8}

CONFIGS: dict[str, dict[str, Any]] = {
    "mlic": {**NARROW, "mask_depth": 3},
    "mlic+": NARROW,
    "mlic-ex": {**NARROW, "mask_depth": 3},
    "mlic++": NARROW,
    "mlicv2": {**NARROW, "selective": False},
    "lalic": {
        "width": 8,
        "latents": 24,
        "dims": [8, 8, 16, 24, 16, 8],
        "depths": [1, 1, 2, 1],
        "groups": [4, 4, 16],
    },
}
"""By the model's name; what a pack of it holds as its configuration."""

VARIANTS = {**CONFIGS, "mlicv2 selective": {**NARROW, "selective": True}}
"""The same, and MLICv2 with selective compression; the first word is the model's name."""


def make(variant: str) -> Any:
    """The network with random weights, some life in all of them, and latents of several steps."""
    torch.manual_seed(0)
    model = models.create(variant.split()[0], VARIANTS[variant])
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if key.startswith("g_a") and key.endswith("weight"):
                parameter.mul_(1.5)
            if key.startswith("selection") and "last" in key:
                parameter.normal_(std=0.3)
            if key.startswith("entropy_parameters") and key.endswith("6.bias"):
                parameter[: len(parameter) // 2].add_(0.4)  # scales on both sides of 0.3
    return model.eval()


def write_pack(model: Any, name: str, path: Path, quality: float = 3.0) -> packs.PackFile:
    """A pack of the model as training writes it."""
    tables = published_tables(model.prior, model.conditional)
    packs.write(path, name, model.config_dict(), model.state_dict(), tables, {}, 1e-4, quality)
    return packs.inspect(path)
