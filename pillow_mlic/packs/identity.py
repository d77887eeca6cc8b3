"""The identity of a pack: a hash of all that decides its streams, and of nothing else.

So a checkpoint has one identity, whoever imports it, under whatever name, and files decode with
anyone's pack of it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 8
"""Bytes of an identity that stand for the pack in .mlic files."""

_OLD_NAMES = {"_matrix": "matrices", "_bias": "biases", "_factor": "factors"}
_OLD_NAME = re.compile(r"(^|.*\.)(_matrix|_bias|_factor)(\d)")
_HEAD = b"pillow-mlic identity 1\n"


def of(model: str, config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """SHA-256 of model, configuration, weights and tables (docs/format.md, "Packs")."""
    found = hashlib.sha256(_HEAD)
    named = {canonical_name(name): array for name, array in arrays.items()}
    text = json.dumps([model, config], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    found.update(text.encode() + b"\n")
    for name in sorted(named):
        array = np.ascontiguousarray(named[name])
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        kind = f"{array.dtype.kind}{array.dtype.itemsize}"
        head = json.dumps([name, kind, list(named[name].shape)], separators=(",", ":"))
        found.update(head.encode() + b"\n")
        found.update(array.data)
    return found.digest()


def canonical_name(name: str) -> str:
    """CompressAI's newer spelling of a tensor's name: `matrices.0` for `_matrix0`."""
    old = _OLD_NAME.fullmatch(name)
    return f"{old[1]}{_OLD_NAMES[old[2]]}.{old[3]}" if old else name


ALIASES: dict[bytes, bytes] = {
    # mlicv2-lite and mlicv2-lite-msssim in weights/, by what files of version 1 call them.
    bytes.fromhex("cc4815ae7355a0d1"): bytes.fromhex("b3eab20b248d155d"),
    bytes.fromhex("84a3f757229958b4"): bytes.fromhex("0e6c6152a5319bcc"),
}
"""First bytes of SHA-256 of pack files that version 1 knew -> first bytes of identities."""
