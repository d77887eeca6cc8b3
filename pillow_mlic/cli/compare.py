"""`mlic compare`: one picture through several codecs, at equal bytes or equal PSNR."""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from .. import conversion, save_settings
from ..files import whole_file
from . import common

if TYPE_CHECKING:
    from ..evaluation.compare import CodecOutcome
    from ..format.geometry import Box

DEFAULT_CODECS = ("mlic", "jpeg", "webp", "avif", "jxl")


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "compare",
        help="one picture through several codecs, at equal bytes or equal PSNR",
        description=(
            "Compress one picture with every codec to the same size (or the same PSNR): prints "
            "one line a codec and writes a picture with all of them side by side, details "
            "enlarged."
        ),
    )
    parser.add_argument("image", type=Path, metavar="IMAGE")
    parser.add_argument(
        "--codecs",
        type=common.names,
        metavar="NAMES",
        help="codecs by name, the first sets the size; default: those installed of "
        f"{','.join(DEFAULT_CODECS)}",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-q",
        "--quality",
        type=float,
        default=save_settings.DEFAULT_QUALITY,
        help="quality of the first codec, which the others match; default: %(default)g",
    )
    where.add_argument(
        "--target-bpp", type=float, metavar="BPP", help="this many bits per pixel for every codec"
    )
    where.add_argument(
        "--target-psnr", type=float, metavar="DB", help="this PSNR in dB for every codec"
    )
    parser.add_argument(
        "--match",
        choices=("bytes", "psnr"),
        default="bytes",
        help="with -q: make bytes equal, or PSNR; default: %(default)s",
    )
    parser.add_argument(
        "--crop",
        action="append",
        type=_box,
        metavar="X,Y,W,H",
        help="enlarge this region (may be given several times); default: where there is most "
        "detail, and where the codecs do worst",
    )
    parser.add_argument(
        "--zoom",
        type=common.positive,
        default=2,
        help="how much regions are enlarged; default: %(default)s",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="default: IMAGE-compare.png here"
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing file")
    parser.add_argument("--json", action="store_true", help="one JSON object a codec on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic compare."""
    target = args.output or Path(f"{args.image.stem}-compare.png")
    if target.suffix.lower() != ".png":
        msg = f"{target} is no .png file, which is what is written; give -o a name with .png"
        raise ValueError(msg)
    common.check_free(target, args.force)
    with conversion.opened(args.image, common.warn) as opened:
        image = opened.convert("RGB")
    boxes = None if args.crop is None else [_inside(box, image) for box in args.crop]
    pixels = image.width * image.height
    outcomes = outcomes_of(
        image,
        args.codecs,
        quality=args.quality,
        size=None if args.target_bpp is None else max(args.target_bpp * pixels / 8, 1),
        psnr=args.target_psnr,
        match=args.match,
    )
    write_sheet(target, image, outcomes, boxes, args.zoom)
    print_outcomes(image, outcomes, args.json)
    if not args.json:
        print(f"\npicture: {target}")
    return 0


def outcomes_of(
    image: Image.Image, names: Sequence[str] | None, **where: Any
) -> "list[CodecOutcome]":
    """`evaluation.compare.compare` with codecs by name (None: the usual ones); prints its steps."""
    from ..evaluation import codecs, compare

    known = codecs.names()
    chosen = names or [name for name in DEFAULT_CODECS if name in known]
    return compare.compare(image, [codecs.create(n) for n in chosen], progress=_say, **where)


def write_sheet(
    target: Path,
    image: Image.Image,
    outcomes: "Sequence[CodecOutcome]",
    boxes: "Sequence[Box] | None",
    zoom: int,
) -> None:
    """Write the contact sheet as a PNG file; without `boxes` the details are chosen here."""
    from ..evaluation import compare

    chosen = compare.choose_boxes(image, outcomes, zoom) if boxes is None else boxes
    with whole_file(target) as file:
        compare.sheet(image, outcomes, chosen, zoom).save(file, "PNG", optimize=True)


def print_outcomes(image: Image.Image, outcomes: "Sequence[CodecOutcome]", as_json: bool) -> None:
    """One line a codec on standard output."""
    from ..evaluation import compare

    if not as_json:
        print(compare.table(outcomes))
        return
    for outcome in outcomes:
        record: dict[str, Any] = {
            "codec": outcome.codec.name,
            "quality": outcome.setting,
            "bytes": outcome.size,
            "bpp": 8 * outcome.size / (image.width * image.height),
            **{m: v if math.isfinite(v) else None for m, v in outcome.fidelity.items()},
            "encode_seconds": round(outcome.encode_seconds, 4),
            "decode_seconds": round(outcome.decode_seconds, 4),
        }
        print(json.dumps(record))


def _say(what: str) -> None:
    print(f"  {what} ...", file=sys.stderr)


def _box(text: str) -> tuple[int, int, int, int]:
    """X,Y,W,H, for argparse."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        msg = f"{text!r} is not X,Y,W,H in pixels, such as 100,50,256,192"
        raise argparse.ArgumentTypeError(msg) from error
    if x < 0 or y < 0 or width < 1 or height < 1:
        msg = f"{text!r} is no region: X and Y from 0, W and H from 1"
        raise argparse.ArgumentTypeError(msg)
    return x, y, x + width, y + height


def _inside(box: "Box", image: Image.Image) -> "Box":
    if box[2] > image.width or box[3] > image.height:
        msg = f"the region reaches beyond the picture, which is {image.width} x {image.height}"
        raise ValueError(msg)
    return box
