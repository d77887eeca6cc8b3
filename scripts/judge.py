"""Which weights look better? One line for each pack, beside Pillow's default AVIF.

    python scripts/judge.py PACK... --on PICTURES --qualities 1,3,5,7 --pictures 12 --cache judged

PACK is a weight pack (a file), PICTURES a folder; --pictures takes so many of it, evenly spread:
12 of the 24 Kodak pictures are those with odd numbers. Real files, decoded again; plain rounding
unless --optimize is given, and no texture unless --texture is. Columns: BD-rates in percent against
AVIF 4:4:4 at speed 6 by the metrics that are installed (fewer is better), then bits a pixel by
quality. Under each line: the picture that comes off worst by each metric, and at how many steps of
quality a file became smaller, or a measure worse.

Every measurement is kept in the folder --cache, also those of AVIF, which the first call makes. A
call that was stopped goes on where it was. A pack that was trained further has another hash, and
is measured anew.
"""

import argparse
import contextlib
import hashlib
import os
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from pillow_mlic.cli import common
from pillow_mlic.evaluation import bench, codecs, metrics
from pillow_mlic.evaluation.bdrate import Metric, bd_rate
from pillow_mlic.evaluation.codecs import Codec
from pillow_mlic.evaluation.measure import BenchPicture, Measurement, rows_of
from pillow_mlic.evaluation.results import COLUMNS, NAMES, Curve

ANCHOR = "avif"
METRICS: tuple[Metric, ...] = ("ssimulacra2", "butteraugli", "flip", "psnr")


def spread(paths: list[Path], number: int | None) -> list[Path]:
    """So many of the pictures, evenly spread over the list."""
    if number is None or number >= len(paths):
        return paths
    return [paths[i * len(paths) // number] for i in range(number)]


def codec_of(pack: Path, folder: Path, args: argparse.Namespace) -> Codec:
    """The codec that uses `pack`; links the pack into `folder`, with its hash as the name."""
    with pack.open("rb") as file:
        name = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    link = folder / f"{name}.safetensors"
    if not link.exists():
        link.symlink_to(pack.resolve())
    options = {"model": name, "optimize": args.optimize, "texture": args.texture}
    return replace(codecs.create("mlic"), settings=tuple(args.qualities), options=options)


def measured(
    codec: Codec, pictures: list[BenchPicture], wanted: tuple[Metric, ...], args: argparse.Namespace
) -> list[Curve]:
    """A curve for each picture; measures what the cache does not have."""
    jobs = [
        Measurement(codec, picture, setting, wanted)
        for picture in pictures
        for setting in codec.settings
    ]
    with common.StepBars() as progress:
        rows = rows_of(jobs, args.cache / "rows.jsonl", codec.name, progress, args.workers)
    for row in rows:
        if "error" in row:
            msg = f"{codec.name} at {row['setting']:g} on {row['image']}: {row['error']}"
            raise SystemExit(msg)
    settings = list(codec.settings)
    found = []
    for picture in range(len(pictures)):
        mine = rows[picture * len(settings) : (picture + 1) * len(settings)]
        names = ("bpp", *(COLUMNS[metric] for metric in wanted))
        columns = {name: [row[name] for row in mine] for name in names}
        found.append(Curve(mine[0]["image"], codec.describe(), settings, columns))
    return found


def mean(curves: list[Curve]) -> Curve:
    """Means over the pictures."""
    columns = {
        name: [fmean(values) for values in zip(*(c.columns[name] for c in curves), strict=True)]
        for name in curves[0].columns
    }
    return replace(curves[0], columns=columns)


def figures(anchor: Curve, test: Curve, wanted: tuple[Metric, ...]) -> list[str]:
    """BD-rates of `test`, in the order of `wanted`."""
    found = []
    for metric in wanted:
        try:
            found.append(f"{bd_rate(anchor.points(metric), test.points(metric)):+.1f} %")
        except ValueError:  # no common range of quality
            found.append("-")
    return found


def worst(anchors: list[Curve], tests: list[Curve], metric: Metric) -> str:
    """The picture with the highest BD-rate."""
    found = []
    for anchor, test in zip(anchors, tests, strict=True):
        with contextlib.suppress(ValueError):
            found.append((bd_rate(anchor.points(metric), test.points(metric)), test.name))
    return f"{NAMES[metric]} " + (f"{max(found)[0]:+.1f} % ({max(found)[1]})" if found else "-")


def falls(tests: list[Curve], wanted: tuple[Metric, ...]) -> str:
    """At how many steps from a quality to the next a file is smaller or a measure is worse."""
    steps = [
        (name, before, after)
        for test in tests
        for name in wanted
        for before, after in pairwise(test.points(name))
    ]
    smaller = sum(after[0] < before[0] for _, before, after in steps) // len(wanted)
    counts = [
        f"{NAMES[metric]} {sum(a[1] < b[1] for name, b, a in steps if name == metric)}"
        for metric in wanted
    ]
    return f"bytes {smaller}, {', '.join(counts)} of {len(steps) // len(wanted)}"


def main() -> None:
    """Measure what is missing and print a line for each pack as soon as it is known."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packs", type=Path, nargs="+", metavar="PACK")
    parser.add_argument("--on", type=Path, required=True, metavar="PICTURES")
    parser.add_argument("--qualities", type=common.qualities, default=[1.0, 3.0, 5.0, 7.0])
    parser.add_argument("--pictures", type=common.positive, help="so many; default: all")
    parser.add_argument("--cache", type=Path, default=Path("judged"), help="%(default)s")
    parser.add_argument("--workers", type=common.positive, default=2, help="%(default)s")
    parser.add_argument("--optimize", action="store_true", help="optimised rounding")
    parser.add_argument(
        "--texture", type=float, default=0.0, help="strength of texture; default %(default)g: none"
    )
    args = parser.parse_args()
    wanted = tuple(metric for metric in METRICS if metric in metrics.available())
    for metric in set(METRICS) - set(wanted):
        print(f"no {NAMES[metric]} here: {metrics.how_to_get(metric)}", file=sys.stderr)
    args.cache.mkdir(parents=True, exist_ok=True)
    pictures = [
        BenchPicture(path, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in spread(bench.find_images([args.on]), args.pictures)
    ]
    anchors = measured(codecs.create(ANCHOR), pictures, wanted, args)
    width = max(len(str(pack)) for pack in args.packs)
    header = [*(NAMES[metric] for metric in wanted), *(f"bpp q{q:g}" for q in args.qualities)]
    print(f"{'':{width}}  {'  '.join(f'{each:>11}' for each in header)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLIC_WEIGHTS"] = folder  # of this process and its workers
        for pack in args.packs:
            found = measured(codec_of(pack, Path(folder), args), pictures, wanted, args)
            rates = figures(mean(anchors), mean(found), wanted)
            row = [*rates, *(f"{x:.3f}" for x in mean(found).columns["bpp"])]
            print(f"{pack!s:{width}}  {'  '.join(f'{each:>11}' for each in row)}", flush=True)
            print(f"  worst: {', '.join(worst(anchors, found, metric) for metric in wanted)}")
            print(f"  falls: {falls(found, wanted)}", flush=True)


if __name__ == "__main__":
    main()
