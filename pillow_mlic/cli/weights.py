"""`mlic weights list`."""

import argparse
import json
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


def run_list(args: argparse.Namespace) -> int:
    """mlic weights list."""
    found = list(packs.installed())
    for pack in found:
        digest = pack.digest()[: packs.HASH_BYTES].hex()
        size = pack.path.stat().st_size
        if args.json:
            facts = {"name": pack.name, "model": pack.model, "hash": digest, "bytes": size}
            print(json.dumps({**facts, "path": str(pack.path), "card": pack.card}))
        else:
            print(f"{pack.name}  {pack.model}  {digest}  {common.bytes_text(size)}  {pack.path}")
    if not found and not args.json:
        print("no weight packs found in " + ", ".join(map(str, packs.folders())))
    return 0
