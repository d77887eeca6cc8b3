"""Sheets of crops to look at: the same place of a picture through several codecs.

    python scripts/sheets.py kodak/ --out sheets --quality 2 --ours mlic:mlicv2-lite-visual mlic
    python scripts/sheets.py a.png --out sheets --ours "mlic refine=20" --crop a=0,0,200,160

For each picture one sheet with the original, ours (a codec's name, or in quotes a name and
options of `save`), AVIF at its best and JPEG XL in as many bytes, and AVIF at its best in twice as
many. Below each: bytes of the whole file, bits a pixel, SSIMULACRA2, PSNR of the whole picture.

Sizes: AVIF has only whole qualities, so its file that comes nearest to the first of ours at
--quality sets the size. All others come as near to that as they can. Crops of Kodak are chosen by
hand, faces first; other pictures are cropped where they have most detail.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from pillow_mlic.cli import common
from pillow_mlic.conversion import read_rgb
from pillow_mlic.evaluation import bench, codecs, compare, details
from pillow_mlic.evaluation.codecs import Codec
from pillow_mlic.evaluation.compare import GAP, INK, PAPER, SOFT, CodecOutcome
from pillow_mlic.format.geometry import Box

SIDE = 256
KODAK: dict[str, tuple[int, int]] = {
    "kodim01": (256, 128),  # stones and a door
    "kodim02": (192, 96),  # a door's paint
    "kodim03": (64, 64),  # a cap and plaster
    "kodim04": (128, 288),  # a face
    "kodim05": (128, 160),  # spokes
    "kodim06": (240, 208),  # ropes and water
    "kodim07": (320, 128),  # a flower before a painted wall
    "kodim08": (512, 208),  # lettering
    "kodim09": (160, 480),  # people in boats
    "kodim10": (208, 448),  # sails and people
    "kodim11": (320, 160),  # ropes
    "kodim12": (176, 48),  # people before calm water
    "kodim13": (288, 224),  # a stream
    "kodim14": (320, 128),  # small faces
    "kodim15": (416, 80),  # a face
    "kodim16": (256, 128),  # palms and clouds
    "kodim17": (160, 112),  # a face of stone
    "kodim18": (192, 128),  # a face and foliage
    "kodim19": (64, 400),  # a fence and grass
    "kodim20": (176, 176),  # lettering on a plane
    "kodim21": (192, 208),  # rocks and a fence
    "kodim22": (320, 160),  # a barn, grass and water
    "kodim23": (384, 96),  # feathers
    "kodim24": (384, 192),  # paintings on a wall
}
"""Left and top of the crops of the 24 Kodak pictures, each `SIDE` pixels wide and high."""
_LINE = 22
_LEGEND = 3 * _LINE + 6


def ours(text: str) -> Codec:
    """The codec of "NAME KEY=VALUE KEY=VALUE": options of `save`, their values as JSON."""
    name, *words = text.split()
    options: dict[str, Any] = {}
    for word in words:
        key, _, value = word.partition("=")
        try:
            options[key] = json.loads(value)
        except ValueError as error:
            msg = f"{word!r} is no option such as refine=20 or optimize=false"
            raise argparse.ArgumentTypeError(msg) from error
    try:
        codec = codecs.create(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return replace(codec, label=text, options={**codec.options, **options})


def crop_argument(text: str) -> tuple[str, Box]:
    """NAME=X,Y,WIDTH,HEIGHT; the name is that of the file without its suffix."""
    name, _, numbers = text.partition("=")
    try:
        x, y, width, height = (int(number) for number in numbers.split(","))
    except ValueError as error:
        msg = f"{text!r} is not NAME=X,Y,WIDTH,HEIGHT"
        raise argparse.ArgumentTypeError(msg) from error
    return name, (x, y, x + width, y + height)


def box_of(path: Path, picture: Image.Image, given: dict[str, Box]) -> Box:
    """Where to look: as given, by the table, or where there is most detail."""
    if path.stem in given:
        left, top, right, bottom = given[path.stem]
        if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
            msg = f"the crop of {path.name} is not inside its {picture.width} x {picture.height}"
            raise ValueError(msg)
        return given[path.stem]
    if path.stem in KODAK and picture.width * picture.height == 768 * 512:
        left, top = KODAK[path.stem]
        return left, top, left + SIDE, top + SIDE
    return details.most_detailed(picture, (SIDE, SIDE))


def versions(picture: Image.Image, mine: Sequence[Codec], quality: float) -> list[CodecOutcome]:
    """Ours, AVIF and JPEG XL in as many bytes each, and AVIF in twice as many."""
    best = codecs.create("avif-best")
    about = len(mine[0].encode(picture, quality))
    (avif,) = compare.compare(picture, [best], size=about)
    others = list(mine)
    if "jxl" in codecs.names():
        others.append(replace(codecs.create("jxl"), continuous=True))  # its plugin takes fractions
    found = compare.compare(picture, others, size=avif.size)
    twice = replace(best, label=f"{best.label}, twice the bytes")
    found.insert(len(mine), avif)
    return [*found, *compare.compare(picture, [twice], size=2 * avif.size)]


def sheet(
    picture: Image.Image, outcomes: Sequence[CodecOutcome], box: Box, zoom: int, columns: int
) -> Image.Image:
    """Crops of the original and the outcomes, `zoom` times as large, in so many columns."""
    cells = [("original", "", picture)]
    cells += [(outcome.codec.label, legend(outcome), outcome.image) for outcome in outcomes]
    width, height = (box[2] - box[0]) * zoom, (box[3] - box[1]) * zoom
    columns = min(columns, len(cells))
    rows = -(-len(cells) // columns)
    whole = (GAP + columns * (width + GAP), GAP + rows * (height + _LEGEND + GAP))
    out = Image.new("RGB", whole, PAPER)
    draw = ImageDraw.Draw(out)
    bold, plain = ImageFont.load_default(18), ImageFont.load_default(15)
    for i, (label, note, image) in enumerate(cells):
        left = GAP + i % columns * (width + GAP)
        top = GAP + i // columns * (height + _LEGEND + GAP)
        crop = image.crop(box).resize((width, height), Image.Resampling.NEAREST)
        out.paste(crop, (left, top))
        draw.text((left, top + height + 4), label, fill=INK, font=bold)
        draw.text((left, top + height + 4 + _LINE), note, fill=SOFT, font=plain, spacing=6)
    return out


def legend(outcome: CodecOutcome) -> str:
    """Two lines: size, and fidelity of the whole picture."""
    bpp = 8 * outcome.size / (outcome.image.width * outcome.image.height)
    points = outcome.fidelity.get("ssimulacra2")
    looks = "" if points is None else f"SSIMULACRA2 {points:.1f}   "
    return f"{outcome.size} bytes   {bpp:.3f} bpp\n{looks}PSNR {outcome.fidelity['psnr']:.2f} dB"


def main() -> None:
    """A sheet for each picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("places", type=Path, nargs="+", metavar="PICTURES")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--ours", type=ours, nargs="+", metavar="CODEC", help="default: mlic")
    parser.add_argument("--quality", type=float, default=2.0, help="of the first; %(default)s")
    parser.add_argument("--crop", type=crop_argument, nargs="+", default=[], metavar="NAME=X,Y,W,H")
    parser.add_argument("--zoom", type=common.positive, default=2, help="%(default)s")
    parser.add_argument("--columns", type=common.positive, default=3, help="%(default)s")
    parser.add_argument("--suffix", choices=("png", "webp"), default="png", help="%(default)s")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    mine = args.ours or [codecs.create("mlic")]
    for path in bench.find_images(args.places):
        picture = read_rgb(path)
        try:
            box = box_of(path, picture, dict(args.crop))
        except ValueError as error:
            sys.exit(f"sheets: {error}")
        outcomes = versions(picture, mine, args.quality)
        target = args.out / f"{path.stem}.{args.suffix}"
        sheet(picture, outcomes, box, args.zoom, args.columns).save(target, quality=92, method=6)
        print(f"{target}: {', '.join(f'{o.codec.label} {o.size}' for o in outcomes)}", flush=True)


if __name__ == "__main__":
    main()
