"""What the viewer remembers from one start to the next."""

import json
from pathlib import Path

from PySide6.QtCore import QByteArray, QSettings

from ..state import State, from_json

MOST_RECENT = 12


class ViewerMemory:
    """Settings in a file of the user; broken entries in it are ignored."""

    def __init__(self, file: Path | None = None) -> None:
        if file is not None:
            self._settings = QSettings(str(file), QSettings.Format.IniFormat)
        else:
            self._settings = QSettings(
                QSettings.Format.IniFormat, QSettings.Scope.UserScope, "pillow-mlic", "viewer"
            )

    def state(self) -> State:
        """The settings of last time."""
        try:
            data = json.loads(str(self._settings.value("state", "")))
        except ValueError:
            data = None
        return from_json(data)

    def save_state(self, state: State) -> None:
        """Remember the settings."""
        self._settings.setValue("state", json.dumps(state.to_json()))

    def recent(self) -> list[Path]:
        """Files opened before that are still there, the newest first."""
        try:
            names = json.loads(str(self._settings.value("recent", "[]")))
            paths = [Path(name) for name in names]
        except (ValueError, TypeError):
            return []
        return [path for path in paths if path.is_file()][:MOST_RECENT]

    def add_recent(self, path: Path) -> None:
        """This file was opened."""
        paths = [path, *(p for p in self.recent() if p != path)][:MOST_RECENT]
        self._settings.setValue("recent", json.dumps([str(p) for p in paths]))

    def clear_recent(self) -> None:
        """Forget the files."""
        self._settings.setValue("recent", "[]")

    def beside(self, name: str) -> Path:
        """A file in the folder of the settings."""
        return Path(self._settings.fileName()).parent / name

    def value(self, name: str) -> QByteArray | None:
        """Another remembered value, as bytes."""
        value = self._settings.value(name)
        return value if isinstance(value, QByteArray) else None

    def save(self, name: str, value: QByteArray) -> None:
        """Remember bytes."""
        self._settings.setValue(name, value)

    def text(self, name: str) -> str:
        """A text that was remembered."""
        value = self._settings.value(name, "")
        return value if isinstance(value, str) else ""

    def save_text(self, name: str, value: str) -> None:
        """Remember a text."""
        self._settings.setValue(name, value)

    def sync(self) -> None:
        """Write it down now."""
        self._settings.sync()
