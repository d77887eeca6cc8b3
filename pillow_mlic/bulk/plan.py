"""What a job has to do: files that were found, and what is there already -> items.

Items are made when they are asked for, and of what is there two numbers are kept a file: a million
files take little memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..files import start_of_part
from . import places
from .archive import Archive
from .manifest import Past, Record, key_of
from .order import Item
from .work import reject


@dataclass
class Plan:
    """The plan of a job. `suffix` is that of outputs."""

    found: list[places.FoundFile]
    folder: places.Place
    suffix: str
    past: Past
    archive: Archive | None = None
    force: bool = False
    to_do: int = 0
    """Pictures to be done."""
    done: int = 0
    """Pictures that an earlier run has done."""
    rejects: list[Record] = field(default_factory=list)
    parts: list[Path] = field(default_factory=list)
    """Unfinished files that a killed process left beside outputs."""

    def __post_init__(self) -> None:
        """Look through all files once; OSError where the destination does not answer.

        ValueError if a new job finds outputs that exist already.
        """
        parts: dict[str, list[Path]] = {}
        self._packed = self.archive.sizes() if self.archive else {}
        self._there = {key_of(name): size for name, size in self._packed.items()}
        self._changed = set()
        """Outputs that somebody else has written since."""
        for name, size, written in places.files_there(self.folder):
            key = key_of(name)
            self._there[key] = size
            if self.past.changed(key, written):
                self._changed.add(key)
            if name.endswith(".part") and (beside := places.beside(name)):
                parts.setdefault(beside, []).append(Path(name))
        taken: dict[int, int] = {}
        in_the_way: list[str] = []
        self._left_out = set()
        for number, file in enumerate(self.found):
            try:
                item = self._item(file)
                other = taken.setdefault(key_of(item.target.path), number)
                if other != number:
                    msg = (
                        f"{self.found[other].place.name} becomes {item.target.name}, too; "
                        "rename one, or convert it separately"
                    )
                    raise ValueError(msg)
                if not item.done:
                    self._check_free(item)
            except ValueError as error:
                self._left_out.add(number)
                self.rejects.append(reject(_nowhere(file), error))
                continue
            if item.done:
                self.done += 1
            else:
                self.to_do += 1
                if not item.ours and self._size_of(item.target) is not None:
                    in_the_way.append(item.target.name)
            if parts:
                last = Path(item.target.path)
                self.parts += parts.pop(str(last.with_name(start_of_part(last.name))), [])
        if in_the_way and not self.past.begun:
            others = f" and {len(in_the_way) - 1} more exist" if len(in_the_way) > 1 else " exists"
            msg = f"{in_the_way[0]}{others} already; use another folder, or --force to replace it"
            raise ValueError(msg)

    def items(self) -> Iterator[Item]:
        """All that are not rejected, also those that are done."""
        for number, file in enumerate(self.found):
            if number not in self._left_out:
                yield self._item(file)

    def shown(self, target: places.Place) -> str:
        """The name that the output has in the end."""
        return self.archive.shown(target.path) if self.archive else target.name

    def _size_of(self, target: places.Place) -> int | None:
        return self._there.get(key_of(target.name))

    def _item(self, file: places.FoundFile) -> Item:
        """ValueError where the file's name leads out of the folder."""
        target = places.join(self.folder, places.with_suffix(file.relative, self.suffix))
        shown, size = self.shown(target), self._size_of(target)
        name, version = file.place.name, file.version
        done = size is not None and self.past.has(name, file.size, version, (shown, size))
        same = key_of(target.name) not in self._changed
        ours = self.force or (same and self.past.wrote(name, shown, size))
        return Item(file.place, target, file.size, version, done, ours)

    def _check_free(self, item: Item) -> None:
        """ValueError where an output is known to be of something else."""
        shown = self.shown(item.target)
        if item.ours or self._size_of(item.target) is None:
            return
        if key_of(shown) in self.past.owner:
            msg = (
                f"{shown} exists already, made of another file or changed since; move it away, use "
                "another folder, or --force to replace it"
            )
            raise ValueError(msg)
        if item.target.path in self._packed and self.past.begun:
            msg = f"{shown} exists already, and this job did not write it"
            raise ValueError(msg)


def _nowhere(file: places.FoundFile) -> Item:
    return Item(file.place, places.Place(""), file.size, file.version)
