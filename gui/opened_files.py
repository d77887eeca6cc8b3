"""The files that were opened together: which one is shown, and what comes next."""

from collections.abc import Iterable
from pathlib import Path

from .batch import expand


class OpenedFiles:
    """Paths in order, and the place in them."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.place = 0

    def fill(self, paths: Iterable[Path]) -> Path | None:
        """Replace the files; a folder stands for its pictures. -> the first, if there is one."""
        found = [file.path for file in expand(paths)]
        if not found:
            return None
        self.paths, self.place = found, 0
        return found[0]

    def step(self, by: int) -> Path | None:
        """The file `by` places further on; None at the ends."""
        place = self.place + by
        if not 0 <= place < len(self.paths):
            return None
        self.place = place
        return self.paths[place]

    def words(self) -> str:
        """3 of 24, where there are several."""
        return f"{self.place + 1} of {len(self.paths)}" if len(self.paths) > 1 else ""
