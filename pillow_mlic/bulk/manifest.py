"""The manifest of a job: JSON lines that say what was done, so that it is not done again.

The first line says what the job is; each other one is about a picture. A line is written when its
output is whole. Where an input had to be done again, the later line counts.
"""

import json
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

NAME = "manifest.jsonl"
VERSION = 1
Record = dict[str, Any]
"""Facts about a picture, or about the job, in plain JSON values."""


class Manifest:
    """The manifest at `path`, open for one process at a time.

    `facts`: what outputs depend on. Raises ValueError if the file is the manifest of another job,
    is not a manifest, or is in use. With `force` it is begun anew, whatever it holds.
    """

    def __init__(self, path: Path, facts: Record, force: bool = False) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(path)
        self._file = open(path, "ab+")  # noqa: SIM115 (makes the file where there is none)
        try:
            if force:
                self._file.truncate(0)
            self._file.seek(0)
            records, whole = _parse(self._file.read(), path, facts)
            self._file.truncate(whole)
            if records is None:
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


def read(path: Path, facts: Record) -> dict[str, Record] | None:
    """The records of a job's manifest by input; None where the job has not begun.

    Raises ValueError if the file is the manifest of another job, or not a manifest.
    """
    return _parse(path.read_bytes(), path, facts)[0] if path.exists() else None


def _line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _parse(data: bytes, path: Path, facts: Record) -> tuple[dict[str, Record] | None, int]:
    """The records (None if there is no first line), and where the last whole line ends.

    A last line that was cut off does not count: its picture is done again.
    """
    head, *lines = data[: data.rfind(b"\n") + 1].splitlines() or [b""]
    if not head:
        return None, 0
    try:
        before = json.loads(head)
        records = {record["input"]: record for record in map(json.loads, lines)}
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
    return records, data.rfind(b"\n") + 1


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
        msg = f"{path} is in use: this job is running already"
        raise ValueError(msg) from error
    return lock
