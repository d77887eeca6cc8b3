"""`mlic encode` and `mlic decode`."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from .. import conversion, plugin, save_settings, settings
from ..engines import devices
from ..errors import PICTURE_ERRORS
from . import common

Subparsers = Any
Tell = Callable[[float], None]


def add_to(subparsers: Subparsers) -> None:
    """Add both commands."""
    encode = subparsers.add_parser(
        "encode", help="pictures to .mlic", description="Encode pictures or folders to .mlic."
    )
    _add_common(encode, "picture")
    much = encode.add_mutually_exclusive_group()
    common.add_quality(much)
    common.add_encoding(encode)
    encode.set_defaults(run=run_encode)
    decode = subparsers.add_parser(
        "decode", help=".mlic to other formats", description="Decode .mlic files or folders."
    )
    _add_common(decode, ".mlic file")
    decode.add_argument(
        "--format",
        default="png",
        help="extension of outputs, unless -o names a file: png, tif, webp, jpg ...; default png",
    )
    decode.add_argument(
        "--region",
        type=_region,
        metavar="X,Y,W,H",
        help="decode only these pixels: left, top, width, height",
    )
    decode.add_argument(
        "--slices",
        type=common.natural,
        metavar="K",
        help="a preview from the first K slices of the latents (the bundled model has 5)",
    )
    decode.add_argument(
        "--precision",
        choices=settings.PRECISIONS,
        default=settings.PRECISIONS[0],
        help="how pixels are computed: bf16 is faster on processors that multiply such numbers",
    )
    decode.add_argument(
        "--texture",
        type=float,
        metavar="STRENGTH",
        help="strength of texture, 0 (the most faithful picture) to 1, in place of what the file "
        "says",
    )
    decode.set_defaults(run=run_decode)


def _add_common(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "inputs",
        nargs="+",
        type=common.place,
        metavar="FILE",
        help=f"{what} or folder; - is standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=common.place,
        metavar="OUT",
        help="output folder, or file for one input; - is standard output",
    )
    common.add_huge(parser)
    parser.add_argument("-f", "--force", action="store_true", help="replace existing files")
    parser.add_argument("--json", action="store_true", help="one JSON object a file on stdout")
    parser.add_argument("--quiet", action="store_true", help="no progress bar, no summary")
    common.add_device(parser)


def _region(text: str) -> tuple[int, int, int, int]:
    """X,Y,W,H -> (left, top, right, bottom)."""
    try:
        left, top, width, height = (int(part) for part in text.split(","))
    except ValueError:
        msg = f"{text!r} is not four whole numbers X,Y,W,H such as 100,50,640,480"
        raise argparse.ArgumentTypeError(msg) from None
    return left, top, left + width, top + height


def _inputs(args: argparse.Namespace, suffixes: set[str]) -> list[conversion.InputFile]:
    """`common.inputs`; ValueError that names -o where the last name looks meant as an output."""
    *others, last = args.inputs
    if others and args.output is None and last != common.STANDARD and not last.exists():
        msg = f"{last} does not exist; if it is what to write, name it with -o {last}"
        raise ValueError(msg)
    return common.inputs(args.inputs, suffixes)


def run_encode(args: argparse.Namespace) -> int:
    """mlic encode."""
    options = common.save_options(args)
    save_settings.check_options(options)
    if args.strip:
        options |= conversion.STRIPPED
    files = _inputs(args, common.readable_suffixes())
    pairs = common.outputs(files, args.output, ".mlic", args.force)

    bar = common.Bar(len(pairs), args.quiet or args.json)

    def convert(source: Path, target: Path, progress: Tell) -> tuple[int, int]:
        given = common.source_of(source)
        with Image.open(given) as opened, common.written(target) as file:
            frames = conversion.frames_of(opened)
            if frames > 1:
                bar.say(f"mlic: {source}: has {frames} frames, of which the first is written")
            image = conversion.eight_bit(opened, args.eight_bit)
            image = conversion.upright(image) if args.strip else image
            image.save(file, format=plugin.FORMAT, progress=progress, **options)
            return common.bytes_in(given), file.seek(0, os.SEEK_END)

    with conversion.any_size(args.huge):
        return _convert_all(args, pairs, convert, bar)


def run_decode(args: argparse.Namespace) -> int:
    """mlic decode."""
    suffix = "." + args.format.lower().lstrip(".")
    files = _inputs(args, {".mlic"})
    pairs = common.outputs(files, args.output, suffix, args.force)
    devices.check(args.device)
    formats = Image.registered_extensions()

    def ending(target: Path) -> str:
        return suffix if target == common.STANDARD else target.suffix.lower()

    for _, target in pairs:
        if formats.get(ending(target)) not in Image.SAVE:
            msg = f"Pillow cannot write {ending(target)!r} files; try .png"
            raise ValueError(msg)

    def convert(source: Path, target: Path, progress: Tell) -> tuple[int, int]:
        given = common.source_of(source)
        with plugin.MlicImageFile(given) as image:
            box = args.region or (0, 0, *image.size)
            picture = image.decode_region(box, args.device, progress, args.slices, args.texture)
            keep = conversion.kept_metadata(image)
            with common.written(target) as file:
                picture.save(file, format=formats[ending(target)], **keep)
                return common.bytes_in(given), file.seek(0, os.SEEK_END)

    with settings.changed(precision=args.precision), conversion.any_size(args.huge):
        return _convert_all(args, pairs, convert, common.Bar(len(pairs), args.quiet or args.json))


def _convert_all(
    args: argparse.Namespace,
    pairs: list[tuple[Path, Path]],
    convert: Callable[[Path, Path, Tell], tuple[int, int]],
    bar: common.Bar,
) -> int:
    """Convert every pair; a file that fails is reported and does not stop the others."""
    if args.json and pairs[0][1] == common.STANDARD:
        msg = "--json writes to standard output, which -o - needs for the picture"
        raise ValueError(msg)
    failed = 0
    before = after = 0
    for source, target in pairs:
        start = time.perf_counter()
        record: dict[str, Any] = {"input": str(source), "output": str(target)}
        try:
            size, new = convert(source, target, bar.file())
        except PICTURE_ERRORS as error:
            failed += 1
            hint = "; --huge permits it" if isinstance(error, Image.DecompressionBombError) else ""
            record["error"] = f"{error}{hint}"
            bar.say(f"mlic: {source}: {error}{hint}")
        else:
            record |= {
                "input_bytes": size,
                "output_bytes": new,
                "seconds": round(time.perf_counter() - start, 3),
            }
            before += record["input_bytes"]
            after += record["output_bytes"]
        if args.json:
            print(json.dumps(record), flush=True)
        bar.next()
    bar.close()
    done = len(pairs) - failed
    if not args.quiet and not args.json and done:
        name = str(pairs[0][1]) if len(pairs) == 1 else f"{done} files"
        print(
            f"{name}: {common.bytes_text(before)} -> {common.bytes_text(after)} "
            f"({after / before:.1%})",
            file=sys.stderr,
        )
    return 1 if failed else 0
