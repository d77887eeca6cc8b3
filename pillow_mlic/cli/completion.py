"""`mlic completion`: a script that makes a shell complete the command's words."""

import argparse
from pathlib import Path
from typing import Any

MISSING = "completion needs shtab; run: python -m pip install 'pillow-mlic[completion]'"
SHELLS = ("bash", "zsh", "tcsh")
NAMES = ("FILE", "DIR", "SRC", "DST", "OUT", "OUTDIR")
"""Metavariables of arguments that are names of files or folders."""


def add_to(subparsers: Any) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "completion",
        help="print a shell's completion script",
        description=(
            "Print a script that makes a shell complete the words of `mlic`. For bash: "
            "mlic completion bash > ~/.local/share/bash-completion/completions/mlic"
        ),
    )
    parser.add_argument("shell", choices=SHELLS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """mlic completion."""
    try:
        import shtab
    except ImportError as error:
        msg = f"{MISSING} ({error})"
        raise ImportError(msg) from error
    from . import build_parser

    parser = build_parser()
    _prepare(parser, shtab.FILE)
    print(shtab.complete(parser, args.shell))
    return 0


def _prepare(parser: argparse.ArgumentParser, files: Any) -> None:
    """Mark arguments that are names of files; drop commands of two words, which shells split."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name in [name for name in action.choices if " " in name]:
                del action.choices[name]
            listed = action._choices_actions
            listed[:] = [choice for choice in listed if choice.dest in action.choices]
            for subparser in action.choices.values():
                _prepare(subparser, files)
        elif action.type is Path or action.metavar in NAMES:
            action.complete = files  # type: ignore[attr-defined]
