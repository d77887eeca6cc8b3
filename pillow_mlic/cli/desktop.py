"""`mlic desktop install | uninstall | thumbnail`."""

import argparse
import sys
from pathlib import Path
from typing import Any

from PIL import Image

from .. import plugin
from ..files import refuse_pipe, whole_file
from . import common


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "desktop",
        help="register .mlic files with the desktop",
        description=(
            "Register .mlic files with a Linux desktop that follows freedesktop.org: their type, "
            "an icon, the viewer and thumbnails. Only the user's own folders are touched, or "
            "those below a prefix."
        ),
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (
        ("install", "write type, icon, entry of the viewer and thumbnailer"),
        ("uninstall", "remove them"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument(
            "--prefix",
            type=Path,
            metavar="DIR",
            help="for packages: below DIR/share, with entries that call mlic from the PATH, and "
            "without updating the desktop's caches",
        )
        action.set_defaults(run=run)
    thumbnail = actions.add_parser(
        "thumbnail",
        help="write a thumbnail as PNG",
        description="Write a thumbnail as PNG; file managers call this.",
    )
    thumbnail.add_argument("input", type=Path, metavar="FILE", help=".mlic file")
    thumbnail.add_argument("output", type=Path, metavar="OUT", help="PNG file to write")
    thumbnail.add_argument(
        "--size", type=common.positive, default=256, metavar="N", help="longest side; default 256"
    )
    thumbnail.set_defaults(run=run_thumbnail)


def run(args: argparse.Namespace) -> int:
    """mlic desktop install, mlic desktop uninstall."""
    from .. import desktop

    installs = args.action == "install"
    report = (desktop.install if installs else desktop.uninstall)(args.prefix)
    for path in report.files:
        print(f"{'wrote' if installs else 'removed'} {path}")
    if not report.files:
        print("nothing was installed")
    for hint in report.hints:
        print(f"mlic: {hint}", file=sys.stderr)
    return 1 if report.hints else 0


def run_thumbnail(args: argparse.Namespace) -> int:
    """mlic desktop thumbnail; from the preview where the file has one."""
    refuse_pipe(args.input)
    with Image.open(args.input, formats=[plugin.FORMAT]) as image, whole_file(args.output) as file:
        image.thumbnail((args.size, args.size), reducing_gap=1.0)  # the preview may be so small
        image.save(file, format="PNG")
    return 0
