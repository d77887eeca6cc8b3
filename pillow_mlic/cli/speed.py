"""`mlic bench speed`: where the time of one picture goes."""

import argparse
from pathlib import Path
from typing import Any

from .. import conversion, packs, save_settings
from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench speed",
        help="where the time of one picture goes",
        description=(
            "Encode and decode a picture on the CPU. The table gives seconds and multiplications "
            "of the whole and of its parts, and their share of the rate of float32 matrix products "
            "that the machine reaches in the same run. The ratio is what the machine could have "
            "multiplied in that time."
        ),
    )
    parser.add_argument("picture", type=Path, metavar="PICTURE")
    parser.add_argument(
        "-q",
        "--quality",
        type=common.quality,
        default=save_settings.DEFAULT_QUALITY,
        help="default: %(default)g",
    )
    parser.add_argument("--model", help=f"model or weight pack; default {packs.DEFAULT_PACK}")
    parser.add_argument(
        "--threads",
        type=common.positive,
        default=1,
        help="with 1 (the default) CPU time is measured, with more wall time",
    )
    parser.add_argument(
        "--repeats",
        type=common.positive,
        default=3,
        metavar="N",
        help="runs, of which the best counts; default: %(default)s",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic bench speed."""
    import numpy as np

    from ..diagnostics import speed

    pixels = np.asarray(conversion.read_rgb(args.picture, common.warn))
    pack = packs.load(packs.find(args.model, args.quality))
    with common.StepBars() as progress:
        found = speed.measure(pixels, pack, args.quality, args.threads, args.repeats, progress)
    print(speed.table(found))
    return 0
