"""`mlic bench`: real files through every codec, measured."""

import argparse
import sys
from pathlib import Path
from typing import Any

from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "bench",
        help="measure codecs on a folder of pictures",
        description=(
            "Encode and decode real files with several codecs and compare them: tables, plots, "
            "JSON and a web page with a divider for each picture. A run that was stopped goes on "
            "where it was. See also: mlic bench cost -h, and so for skip and speed; a folder of "
            "such a name is given as ./cost, ./skip or ./speed."
        ),
    )
    add_arguments(parser)
    parser.set_defaults(run=run)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` what `mlic bench` understands."""
    from ..evaluation import bench, codecs, metrics

    parser.add_argument(
        "places", nargs="+", type=Path, metavar="DIR", help="folders of pictures, or pictures"
    )
    parser.add_argument(
        "--codecs",
        type=common.names,
        metavar="NAMES",
        help=f"codecs to measure, from {', '.join(codecs.names())}; "
        f"default: those installed of {','.join(bench.DEFAULT_CODECS)}",
    )
    parser.add_argument(
        "--quality",
        type=common.qualities,
        metavar="Q,Q,...",
        help="qualities from 1 to 8 for the mlic codecs; default: 1,2,3,4,5,6,7,8",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("bench"),
        metavar="OUTDIR",
        help="folder of the report; measurements that it already has are not repeated; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--workers",
        type=common.positive,
        default=1,
        metavar="N",
        help="processes; default 1, which disturbs times least",
    )
    parser.add_argument(
        "--metrics",
        type=common.names,
        metavar="NAMES",
        help=f"metrics, from {', '.join(metrics.MEASURES)}; default: all that are installed "
        "(docs/reports.md)",
    )
    parser.add_argument(
        "--anchor",
        metavar="NAME",
        help=f"what BD-rates compare with: a codec or, for Kodak, one with published points; "
        f"default: {bench.KODAK_ANCHOR} for Kodak, else {bench.DEFAULT_ANCHOR}",
    )
    parser.add_argument(
        "--samples",
        type=common.natural,
        default=24,
        metavar="N",
        help="show details of the first N pictures in report.html; default: %(default)s",
    )
    parser.add_argument("--no-memory", action="store_true", help="do not measure peak memory")


def run(args: argparse.Namespace) -> int:
    """mlic bench; 1 if a codec failed on a picture."""
    from ..evaluation import bench, codecs, metrics, report

    installed = [name for name in bench.DEFAULT_CODECS if name in codecs.names()]
    names = args.codecs or installed
    chosen = args.metrics or metrics.available()
    for name in chosen:
        if name not in metrics.available():
            msg = f"there is no metric {name!r} here; there are {', '.join(metrics.available())}"
            if name in metrics.MEASURES:
                msg += f"; for {name}: {metrics.how_to_get(name)}"
            raise ValueError(msg)
    settings = {}
    if args.quality is not None:
        settings = {name: args.quality for name in names if codecs.is_mlic(name)}
    with common.StepBars() as progress:
        results = bench.run(
            bench.find_images(args.places, common.warn),
            names,
            settings,
            args.out,
            progress,
            workers=args.workers,
            metrics=chosen,
            memory=not args.no_memory,
            samples=args.samples,
            anchor=args.anchor,
        )
    print(f"BD-rate against {results.anchor_label}:\n")
    print(report.bd_table(results))
    for found in results.monotonicities:
        print(f"\n{found.sentence()}")
    print(f"\nmeasurements: {args.out / 'table.md'}\nreport:       {args.out / 'report.html'}")
    for row in results.errors:
        where = f"{row['codec']} at {row['setting']:g} on {row['image']}"
        print(f"mlic bench: {where} failed: {row['error']}", file=sys.stderr)
    return 1 if results.errors else 0
