"""Which weights look better? One line for each pack, beside Pillow's default AVIF.

    python scripts/judge.py PACK... --on PICTURES --qualities 1,3,5,7 --pictures 12 --cache judged

PACK is a weight pack (a file), PICTURES a folder; --pictures takes so many of it, evenly spread:
12 of the 24 Kodak pictures are those with odd numbers. Real files, decoded again; plain rounding
unless --optimize is given, and no texture unless --texture is. Columns: BD-rates in percent against
AVIF 4:4:4 at speed 6 by the metrics that are installed (fewer is better), then bits a pixel by
quality.

Every measurement is kept in the folder --cache, also those of AVIF, which the first call makes. A
call that was stopped goes on where it was. A pack that was trained further has another hash, and
is measured anew.
"""

import argparse
import hashlib
import os
import sys
import tempfile
from dataclasses import replace
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


def curve(
    codec: Codec, pictures: list[BenchPicture], wanted: tuple[Metric, ...], args: argparse.Namespace
) -> Curve:
    """Means over the pictures; measures what the cache does not have."""
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
    columns = {
        name: [
            fmean(row[name] for row in rows if row["setting"] == setting)
            for setting in codec.settings
        ]
        for name in ("bpp", *(COLUMNS[metric] for metric in wanted))
    }
    return Curve(codec.name, codec.describe(), list(codec.settings), columns)


def figures(anchor: Curve, test: Curve, wanted: tuple[Metric, ...]) -> list[str]:
    """BD-rates of `test`, in the order of `wanted`."""
    found = []
    for metric in wanted:
        try:
            found.append(f"{bd_rate(anchor.points(metric), test.points(metric)):+.1f} %")
        except ValueError:  # no common range of quality
            found.append("-")
    return found


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
    anchor = curve(codecs.create(ANCHOR), pictures, wanted, args)
    width = max(len(str(pack)) for pack in args.packs)
    header = [*(NAMES[metric] for metric in wanted), *(f"bpp q{q:g}" for q in args.qualities)]
    print(f"{'':{width}}  {'  '.join(f'{each:>11}' for each in header)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLIC_WEIGHTS"] = folder  # of this process and its workers
        for pack in args.packs:
            found = curve(codec_of(pack, Path(folder), args), pictures, wanted, args)
            row = [*figures(anchor, found, wanted), *(f"{x:.3f}" for x in found.columns["bpp"])]
            print(f"{pack!s:{width}}  {'  '.join(f'{each:>11}' for each in row)}", flush=True)


if __name__ == "__main__":
    main()
