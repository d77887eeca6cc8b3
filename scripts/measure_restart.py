"""What it takes `mlic batch` to find out that all is done: memory and time of a restart.

    python scripts/measure_restart.py 100000 1000000

Sources and outputs are links to a few small files, a thousand in a folder, and the manifest has a
line for each, as the command itself would have written it.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from pillow_mlic.evaluation.tables import markdown_table

LINKS = 30_000
"""Names of one file; file systems have a limit."""
BATCH = [sys.executable, "-m", "pillow_mlic", "batch", "--lossless", "--json"]


def main() -> int:
    """Measure and print a Markdown table; 1 where anything was done again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("counts", type=int, nargs="+", help="files that are done")
    args = parser.parse_args()
    rows = []
    for count in args.counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            size = make(folder, count)
            before = time.monotonic()
            process = subprocess.run(
                [*BATCH, "in", "out"],
                cwd=folder,
                stdout=subprocess.PIPE,
                check=True,
            )
            seconds = time.monotonic() - before
        facts = json.loads(process.stdout)
        if (facts["done"], facts["skipped"]) != (0, count):
            print(facts, file=sys.stderr)
            return 1
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
        rows.append([f"{count:,}", f"{size / 1e6:.0f}", f"{peak:.0f}", f"{seconds:.0f}"])
    print(markdown_table(["files done", "manifest, MB", "most memory, MB", "seconds"], rows))
    return 0


def make(folder: Path, count: int) -> int:
    """A source, its outputs and the manifest; -> the manifest's size."""
    source, out = folder / "in", folder / "out"
    source.mkdir()
    Image.new("RGB", (40, 30)).save(source / "photograph.png")
    subprocess.run([*BATCH, source, out], stdout=subprocess.PIPE, check=True)
    book = out / "manifest.jsonl"
    head, line = book.read_text(encoding="utf-8").splitlines()
    record = json.loads(line)
    originals = source / "photograph.png", out / "photograph.mlic"
    with open(book, "w", encoding="utf-8") as file:
        file.write(head + "\n")
        for number in range(count):
            if number % LINKS == 0:
                twins = tuple(folder / f"{number}{p.suffix}" for p in originals)
                for original, twin in zip(originals, twins, strict=True):
                    twin.write_bytes(original.read_bytes())
                version = str(twins[0].stat().st_mtime_ns)
            names = [
                base / f"{number // 1000:05}" / f"photograph-{number:08}{twin.suffix}"
                for base, twin in zip((source, out), twins, strict=True)
            ]
            for name, twin in zip(names, twins, strict=True):
                name.parent.mkdir(exist_ok=True)
                os.link(twin, name)
            made = {"input": str(names[0]), "output": str(names[1]), "version": version}
            file.write(json.dumps({**record, **made}) + "\n")
    for original in originals:
        original.unlink()
    return book.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
