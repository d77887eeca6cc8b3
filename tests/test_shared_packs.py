"""Weights for all users, and weights in packages of their own."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from pillow_mlic import packs
from pillow_mlic.packs import shared

from .conftest import photograph


@pytest.fixture(autouse=True)
def nothing_but(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A prefix and system folders of the test's own, and packages looked for afresh."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setenv("XDG_DATA_DIRS", f"{tmp_path / 'local'}:{tmp_path / 'system'}")
    shared.package_folders.cache_clear()
    yield
    shared.package_folders.cache_clear()


def put(pack: Path, folder: Path, name: str = "shared") -> Path:
    folder.mkdir(parents=True)
    return Path(shutil.copy(pack, folder / f"{name}.safetensors"))


def distribution(site: Path, package: str, entry_point: str) -> None:
    """What pip leaves of a package that brings weights."""
    facts = site / f"{package}-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[pillow_mlic.weights]\nsome = {entry_point}\n")


def test_below_the_prefix_of_python(small_pack_file: Path, tmp_path: Path) -> None:
    path = put(small_pack_file, tmp_path / "prefix/share/pillow-mlic/weights")
    assert packs.find("shared").path == path
    photograph(40, 30).save(tmp_path / "a.mlic", model="shared", optimize=False)
    with Image.open(tmp_path / "a.mlic") as image:
        image.load()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="folders of Linux and BSD")
def test_in_the_folders_of_the_system(small_pack_file: Path, tmp_path: Path) -> None:
    last = put(small_pack_file, tmp_path / "system/pillow-mlic/weights")
    assert packs.find("shared").path == last
    first = put(small_pack_file, tmp_path / "local/pillow-mlic/weights")
    assert packs.find("shared").path == first


def test_the_users_own_come_first_and_are_where_new_ones_go(
    small_pack_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: tmp_path / "user")
    put(small_pack_file, tmp_path / "prefix/share/pillow-mlic/weights")
    own = put(small_pack_file, tmp_path / "user/weights")
    assert packs.find("shared").path == own
    assert packs.folders()[0] == tmp_path / "user/weights"


def test_a_package_of_weights(
    small_pack_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its weights are found, its code is not run; they go before the system's."""
    site = tmp_path / "site"
    path = put(small_pack_file, site / "some_weights")
    (site / "some_weights/__init__.py").write_text("raise RuntimeError\n")
    distribution(site, "some_weights", "some_weights")
    put(small_pack_file, tmp_path / "prefix/share/pillow-mlic/weights")
    monkeypatch.syspath_prepend(site)
    assert packs.find("shared").path == path
    assert "some_weights" not in sys.modules


@pytest.mark.parametrize("entry_point", ["not_there", "not_there.below", "json:JSONDecoder"])
def test_packages_that_bring_none_are_passed_over(
    entry_point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(tmp_path / "site", "broken", entry_point)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert not [folder for folder in shared.package_folders() if any(folder.glob("*.safe*"))]
    assert packs.find("mlicv2-lite").name == "mlicv2-lite"


def test_the_distributions_own_entry_points_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: calls.append(group) or [])
    packs.folders()
    packs.folders()
    assert calls == [shared.GROUP]
