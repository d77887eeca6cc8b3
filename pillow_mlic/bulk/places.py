"""Where pictures come from and go to: folders, globs, and URLs of fsspec.

Names are strings: a local path, or a URL. fsspec, which torch brings along, is imported for URLs
only.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from ..conversion import files_below, walk
from ..files import start_of_part, whole_file

_VERSIONS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "modified", "created", "CRC")
"""Names that fsspec's file systems give to what changes when a file does."""
_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"})
"""Protocols where a file appears only when it is whole."""
_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True)
class FoundFile:
    """A file: the name that opens it, its place below its source, and signs of a change."""

    name: str
    relative: str
    size: int | None
    version: str


def is_url(name: str) -> bool:
    """Whether a name is for fsspec. Local paths are not, with `file://` or without."""
    return "://" in local(name) or "::" in local(name)


def in_this_process(name: str) -> bool:
    """Whether only this process sees the files there."""
    return name.startswith("memory:")


def find(source: str, suffixes: set[str]) -> list[FoundFile]:
    """The sorted files of a folder (with all below it) or a glob, or the one file of that name.

    Folders and globs give files with one of `suffixes`. Raises ValueError where there is none.
    """
    source = local(source)
    found = list(_find_url(source, suffixes) if is_url(source) else _find_local(source, suffixes))
    if not found:
        msg = f"{source} holds no file of a kind that can be read"
        raise ValueError(msg)
    return sorted(found, key=lambda f: f.relative)


def sizes(folder: str) -> dict[str, int]:
    """Names and sizes of all files below a folder; empty if there is no folder."""
    folder = local(folder)
    try:
        if is_url(folder):
            files, _ = _below(folder)
            return {_url(folder, path): info["size"] or 0 for path, info in files.items()}
    except FileNotFoundError:
        return {}
    found = {}
    for path in walk(Path(folder)):
        with contextlib.suppress(FileNotFoundError):  # gone since it was listed
            found[str(path)] = path.stat().st_size
    return found


def canonical(folder: str) -> str:
    """The name of a folder, spelt as in the names that `sizes` gives."""
    folder = local(folder)
    if not is_url(folder):
        return str(Path(folder))
    _, path = _file_system(folder)
    return _url(folder, path)


def join(folder: str, relative: str) -> str:
    """The name of a file below a canonical folder. ValueError if it would lie elsewhere."""
    parts = PurePosixPath(relative) if is_url(folder) else PurePath(relative)
    if parts.is_absolute() or parts.anchor or ".." in parts.parts:
        msg = f"its name {relative!r} leads out of the folder"
        raise ValueError(msg)
    if not is_url(folder):
        return str(Path(folder) / relative)
    head, chained, rest = folder.partition("::")
    return f"{head.rstrip('/')}/{relative}{chained}{rest}"


def read(name: str) -> bytes:
    """The bytes of a file."""
    name = local(name)
    if not is_url(name):
        return Path(name).read_bytes()
    fs, path = _file_system(name)
    data = fs.cat_file(path)
    return bytes(data)


def write(name: str, data: bytes) -> None:
    """Write a file that appears under its name only when it is whole."""
    name = local(name)
    if not is_url(name):
        with whole_file(Path(name)) as file:
            file.write(data)
        return
    fs, path = _file_system(name)
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    parent, _, last = path.rpartition("/")
    if protocols & _ATOMIC:
        fs.pipe_file(path, data)
        return
    fs.makedirs(parent, exist_ok=True)
    part = f"{parent}/.{start_of_part(last)}.part"
    fs.pipe_file(part, data)
    fs.mv(part, path)


def remove_parts(folder: str, targets: set[str]) -> None:
    """Remove unfinished files that a killed process left beside these local files."""
    if is_url(folder):
        return
    starts = {str(Path(t).with_name(start_of_part(Path(t).name))) for t in targets}
    for path in walk(Path(local(folder))):
        match = re.fullmatch(r"\.(.+)\.[^.]+\.part", path.name)
        if match and str(path.with_name(match[1])) in starts:
            path.unlink(missing_ok=True)


def local(name: str) -> str:
    """A `file://` URL as a path; other names as they are."""
    if "::" in name:
        return name
    for scheme in ("file://", "local://"):
        if name.startswith(scheme):
            return name.removeprefix(scheme)
    return name


def _file_system(url: str) -> tuple[Any, str]:
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


def _find_local(source: str, suffixes: set[str]) -> Iterator[FoundFile]:
    path = Path(source)
    if path.is_dir():
        yield from (_stat(each, path) for each in files_below(path, suffixes))
        return
    if path.exists() and not path.is_file():
        msg = f"{source} is a pipe or a device, not a file"
        raise ValueError(msg)
    if path.exists():
        yield _stat(path, path.parent)
        return
    if not _MAGIC.search(source):
        msg = f"{source} does not exist"
        raise ValueError(msg)
    base = Path(source[: _first_magic(source)] + "x").parent
    for each in base.glob(str(path.relative_to(base))):
        if each.suffix.lower() in suffixes and each.is_file():
            yield _stat(each, base)


def _stat(path: Path, base: Path) -> FoundFile:
    status = path.stat()
    relative = path.relative_to(base).as_posix()
    return FoundFile(str(path), relative, status.st_size, str(status.st_mtime_ns))


def _first_magic(name: str) -> int:
    match = _MAGIC.search(name)
    return match.start() if match else len(name)


def _url(like: str, path: str) -> str:
    """The URL of a path in the file system of another URL."""
    head, chained, rest = like.partition("::")
    protocol = head.partition("://")[0]
    return f"{protocol}://{path.lstrip('/') if chained else path}{chained}{rest}"


def _below(source: str) -> tuple[dict[str, dict[str, Any]], str]:
    """Files of a URL (a folder, a glob or a file) and their base."""
    fs, path = _file_system(source)
    if _MAGIC.search(path):
        files = fs.glob(path, detail=True)
        base = path[: _first_magic(path)].rpartition("/")[0]
    elif fs.isdir(path):
        files, base = fs.find(path, detail=True), path
    else:
        info = fs.info(path)  # FileNotFoundError where there is nothing
        files, base = {path: info}, path.rpartition("/")[0]
    return {p: i for p, i in files.items() if i["type"] == "file"}, base


def _find_url(source: str, suffixes: set[str]) -> Iterator[FoundFile]:
    try:
        files, base = _below(source)
    except FileNotFoundError as error:
        msg = f"{source} does not exist"
        raise ValueError(msg) from error
    _, wanted = _file_system(source)
    for path, info in files.items():
        if PurePosixPath(path).suffix.lower() in suffixes or path == wanted:
            relative = path.removeprefix(base).lstrip("/")
            versions = (str(info[key]) for key in _VERSIONS if info.get(key) is not None)
            yield FoundFile(_url(source, path), relative, info.get("size"), next(versions, ""))
