"""`mlic demo`: one photograph through .mlic, JPEG, WebP and AVIF, without any input."""

import argparse
import importlib.util
from pathlib import Path
from typing import Any

from PIL import Image

from ..files import whole_file
from . import common, compare

CODECS = ("mlic", "jpeg", "webp", "avif")

DETAIL = (196, 70, 452, 310)
"""Face and cap of the photograph."""


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "demo",
        help="compare .mlic with JPEG, WebP and AVIF on a photograph",
        description=(
            "Compress the photograph that comes with matplotlib to .mlic and to JPEG, WebP and "
            "AVIF of about the same size; print a table and write one side-by-side picture."
        ),
    )
    parser.add_argument(
        "-q", "--quality", type=common.quality, default=2.0, help="1 to 8; default 2"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("mlic-demo"), help="folder; default mlic-demo"
    )
    parser.set_defaults(run=run)


def photograph() -> Path:
    """The portrait of Grace Hopper in matplotlib's sample data; OSError without matplotlib."""
    spec = importlib.util.find_spec("matplotlib")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / "mpl-data" / "sample_data" / "grace_hopper.jpg"
        if path.exists():
            return path
    msg = "the demo's photograph comes with matplotlib; run: pip install matplotlib"
    raise OSError(msg)


def run(args: argparse.Namespace) -> int:
    """mlic demo."""
    with Image.open(photograph()) as opened:
        image = opened.convert("RGB")
    outcomes = compare.outcomes_of(image, CODECS, quality=args.quality)
    args.output.mkdir(parents=True, exist_ok=True)
    with whole_file(args.output / "grace_hopper.mlic") as file:
        file.write(outcomes[0].data)
    picture = args.output / "comparison.png"
    compare.write_sheet(picture, image, outcomes, [DETAIL], zoom=2)
    print(f"grace_hopper.jpg, {image.width} x {image.height}, each codec at about the same size:\n")
    compare.print_outcomes(image, outcomes, as_json=False)
    print(f"\nfile:    {args.output / 'grace_hopper.mlic'}\npicture: {picture}")
    return 0
