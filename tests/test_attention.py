"""Maps of contexts: the rows of the attention that the network computes, drawn."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic import cli, plugin
from pillow_mlic.diagnostics import bits, heatmaps
from pillow_mlic.models.layers.attention import InterSliceContext
from pillow_mlic.models.maps import inter_slice_map
from pillow_mlic.packs.checkpoints import import_checkpoint

from .conftest import photograph
from .test_published import small


@pytest.fixture(autouse=True)
def user_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pillow_mlic.packs.store.folders", lambda: [tmp_path / "packs"])


def import_small(name: str, tmp_path: Path) -> None:
    torch.save(small(name).state_dict(), tmp_path / "a.pth")
    import_checkpoint(tmp_path / "a.pth", 0.0067)


def test_the_map_is_a_row_of_the_attention() -> None:
    """What is carried over with these weights is what the network carries over."""
    torch.manual_seed(1)
    context = InterSliceContext(4, 1).eval()
    previous = torch.randn(1, 6, 8, 4)
    with torch.no_grad():
        values = context.values(previous)[0].flatten(0, 1)
        q = context.queries(previous)[0].flatten(0, 1)
        k = context.keys(previous)[0].flatten(0, 1)
        carried = q.softmax(1) @ (k.softmax(0).T @ values)
        weights = inter_slice_map(context, previous, (2, 5))
    assert weights.sum() == pytest.approx(1)
    assert torch.allclose(weights.flatten() @ values, carried[2 * 8 + 5], atol=1e-5)


def test_maps_of_a_file(tmp_path: Path) -> None:
    """In the tile of the pixel; anchors have no context within their slice."""
    import_small("mlic++", tmp_path)
    buffer = io.BytesIO()
    photograph(150, 70).save(buffer, plugin.FORMAT, model="mlic++", tile=64)
    for at in ((100, 20), (80, 20)):  # an anchor of the second tile, and a non-anchor
        buffer.seek(0)
        box, maps = bits.context_maps(buffer, at)
        assert box == (64, 0, 128, 64)
        row, column = at[1] // 16, (at[0] - 64) // 16
        expected = {"slice 2, from slices"}
        if (row + column) % 2 == 0:
            expected.add("slice 2, from anchors")
        assert set(maps) == expected
        assert all(m.shape == (4, 4) and m.sum() == pytest.approx(1) for m in maps.values())
    rows, columns = np.mgrid[:4, :4]
    anchors_only = [m for name, m in maps.items() if name.endswith("anchors")]
    assert anchors_only
    assert all(not m[(rows + columns) % 2 == 0].any() for m in anchors_only)
    buffer.seek(0)
    with pytest.raises(ValueError, match="no pixel 150,2"):
        bits.context_maps(buffer, (150, 2))


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import_small("mlic++", tmp_path)
    photograph(100, 60).save(tmp_path / "a.png")
    assert (
        cli.main(["attention", str(tmp_path / "a.png"), "--at", "20,30", "--model", "mlic++"]) == 0
    )
    assert "bits" in capsys.readouterr().out
    with Image.open(tmp_path / "a-attention.png") as drawn:
        assert drawn.height == 60 + heatmaps.CAPTION
        assert drawn.width % 100 == 0
    assert cli.main(["attention", str(tmp_path / "a.png")]) == 2
    assert "--force" in capsys.readouterr().err


def test_models_without_global_context(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph(64, 64).save(tmp_path / "a.png")
    assert cli.main(["attention", str(tmp_path / "a.png")]) == 2
    assert "mlicv2-lite has neither" in capsys.readouterr().err
    assert not (tmp_path / "a-attention.png").exists()
    assert cli.main(["attention", str(tmp_path / "a.png"), "--bits"]) == 0


def test_lists_of_channels_become_bars() -> None:
    factors = np.array([0.5, 1.0, 0.0], np.float32)
    drawn = heatmaps.sheet(Image.new("RGB", (60, 40)), {"reweighting": factors})
    bars = np.asarray(drawn)[heatmaps.CAPTION :, 60:].astype(int)
    red = (bars != 255).any(-1).sum(0)
    assert red[10] in (19, 20, 21)
    assert red[30] == 40
    assert red[50] <= 1


def test_colours_rise() -> None:
    values = colours = heatmaps.colours(np.linspace(0, 1, 50, dtype=np.float32)).astype(int)
    assert values.shape == (50, 3)
    assert (np.diff(colours.sum(-1)) > 0).all()
