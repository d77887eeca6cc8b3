"""Makes the desktop know .mlic: type, icon, viewer and thumbnails, for the current user.

As freedesktop.org specifies them: shared-mime-info, icon theme, desktop entry, thumbnailer. All
files go below XDG_DATA_HOME (~/.local/share), or share/ of a package's prefix, and are named after
this project, so that uninstalling finds them. Nothing here needs more than the standard library;
Pillow makes the thumbnails.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .format.container import SIGNATURE

MIME = "image/x-mlic"
NAME = "pillow-mlic"

_MIME_XML = """<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{mime}">
    <comment>MLIC compressed image</comment>
    <icon name="{icon}"/>
    <magic priority="80">
      <match type="string" offset="0" value="{signature}"/>
    </magic>
    <glob pattern="*.mlic"/>
  </mime-type>
</mime-info>
"""

_DESKTOP_ENTRY = """[Desktop Entry]
Type=Application
Name=MLIC Viewer
GenericName=Image Viewer
Comment=See what image codecs keep of a photograph
Exec={command} view %F
Icon={icon}
Terminal=false
Categories=Graphics;Viewer;
MimeType={mime};
"""

_THUMBNAILER = """[Thumbnailer Entry]
Exec={command} desktop thumbnail --size %s %i %o
MimeType={mime};
"""

_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<rect x="6" y="10" width="52" height="44" rx="6" fill="#24425c"/>
<circle cx="20" cy="23" r="5" fill="#ffd166"/>
<path d="M10 48 24 32l9 9 10-14 11 21z" fill="#7fb069"/>
<path d="M38 10h14a6 6 0 0 1 6 6v32a6 6 0 0 1-6 6H38z" fill="#fff" fill-opacity=".18"/>
<g fill="#fff" fill-opacity=".55"><path d="M42 16h5v5h-5zM49 23h5v5h-5zM42 30h5v5h-5zM49 37h5v5h-5z\
M42 44h5v5h-5z"/></g>
</svg>
"""

_UPDATERS = (
    ("update-mime-database", "mime", "shared-mime-info"),
    ("update-desktop-database", "applications", "desktop-file-utils"),
    ("gtk-update-icon-cache", "icons/hicolor", ""),
)
"""Programs that update the desktop's caches: their name, the folder they are given, and the
package that has them (none where no desktop needs the program)."""


@dataclass
class InstallReport:
    """What was written or removed, and what the user may have to do."""

    files: list[Path] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)


def data_home() -> Path:
    """The user's data folder. ValueError on systems whose desktops do not follow
    freedesktop.org."""
    if sys.platform in ("win32", "darwin"):
        msg = "this works only for desktops of Linux and BSD that follow freedesktop.org"
        raise ValueError(msg)
    home = os.environ.get("XDG_DATA_HOME", "")
    return Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share"


def contents(program: str) -> dict[str, str]:
    """What each file holds, by its path below the data folder; `program`: the command in
    the entries."""
    icon = MIME.replace("/", "-")
    signature = "".join(f"\\x{byte:02x}" for byte in SIGNATURE)
    words = {"mime": MIME, "icon": icon, "command": program, "signature": signature}
    return {
        f"mime/packages/{NAME}.xml": _MIME_XML.format(**words),
        f"icons/hicolor/scalable/mimetypes/{icon}.svg": _ICON,
        f"applications/{NAME}.desktop": _DESKTOP_ENTRY.format(**words),
        f"thumbnailers/{NAME}.thumbnailer": _THUMBNAILER.format(**words),
    }


def command() -> str:
    """The `mlic` command as entries name it: with the Python that runs now, wherever it is."""
    return f"{_quoted(sys.executable)} -m pillow_mlic"


def _quoted(word: str) -> str:
    """A word of an Exec line, as the desktop entry specification wants it."""
    word = word.replace("%", "%%")
    if not set(word) & set(" \t\n\"'\\><~|&;$*?#()`"):
        return word
    for character in '\\"`$':
        word = word.replace(character, f"\\{character}")
    return '"' + word.replace("\\", "\\\\") + '"'  # backslashes count twice in these files


def install(prefix: Path | None = None) -> InstallReport:
    """Write the files and update the desktop's caches.

    With `prefix` they go below `prefix`/share, as a distribution's package wants them: entries call
    `mlic` by its name alone, and the caches are left to whoever installs the package.
    """
    home, report = data_home() if prefix is None else prefix / "share", InstallReport()
    for name, text in contents(command() if prefix is None else "mlic").items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        report.files.append(path)
    if prefix is None:
        _update(home, report)
    return report


def uninstall(prefix: Path | None = None) -> InstallReport:
    """Remove what `install` wrote, and update the caches."""
    home, report = data_home() if prefix is None else prefix / "share", InstallReport()
    for name in contents("mlic"):
        path = home / name
        if path.exists():
            path.unlink()
            report.files.append(path)
    if report.files and prefix is None:
        _update(home, report)
    return report


def _update(home: Path, report: InstallReport) -> None:
    for program, folder, package in _UPDATERS:
        if not (home / folder).exists():
            continue
        found = shutil.which(program)
        if found is None:
            if package:
                report.hints.append(f"{program} is missing: install {package}, then do this again")
            continue
        done = subprocess.run(
            [found, str(home / folder)], capture_output=True, text=True, check=False
        )
        if done.returncode and package:
            report.hints.append(f"{program} failed: {done.stderr.strip()}")
