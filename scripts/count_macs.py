"""Multiplications of the networks of the MLIC family, part by part, on one picture of 768 x 512.

    python scripts/count_macs.py [MODEL ...]

torch's FlopCounterMode counts while a picture is encoded and decoded once: convolutions, linear
layers and matrix products, as they run, except that Winograd's algorithm is off. Published figures
count position-wise networks on both halves of the checkerboard, as the column `full maps` does.
"""

import sys
from collections import Counter
from unittest import mock

import torch
from torch.utils.flop_counter import FlopCounterMode

from pillow_mlic import models
from pillow_mlic.models.layers import winograd

WIDTH, HEIGHT = 768, 512
HALF_MAPS = ("entropy_parameters_anchor", "entropy_parameters_nonanchor", "selection")
"""Networks that run on half of the positions here, and on all of them in the published code."""


def count(name: str) -> tuple[int, dict[str, float]]:
    """Parameters of the model, and giga multiplications by part."""
    model = models.create(name, {"selective": True} if name == "mlicv2" else None).eval()
    model.requires_grad_(False)
    with (
        mock.patch.object(winograd, "pays", return_value=False),
        torch.no_grad(),
        FlopCounterMode(display=False) as counter,
    ):
        model(torch.rand(1, 3, HEIGHT, WIDTH))
    lists = {
        part
        for part, child in model.named_children()
        if isinstance(child, torch.nn.ModuleList | torch.nn.ModuleDict)
    }
    parts: Counter[str] = Counter()
    for place, flops in counter.get_flop_counts().items():
        path = place.split(".")[1:]  # the first word is the class's name
        # A list is never called itself.
        if len(path) == 1 or (len(path) == 2 and path[0] in lists):
            parts[path[0]] += sum(flops.values()) / 2e9
    parts["all"] = sum(counter.get_flop_counts()["Global"].values()) / 2e9
    return sum(p.numel() for p in model.parameters()), dict(parts)


def main() -> None:
    """Count, and print a table a model."""
    known = ("mlic", "mlic+", "mlic-ex", "mlic++", "mlicv2")
    for name in sys.argv[1:] or known:
        parameters, parts = count(name)
        full = {k: v * (2 if k in HALF_MAPS else 1) for k, v in parts.items() if k != "all"}
        print(f"\n{name}: {parameters / 1e6:.2f} M parameters\n")
        print("| part | GMAC | full maps |\n|---|---|---|")
        for part, value in full.items():
            print(f"| {part} | {parts[part]:.2f} | {value:.2f} |")
        print(f"| all | {parts['all']:.2f} | {sum(full.values()):.2f} |", flush=True)


if __name__ == "__main__":
    main()
