"""`mlic selftest`: are streams portable on this machine?"""

import argparse
import sys
from pathlib import Path
from typing import Any

from .. import packs
from ..files import write_text
from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "selftest",
        help="check that streams decode in every setting of this machine",
        description=(
            "Encode pictures and decode them with other thread counts, instruction sets, memory "
            "layouts and precisions, each in a process of its own; count failures."
        ),
    )
    parser.add_argument("inputs", nargs="+", type=Path, metavar="FILE", help="picture or folder")
    parser.add_argument(
        "-q",
        "--quality",
        type=common.qualities,
        default="2,5,8",
        help="qualities from 1 to 8, comma-separated; default %(default)s",
    )
    parser.add_argument("--model", help=f"model or weight pack; default {packs.DEFAULT_PACK}")
    parser.add_argument(
        "--only",
        default="",
        metavar="TEXT",
        help="only settings with TEXT in their names, as in --only ONNX",
    )
    parser.add_argument("-o", "--output", type=Path, help="write the table to this file, too")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic selftest."""
    from ..diagnostics import portability

    pictures = [p for p, _ in common.find(args.inputs, common.readable_suffixes())]
    summary = portability.run(
        pictures, args.quality, args.model, lambda s: print(s, file=sys.stderr), args.only
    )
    table = portability.table(summary)
    print(table)
    if args.output:
        write_text(args.output, table + "\n")
    promised = ("exact", "fast", portability.INTEGERS)
    failed = sum(o.failures.get(kind, 0) for o in summary.outcomes for kind in promised)
    if failed:
        print(f"\n{failed} streams failed: streams are NOT portable here, please report it")
    else:
        print("\nStreams are portable here: 0 failures")
    return 1 if failed else 0
