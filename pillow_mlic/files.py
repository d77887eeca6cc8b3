"""Files for people: whole or not there at all, and their sizes in words."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only when it is complete, in place of the one there was.

    Where writing fails or is interrupted, what was there before is left as it was. A process that
    is killed leaves a hidden file `.NAME.*.part`, which nobody reads.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    except OSError as error:
        error.filename = str(path)  # not the name that nobody has heard of
        raise
    part = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o666 & ~umask)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
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
