"""Measure drawings and text against lossless WebP and AVIF, and what photographs pay for it.

    python scripts/measure_content.py drawings/*.png --photographs photographs/*.png

For each drawing: the size of its lossless WebP file, whether some .mlic file is larger than that
and lossy, and the bytes of the smallest .mlic file that has at least the PSNR of each AVIF file up
to 45 dB, relative to AVIF's. For photographs: the share of the encoder's CPU time that the look at
the content takes, and whether their files are those of an encoder without lossless tiles.
"""

import argparse
import io
import math
import time
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from PIL import Image

import pillow_mlic  # noqa: F401
from pillow_mlic import save_settings
from pillow_mlic.coding.content import look

AVIF = {"subsampling": "4:4:4", "speed": 6}
AVIF_QUALITIES = range(10, 100, 5)
QUALITIES = [1 + step / 4 for step in range(29)]
MOST = 45.0
"""AVIF's files of a higher PSNR in dB are left out."""


class Point(NamedTuple):
    """A file: its size, and how close it is to the picture."""

    size: int
    psnr: float


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def point(image: Image.Image, data: bytes) -> Point:
    """Size and PSNR in dB of a file of `image`."""
    with Image.open(io.BytesIO(data)) as opened:
        shown = np.asarray(opened.convert("RGB"), float)
    error = float(np.square(shown - np.asarray(image)).mean())
    return Point(len(data), 10 * math.log10(255**2 / error) if error else math.inf)


def drawing(path: Path) -> float | None:
    """Print a row of the table; -> the mean of bytes relative to AVIF."""
    image = Image.open(path).convert("RGB")
    webp = len(saved(image, "WEBP", lossless=True, quality=100, method=6, exact=True))
    exact = len(saved(image, "MLIC", lossless=True))
    mlic = [point(image, saved(image, "MLIC", quality=quality)) for quality in QUALITIES]
    best = Point(exact, math.inf)
    avif = [point(image, saved(image, "AVIF", quality=q, **AVIF)) for q in AVIF_QUALITIES]
    ratios = [
        min(p.size for p in (*mlic, best) if p.psnr >= each.psnr) / each.size
        for each in avif
        if each.psnr <= MOST
    ]
    lossy = [p.size for p in mlic if p.psnr < math.inf]
    first = next((q for q, p in zip(QUALITIES, mlic, strict=True) if p.psnr == math.inf), None)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None
    print(
        f"| {path.stem} | {webp} | {exact} | {max(lossy, default=0)} "
        f"| {'-' if first is None else f'{first:g}'} | {len(ratios)} "
        f"| {'-' if mean is None else f'{mean:.3f}'} |",
        flush=True,
    )
    return mean


def photograph(path: Path, quality: float) -> tuple[float, bool]:
    """The share of time that the look takes, and whether the file is what it was."""
    image = Image.open(path).convert("RGB")
    saved(image.crop((0, 0, 64, 64)), "MLIC")  # loads the weights
    start = time.process_time()
    data = saved(image, "MLIC", quality=quality)
    whole = time.process_time() - start
    start = time.process_time()
    for _ in range(10):
        look(image)
    share = (time.process_time() - start) / 10 / whole
    with mock.patch("pillow_mlic.coding.content.PICTURE", 2.0):  # no picture is worth trying
        plain = saved(image, "MLIC", quality=quality)
    return share, plain == data


def main() -> None:
    """Print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("drawings", nargs="*", type=Path)
    parser.add_argument("--photographs", nargs="*", type=Path, default=[])
    args = parser.parse_args()
    print(
        "| picture | WebP lossless | .mlic lossless | largest lossy .mlic "
        "| lossless from quality | AVIF's points | bytes by AVIF's |"
    )
    print("|---" * 7 + "|")
    means = [mean for mean in map(drawing, args.drawings) if mean is not None]
    if means:
        print(f"\nMean by AVIF's bytes: {sum(means) / len(means):.3f}")
    for path in args.photographs:
        share, same = photograph(path, save_settings.DEFAULT_QUALITY)
        print(
            f"{path.stem}: the look takes {share:.2%}; byte for byte the same: {same}", flush=True
        )


if __name__ == "__main__":
    main()
