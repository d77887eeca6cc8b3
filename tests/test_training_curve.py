"""scripts/training_curve.py: the model card's table as curves."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from .test_docs import script

pytest.importorskip("matplotlib")

CARD = """
| run | from | minutes | SSIMULACRA2 | Butteraugli | FLIP | PSNR |
|---|---|---|---|---|---|---|
| a | b | 90 | -37.6 % | -11.6 % | -28.7 % | +5.8 % |
| the pack | a | 30 | -39.0 % | -13.0 % | -30.0 % | -1.0 % |

Not this | 1 |
"""


def test_hours_add_up() -> None:
    found = script("training_curve").points(CARD)
    assert found["SSIMULACRA2"] == [(1.5, -37.6), (2.0, -39.0)]
    assert found["PSNR"] == [(1.5, 5.8), (2.0, -1.0)]


def test_no_table() -> None:
    with pytest.raises(ValueError, match="no table"):
        script("training_curve").points("# Card\n\n| a |\n|---|\n| b |\n")


def test_the_card_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["training_curve", "--out", str(tmp_path / "a.png")])
    script("training_curve").main()
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] > 500
