"""Weight packs: what is in one, where they are found, and checkpoints made into them."""

from .file import INTEGERS, SUFFIX, PackFile, inspect, write
from .pack import Pack
from .store import (
    DEFAULT_MODEL,
    DEFAULT_PACK,
    chosen,
    find,
    find_hash,
    find_header,
    folders,
    installed,
    load,
    name_in_files,
)

__all__ = [
    "DEFAULT_MODEL",
    "DEFAULT_PACK",
    "INTEGERS",
    "SUFFIX",
    "Pack",
    "PackFile",
    "chosen",
    "find",
    "find_hash",
    "find_header",
    "folders",
    "inspect",
    "installed",
    "load",
    "name_in_files",
    "write",
]
