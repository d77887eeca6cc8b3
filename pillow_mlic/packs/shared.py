"""Folders of weight packs that another package or a system's administrator has put there."""

import functools
import os
import sys
from importlib.util import find_spec
from pathlib import Path

GROUP = "pillow_mlic.weights"
"""Entry points of packages that bring weights; the value is the import package that holds them."""


@functools.cache
def package_folders() -> tuple[Path, ...]:
    """The folders of installed packages that bring weights, by their entry points' names.

    Such a package is found, not imported. One that is not where it says is passed over.
    """
    from importlib.metadata import entry_points

    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(folder for point in points for folder in _folders_of(point.module))


def _folders_of(package: str) -> list[Path]:
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return []
    return [Path(place) for place in (spec and spec.submodule_search_locations) or []]


def site_folders() -> list[Path]:
    """Where packs for all users are, first to last; the folders need not be there.

    `share/pillow-mlic/weights` below this Python's prefix (a virtual or conda environment, /usr),
    then `pillow-mlic/weights` in the system's data folders: on Linux those of XDG_DATA_DIRS, by
    default /usr/local/share and /usr/share.
    """
    from platformdirs import site_data_dir

    shared = site_data_dir("pillow-mlic", appauthor=False, multipath=True)
    places = [Path(sys.prefix, "share", "pillow-mlic"), *map(Path, shared.split(os.pathsep))]
    return [place / "weights" for place in dict.fromkeys(places)]
