"""Files that are not waited for and that are written whole or not at all; their sizes in words."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from PIL import Image

LONGEST_START = 200
"""The name of an unfinished file begins with at most this many bytes of the final name."""


def refuse_pipe(path: Path, advice: str = "write what it gives to a file first") -> None:
    """ValueError for a pipe or a device, which would be waited for. A name of nothing passes:
    opening it says so."""
    if path.exists() and not path.is_file() and not path.is_dir():
        msg = f"{path} is a pipe or a device, not a file; {advice}"
        raise ValueError(msg)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is complete. It replaces an older one.

    If writing fails or is interrupted, an older file stays as it was. The new one has its
    permissions, and lies where a symbolic link of that name leads to. OSError where there is a
    pipe or a device. A process that is killed leaves a hidden file `.NAME.*.part`, which nothing
    reads.
    """
    place = Path(os.path.realpath(path)) if path.is_symlink() else path
    if place.exists() and not place.is_file():
        msg = f"{path} is there already, and it is no file"
        raise FileExistsError(msg)
    # Named before it is made: wherever an exception comes, what was made is removed.
    part = place.with_name(f".{start_of_part(place.name)}.{secrets.token_hex(4)}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        older = place.stat() if os.name == "posix" and place.exists() else None
        with open(part, "x+b", opener=None if older is None else _private) as file:
            if older is not None:
                _take_over(file.fileno(), older)
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(part):
            error.filename = str(path)  # not that of the unfinished file
        raise


def write_text(path: Path, text: str) -> None:
    """Write a whole file of text in UTF-8. Names of files that are no text are in it with
    escapes."""
    with whole_file(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def start_of_part(name: str) -> str:
    """How the name of the unfinished file of this name goes on after its dot."""
    while len(os.fsencode(name)) > LONGEST_START:
        name = name[:-1]
    return name


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _take_over(number: int, older: os.stat_result) -> None:
    """Give an open file the owner and the permissions of another."""
    own = os.fstat(number)
    if (own.st_uid, own.st_gid) != (older.st_uid, older.st_gid):
        with suppress(PermissionError):  # not everybody may give files away
            os.fchown(number, older.st_uid, older.st_gid)
    os.fchmod(number, stat.S_IMODE(older.st_mode))


def readable_suffixes() -> set[str]:
    """Extensions of pictures that Pillow can open, without our own."""
    known = Image.registered_extensions()
    return {e for e, name in known.items() if name in Image.OPEN and name != "MLIC"}


def bytes_text(size: float) -> str:
    """A size for people: 812 B, 41.3 kB, 5.20 MB."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= 0.9995 * factor:
            return f"{size / factor:#.3g}".rstrip(".") + f" {unit}"
    return f"{size:.0f} B"
