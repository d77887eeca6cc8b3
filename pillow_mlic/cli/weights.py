"""`mlic weights list | import | export`."""

import argparse
import json
from pathlib import Path
from typing import Any

from .. import packs
from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser("weights", help="installed weight packs")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list the weight packs that can be found")
    listing.add_argument("--json", action="store_true", help="one JSON object a pack")
    listing.set_defaults(run=run_list)
    importing = actions.add_parser(
        "import",
        help="make a pack from a published checkpoint",
        description="Make a weight pack from a published MLIC++ or LALIC checkpoint (.pth.tar).",
    )
    importing.add_argument("file", type=Path, help="the checkpoint")
    importing.add_argument(
        "--lambda",
        dest="lam",
        type=float,
        required=True,
        help="lambda that it was trained for: 0.0018 to 0.28 (MSE) or 2.4 to 220 (MS-SSIM)",
    )
    importing.add_argument(
        "--folder", type=Path, help="folder for the pack; default: the user's folder of packs"
    )
    importing.add_argument(
        "-f", "--force", action="store_true", help="replace a different pack of the same name"
    )
    importing.set_defaults(run=run_import)
    exporting = actions.add_parser("export", help="write a pack for other programs")
    exporting.add_argument("pack", help="name of the pack, from `mlic weights list`")
    exporting.add_argument(
        "-o", "--output", type=Path, required=True, help="file to write, or folder"
    )
    exporting.add_argument(
        "--format",
        choices=["compressai", "onnx"],
        default="compressai",
        help="a checkpoint of its tensors (the default), or its transforms as three ONNX files",
    )
    exporting.set_defaults(run=run_export)


def run_list(args: argparse.Namespace) -> int:
    """mlic weights list."""
    found = list(packs.installed())
    for pack in found:
        digest = packs.name_in_files(pack).hex()
        size = pack.path.stat().st_size
        if args.json:
            facts = {"name": pack.name, "model": pack.model, "hash": digest, "bytes": size}
            print(json.dumps({**facts, "path": str(pack.path), "card": pack.card}))
        else:
            print(f"{pack.name}  {pack.model}  {digest}  {common.bytes_text(size)}  {pack.path}")
    if not found and not args.json:
        print("no weight packs found in " + ", ".join(map(str, packs.folders())))
    return 0


def run_import(args: argparse.Namespace) -> int:
    """mlic weights import."""
    from ..packs.checkpoints import import_checkpoint

    path = import_checkpoint(args.file, args.lam, args.folder, args.force)
    pack = packs.inspect(path)
    print(f"{path}\nuse it with: mlic encode PHOTO --model {pack.model} -q {pack.quality:g}")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """mlic weights export."""
    if args.format == "onnx":
        from ..engines.onnx_export import export

        print(*export(args.pack, args.output), sep="\n")
        return 0
    from ..packs.checkpoints import export_checkpoint

    export_checkpoint(args.pack, args.output)
    return 0
