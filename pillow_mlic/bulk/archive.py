"""A zip archive as destination.

Several processes cannot write one archive, and an archive that is cut short is lost. So outputs
first go to a folder beside it, where the job can be stopped like any other; they are packed at the
end.
"""

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from ..conversion import walk
from ..files import whole_file
from . import places


class Archive:
    """The archive of a URL such as `zip://folder::out.zip`; ValueError where it is not local."""

    def __init__(self, url: str) -> None:
        head, _, rest = url.partition("::")
        name = places.local(rest)
        if not name or places.is_url(name):
            msg = f"{url}: archives are written on this machine only, as in zip://::out.zip"
            raise ValueError(msg)
        self.path = Path(name).resolve()
        self.folder = self.path.with_name(f"{self.path.name}.parts")
        self.target = places.Place(str(self.folder / head.removeprefix("zip://").strip("/")))
        self.manifest = self.path.with_name(f"{self.path.name}.manifest.jsonl")

    def shown(self, target: str) -> str:
        """The URL that a file of the folder will have."""
        return f"zip://{Path(target).relative_to(self.folder).as_posix()}::{self.path}"

    def sizes(self) -> dict[str, int]:
        """Sizes of the files that are packed already, by their names in the folder."""
        if not self.path.exists():
            return {}
        with zipfile.ZipFile(self.path) as archive:
            members = archive.infolist()
        return {str(self.folder / PurePosixPath(m.filename)): m.file_size for m in members}

    def pack(self) -> None:
        """Move the folder's files into the archive, which is never left unfinished."""
        new = {path.relative_to(self.folder).as_posix(): path for path in walk(self.folder)}
        if not new:
            return
        with whole_file(self.path) as file, zipfile.ZipFile(file, "w") as packed:
            if self.path.exists():
                with zipfile.ZipFile(self.path) as old:
                    for member in old.infolist():
                        if member.filename not in new:
                            packed.writestr(member, old.read(member))
            for name in sorted(new):
                packed.write(new[name], name)  # stored as they are: there is nothing to compress
        shutil.rmtree(self.folder)
