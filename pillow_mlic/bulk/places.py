"""Where pictures come from and go to: folders, globs, and URLs of fsspec.

What a user types may be a local path, a glob or a URL. What a folder or a store lists is taken
literally: a `Place` is the path there, however it reads. fsspec is imported for URLs only.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import Any, NamedTuple

_VERSIONS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "modified", "created", "CRC")
"""Names that fsspec's file systems give to what changes when a file does."""
ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"})
"""Protocols where a file appears only when it is whole."""
_BUCKETS = ATOMIC - {"memory"}
"""Protocols whose paths begin with a bucket, which is not made by writing to it."""
_MAGIC = re.compile(r"[*?[]")


class Place(NamedTuple):
    """A file."""

    path: str
    """Taken literally."""
    store: str = ""
    """A URL of the store that the path is in; "" is this machine."""

    @property
    def name(self) -> str:
        """As it is shown and noted: an absolute path, or a URL."""
        return _url(self.store, self.path) if self.store else self.path


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file of a source, with signs of a change."""

    path: str
    store: str
    below: int
    """Where in its path the part below its source begins."""
    size: int | None
    version: str

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.path, self.store)

    @property
    def relative(self) -> str:
        """Its place below its source, with slashes."""
        return self.path[self.below :].replace(os.sep, "/").lstrip("/")


def is_url(name: str) -> bool:
    """Whether what a user typed is for fsspec. Local paths are not, with `file://` or without."""
    return "://" in local(name)


def in_this_process(name: str) -> bool:
    """Whether only this process sees the files there."""
    return name.startswith("memory:")


def find(source: str, suffixes: set[str]) -> list[FoundFile]:
    """The sorted files of a folder (with all below it) or a glob, or the one file of that name.

    Folders and globs give files with one of `suffixes`. Names are the same however the source was
    typed. Raises ValueError where there is none, OSError where a store does not answer.
    """
    source = local(source)
    found = list(_find_url(source, suffixes) if is_url(source) else _find_local(source, suffixes))
    if not found:
        msg = f"{source} holds no file of a kind that can be read"
        raise ValueError(msg)
    found.sort(key=lambda file: file.relative)
    return found


class OutputFile(NamedTuple):
    """A file in the destination."""

    name: str
    size: int
    written: int = 0
    """As `written` says; 0 where nobody knows."""


def written(status: os.stat_result) -> int:
    """When a file on this machine was last changed, in seconds since 1970, to two of them: some
    file systems know no better. 0 where that does not fit in 32 bits."""
    seconds = status.st_mtime_ns // 2_000_000_000 * 2
    return seconds if 0 <= seconds < 1 << 32 else 0


def files_there(folder: Place) -> Iterator[OutputFile]:
    """All files below a folder; none if there is no folder. Stores do not say when they were
    written.

    ValueError where its bucket does not exist, OSError where a store does not answer.
    """
    if not folder.store:
        for each in _entries(folder.path):
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                status = each.stat()
                yield OutputFile(each.path, status.st_size, written(status))
        return
    with _listing(folder.name):
        fs, path = file_system(folder.store)
        bucket = path.lstrip("/").partition("/")[0]
        if protocols(fs) & _BUCKETS and not fs.exists(bucket):
            msg = f"{folder.name}: there is no bucket {bucket!r}; make it first"
            raise ValueError(msg)
        files = fs.find(path, detail=True) if fs.isdir(path) else {}
    for each, info in files.items():
        yield OutputFile(Place(each, folder.store).name, info["size"] or 0)


def extension_of(name: str) -> str:
    """The extension in small letters, with its dot; "" where there is none."""
    last = name.rpartition("/")[2]
    head, dot, extension = last.rpartition(".")
    return f".{extension.lower()}" if head and dot else ""


def with_suffix(name: str, suffix: str) -> str:
    """The name with another extension."""
    return name[: len(name) - len(extension_of(name))] + suffix


def beside(part: str) -> str:
    """How the name of the output begins that an unfinished file on this machine was to become; ""
    where it is none."""
    path = Path(part)
    match = re.fullmatch(r"\.(.+)\.[^.]+\.part", path.name)
    return str(path.with_name(match[1])) if match and not is_url(part) else ""


def destination(folder: str) -> Place:
    """The folder that a user typed; its name is the same however that was done."""
    folder = local(folder)
    if not is_url(folder):
        return Place(os.path.realpath(folder))
    store = _absolute(folder)
    return Place(file_system(store)[1], store)


def join(folder: Place, relative: str) -> Place:
    """A file below a folder. ValueError if it would lie elsewhere."""
    parts = [part for part in relative.split("/") if part not in ("", ".")]
    rooted = relative.startswith("/") or (os.name == "nt" and PurePath(relative).anchor)
    if rooted or ".." in parts:
        msg = f"its name {relative!r} leads out of the folder"
        raise ValueError(msg)
    between = "/" if folder.store else os.sep
    return Place(between.join([folder.path.rstrip(between), *parts]), folder.store)


def local(name: str) -> str:
    """A `file://` URL as a path; other names as they are."""
    if "::" in name:
        return name
    for scheme in ("file://", "local://"):
        if name.startswith(scheme):
            return name.removeprefix(scheme)
    return name


def file_system(url: str) -> tuple[Any, str]:
    """fsspec's file system of a URL, and the path there."""
    try:
        from fsspec.core import url_to_fs
    except ModuleNotFoundError as error:
        msg = f"{url} needs fsspec, which is not installed; run: python -m pip install fsspec"
        raise ImportError(msg) from error
    try:
        return url_to_fs(url)
    except ImportError as error:
        msg = f"{url} needs a package that is not installed: {error}"
        raise ImportError(msg) from error


