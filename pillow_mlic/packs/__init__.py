"""Weight packs: what is in one, where they are found, and checkpoints made into them."""

from .store import (
    DEFAULT_MODEL,
    HASH_BYTES,
    SUFFIX,
    Pack,
    PackFile,
    chosen,
    find,
    find_hash,
    find_header,
    folders,
    inspect,
    installed,
    load,
    write,
)

__all__ = [
    "DEFAULT_MODEL",
    "HASH_BYTES",
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
    "write",
]
