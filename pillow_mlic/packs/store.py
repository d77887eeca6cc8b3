"""Where packs are found: by name, or by what a .mlic file calls them.

A pack is found by name in, first to last: MLIC_WEIGHTS (a file or a folder), the folder of
`register_mlic_opener`, the user's data folder, packages that bring weights, the system's folders
(`shared`), and the packs that came with this package.
"""

import functools
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from .. import models, process, settings
from ..errors import DecodeError, WeightsError
from ..format.header import Header
from ..format.layout import VERSION
from . import identity, shared
from .file import SUFFIX, PackFile, inspect, read
from .pack import Pack

DEFAULT_MODEL = "mlicv2-lite"
"""The bundled model, and its pack for squared error."""
DEFAULT_PACK = "mlicv2-lite-visual"
"""The pack that pictures are saved with where nothing else is asked for."""


def folders() -> list[Path]:
    """Where packs are looked for after MLIC_WEIGHTS, first to last; new ones go to the first."""
    from platformdirs import user_data_path

    user = user_data_path("pillow-mlic", appauthor=False)
    for_all = [*shared.package_folders(), *shared.site_folders()]
    return [*_chosen_folder(), user / "weights", *for_all, *_own_folders()]


def _chosen_folder() -> list[Path]:
    own = settings.weights_dir()
    return [] if own is None else [own]


def _own_folders() -> list[Path]:
    """Where this package's packs are: installed, inside it; in a checkout, beside it."""
    here = Path(__file__).resolve().parents[1]
    return [here / "weights", here.parent / "weights"]


def chosen() -> list[PackFile]:
    """The packs that MLIC_WEIGHTS names; WeightsError where it is set and names none."""
    name = os.environ.get("MLIC_WEIGHTS")
    if not name:
        return []
    place = Path(name)
    packs = [inspect(place)] if place.is_file() else list(_packs_in(place))
    if not packs:
        msg = f"MLIC_WEIGHTS is {name!r}, which is neither a weight pack nor a folder with one"
        raise WeightsError(msg)
    return packs


def installed() -> list[PackFile]:
    """All packs that can be found, in order of preference."""
    return chosen() + _kept()


def _kept() -> list[PackFile]:
    """The packs in the folders."""
    return [pack for place in folders() for pack in _packs_in(place)]


def _near() -> list[PackFile]:
    """The packs in those of the folders that are quickly found."""
    places = (*_chosen_folder(), *_own_folders())
    return [pack for place in places for pack in _packs_in(place)]


