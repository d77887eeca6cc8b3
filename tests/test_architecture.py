"""docs/architecture.md is true: what it names exists, and every room is on its drawing."""

import re

import pytest

from .documentation import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
PLACES = sorted(set(re.findall(r"`((?:\w+/)*\w+(?:/|\.py|\.toml))`", PAGE)))
NAMES = sorted(set(re.findall(r"`([\w/]+\.py)`: `(\w+)`", PAGE)))


@pytest.mark.parametrize("place", PLACES)
def test_every_place_is_there(place: str) -> None:
    assert any((base / place).exists() for base in (ROOT / "pillow_mlic", ROOT)), place


def test_every_room_is_on_the_drawing() -> None:
    package = ROOT / "pillow_mlic"
    rooms = [f"{path.parent.name}/" for path in package.glob("*/__init__.py")]
    rooms += [path.name for path in package.glob("*.py") if not path.name.startswith("__")]
    assert len(rooms) > 10
    drawing = PAGE.split("```text\n")[1].split("```")[0]
    assert not [room for room in rooms if room not in drawing]


@pytest.mark.parametrize(("place", "name"), NAMES)
def test_names_beside_places_are_defined_there(place: str, name: str) -> None:
    base = ROOT if place.startswith("gui/") else ROOT / "pillow_mlic"
    assert re.search(rf"\b{name}\b", (base / place).read_text(encoding="utf-8"))


def test_dotted_names_are_defined() -> None:
    """`room.module.Name` and the methods of `Engine`."""
    found = re.findall(r"`((?:\w+\.)+)(\w+)`", PAGE)
    checked = 0
    for path, name in found:
        if name in ("py", "md", "toml"):
            continue
        place = ROOT / "pillow_mlic" / (path.rstrip(".").replace(".", "/") + ".py")
        if path == "Engine.":
            place = ROOT / "pillow_mlic/engines/base.py"
        if place.exists():
            checked += 1
            assert re.search(rf"\b{name}\b", place.read_text(encoding="utf-8")), (path, name)
    assert checked > 8
