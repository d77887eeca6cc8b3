"""Progressive decoding: each slice brings the preview nearer; with all it is the picture."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import pillow_mlic
from pillow_mlic import cli, packs, plugin
from pillow_mlic.entropy.slices import slices_of
from pillow_mlic.packs.checkpoints import import_checkpoint

from .conftest import photograph
from .test_published import SMALL, small

CPU = torch.device("cpu")


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, plugin.FORMAT, optimize=False, **options)
    return buffer.getvalue()


def preview_of(data: bytes, slices: int) -> Image.Image:
    return pillow_mlic.decode_slices(io.BytesIO(data), slices)


def error(a: Image.Image, b: Image.Image) -> float:
    return float(((np.asarray(a, float) - np.asarray(b, float)) ** 2).mean())


def test_every_slice_of_the_bundled_model_brings_it_nearer() -> None:
    with Image.open(Path(__file__).parent / "data" / "photograph.png") as opened:
        image = opened.convert("RGB").crop((0, 0, 128, 128))
    file = saved(image, quality=5)
    previews = [preview_of(file, slices) for slices in range(6)]
    errors = [error(preview, image) for preview in previews]
    assert errors == sorted(errors, reverse=True)
    assert errors[1] < 0.7 * errors[0]
    with Image.open(io.BytesIO(file)) as whole:
        assert whole.tobytes() == previews[5].tobytes()


def test_tiles_regions_and_transparency(small_weights: Path) -> None:
    image = photograph(200, 90).convert("RGBA")
    image.putalpha(photograph(200, 90, seed=5).convert("L"))
    file = saved(image, tile=64)
    preview = preview_of(file, 1)
    assert (preview.mode, preview.size) == ("RGBA", image.size)
    assert preview.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    with plugin.MlicImageFile(io.BytesIO(file)) as opened:
        part = opened.decode_region((40, 30, 100, 80), slices=1)
        assert part.tobytes() == preview.crop((40, 30, 100, 80)).tobytes()
        opened.load()
        assert opened.tobytes() != preview.tobytes()


@pytest.mark.parametrize("name", SMALL)
def test_published_networks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillow_mlic.packs.store.folders", lambda: [tmp_path / "packs"])
    torch.save(small(name).state_dict(), tmp_path / "a.pth")
    pack = packs.load(packs.inspect(import_checkpoint(tmp_path / "a.pth", 0.0067)))
    slices = slices_of(pack.canonical(CPU))
    assert slices == {"lalic": 3}.get(name, 2)
    file = saved(photograph(64, 64), model=name.split()[0])
    with Image.open(io.BytesIO(file)) as whole:
        assert whole.tobytes() == preview_of(file, slices).tobytes()
    assert preview_of(file, 1).size == (64, 64)


@pytest.mark.parametrize("slices", [-1, 4, True, 1.5])
def test_slices_that_are_not_there(small_weights: Path, slices: int) -> None:
    file = saved(photograph(64, 64))
    with pytest.raises(ValueError, match="mlicv2-lite has 3: give 0 to 3"):
        preview_of(file, slices)


def test_on_the_command_line(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(photograph(64, 64))
    path = tmp_path / "a.mlic"
    path.write_bytes(file)
    assert cli.main(["decode", str(path), "--slices", "1", "--quiet"]) == 0
    with Image.open(tmp_path / "a.png") as preview:
        assert preview.tobytes() == preview_of(file, 1).tobytes()
    assert cli.main(["decode", str(path), "--slices", "9", "-f", "--quiet"]) == 1
    assert "give 0 to 3" in capsys.readouterr().err
