"""`mlic view`: the viewer."""

import argparse
import importlib
from pathlib import Path
from typing import Any

MISSING = (
    "the viewer needs PySide6; run: python -m pip install 'pillow-mlic[gui]' "
    "(from a checkout: python -m pip install -e '.[gui]')"
)


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "view",
        help="compare codecs on a picture in a window",
        description=(
            "Open the viewer: .mlic, JPEG, WebP, AVIF and JPEG XL on a picture, at the same size."
        ),
    )
    parser.add_argument(
        "inputs", nargs="*", type=Path, metavar="FILE", help="pictures, .mlic files or folders"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic view."""
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        msg = f"{MISSING} ({error})"
        raise ImportError(msg) from error
    app = importlib.import_module("pillow_mlic_gui.qt.app")
    return int(app.run(args.inputs))
