"""Files written by earlier versions decode to the same picture, for ever."""

import numpy as np
import pytest
from PIL import Image

from pillow_mlic import models
from pillow_mlic.entropy.range_coder import available_backends
from pillow_mlic.format import container
from pillow_mlic.format.tiles import TileKind
from pillow_mlic.plugin import MlicImageFile

from .conftest import GOLDEN

MODES = ["l", "la", "rgb", "rgba_tiles"]
FIRST = ("lalic", "mlic", "mlic++", "mlic-ex", "mlic+", "mlicv2")
"""The models that version 1 had, beside the bundled one; later ones have no files of that kind."""
MODELS = {
    1: [f"model-{name}" for name in FIRST],
    2: [f"model-{name}" for name in models.names() if name != "mlicv2-lite"],
}
LOSSLESS = ["lossless_palette", "lossless_rgba"]
CASES = sorted(f"{path.parent.name}/{path.stem}" for path in GOLDEN.glob("v*/*.mlic"))


def test_there_are_golden_files() -> None:
    """Of both versions: all modes, all models; since version 2 with integers and without loss."""
    expected = [f"v{v}/{name}" for v, models_ in MODELS.items() for name in MODES + models_]
    expected += [f"v2/{name}" for name in ("integers", "mixed", *LOSSLESS)]
    assert sorted(expected) == CASES


def test_kinds_of_tiles() -> None:
    with Image.open(GOLDEN / "v2" / "mixed.mlic") as image:
        assert isinstance(image, MlicImageFile)
        assert set(image.tile_kinds()) == {TileKind.LEARNED, TileKind.PALETTE}
    for name, kind in zip(LOSSLESS, (TileKind.PALETTE, TileKind.WEBP), strict=True):
        with Image.open(GOLDEN / "v2" / f"{name}.mlic") as image:
            assert isinstance(image, MlicImageFile)
            assert set(image.tile_kinds()) == {kind}
            assert image.info["lossless"]


def test_which_were_decided_in_integers() -> None:
    for name in CASES:
        with open(GOLDEN / f"{name}.mlic", "rb") as file:
            assert container.read_header(file).arithmetic == (name == "v2/integers")


@pytest.mark.parametrize("name", CASES)
def test_versions(name: str) -> None:
    with open(GOLDEN / f"{name}.mlic", "rb") as file:
        assert f"v{container.read_header(file).version}" == name.split("/")[0]


FLOATS = [pytest.param(name, marks=pytest.mark.torch) for name in CASES if name != "v2/integers"]


@pytest.mark.parametrize("name", [*FLOATS, *(name for name in CASES if name == "v2/integers")])
@pytest.mark.parametrize("backend", available_backends())
def test_golden(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Symbols are checked by their checksum; pixels may be off by one level on other machines."""
    monkeypatch.setenv("MLIC_WEIGHTS", str(GOLDEN))
    monkeypatch.setenv("MLIC_RANGE_CODER", backend)
    with Image.open(GOLDEN / f"{name}.mlic") as coded, Image.open(GOLDEN / f"{name}.png") as png:
        assert coded.mode == png.mode
        difference = np.abs(np.asarray(coded, dtype=int) - np.asarray(png, dtype=int))
        assert difference.max() <= (not coded.info["lossless"])
        if "A" in png.getbands():
            assert difference[..., -1].max() == 0
