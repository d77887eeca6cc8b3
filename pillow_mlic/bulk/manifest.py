"""The manifest of a job: JSON lines that say what was done, so that it is not done again.

The first line says what the job is; each other one is about a picture, and has the job's mark, so
that it counts where the first line is damaged. A line is written when its output is whole. Where an
input had to be done again, the later line counts.
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
HEAD = "mlic-batch"
"""The key of the first line that has `VERSION`."""
LINE_KEYS = {"input", "output", "size", "version", "sha256", "bytes", "weights"}
"""What lines about pictures have: by them a manifest is known whose first line is damaged."""
SIZE_BITS = 64
TIME_BITS = 32
Record = dict[str, Any]
"""Facts about a picture, or about the job, in plain JSON values."""


def key_of(name: str) -> int:
    """A number of 64 bits for a name. A million names have two equal ones once in 30 million."""
    data = name.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def job_of(facts: Record) -> str:
    """The mark of a job with these facts."""
    # 3 and 3.0 are the same option.
    plain = json.loads(json.dumps(facts), parse_int=float)
    return f"{key_of(json.dumps(plain, sort_keys=True)):016x}"


@dataclass
class Past:
    """What a manifest knows: of each picture two pairs of numbers, not its line."""

    begun: bool = False
    """Whether there is a manifest, also if its first line is damaged."""
    headed: bool = False
    """Whether a line says what the job is."""
    damaged: int = 0
    """Lines that do not count; their pictures are done again."""
    length: int = 0
    """Where the last whole line ends."""
    size: int = 0
    """Of the file."""
    done: dict[int, int] = field(default_factory=dict)
    """By input: what its line said, and its size."""
    owner: dict[int, int] = field(default_factory=dict)
    """By output: the input that it was made of and its bytes, and when it was written."""

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
        entry = self.owner.get(key_of(output))
        return entry is not None and entry >> TIME_BITS == _mark(source, output, size)

    def changed(self, output: int, written: int) -> bool:
        """Whether a line says that an output, by its key, was written at another time."""
        then = self.owner.get(output, 0) & ((1 << TIME_BITS) - 1)
        return then not in (0, written)  # 0: the line says nothing of it

    def note(self, record: Record) -> None:
        """A line about a picture; ValueError, KeyError, TypeError or OverflowError where it is
        none."""
        output = _absolute(record["output"])
        source, size = _absolute(record["input"]), int(record["size"])
        mark = _mark(record["version"], output, record["bytes"])
        when = int(record.get("written", 0)) & ((1 << TIME_BITS) - 1)
        self.done[key_of(source)] = mark << SIZE_BITS | size
        self.owner[key_of(output)] = _mark(source, output, record["bytes"]) << TIME_BITS | when


class Manifest:
    """The manifest at `path`, open for one process at a time.

    `facts`: what outputs depend on; `past`: what `read` found. Raises ValueError if the file is in
    use, or was since. With `force` it is begun anew, whatever it holds.
    """

    def __init__(self, path: Path, facts: Record, past: Past, force: bool = False) -> None:
        self.path = path
        self._job = job_of(facts)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        self._file = open(path, "ab")  # noqa: SIM115 (makes the file where there is none)
        try:
            if not force and self._file.tell() != past.size:
                raise ValueError(_in_use(path))
            self._file.truncate(0 if force else past.length)
            if force or not past.headed:
                self._write({HEAD: VERSION, **facts})
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
            self._write({**record, "job": self._job})

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

    A last line that was cut off does not count, nor a damaged one: its picture is done again. Where
    the first line is damaged, those lines count that have this job's mark. Raises ValueError if the
    file is the manifest of another job, or not a manifest.
    """
    past, job, line = Past(), job_of(facts), b""
    if not path.exists():
        return past
    with open(path, "rb") as file:
        for line in file:
            past.size += len(line)
            if not line.endswith(b"\n"):
                continue
            past.length = past.size
            record = _object(line)
            if HEAD in record and not past.headed:
                _check(record, path, facts)
                past.begun = past.headed = True
            elif not _noted(past, record, job):
                past.damaged += 1
                if not past.headed and _is_line(record) and record.get("job", job) != job:
                    raise ValueError(_other_job(path, "the line that says them is damaged"))
    start = _line({HEAD: VERSION}).rstrip(b"}\n")
    cut_head = past.length == 0 and start.startswith(line[: len(start)])
    if not past.begun and not cut_head:
        raise ValueError(_no_manifest(path))
    return past


def _noted(past: Past, record: Record, job: str) -> bool:
    """Learn what a line says of a picture; whether it counts."""
    if not past.headed:
        past.begun = past.begun or _is_line(record)
        if record.get("job") != job:
            return False
    try:
        past.note(record)
    except (ValueError, KeyError, TypeError, OverflowError):
        return False
    return True


def _object(line: bytes) -> Record:
    """The object that a line is; an empty one where it is none."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _is_line(record: Record) -> bool:
    return record.keys() >= LINE_KEYS


def _check(head: Record, path: Path, facts: Record) -> None:
    """ValueError unless this line is the first one of a job with these facts."""
    before = {**head}
    if before.pop(HEAD) != VERSION or not isinstance(before.get("options"), dict):
        raise ValueError(_no_manifest(path))
    if before != json.loads(json.dumps(facts)):
        raise ValueError(_other_job(path, _difference(before, facts)))


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


def _no_manifest(path: Path) -> str:
    return f"{path} is no manifest of `mlic batch`, or is damaged; move it away"


def _other_job(path: Path, difference: str) -> str:
    return (
        f"{path} belongs to a job with other options ({difference}); "
        "use another folder, or begin anew with --force"
    )


def _in_use(path: Path) -> str:
    return f"{path} is in use: this job is running already"
