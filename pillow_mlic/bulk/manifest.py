"""The manifest of a job: JSON lines that say what was done, so that it is not done again.

The first line says what the job is; each other one is about a picture. A line is written when its
output is whole. Where an input had to be done again, the later line counts.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

NAME = "manifest.jsonl"
VERSION = 1
SIZE_BITS = 64
Record = dict[str, Any]
"""Facts about a picture, or about the job, in plain JSON values."""


def key_of(name: str) -> int:
    """A number of 64 bits for a name. A million names have two equal ones once in 30 million."""
    data = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


@dataclass
class Past:
    """What a manifest knows: of each picture two pairs of numbers, not its line."""

    begun: bool = False
    """Whether there is a first line."""
    damaged: int = 0
    """Lines that are none; their pictures are done again."""
    length: int = 0
    """Where the last whole line ends."""
    size: int = 0
    """Of the file."""
    done: dict[int, int] = field(default_factory=dict)
    """By input: what its line said, and its size."""
    owner: dict[int, int] = field(default_factory=dict)
    """By output: the input that it was made of, and its bytes."""

    def has(
        self, source: str, size: int | None, version: str, output: tuple[str, int | None]
    ) -> bool:
        """Whether an input of this size and version has become this output, a name and bytes."""
        entry = self.done.get(key_of(source))
        if entry is None or entry >> SIZE_BITS != _mark(version, *output):
            return False
        return size is None or entry & ((1 << SIZE_BITS) - 1) == size

    def wrote(self, source: str, output: str, size: int | None) -> bool:
        """Whether an output of so many bytes is what a line says was made of this input."""
        return self.owner.get(key_of(output)) == _mark(source, output, size)

    def note(self, record: Record) -> None:
        """A line about a picture; ValueError, KeyError or TypeError where it is none."""
        output = _absolute(record["output"])
        source, size = _absolute(record["input"]), int(record["size"])
        mark = _mark(record["version"], output, record["bytes"])
        self.done[key_of(source)] = mark << SIZE_BITS | size
        self.owner[key_of(output)] = _mark(source, output, record["bytes"])


class Manifest:
    """The manifest at `path`, open for one process at a time.

    `facts`: what outputs depend on; `past`: what `read` found. Raises ValueError if the file is in
    use, or was since. With `force` it is begun anew, whatever it holds.
    """

    def __init__(self, path: Path, facts: Record, past: Past, force: bool = False) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        self._file = open(path, "ab")  # noqa: SIM115 (makes the file where there is none)
        try:
            if not force and self._file.tell() != past.size:
                raise ValueError(_in_use(path))
            self._file.truncate(0 if force else past.length)
            if force or not past.begun:
                self._write({"mlic-batch": VERSION, **facts})
            self.rejects = open(rejects_of(path), "wb")  # noqa: SIM115
        except BaseException:
            self._file.close()
            self._unlock()
            raise

    def add(self, record: Record) -> None:
        """Note a picture that is done, or (with its "error") rejected."""
        if "error" in record:
            self.rejects.write(_line(record))
            self.rejects.flush()
        else:
            self._write(record)

    def close(self) -> None:
        """Close the files, and delete that of the rejects if there are none."""
        empty = not self.rejects.tell()
        self.rejects.close()
        if empty:
            rejects_of(self.path).unlink(missing_ok=True)
        self._file.close()
        self._unlock()

    def _unlock(self) -> None:
        self._lock.release()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def _write(self, record: Record) -> None:
        self._file.write(_line(record))
        self._file.flush()


def read(path: Path, facts: Record) -> Past:
    """What a job's manifest knows, read line by line.

    A last line that was cut off does not count, nor a damaged one: its picture is done again.
    Raises ValueError if the file is the manifest of another job, or not a manifest.
    """
    past = Past()
    if not path.exists():
        return past
    with open(path, "rb") as file:
        for line in file:
            past.size += len(line)
            if not line.endswith(b"\n"):
                continue
            past.length = past.size
            if past.begun:
                try:
                    past.note(json.loads(line))
                except (ValueError, KeyError, TypeError):
                    past.damaged += 1
            else:
                _check(line, path, facts)
                past.begun = True
    return past


def _check(line: bytes, path: Path, facts: Record) -> None:
    """ValueError unless this first line is that of a job with these facts."""
    try:
        before = json.loads(line)
        version = before.pop("mlic-batch")
    except (ValueError, KeyError, TypeError, AttributeError):
        version = None
    if version != VERSION:
        msg = f"{path} is no manifest of `mlic batch`, or is damaged; move it away"
        raise ValueError(msg)
    if before != json.loads(json.dumps(facts)):
        msg = (
            f"{path} belongs to a job with other options ({_difference(before, facts)}); "
            "use another folder, or begin anew with --force"
        )
        raise ValueError(msg)


def _line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _absolute(name: str) -> str:
    """A name as lines have it since they have absolute ones."""
    # Not `resolve`, which asks the disk.
    return name if "://" in name else os.path.abspath(name)  # noqa: PTH100


def _mark(what: str, output: str, size: int | None) -> int:
    return key_of(f"{what}\0{output}\0{size}")


def rejects_of(path: Path) -> Path:
    """Where the rejects lie: beside the manifest."""
    return path.with_name(f"{path.stem}.rejects.jsonl")


def _difference(before: Record, facts: Record) -> str:
    """What differs, in words."""
    flat = [{**facts_of.get("options", {}), **facts_of} for facts_of in (before, facts)]
    names = sorted((set(flat[0]) | set(flat[1])) - {"options"})
    return ", ".join(
        f"{name}: {flat[0].get(name)} then, {flat[1].get(name)} now"
        for name in names
        if flat[0].get(name) != flat[1].get(name)
    )


def _locked(path: Path) -> FileLock:
    """Take a lock beside the manifest; ValueError where another process holds it."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise ValueError(_in_use(path)) from error
    return lock


def _in_use(path: Path) -> str:
    return f"{path} is in use: this job is running already"
