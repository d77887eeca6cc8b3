"""What several commands share: options of encoding, checks of output names, progress."""

import argparse
import io
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from .. import save_settings
from ..conversion import InputFile, output_of
from ..conversion import find as find
from ..files import bytes_text as bytes_text
from ..files import readable_suffixes as readable_suffixes
from ..files import refuse_pipe, whole_file


def add_device(parser: argparse.ArgumentParser) -> None:
    """--device, the same everywhere."""
    parser.add_argument(
        "--device", help="cpu, cuda, cuda:1 or mps; default: MLIC_DEVICE, or a GPU if there is one"
    )


def add_huge(parser: argparse.ArgumentParser) -> None:
    """--huge, the same everywhere."""
    parser.add_argument(
        "--huge",
        action="store_true",
        help="accept pictures above 179 megapixels, Pillow's limit for files that are not trusted",
    )


def add_quality(group: Any) -> None:
    """Add --quality and its alternatives to a group of options that exclude each other."""
    group.add_argument(
        "-q",
        "--quality",
        type=float,
        help="1 (smallest) to 8 (closest), any number between; "
        f"default {save_settings.DEFAULT_QUALITY:g}",
    )
    group.add_argument(
        "--target-bpp", type=float, metavar="BPP", help="this many bits per pixel, within 1 %%"
    )
    group.add_argument(
        "--max-bytes",
        type=size,
        metavar="SIZE",
        help="the best quality that fits into so many bytes: 250000, 250kB, 1.5MB",
    )
    group.add_argument(
        "--target-psnr",
        type=float,
        metavar="DB",
        help="this PSNR in dB, within 0.04, or no loss at all where that takes less",
    )
    group.add_argument(
        "--lossless", action="store_true", help="keep every pixel; needs no weights to read"
    )


def add_encoding(parser: argparse.ArgumentParser) -> None:
    """The other options of encoding."""
    from .. import packs

    parser.add_argument("--model", help=f"model or weight pack; default {packs.DEFAULT_PACK}")
    parser.add_argument(
        "--strip",
        action="store_true",
        help="leave out EXIF and XMP (the picture is turned upright, its colour profile kept)",
    )
    parser.add_argument(
        "--8-bit",
        dest="eight_bit",
        action="store_true",
        help="scale 16 bits a channel (grey PNG and TIFF files) to 8: 65535 becomes 255",
    )
    parser.add_argument(
        "--preview",
        action="store_true",
        help="add a small preview, for quick thumbnails, to pictures of half a megapixel or more",
    )
    parser.add_argument(
        "--no-optimize",
        action="store_true",
        help="encode in less than half the time; files are about 4 %% larger at the same fidelity",
    )
    parser.add_argument(
        "--refine",
        type=natural,
        metavar="STEPS",
        help="search better latents for this picture in so many steps (100 is a good start), each "
        "of which takes about as long as plain encoding; decoding stays as it is",
    )
    parser.add_argument(
        "--texture",
        type=strength,
        metavar="STRENGTH",
        help="strength of texture that readers show by themselves: 0 (default) to 1, or auto: as "
        "lively as the original, place by place",
    )


def strength(text: str) -> float | str:
    """A number, or "auto"."""
    if text == save_settings.AUTO:
        return text
    try:
        return float(text)
    except ValueError as error:
        msg = f"{text!r} is neither a number from 0 to 1 nor auto"
        raise argparse.ArgumentTypeError(msg) from error


def save_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `Image.save` from those of `add_quality`, `add_encoding` and `add_device`.

    `--strip` is not among them: commands strip pictures themselves.
    """
    names = (
        *("quality", "target_bpp", "max_bytes", "target_psnr"),
        *("model", "device", "refine", "texture"),
    )
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.lossless:
        options["lossless"] = True
    if args.no_optimize:
        options["optimize"] = False
    if args.preview:
        options["preview"] = True
    return options


STANDARD = Path("-")
"""Standard input or output."""


def place(text: str) -> Path:
    """A path, for argparse; "-" is `STANDARD`, "./-" a file of that name."""
    path = Path(text)
    return path.absolute() if path == STANDARD and text != "-" else path


def inputs(names: list[Path], suffixes: set[str]) -> list[InputFile]:
    """`find`, or standard input alone."""
    if STANDARD not in names:
        for name in names:
            refuse_pipe(name, "what it gives can be read from -")
        return find(names, suffixes)
    if len(names) > 1:
        msg = "- is standard input, which is one file: give no others with it"
        raise ValueError(msg)
    return [InputFile(STANDARD, STANDARD)]


def source_of(path: Path) -> Path | io.BytesIO:
    """What to open for a path."""
    return io.BytesIO(sys.stdin.buffer.read()) if path == STANDARD else path


def bytes_in(given: Path | io.BytesIO) -> int:
    """The size of what `source_of` gave."""
    return given.stat().st_size if isinstance(given, Path) else given.getbuffer().nbytes


@contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file that is written whole or not at all; for `STANDARD` standard output."""
    if path != STANDARD:
        with whole_file(path) as file:
            yield file
        return
    buffer = io.BytesIO()
    yield buffer
    sys.stdout.buffer.write(buffer.getbuffer())
    sys.stdout.buffer.flush()


