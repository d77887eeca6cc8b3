"""Files written by earlier versions decode to the same picture, for ever."""

import numpy as np
import pytest
from PIL import Image

from pillow_mlic.entropy.range_coder import available_backends

from .conftest import GOLDEN

CASES = sorted(path.stem for path in GOLDEN.glob("*.mlic"))


def test_there_are_golden_files() -> None:
    assert CASES == ["l", "la", "rgb", "rgba_tiles"]


@pytest.mark.usefixtures("small_weights")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", available_backends())
def test_golden(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Symbols are checked by their checksum; pixels may be off by one level on other machines."""
    monkeypatch.setenv("MLIC_RANGE_CODER", backend)
    with Image.open(GOLDEN / f"{name}.mlic") as coded, Image.open(GOLDEN / f"{name}.png") as png:
        assert coded.mode == png.mode
        difference = np.abs(np.asarray(coded, dtype=int) - np.asarray(png, dtype=int))
        assert difference.max() <= 1
        if "A" in png.getbands():
            assert difference[..., -1].max() == 0
