"""`mlic bench`: real files through every codec, measured."""

import argparse
from typing import Any

from ..evaluation import bench


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench",
        help="measure codecs on a folder of pictures",
        description="Encode and decode real files with several codecs and compare them.",
    )
    bench.add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic bench."""
    return bench.main(args)