def _through_a_pipe(files: list[InputFile], out: Path | None) -> list[tuple[Path, Path]] | None:
    """Input and output where one of them is `STANDARD`; None where neither is."""
    if files[0].path != STANDARD and out != STANDARD:
        return None
    out = STANDARD if out is None else out
    if out == STANDARD and len(files) != 1:
        msg = f"- is standard output, which is one file, but there are {len(files)} inputs"
        raise ValueError(msg)
    if out == STANDARD and sys.stdout.isatty():
        msg = "standard output is a terminal, which shows no pictures; send it to a file"
        raise ValueError(msg)
    if out.is_dir() or (not out.suffix and out != STANDARD):
        msg = "what comes from standard input has no name; give -o the name of a file"
        raise ValueError(msg)
    return [(files[0].path, out)]


def outputs(
    files: list[InputFile], out: Path | None, suffix: str, force: bool
) -> list[tuple[Path, Path]]:
    """Input and output of each file. `out`: a folder, or a file's name for a single input.

    `out` is a file's name if Pillow can write its extension. Without `out` the output lies beside
    the input. Raises ValueError if two inputs would give one output, if a file would be overwritten
    without `force`, and if `suffix` is .mlic but `out` is a file's name with another extension.
    """
    piped = _through_a_pipe(files, out)
    if piped is not None and piped[0][1] == STANDARD:
        return piped
    writable = {e for e, name in Image.registered_extensions().items() if name in Image.SAVE}
    single = out is not None and out.suffix.lower() in writable and not out.is_dir()
    if single and suffix == ".mlic" and out is not None and out.suffix.lower() != suffix:
        msg = f"{out} is no .mlic file, which is what encoding makes; give -o a name with .mlic"
        raise ValueError(msg)
    if single and len(files) != 1:
        msg = f"{out} is one file, but there are {len(files)} inputs; give a folder to -o"
        raise ValueError(msg)
    pairs = []
    for file in files:
        target = out if single and out is not None else output_of(file, out, suffix)
        pairs.append((file.path, target))
    seen: dict[Path, Path] = {}
    for path, target in pairs:
        if target in seen:
            msg = f"{seen[target]} and {path} would both become {target}; convert them separately"
            raise ValueError(msg)
        seen[target] = path
        check_free(target, force)
    return pairs


def check_free(target: Path, force: bool) -> None:
    """ValueError if a file would be overwritten without `force`."""
    if target.exists() and not force:
        msg = f"{target} exists already; add --force to replace it"
        raise ValueError(msg)


def warn(text: str) -> None:
    """Print a line to standard error."""
    print(f"mlic: {text}", file=sys.stderr)


class Bar:
    """A progress bar on standard error over several files; none if that is no terminal."""

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
        """Progress (0..1) of the current file."""

        def update(share: float) -> None:
            self._bar.n = self._done + share
            self._bar.refresh()

        return update

    def next(self) -> None:
        """The current file is finished."""
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


class StepBars:
    """Progress bars on standard error, one for each stage; none if that is no terminal."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._what = ""

    def __enter__(self) -> "StepBars":
        return self

    def __call__(self, what: str, done: int, total: int) -> None:
        if self._bar is None or what != self._what:
            from tqdm import tqdm

            self.close()
            self._what = what
            self._bar = tqdm(total=total, desc=what, file=sys.stderr, disable=None)
        self._bar.update(done - self._bar.n)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the bar as it stands and end its line."""
        if self._bar is not None:
            self._bar.close()


def names(text: str) -> list[str]:
    """A comma-separated list, for argparse."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        msg = "give at least one name"
        raise argparse.ArgumentTypeError(msg)
    return found


def numbers(text: str) -> list[float]:
    """A comma-separated list of numbers above 0, for argparse."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        msg = f"{text!r} is not a list of numbers such as 1,3,5.5"
        raise argparse.ArgumentTypeError(msg) from error
    if not all(0 < value < math.inf for value in values):
        msg = f"{text!r} has a number that is not above 0"
        raise argparse.ArgumentTypeError(msg)
    return values


def qualities(text: str) -> list[float]:
    """A comma-separated list of numbers from 1 to 8, for argparse."""
    values = numbers(text)
    if not all(1 <= value <= 8 for value in values):
        msg = "qualities go from 1 to 8"
        raise argparse.ArgumentTypeError(msg)
    return values


def quality(text: str) -> float:
    """A number from 1 to 8, for argparse."""
    found = qualities(text)
    if len(found) != 1:
        msg = f"{text!r} is more than one quality"
        raise argparse.ArgumentTypeError(msg)
    return found[0]


def natural(text: str) -> int:
    """A whole number from 0, for argparse."""
    if not text.isdecimal():
        msg = f"{text!r} is not a whole number"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


def positive(text: str) -> int:
    """A whole number above 0, for argparse."""
    if natural(text) < 1:
        msg = f"{text!r} is not above 0"
        raise argparse.ArgumentTypeError(msg)
    return int(text)


UNITS = {"gb": 10**9, "mb": 10**6, "kb": 10**3, "b": 1, "": 1}


def size(text: str) -> int:
    """Bytes, such as 250000, 250kB or 1.5MB, for argparse."""
    number = text.strip().rstrip("GMkKBgmb")
    try:
        value = float(number) * UNITS[text.strip()[len(number) :].lower()]
    except (ValueError, KeyError) as error:
        msg = f"{text!r} is not a size such as 250000, 250kB or 1.5MB"
        raise argparse.ArgumentTypeError(msg) from error
    if not 1 <= value < math.inf:
        msg = f"{text!r} is less than one byte"
        raise argparse.ArgumentTypeError(msg)
    return int(value)
