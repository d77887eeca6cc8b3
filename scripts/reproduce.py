"""Measure the figures of the documentation's marked regions, and write them there.

    python scripts/reproduce.py KODAK [--valid DIR] [--out REPORTS] [--workers N]

KODAK is the folder of the 24 Kodak pictures. Each step is a command that could be typed by itself
and is shown before it runs. Earlier measurements with the same weights are used again, so an
interrupted run is simply started once more. Without --valid the column of the validation
photographs is left out. Steps can be chosen: --only cost,docs. scripts/measure_batch.py measures
the region of docs/scale.md.
"""

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path

from pillow_mlic.evaluation.bench import find_images

ROOT = Path(__file__).resolve().parent.parent
AVIF = "avif,avif-best,avif-psnr,avif-psnr-s4"
MLIC = "mlic,mlic~auto,mlic:mlicv2-lite,mlic:mlicv2-lite-msssim"
CODECS = f"jpeg,webp,{AVIF},jxl,{MLIC}"
VALID_CODECS = "avif,avif-psnr,mlic,mlic:mlicv2-lite"


def steps(args: argparse.Namespace) -> dict[str, tuple[list[str], Path | None]]:
    """Commands by name, each with the file that takes its output, if any."""
    mlic = [sys.executable, "-m", "pillow_mlic"]
    out, kodak = args.out, str(args.kodak)
    bench = [*mlic, "bench", kodak, "--workers", str(args.workers)]
    first = str(find_images([args.kodak])[0])
    found: dict[str, tuple[list[str], Path | None]] = {}
    found["kodak"] = [*bench, "--codecs", CODECS, "--out", str(out / "kodak")], None
    if args.valid is not None:
        valid = [*mlic, "bench", str(args.valid), "--workers", str(args.workers)]
        options = ["--samples", "0", "--out", str(out / "valid")]
        found["valid"] = [*valid, "--codecs", VALID_CODECS, *options], None
    sizes = ["--megapixels", args.megapixels]
    found["cost"] = [*mlic, "bench", "cost", kodak, *sizes, "--out", str(out / "cost")], None
    selftest = ["-q", "3", "-o", str(out / "selftest.md")]
    found["selftest"] = [*mlic, "selftest", kodak, *selftest], None
    speed = [*mlic, "bench", "speed", first, "--threads", "2"]
    found["speed"] = speed, out / "speed.md"
    fuzz = ["--count", "200000", "--workers", str(args.workers)]
    found["fuzz"] = [sys.executable, "-m", "tests.fuzz", *fuzz], out / "fuzz.md"
    found["demo"] = [*mlic, "demo", "-o", str(out / "demo")], None
    found["docs"] = [sys.executable, str(ROOT / "scripts/update_docs.py"), str(out)], None
    return found


def main() -> int:
    """Run the steps one after the other; stops at the first that fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kodak", type=Path)
    parser.add_argument("--valid", type=Path, help="folder of validation photographs")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "docs", help="%(default)s")
    parser.add_argument("--workers", type=int, default=1, help="of mlic bench; %(default)s")
    parser.add_argument("--megapixels", default="0.1,0.4,1,4", help="of the cost; %(default)s")
    parser.add_argument("--only", help="names of steps, separated by commas")
    args = parser.parse_args()
    for name in ("kodak", "valid", "out"):  # the steps run in another folder
        if getattr(args, name) is not None:
            setattr(args, name, getattr(args, name).resolve())
    todo = steps(args)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # this checkout, whatever is installed
    for name in args.only.split(",") if args.only else todo:
        if name not in todo:
            print(f"there is no step {name!r}; there are {', '.join(todo)}", file=sys.stderr)
            return 2
        command, output = todo[name]
        print(f"\n[{name}] {shlex.join(command)}", flush=True)
        args.out.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=False,
            stdout=subprocess.PIPE if output else None,
            text=True,
        )
        if done.returncode:
            print(f"step {name} failed", file=sys.stderr)
            return done.returncode
        if output:
            output.write_text(done.stdout, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
