"""The `mlic` command: arguments and printing, nothing else."""

import argparse
import codecs
import importlib
import io
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from PIL import Image

from .. import process
from ..version import __version__

COMMANDS = {
    "encode": "files",
    "decode": "files",
    "batch": "batch",
    "info": "info",
    "view": "view",
    "compare": "compare",
    "demo": "demo",
    "bench": "bench",
    "bench cost": "cost",
    "bench skip": "skip",
    "bench speed": "speed",
    "selftest": "selftest",
    "attention": "attention",
    "models": "models",
    "weights": "weights",
    "train": "train",
    "desktop": "desktop",
    "completion": "completion",
}
"""Commands and their modules, of which one is imported where one is called: `mlic info` needs no
NumPy."""
SECOND_WORDS = {"bench": ("cost", "skip", "speed")}
"""Commands of two words; the first one alone is a command, too, and takes names of files."""
ENDINGS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Signals that end a command tidily; Windows has no SIGHUP."""
EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of all subcommands, or, where it is known, of the one that is called."""
    parser = argparse.ArgumentParser(
        prog="mlic", description="Learned image compression: photographs to .mlic files and back."
    )
    parser.add_argument("--version", action="version", version=f"pillow-mlic {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = COMMANDS.values() if command not in COMMANDS else [COMMANDS[command]]
    for name in dict.fromkeys(modules):
        importlib.import_module(f".{name}", __package__).add_to(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; -> 0 done, 1 something failed, 2 wrong usage, 130 interrupted."""
    if argv is None:
        process.wait_asleep()
    words = join_words(sys.argv[1:] if argv is None else argv)
    args = build_parser(words[0] if words else None).parse_args(words)
    if argv is None and args.command == "train":
        from .train import keep_memory

        keep_memory()
    try:
        with _any_name_printed(), _ended_tidily(args.command):
            return int(args.run(args))
    except KeyboardInterrupt:
        print("mlic: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except (ValueError, ImportError, Image.DecompressionBombError) as error:
        print(f"mlic: {_sentence(error)}", file=sys.stderr)
        return EXIT_USAGE
    except MemoryError as error:
        print(f"mlic: {str(error) or 'the memory does not suffice for this'}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        print(f"mlic: {_describe(error)}", file=sys.stderr)
        return EXIT_FAILED


@contextmanager
def _any_name_printed() -> Iterator[None]:
    """A name that the terminal cannot show is printed with escapes and ends nothing."""
    out = sys.stdout
    if not isinstance(out, io.TextIOWrapper) or not _may_fail(out):
        yield
        return
    before = out.errors
    out.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        if not out.closed:
            out.reconfigure(errors=before)


def _may_fail(out: io.TextIOWrapper) -> bool:
    """Whether names of files can end what prints them. In UTF-8 surrogateescape, which scripts
    get in the plainest locale, prints any name as it is."""
    text = codecs.lookup(out.encoding).name == "utf-8"
    return out.errors == "strict" or (out.errors == "surrogateescape" and not text)


@contextmanager
def _ended_tidily(command: str) -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that is closed, end the command as an exception does:
    unfinished files are removed. What is ignored, as SIGHUP under nohup, stays so.

    Not so the viewer: while Qt waits for events no Python runs.
    """

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    main_thread = threading.current_thread() is threading.main_thread()
    if command == "view" or not main_thread:
        yield
        return
    chosen = [number for number in ENDINGS if signal.getsignal(number) is signal.SIG_DFL]
    for number in chosen:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in chosen:
            signal.signal(number, signal.SIG_DFL)


def join_words(words: Sequence[str]) -> list[str]:
    """The words, the first two joined where they are a command of two words."""
    if len(words) > 1 and words[1] in SECOND_WORDS.get(words[0], ()):
        return [f"{words[0]} {words[1]}", *words[2:]]
    return list(words)


def _sentence(error: Exception) -> str:
    """Its text; where torch is missing, what to install."""
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return (
            "this command needs torch, which is not installed; run: "
            "python -m pip install 'pillow-mlic[torch]'"
        )
    return str(error)


def _describe(error: OSError) -> str:
    """The operating system's errors read `name: reason`; ours are sentences already."""
    if error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)
