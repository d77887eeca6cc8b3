"""From files to files: what the command, batches and the viewer's queue have in common.

Which pictures are meant, how outputs are named, and which metadata they keep.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageOps

from .coding.picture import WIDE_MODES
from .errors import PICTURE_ERRORS
from .files import refuse_pipe
from .format import metadata
from .process import Counted

STRIPPED = {"exif": None, "xmp": None}
"""Options of saving for a picture that `upright` returned."""
ONE_PICTURE = {"MPO", "PSD"}
"""Formats whose further frames are no pictures of their own: second views, layers."""


ELSEWHERE = "mlic encode --8-bit --lossless scales them"
"""What commands without --8-bit advise."""


class TooDeepError(OSError):
    """A picture has more than 8 bits a channel."""


class InputFile(NamedTuple):
    """A file to work on, and its path below the given folder (its name, if a file was given)."""

    path: Path
    relative: Path


@contextmanager
def _without_limit() -> Iterator[None]:
    most = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        if Image.MAX_IMAGE_PIXELS is None:  # nobody has set another one meanwhile
            Image.MAX_IMAGE_PIXELS = most


_unlimited = Counted(_without_limit)


def any_size(huge: bool = True) -> AbstractContextManager[None]:
    """With `huge` without Pillow's limit of pixels, which is as it was when the last one leaves.

    The limit is one for the whole process.
    """
    return _unlimited if huge else nullcontext()


def walk(folder: Path) -> Iterator[Path]:
    """All files below a folder, in no order."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)


def files_below(folder: Path, suffixes: set[str]) -> Iterator[Path]:
    """Files below a folder whose extensions, in small letters, are among `suffixes`; no order."""
    return (p for p in walk(folder) if p.suffix.lower() in suffixes and p.is_file())


def find(inputs: Iterable[Path], suffixes: set[str], strict: bool = True) -> list[InputFile]:
    """The given files, and for a folder the sorted `files_below` it.

    ValueError, if `strict`, for a name that does not exist or is no file, and for a folder without
    such files.
    """
    found: list[InputFile] = []
    for name in inputs:
        if name.is_dir():
            files = sorted(files_below(name, suffixes))
            if strict and not files:
                msg = f"{name} holds no file of a kind that can be read"
                raise ValueError(msg)
            found += [InputFile(path, path.relative_to(name)) for path in files]
        elif strict and not name.exists():
            msg = f"{name} does not exist"
            raise ValueError(msg)
        else:
            if strict:
                refuse_pipe(name)
            found.append(InputFile(name, Path(name.name)))
    return found


def output_of(file: InputFile, folder: Path | None, suffix: str) -> Path:
    """The output of a file: beside it, or at the same place below `folder`."""
    if folder is None:
        return file.path.with_suffix(suffix)
    return folder / file.relative.with_suffix(suffix)


def frames_of(image: Image.Image) -> int:
    """How many pictures a file has, of which one is converted."""
    if image.format in ONE_PICTURE:
        return 1
    try:
        return int(getattr(image, "n_frames", 1))
    except PICTURE_ERRORS:
        return 1  # it breaks off behind the first one


def too_deep(image: Image.Image, advice: str = "--8-bit scales them") -> str | None:
    """What is wrong with a picture of more than 8 bits a channel, and advice; None for others."""
    if image.mode not in WIDE_MODES:
        return None
    if image.mode.startswith("I;16"):
        return f"it has 16 bits a channel, and MLIC holds 8; {advice}"
    return (
        f"its values (mode {image.mode}) have no range that is known, and MLIC holds 8 bits a "
        "channel; write it with 8 bits by another program first"
    )


@contextmanager
def opened(path: Path, say: Callable[[str], object] = lambda _: None) -> Iterator[Image.Image]:
    """A picture that is looked at, not converted; `say` hears where only its first frame is.

    ValueError for a pipe, TooDeepError for more than 8 bits a channel.
    """
    refuse_pipe(path)
    with Image.open(path) as image:
        problem = too_deep(image, ELSEWHERE)
        if problem is not None:
            msg = f"{path}: {problem}"
            raise TooDeepError(msg)
        frames = frames_of(image)
        if frames > 1:
            say(f"{path}: has {frames} frames, of which the first is taken")
        yield image


def read_rgb(path: Path, say: Callable[[str], object] = lambda _: None) -> Image.Image:
    """The pixels of a picture that `opened` opens, as RGB, without any metadata."""
    import numpy as np

    with opened(path, say) as image:
        return Image.fromarray(np.asarray(image.convert("RGB")))


def eight_bit(image: Image.Image, scale: bool) -> Image.Image:
    """The picture with 8 bits a channel: with `scale` 16 bits are scaled, 65535 to 255.

    TooDeepError, with advice for a command line, where it has more.
    """
    problem = too_deep(image)
    if problem is None:
        return image
    if not (scale and image.mode.startswith("I;16")):
        raise TooDeepError(problem)
    import numpy as np

    values = np.asarray(image).astype(np.uint32)
    small = Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))
    small.info = {**image.info, "exif": metadata.exif_of(image)}
    transparent = small.info.pop("transparency", None)
    if isinstance(transparent, int):
        small.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return small


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF says, so that it looks right without EXIF."""
    image.load()
    if hasattr(image, "tag_v2") and (exif := metadata.exif_of(image)):
        image.info["exif"] = exif  # of a TIFF file it would be lost on the way
    return ImageOps.exif_transpose(image)


def kept_metadata(image: Image.Image, strip: bool = False) -> dict[str, Any]:
    """Options of `Image.save` that keep a decoded picture's metadata; with `strip` only its
    profile."""
    names = ["icc_profile"] if strip else list(metadata.NAMES.values())
    return {name: image.info[name] for name in names if name in image.info}
