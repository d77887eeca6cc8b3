"""Token mixing blocks in bands of rows: what they give as a whole."""

import pytest
import torch

from pillow_mlic.models.layers import blocks
from pillow_mlic.models.layers.blocks import TokenMixing
from pillow_mlic.models.layers.half import HalfTokenMixing


def block(half: bool) -> TokenMixing:
    torch.manual_seed(0)
    made = TokenMixing(8)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return HalfTokenMixing(made) if half else made


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 7])
def test_bands_give_what_the_whole_gives(
    half: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = block(half)
    x = torch.randn(1, 7, 6, 8)
    spread, heights = made.spread, []

    def seen(x: torch.Tensor) -> torch.Tensor:
        heights.append(x.shape[1])
        return spread(x)

    with torch.inference_mode():
        whole = made(x)
        monkeypatch.setattr(made, "spread", seen)
        monkeypatch.setattr(blocks, "LARGE", x.numel() - 1)
        monkeypatch.setattr(blocks, "BAND", rows * 6 * 8)
        found = made(x)
    assert torch.allclose(found, whole, atol=2e-2 if half else 1e-5)
    assert sum(heights) == 7
    assert max(heights) == rows


@pytest.mark.parametrize("why", ["gradients", "two tiles", "float64"])
def test_no_bands(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = block(half=False)
    x = torch.randn(2 if why == "two tiles" else 1, 7, 6, 8)
    if why == "float64":
        made, x = made.double(), x.double()
    monkeypatch.setattr(blocks, "LARGE", 1)
    monkeypatch.setattr(made, "_in_bands", None)
    with torch.set_grad_enabled(why == "gradients"):
        made(x)