def protocols(fs: Any) -> set[str]:
    """The protocols of a file system."""
    return {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)


def reason(error: Exception) -> str:
    """What a library said, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _listing(url: str) -> Iterator[None]:
    """Whatever a store's library raises while it lists becomes an OSError with a sentence."""
    try:
        yield
    except (ValueError, ImportError):
        raise
    except FileNotFoundError as error:
        msg = f"{url} does not exist"
        raise ValueError(msg) from error
    except Exception as error:
        msg = f"{url} cannot be listed: {reason(error)}"
        raise OSError(msg) from error


def _find_local(source: str, suffixes: set[str]) -> Iterator[FoundFile]:
    path = Path(source)
    if path.is_dir():
        base = os.path.realpath(path)
        for each in _entries(base):
            if extension_of(each.name) in suffixes and each.is_file():
                with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                    yield _found(each.path, each.stat(), base)
        return
    if path.exists() and not path.is_file():
        msg = f"{source} is a pipe or a device, not a file"
        raise ValueError(msg)
    if path.exists():
        base = os.path.realpath(path.parent)
        yield _found(str(Path(base, path.name)), path.stat(), base)
        return
    if not _MAGIC.search(source):
        msg = f"{source} does not exist"
        raise ValueError(msg)
    typed = Path(source[: _first_magic(source)] + "x").parent
    base = os.path.realpath(typed)
    for one in Path(base).glob(str(path.relative_to(typed))):
        if extension_of(one.name) in suffixes and one.is_file():
            yield _found(str(one), one.stat(), base)


def _found(path: str, status: os.stat_result, base: str) -> FoundFile:
    return FoundFile(path, "", len(base), status.st_size, str(status.st_mtime_ns))


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """All files below a folder, in no order. Not by pathlib, which keeps a copy of every name."""
    waiting = [folder]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif not entry.is_dir():
                    yield entry


def _first_magic(name: str) -> int:
    match = _MAGIC.search(name)
    return match.start() if match else len(name)


def _absolute(url: str) -> str:
    """The URL with the absolute name of an archive on this machine."""
    chained, colons, last = url.rpartition("::")
    last = local(last)
    return url if not colons or "://" in last else f"{chained}::{os.path.realpath(last)}"


def _url(like: str, path: str) -> str:
    """The URL of a path in the file system of another URL."""
    head, chained, rest = like.partition("::")
    protocol = head.partition("://")[0]
    return f"{protocol}://{path.lstrip('/') if chained else path}{chained}{rest}"


def _find_url(source: str, suffixes: set[str]) -> Iterator[FoundFile]:
    store = _absolute(source)
    with _listing(source):
        fs, path = file_system(store)
        if fs.isdir(path):
            files, base = fs.find(path, detail=True), path
        elif fs.exists(path) or not _MAGIC.search(path):
            files, base = {path: fs.info(path)}, path.rpartition("/")[0]
        else:
            files = fs.glob(path, detail=True)
            base = path[: _first_magic(path)].rpartition("/")[0]
    for each, info in files.items():
        if info["type"] == "file" and (extension_of(each) in suffixes or each == path):
            below = len(base) if each.startswith(base) else 0
            yield FoundFile(each, store, below, info.get("size"), _version(info))


def _version(info: dict[str, Any]) -> str:
    """What changes when a file does; "" where the store says nothing of the kind."""
    for name in _VERSIONS:
        value = info.get(name)
        if value is not None:
            # `memory` gives a time of one file that is asked for, and a number in a listing.
            is_time = name == "created" and isinstance(value, datetime)
            return str(value.timestamp() if is_time else value)
    return ""
