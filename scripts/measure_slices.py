"""PSNR by the number of slices that are decoded, with the bundled model.

    python scripts/measure_slices.py PICTURES [--quality 3] [--picture OUT.webp]

Prints a Markdown table; --picture draws the middle of the first picture with 0, 1, ... slices.
"""

import argparse
import io
from pathlib import Path
from statistics import fmean

from PIL import Image

import pillow_mlic
from pillow_mlic import packs
from pillow_mlic.evaluation.bench import find_images
from pillow_mlic.evaluation.metrics import psnr
from pillow_mlic.evaluation.tables import markdown_table

DETAIL = 192
"""Pixels a side of the detail that is drawn."""


def previews(picture: Image.Image, quality: float, slices: int) -> list[Image.Image]:
    """The picture decoded from 0 to `slices` slices."""
    buffer = io.BytesIO()
    picture.save(buffer, "MLIC", quality=quality)
    data = buffer.getvalue()
    return [pillow_mlic.decode_slices(io.BytesIO(data), k) for k in range(slices + 1)]


def strip(pictures: list[Image.Image]) -> Image.Image:
    """The middles of the pictures side by side."""
    whole = Image.new("RGB", (DETAIL * len(pictures), DETAIL))
    for number, picture in enumerate(pictures):
        left, top = ((side - DETAIL) // 2 for side in picture.size)
        whole.paste(picture.crop((left, top, left + DETAIL, top + DETAIL)), (number * DETAIL, 0))
    return whole


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--quality", type=float, nargs="+", default=[1.0, 3.0, 6.0])
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args()
    widths = packs.find().config["slices"]
    rows = []
    for quality in args.quality:
        levels: list[list[float]] = [[] for _ in range(len(widths) + 1)]
        for number, path in enumerate(find_images(args.pictures)):
            with Image.open(path) as opened:
                picture = opened.convert("RGB")
            decoded = previews(picture, quality, len(widths))
            for level, preview in zip(levels, decoded, strict=True):
                level.append(psnr(picture, preview))
            if args.picture is not None and number == 0 and quality == args.quality[-1]:
                strip(decoded).save(args.picture, quality=85, method=6)
        rows.append([f"{quality:g}", *(f"{fmean(level):.2f}" for level in levels)])
    header = ["quality", "0"]
    header += [f"{k} ({sum(widths[:k])} channels)" for k in range(1, len(widths) + 1)]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
