"""`mlic info`: describe .mlic files without decoding them."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from .. import plugin
from ..errors import PICTURE_ERRORS
from ..format import metadata
from ..format.tiles import TileKind
from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "info",
        help="describe .mlic files",
        description="Describe .mlic files from their headers; nothing is decoded.",
    )
    parser.add_argument(
        "inputs",
        nargs="+",
        type=common.place,
        metavar="FILE",
        help=".mlic file or folder; - is standard input",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic info."""
    failed = False
    for path, _ in common.inputs(args.inputs, {".mlic"}):
        try:
            facts = describe(path)
        except PICTURE_ERRORS as error:
            failed = True
            print(f"mlic: {path}: {error}", file=sys.stderr)
            if args.json:
                print(json.dumps({"file": str(path), "error": str(error)}))
            continue
        print(json.dumps(facts) if args.json else sentence(facts))
    return 1 if failed else 0


def describe(path: Path) -> dict[str, Any]:
    """What the header, the metadata and the heads of the chunks say."""
    given = common.source_of(path)
    with Image.open(given, formats=[plugin.FORMAT]) as image:
        assert isinstance(image, plugin.MlicImageFile)
        kept = [name for name in metadata.NAMES.values() if name in image.info]
        kinds = image.tile_kinds()
        return {
            "file": str(path),
            "bytes": common.bytes_in(given),
            "width": image.width,
            "height": image.height,
            "mode": image.mode,
            "version": image.info["version"],
            **{k: image.info[k] for k in ("model", "weights", "quality")},
            "bpp": round(image.info["bpp"], 4),
            "lossless": image.info["lossless"],
            "texture": image.info.get("texture", 0.0),
            "tiles": len(kinds),
            "lossless_tiles": sum(kind != TileKind.LEARNED for kind in kinds),
            "metadata": {name: len(image.info[name]) for name in kept},
        }


def sentence(facts: dict[str, Any]) -> str:
    """The same for people."""
    kept = [f"{k} {common.bytes_text(v)}" for k, v in facts["metadata"].items()]
    tiles, lossless = facts["tiles"], facts["lossless_tiles"]
    mixed = f"{lossless} of {tiles} tiles lossless"
    return ", ".join(
        [
            f"{facts['file']}: {facts['width']} x {facts['height']} {facts['mode']}",
            f"{common.bytes_text(facts['bytes'])} ({facts['bpp']:.3f} bpp)",
            *(
                ["lossless" if facts["lossless"] else f"no model quality {facts['quality']:g}"]
                if facts["model"] == "none"
                else [
                    f"{facts['model']} quality {facts['quality']:g}",
                    *([mixed] if lossless else []),
                    *([f"texture {facts['texture']:g}"] if facts["texture"] else []),
                    f"weights {facts['weights']}",
                ]
            ),
            f"format {facts['version']}",
            *kept,
        ]
    )
