"""`mlic bench cost`: time and memory against the number of pixels."""

import argparse
from pathlib import Path
from typing import Any

from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench cost",
        help="time and memory against the number of pixels",
        description=(
            "Encode and decode mosaics of the given pictures in growing sizes, with several codecs "
            "in the same process: tables with ratios, plots and JSON. A run that was stopped goes "
            "on where it was."
        ),
    )
    parser.add_argument(
        "places", nargs="+", type=Path, metavar="DIR", help="folders of pictures, or pictures"
    )
    parser.add_argument(
        "--megapixels",
        type=common.numbers,
        metavar="M,M,...",
        help="sizes to measure, such as 0.1,1,10,100; default: 0.1,0.4,1,4",
    )
    parser.add_argument(
        "--codecs",
        type=common.names,
        metavar="NAMES",
        help="codecs, the first sets the size in bytes; default: those installed of mlic,avif,jxl",
    )
    parser.add_argument(
        "-q", "--quality", type=float, help="quality of the first codec; default: 3"
    )
    parser.add_argument(
        "--repeats",
        type=common.positive,
        default=3,
        metavar="N",
        help="runs, of which the best counts (only one above 5 megapixels); default: %(default)s",
    )
    parser.add_argument("--no-memory", action="store_true", help="do not measure peak memory")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("cost"),
        metavar="OUTDIR",
        help="folder of the report; default: %(default)s",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic bench cost; 1 if a codec failed at a size."""
    from ..evaluation import bench, codecs, cost

    known = codecs.names()
    names = args.codecs or [name for name in cost.DEFAULT_CODECS if name in known]
    chosen = [codecs.create(name) for name in names]
    pictures = bench.find_images(args.places, common.warn)
    if not pictures:
        msg = "there are no pictures to measure on"
        raise ValueError(msg)
    default = 3.0 if chosen[0].continuous else None
    with common.StepBars() as progress:
        document = cost.run(
            pictures,
            args.megapixels or cost.DEFAULT_SIZES,
            chosen,
            args.out,
            progress,
            quality=default if args.quality is None else args.quality,
            repeats=args.repeats,
            with_memory=not args.no_memory,
        )
    print(cost.table(document))
    print(f"\nreport: {args.out / 'cost.md'}")
    failed = any("error" in c for entry in document["sizes"] for c in entry["codecs"].values())
    return 1 if failed else 0
