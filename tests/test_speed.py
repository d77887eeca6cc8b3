"""`mlic bench speed`, and the fast MLIC++ beside its plainly written twin (tests/plain.py)."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from pillow_mlic import cli, packs
from pillow_mlic.diagnostics import speed
from pillow_mlic.models.base import Latents, Select
from pillow_mlic.models.layers import winograd
from pillow_mlic.models.mlicpp import MlicPlusPlus, MlicPlusPlusConfig

from .conftest import photograph
from .plain import PlainMlicPlusPlus


class Keeping:
    """A coder that computes symbols and keeps all means and scales."""

    def __init__(self, latents: Latents) -> None:
        self.latents = latents
        self.seen: list[torch.Tensor] = []

    def __call__(
        self, mean: torch.Tensor, scale: torch.Tensor, gain: torch.Tensor, select: Select
    ) -> torch.Tensor:
        self.seen += [mean, scale]
        return (select(self.latents) * gain - mean).round()

    def fixed(self, mean: torch.Tensor, select: Select) -> torch.Tensor:
        return (select(self.latents) - mean).round()


@pytest.fixture(params=[False, True], ids=["2024", "2023"])
def network(request: pytest.FixtureRequest) -> MlicPlusPlus:
    """Of small width, but wide enough for all that is done differently."""
    torch.manual_seed(5)
    config = MlicPlusPlusConfig(32, 64, 2, 32, variant_2023=request.param)
    return MlicPlusPlus(config).eval().requires_grad_(False)


def test_the_fast_network_gives_what_the_plain_one_gives(
    network: MlicPlusPlus, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = PlainMlicPlusPlus.twin(network, torch.float64)
    x = torch.rand(1, 512, 512, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    q = torch.ones(1, dtype=torch.float64)
    taken = []
    bands = winograd.bands
    monkeypatch.setattr(winograd, "bands", lambda *a: taken.append(a[0].dtype) or bands(*a))
    with torch.inference_mode():
        y = plain.analysis(x, q)
        latents = Latents(20 * y, 20 * plain.hyper_analysis(y))
        mine, twin = Keeping(latents), Keeping(latents)
        y_hat = network.entropy(q, (8, 8), mine)
        expected = plain.entropy(q, (8, 8), twin)
        pictures = [network.synthesis(expected.to(t), q) for t in (torch.float32, torch.float64)]
        near = network.analysis(x.float(), q)
        picture = plain.synthesis(expected, q)
    assert {torch.float32, torch.float64} == set(taken)
    for ours, theirs in zip(mine.seen, twin.seen, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    torch.testing.assert_close(y_hat, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(pictures[1], picture, rtol=0, atol=1e-7)
    torch.testing.assert_close(pictures[0].double(), picture, rtol=0, atol=1e-4)
    torch.testing.assert_close(near.double(), y, rtol=0, atol=1e-4)


def test_the_parts_add_up(small_weights: Path) -> None:
    pack = packs.load(packs.inspect(small_weights))
    threads = torch.get_num_threads()
    found = speed.measure(np.asarray(photograph(100, 60)), pack, 3.0, repeats=1)
    assert torch.get_num_threads() == threads
    assert found.size == (100, 60)
    gmac = {part.name: part.gmac for part in found.parts}
    exact, fast = gmac["entropy part, float64"], gmac["entropy part, float32"]
    assert 0 < fast < exact
    assert gmac["decode"] == pytest.approx(exact + gmac["synthesis"])
    assert gmac["encode"] == pytest.approx(exact + gmac["analysis"])
    assert gmac["decode, guard band 1e-05"] == pytest.approx(fast + gmac["synthesis"])
    assert all(part.seconds > 0 for part in found.parts)


def test_the_table() -> None:
    part = speed.Part("decode", 0.5, 20.0)
    text = speed.table(speed.Speed("pack", 3.0, (768, 512), 1, 80.0, [part]))
    assert "pack, 768 x 512, quality 3; CPU seconds of one thread" in text
    assert "| decode | 0.500 | 20.0 | 40 | 50% | 40 |" in text


def test_the_command(
    tmp_path: Path,
    small_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLIC_WEIGHTS", str(small_weights))
    photograph(64, 64).save(tmp_path / "a.png")
    picture = str(tmp_path / "a.png")
    assert cli.main(["bench", "speed", picture, "--threads", "2", "--repeats", "1"]) == 0
    out = capsys.readouterr().out
    assert "64 x 64, quality 3; 2 threads" in out
    assert re.search(r"^\| encode \| \d", out, re.MULTILINE)
    assert cli.main(["bench", "speed", str(tmp_path / "none.png")]) == 1
    assert "none.png" in capsys.readouterr().err
