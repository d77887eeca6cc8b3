"""Bytes from and to places, and whose fault it is where that fails.

A file that cannot be read is a reject. A store that does not answer, or a disk that is full, is an
outage: it ends the job, which can go on later.
"""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..files import start_of_part, whole_file
from .places import ATOMIC, Place, file_system, protocols, reason, written

PAUSES = (1.0, 4.0)
"""Seconds before another try."""
_NAMES = {errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL}
"""What a system says of names that it cannot have."""

Result = TypeVar("Result")


class OutageError(OSError):
    """A store does not answer, or takes nothing more, after a few tries."""


def read(place: Place) -> bytes:
    """The bytes of a file. OutageError where its folder cannot be listed either."""
    return _tried(lambda: _read(place), lambda error: _surely(error) or None, place)


def write(place: Place, data: bytes, replace: bool) -> int:
    """Write a file that appears under its name only when it is whole; -> when it was `written`, or
    0: a store would have to be asked.

    Without `replace` a file that is there stays: if it is another one, FileExistsError. OutageError
    where nothing can be written.
    """
    if not replace and _is_there(place):
        if read(place) != data:
            msg = (
                f"{place.name} exists already, and this job did not write it; move it away, "
                "or replace all with --force"
            )
            raise FileExistsError(msg)
    else:
        _tried(lambda: _write(place, data), _of_the_name, place)
    try:
        return 0 if place.store else written(Path(place.path).stat())
    except OSError:
        return 0  # somebody has taken it away already


def _read(place: Place) -> bytes:
    if not place.store:
        return Path(place.path).read_bytes()
    fs, _ = file_system(place.store)
    if fs._strip_protocol(place.path) != place.path:
        msg = f"its name {place.path!r} reads like a URL; fsspec would open another file"
        raise ValueError(msg)
    return bytes(fs.cat_file(place.path))


def _is_there(place: Place) -> bool:
    def look() -> bool:
        if not place.store:
            return os.path.lexists(place.path)
        fs, _ = file_system(place.store)
        return bool(fs.exists(place.path))

    return _tried(look, _of_the_name, place)


def _write(place: Place, data: bytes) -> None:
    if not place.store:
        with whole_file(Path(place.path)) as file:
            file.write(data)
        return
    fs, _ = file_system(place.store)
    if protocols(fs) & ATOMIC:
        fs.pipe_file(place.path, data)
        return
    parent, _, last = place.path.rpartition("/")
    fs.makedirs(parent, exist_ok=True)
    part = f"{parent}/.{start_of_part(last)}.part"
    fs.pipe_file(part, data)
    fs.mv(part, place.path)


def _tried(
    work: Callable[[], Result], of_one_file: Callable[[Exception], bool | None], place: Place
) -> Result:
    """What `work` gives, in a few tries.

    `of_one_file` says whether an error concerns this file alone; None: if its folder answers.
    """
    for pause in (*PAUSES, None):
        try:
            return work()
        except Exception as error:
            alone = of_one_file(error)
            if alone:
                raise
            if pause is None or isinstance(error, FileNotFoundError | PermissionError):
                if alone is None and _folder_answers(place):
                    raise
                msg = (
                    f"{place.name}: {_told(error)}; what is done is not done again when the "
                    "command is repeated"
                )
                raise OutageError(msg) from error
            time.sleep(pause)
    raise AssertionError


def _surely(error: Exception) -> bool:
    """Whether an error while reading concerns a file alone, whatever the store does."""
    return isinstance(error, ValueError | MemoryError | IsADirectoryError)


def _of_the_name(error: Exception) -> bool:
    """Whether an error while writing concerns the name of a file: others may be written."""
    kinds = (ValueError, MemoryError, FileExistsError, IsADirectoryError, NotADirectoryError)
    return isinstance(error, kinds) or getattr(error, "errno", None) in _NAMES


def _folder_answers(place: Place) -> bool:
    """Whether what is around a file can be listed now."""
    try:
        if not place.store:
            next(Path(place.path).parent.iterdir(), None)
            return True
        fs, _ = file_system(place.store)
        parent = place.path.rpartition("/")[0]
        fs.invalidate_cache(parent)
        fs.ls(parent, detail=False)
    except Exception:
        return False
    return True


def _told(error: Exception) -> str:
    text = getattr(error, "strerror", None)
    return text if isinstance(text, str) else reason(error)
