"""What several commands share: input lists, output names, progress."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from ..files import bytes_text as bytes_text
from ..files import whole_file as whole_file


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device, the same everywhere."""
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1 or mps; default: MLIC_DEVICE, or a GPU if there is one"
    )


def expand(inputs: list[Path], suffixes: set[str]) -> list[tuple[Path, Path]]:
    """Files to work on, each with its path relative to the input it came from.

    A folder stands for all files below it with one of `suffixes`. Raises ValueError for a name
    that does not exist and for a folder without any such file.
    """
    found = []
    for name in inputs:
        if name.is_dir():
            files = sorted(p for p in name.rglob("*") if p.suffix.lower() in suffixes)
            if not files:
                msg = f"{name} holds no file of a kind that can be read"
                raise ValueError(msg)
            found += [(path, path.relative_to(name)) for path in files]
        elif name.exists():
            found.append((name, Path(name.name)))
        else:
            msg = f"{name} does not exist"
            raise ValueError(msg)
    return found


def outputs(
    files: list[tuple[Path, Path]], out: Path | None, suffix: str, force: bool
) -> list[tuple[Path, Path]]:
    """Input and output of each file. `out`: a folder, or a file's name for a single input.

    A file's name has an extension that Pillow can write. Without `out` the output lies beside the
    input. Raises ValueError where two inputs would give one output, where one would be
    overwritten without `force`, and where a file's extension is not `suffix` if that is .mlic.
    """
    writable = {e for e, name in Image.registered_extensions().items() if name in Image.SAVE}
    single = out is not None and out.suffix.lower() in writable and not out.is_dir()
    if single and suffix == ".mlic" and out is not None and out.suffix.lower() != suffix:
        msg = f"{out} is no .mlic file, which is what encoding makes; give -o a name with .mlic"
        raise ValueError(msg)
    if single and len(files) != 1:
        msg = f"{out} is one file, but there are {len(files)} inputs; give a folder to -o"
        raise ValueError(msg)
    pairs = []
    for path, relative in files:
        if out is None:
            target = path.with_suffix(suffix)
        elif single:
            target = out
        else:
            target = out / relative.with_suffix(suffix)
        pairs.append((path, target))
    seen: dict[Path, Path] = {}
    for path, target in pairs:
        if target in seen:
            msg = f"{seen[target]} and {path} would both become {target}; convert them apart"
            raise ValueError(msg)
        seen[target] = path
        if target.exists() and not force:
            msg = f"{target} exists already; add --force to replace it"
            raise ValueError(msg)
    return pairs


def readable_suffixes() -> set[str]:
    """Extensions of pictures that Pillow can open, without our own."""
    known = Image.registered_extensions()
    return {e for e, name in known.items() if name in Image.OPEN and name != "MLIC"}


class Bar:
    """A progress bar on standard error over several files, or none where nobody looks."""

    def __init__(self, total: int, quiet: bool) -> None:
        from tqdm import tqdm

        self._bar: Any = tqdm(
            total=total,
            unit="file",
            disable=True if quiet else None,
            bar_format="{l_bar}{bar}| {n:.1f}/{total:.0f} {elapsed}<{remaining}",
        )
        self._done = 0

    def file(self) -> Callable[[float], None]:
        """Progress (0..1) of the file at hand."""

        def update(share: float) -> None:
            self._bar.n = self._done + share
            self._bar.refresh()

        return update

    def next(self) -> None:
        """The file at hand is done with."""
        self._done += 1
        self._bar.n = self._done
        self._bar.refresh()

    def say(self, text: str) -> None:
        """Print a line to standard error above the bar."""
        self._bar.clear()
        print(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the terminal tidy."""
        self._bar.close()
