"""The files that can be paged through: which one is shown, and what comes next."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from .batch import expand, is_picture
from .state import FolderOrder


class OpenedFiles:
    """Paths in order, and the place in them.

    One file that is opened stands for its folder; several stay as they were given.
    """

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.place = 0
        self.chosen: list[Path] = []
        """What was opened itself, without its neighbours."""
        self._given: list[Path] = []
        self._order = FolderOrder.NAME

    def fill(self, paths: Iterable[Path]) -> Path | None:
        """Replace the files; a folder stands for its pictures. -> the first, if there is one."""
        given = list(paths)
        found = self._found(given)
        if not found:
            return None
        self.chosen, self._given, self.place = found, given, 0
        self.paths = found
        if len(given) == 1 and given[0].is_file():
            self.look_again()
        return found[0]

    def sort(self, order: FolderOrder) -> None:
        """The order of the files of a folder; the place stays at the file that is shown."""
        if order != self._order:
            self._order = order
            self.look_again()

    def look_again(self) -> None:
        """Take up files that are new in the folder, and leave out those that are gone."""
        if not self.paths:
            return
        here = self.paths[self.place]
        alone = self._given[0] if len(self._given) == 1 else None
        if alone is not None and not alone.is_dir():
            self.paths = self._sorted({*_pictures_in(alone.parent), here, alone})
        else:
            self.paths = self._found(self._given)
        if here not in self.paths:
            self.paths.insert(min(self.place, len(self.paths)), here)
        self.place = self.paths.index(here)

    def peek(self, by: int) -> Path | None:
        """The file `by` places further on; None at the ends."""
        place = self.place + by
        return self.paths[place] if 0 <= place < len(self.paths) else None

    def step(self, by: int) -> Path | None:
        """Go `by` places further on; -> the file there, None at the ends."""
        path = self.peek(by)
        if path is not None:
            self.place += by
        return path

    def words(self) -> str:
        """3 of 24, where there are several."""
        return f"{self.place + 1} of {len(self.paths)}" if len(self.paths) > 1 else ""

    def _found(self, given: list[Path]) -> list[Path]:
        found = [file.path for file in expand(given)]
        return self._sorted(found) if len(given) == 1 else found

    def _sorted(self, paths: Iterable[Path]) -> list[Path]:
        if self._order == FolderOrder.DATE:
            return sorted(paths, key=lambda path: (_modified(path), _natural(path)))
        return sorted(paths, key=_natural)


def _pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, not of those below it; none where it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if is_picture(Path(e.name)) and e.is_file()]
    except OSError:
        return []


def _natural(path: Path) -> list[tuple[int, str]]:
    """Names as people sort them: a before a2 before a10, whatever the case."""
    parts = re.split(r"(\d+)", str(path.with_suffix("")).lower())
    known = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return [*known, (-1, path.suffix.lower())]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
