"""`mlic attention`: a picture of what the contexts of a latent look at, and where the bits went."""

import argparse
import io
from pathlib import Path
from typing import Any

from .. import conversion, packs, plugin, save_settings
from ..files import refuse_pipe, whole_file
from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "attention",
        help="draw what the contexts of a place look at",
        description=(
            "Draw maps over the picture: the attention of each global context for the latent at a "
            "pixel, the factors of reweighted contexts if the model has them, and where the bits "
            "went. A picture that is not a .mlic file is encoded first."
        ),
    )
    parser.add_argument("input", type=Path, metavar="IMAGE", help="a picture or a .mlic file")
    parser.add_argument(
        "--at", type=_point, metavar="X,Y", help="the pixel; default: the middle of the picture"
    )
    parser.add_argument("--bits", action="store_true", help="only the map of bits")
    parser.add_argument(
        "--model", help=f"model or weight pack for pictures; default {packs.DEFAULT_PACK}"
    )
    parser.add_argument(
        "-q",
        "--quality",
        type=float,
        default=save_settings.DEFAULT_QUALITY,
        help="default %(default)g",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="OUT", help="default: IMAGE-attention.png"
    )
    parser.add_argument("-f", "--force", action="store_true", help="replace an existing file")
    common.add_device(parser)
    parser.set_defaults(run=run)


def _point(text: str) -> tuple[int, int]:
    try:
        x, y = (int(part) for part in text.split(","))
    except ValueError:
        msg = f"{text!r} is not two whole numbers X,Y such as 320,200"
        raise argparse.ArgumentTypeError(msg) from None
    return x, y


def run(args: argparse.Namespace) -> int:
    """mlic attention."""
    from ..diagnostics import bits, heatmaps

    out = args.output or args.input.with_name(f"{args.input.stem}-attention.png")
    common.check_free(out, args.force)
    file = io.BytesIO(_coded(args))
    picture = plugin.MlicImageFile(file).decode(args.device)
    at = args.at or (picture.width // 2, picture.height // 2)
    maps: dict[str, Any] = {}
    box = (0, 0, *picture.size)
    if not args.bits:
        file.seek(0)
        box, maps = bits.context_maps(file, at, args.device)
    file.seek(0)
    costs = bits.bit_map(file, args.device)
    left, top, right, bottom = (-(-side // heatmaps.LATENT) for side in box)
    maps["bits"] = costs[top:bottom, left:right]
    tile = picture.crop((box[0], box[1], min(box[2], picture.width), min(box[3], picture.height)))
    mark = None if args.bits else (at[0] - box[0], at[1] - box[1])
    with whole_file(out) as written:
        heatmaps.sheet(tile, maps, mark).save(written, "PNG")
    print(f"{out}: {', '.join(maps)}")
    return 0


def _coded(args: argparse.Namespace) -> bytes:
    """The .mlic file of the input."""
    if args.input.suffix.lower() == ".mlic":
        refuse_pipe(args.input)
        return bytes(args.input.read_bytes())
    buffer = io.BytesIO()
    with conversion.opened(args.input, common.warn) as image:
        options = {"quality": args.quality, "model": args.model, "device": args.device}
        save_settings.check_options(options)
        image.save(buffer, plugin.FORMAT, exif=None, xmp=None, **options)
    return buffer.getvalue()
