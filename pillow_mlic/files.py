"""Files that are written whole or not at all, and their sizes in words."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image

LONGEST_START = 200
"""The name of an unfinished file begins with at most this many bytes of the final name."""


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is complete. It replaces an older one.

    If writing fails or is interrupted, an older file stays as it was. A process that is killed
    leaves a hidden file `.NAME.*.part`, which nothing reads.
    """
    # Named before it is made: wherever an exception comes, what was made is removed.
    start = path.name.encode()[:LONGEST_START].decode(errors="ignore")
    part = path.with_name(f".{start}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename == str(part):
            error.filename = str(path)  # not that of the unfinished file
        raise


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
