"""Throughput of `mlic batch`: the same photographs with one worker, two, and two actors of Ray.

    python scripts/measure_batch.py PHOTOS > reports/scale.md
    python scripts/update_docs.py reports

Crops of real photographs are written to a temporary folder and encoded by the ordinary command. All
files of all runs are compared byte by byte. Wall time means something only on an idle machine;
seconds of CPU hardly depend on what else runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from PIL import Image

from pillow_mlic.evaluation.tables import markdown_table
from pillow_mlic.files import readable_suffixes


def main() -> int:
    """Measure and print a Markdown table; 1 where files differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, help="folder of photographs")
    parser.add_argument("--count", type=int, default=200, help="pictures; default 200")
    parser.add_argument("--crop", type=int, default=512, help="largest side; default 512")
    parser.add_argument("--workers", type=int, default=2, help="of the second run and of Ray's")
    parser.add_argument("--no-ray", action="store_true", help="only the local engine")
    args = parser.parse_args()
    runs = {"local, 1 worker": ["--workers", "1"]}
    many = ["--workers", str(args.workers)]
    runs[f"local, {args.workers} workers"] = many
    if not args.no_ray:
        runs[f"Ray, {args.workers} actors"] = [*many, "--engine", "ray"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make_crops(args.photos, folder / "in", args.count, args.crop)
        facts = {run: batch(folder, run, options) for run, options in runs.items()}
        files = [contents(folder / run) for run in runs]
    same = all(each == files[0] for each in files)
    first = next(iter(facts.values()))
    rows = [
        [
            run,
            f"{f['seconds']:.1f}",
            f"{f['cpu_seconds']:.1f}",
            f"{f['pictures_per_second']:.2f}",
            f"{f['megapixels_per_second']:.3f}",
            f"{first['seconds'] / f['seconds']:.2f}",
        ]
        for run, f in facts.items()
    ]
    header = ["", "wall, s", "CPU, s", "pictures/s", "megapixels/s", "speed-up"]
    print(
        f"{first['done']} photographs of up to {args.crop} x {args.crop} pixels "
        f"({size / 1e6:.1f} megapixels in all), quality 3, {date.today():%Y-%m-%d}, "
        f"{os.cpu_count()} cores. "
        f"The files of all runs are {'identical' if same else 'NOT identical'}.{busy(first)}\n"
    )
    print(markdown_table(header, rows))
    cost = first["cpu_seconds"] / (size / 1e6)
    hours = cost * 12 * 1e6 / 3600
    print(
        f"\nThat is {cost:.2f} s of a CPU core for a megapixel. At this rate a million photographs "
        f"of 12 megapixels take {hours:,.0f} core hours: {hours / 24 / 16:,.0f} days on 16 cores, "
        f"{hours / 1000:,.1f} hours on 1000."
    )
    return 0 if same else 1


def busy(alone: dict[str, float]) -> str:
    """A remark for the case that a single worker did not have a core for itself."""
    if alone["seconds"] < 1.2 * alone["cpu_seconds"]:
        return ""
    return (
        " The machine was busy with other work: wall times and what follows from them say nothing, "
        "CPU seconds do."
    )


def make_crops(photos: Path, folder: Path, count: int, side: int) -> int:
    """Write the middles of `count` photographs as PNG; -> their pixels."""
    folder.mkdir()
    paths = sorted(p for p in photos.rglob("*") if p.suffix.lower() in readable_suffixes())
    if len(paths) < count:
        msg = f"{photos} holds {len(paths)} pictures, fewer than {count}"
        raise SystemExit(msg)
    pixels = 0
    for number, path in enumerate(paths[:count]):
        with Image.open(path) as image:
            left, top = (max(0, (length - side) // 2) for length in image.size)
            box = (left, top, min(image.width, left + side), min(image.height, top + side))
            crop = image.convert("RGB").crop(box)
        crop.save(folder / f"{number:04d}.png", compress_level=1)
        pixels += crop.width * crop.height
    return pixels


def batch(folder: Path, run: str, options: list[str]) -> dict[str, float]:
    """One run of the command; -> its summary."""
    command = [sys.executable, "-m", "pillow_mlic", "batch", folder / "in", folder / run]
    words = [*map(str, command), "--json", *options]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def contents(folder: Path) -> dict[str, bytes]:
    """The files that a run wrote."""
    return {path.name: path.read_bytes() for path in folder.glob("*.mlic")}


if __name__ == "__main__":
    sys.exit(main())
