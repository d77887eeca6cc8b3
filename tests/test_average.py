"""scripts/average.py: what lies between two packs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from pillow_mlic import packs
from pillow_mlic.packs import Pack
from pillow_mlic.training.export import write_half

from .test_docs import script


@pytest.fixture
def two(tmp_path: Path, small_pack: Pack) -> list[Path]:
    model = small_pack.model(torch.device("cpu"))
    found = [tmp_path / name / "mlicv2-lite.safetensors" for name in "ab"]
    for number, path in enumerate(found):
        path.parent.mkdir()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + number)  # the second has twice the first's weights
        write_half(path, "mlicv2-lite", model, {"steps": 10 + number, "distortion": "visual"})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.div_(2)
    return found


def run(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["average.py", *map(str, words)])
    script("average").main()


def test_shares(two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.safetensors"
    run(monkeypatch, out, f"{two[0]}:0.25", f"{two[1]}:0.75")
    with safe_open(out, "np") as mixed, safe_open(two[0], "np") as first:
        weight = "synthesis.stem.weight"
        assert np.allclose(mixed.get_tensor(weight), 1.75 * first.get_tensor(weight), atol=1e-3)
        card = json.loads(mixed.metadata()["card"])
    assert [(part["share"], part["steps"]) for part in card["average of"]] == [
        (0.25, 10),
        (0.75, 11),
    ]
    assert packs.load(packs.inspect(out)).file.distortion == "visual"


def test_shares_that_do_not_add_up(
    two: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path / "out.safetensors", f"{two[0]}:0.5", f"{two[1]}:0.6")
    assert "shares must add up to 1" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