def _packs_in(folder: Path) -> Iterator[PackFile]:
    """The packs in a folder; other files are passed over."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield _inspected(*_key(path))
        except (OSError, WeightsError):
            continue


@functools.lru_cache(256)
def _inspected(path: str, changed: int, size: int) -> PackFile:  # noqa: ARG001
    """What the header says of a file that has this time of change and size."""
    return inspect(Path(path))


def find(name: str | None = None, quality: float = 3.0) -> PackFile:
    """The pack of this name; for a model's name its first one, or the one nearest to `quality`.

    None: the pack that is used where nothing is asked for, `DEFAULT_PACK`; in MLIC_WEIGHTS, or
    where it is missing, another one of `DEFAULT_MODEL`.
    Raises ValueError for a name that is neither, WeightsError where a model has no weights here.
    """
    wanted = (DEFAULT_PACK, DEFAULT_MODEL) if name is None else (name,)
    name = wanted[-1]
    first, others = chosen(), _kept()
    # What MLIC_WEIGHTS names goes before a pack that only has the better name.
    for candidates in (first, others):
        named = [pack for want in wanted for pack in candidates if pack.name == want]
        of_model = [pack for pack in candidates if pack.model == name]
        if named:
            return named[0]
        if of_model:
            return min(of_model, key=lambda p: 0 if p.quality is None else abs(p.quality - quality))
    have = ", ".join(pack.name for pack in first + others) or "none"
    if name in models.names():
        published = ", or import published ones (`mlic weights import`)"
        msg = (
            f"no weights of model {name!r} are installed (packs found: {have}); "
            f"train some (`mlic train PHOTOS RUN --model {name}`)"
            f"{published if name in models.PUBLISHED else ''} and put them into {folders()[0]}"
        )
        raise WeightsError(msg)
    if name in models.REFINED:
        raise ValueError(models.no_network(name))
    msg = (
        f"there is no model or weight pack {name!r}; "
        f"models: {', '.join(models.names())}; packs found: {have}"
    )
    raise ValueError(msg)


def find_header(header: Header) -> PackFile:
    """The pack that a file with this header was written with.

    DecodeError where its model is unknown or not that pack's, WeightsError where there is none.
    """
    model = models.name_of(header.model)
    if not header.model:
        msg = "this .mlic file names no model: all its tiles are lossless, or it is forged"
        raise DecodeError(msg)
    if model is None:
        msg = (
            f"this .mlic file needs model number {header.model}, which this version does not "
            "know: update pillow-mlic"
        )
        raise DecodeError(msg)
    file = find_hash(header.pack, header.version)
    if file.model != model:
        msg = (
            f"this .mlic file says that its model is {model}, but its weights ({file.name}) "
            f"are those of {file.model}: it was written by a broken program, or forged"
        )
        raise DecodeError(msg)
    return file


def find_hash(prefix: bytes, version: int = VERSION) -> PackFile:
    """The pack that a file was written with, by the first bytes of what the file calls it.

    Files of version 1 name a pack by the hash of its file, later ones by its identity. A pack with
    that name is as good as any other: the places that are quickly searched come first.
    """

    def unlikely(pack: PackFile) -> tuple[bool, bool]:
        return not (prefix and pack.claim.startswith(prefix)), pack.name != DEFAULT_PACK

    for look in (chosen, _near, _kept):
        for pack in sorted(look(), key=unlikely):
            if any(name.startswith(prefix) for name in _names(pack, version)):
                return pack
    packs = installed()
    have = ", ".join(f"{p.name} ({name_in_files(p).hex()})" for p in packs) or "none"
    msg = (
        f"this file was written with the weights {prefix.hex()}, which are not installed here "
        f"(installed: {have}); put that weight pack into {folders()[0]} or name it in MLIC_WEIGHTS"
    )
    raise WeightsError(msg)


_Key = tuple[str, int, int]
"""Path, time of change and size of a file."""

_seen: dict[_Key, bytes] = {}
"""Identities of pack files that were read."""
_packs: dict[bytes, Pack] = {}
"""Packs in use, by identity."""
_latest: tuple[_Key, Pack] | None = None
"""The pack that was read last, likely to be wanted next."""
_lock = process.Lock()


def load(file: PackFile) -> Pack:
    """Load a pack, and keep it for the life of the process.

    Its identity is that of the bytes that were read: a file that is replaced meanwhile gives the
    old pack or the new one, never a mixture.
    """
    with _lock:
        who = _look(file)
        if who not in _packs:
            pack = _latest[1] if _latest and _latest[0] == _key(file.path) else _read(file)
            _packs[pack.identity] = pack
            return pack.as_file(file)
        return _packs[who].as_file(file)


def name_in_files(file: PackFile) -> bytes:
    """What .mlic files call a pack: the first bytes of its identity."""
    return _look(file)[: identity.SIZE]


def _names(file: PackFile, version: int) -> tuple[bytes, ...]:
    """What files of this version of the format call a pack; nothing where it is damaged."""
    try:
        who = _look(file)
    except (OSError, WeightsError):
        return ()
    if version > 1:
        return (who,)
    aliases = [old for old, new in identity.ALIASES.items() if who.startswith(new)]
    return (*aliases, _digest(*_key(file.path)))


@functools.cache
def _digest(path: str, changed: int, size: int) -> bytes:  # noqa: ARG001
    """SHA-256 of a file that has this time of change and size."""
    return hashlib.sha256(Path(path).read_bytes()).digest()


def _look(file: PackFile) -> bytes:
    """The identity of a pack file."""
    with _lock:
        key = _key(file.path)
        if key not in _seen:
            _read(file)
        return _seen[key]


def _read(file: PackFile) -> Pack:
    global _latest
    key = _key(file.path)
    found = read(file.path)
    pack = Pack(*found)
    _seen[key] = found[1].identity
    _latest = (key, pack)
    return pack


def _key(path: Path) -> _Key:
    status = path.stat()
    return str(path), status.st_mtime_ns, status.st_size
