"""scripts/crop_loss.py: the same crops and noise for all packs."""

import sys
from pathlib import Path

import pytest

from .conftest import photograph
from .test_docs import script


def lines(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()[1:]]


def test_the_same_for_the_same_weights(
    small_pack_file: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    measure = script("crop_loss")
    photograph(256, 256).save(tmp_path / "a.png")
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(small_pack_file.read_bytes())
    packs = [str(small_pack_file), str(copy)]
    begun = ["crop_loss", *packs, "--on", str(tmp_path), "--crops", "8", "--distortion", "psnr"]
    monkeypatch.setattr(sys, "argv", begun)
    measure.main()
    first, second = lines(capsys.readouterr().out)
    assert first[1:] == second[1:]
    assert float(first[1]) > float(first[2]) > 0  # the loss has the bits in it
    monkeypatch.setattr(sys, "argv", [*begun, "--bf16"])
    measure.main()
    half, _ = lines(capsys.readouterr().out)
    assert half[1:] != first[1:]
    assert float(half[1]) == pytest.approx(float(first[1]), rel=0.02)


def test_uneven_crops(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(
        sys, "argv", ["crop_loss", "a.safetensors", "--on", str(tmp_path), "--crops", "12"]
    )
    with pytest.raises(SystemExit):
        script("crop_loss").main()
    assert "multiple of 8" in capsys.readouterr().err
