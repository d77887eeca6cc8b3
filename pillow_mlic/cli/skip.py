"""`mlic bench skip`: what selective compression saves."""

import argparse
import sys
from pathlib import Path
from typing import Any

from ..files import write_text
from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench skip",
        help="symbols and time that selective compression saves",
        description=(
            "Code pictures with every installed pack of a model, with and without selective "
            "compression: how many symbols are not in the stream, by quality, and what that saves."
        ),
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FILE", help="picture or folder")
    parser.add_argument("--model", default="mlicv2", help="model or weight pack")
    common.add_device(parser)
    parser.add_argument("-o", "--output", type=Path, help="write the table to this file, too")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic bench skip."""
    from ..diagnostics import skipping
    from ..engines import devices

    pictures = [p for p, _ in common.find(args.inputs, common.readable_suffixes())]
    device = devices.resolve(args.device)
    rows = skipping.measure(pictures, args.model, device, lambda s: print(s, file=sys.stderr))
    table = skipping.table(rows, len(pictures))
    print(table)
    if args.output:
        write_text(args.output, table + "\n")
    return 0
