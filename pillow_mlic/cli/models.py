"""`mlic models`: the networks that are known here, and names for refined ones."""

import argparse
import json
from typing import Any

from .. import models, packs


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "models",
        help="list the networks",
        description=(
            "List the networks: paper, parameters, thousands of multiplications a pixel for "
            "encoding and decoding, and the weight packs that are installed for each. A refined "
            "one is another's network, encoded in many steps, which are not counted."
        ),
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="models to describe; default: all of them"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a model")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic models."""
    for name in args.names:
        models.number_of(models.refined(name).network)  # refused before anything is counted
    from ..models import complexity  # noqa: F401 - where torch is missing, before a line is printed

    installed = packs.installed()
    if not args.json:
        print(_line("model", "paper", "parameters", "kMAC/px to encode", "to decode", "weights"))
    for name in args.names or [*models.names(), *models.REFINED]:
        network = models.refined(name).network
        facts = describe(name, [pack.name for pack in installed if pack.model == network])
        print(json.dumps(facts) if args.json else _row(facts), flush=True)
    return 0


def describe(name: str, weights: list[str]) -> dict[str, Any]:
    """Facts about a model, with the names of its packs."""
    from ..models.complexity import complexity

    network, steps = models.refined(name)
    found = complexity(network)
    return {
        "name": name,
        "paper": models.REGISTRY[network].paper,
        "parameters": found.parameters,
        "encode_kmac_per_pixel": None if steps else round(found.encode, 1),
        "decode_kmac_per_pixel": round(found.decode, 1),
        "refine": steps,
        "weights": weights,
    }


def _row(facts: dict[str, Any]) -> str:
    """The same for people."""
    return _line(
        facts["name"],
        facts["paper"],
        f"{facts['parameters'] / 1e6:.1f} M",
        f"{facts['refine']} steps" if facts["refine"] else f"{facts['encode_kmac_per_pixel']:.1f}",
        f"{facts['decode_kmac_per_pixel']:.1f}",
        ", ".join(facts["weights"]) or "none installed",
    )


def _line(*cells: str) -> str:
    name, paper, *numbers, weights = cells
    return f"{name:12} {paper:17} {numbers[0]:>10} {numbers[1]:>17} {numbers[2]:>10}  {weights}"
