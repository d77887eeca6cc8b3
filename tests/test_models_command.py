"""`mlic models`: it prints the numbers that are counted by hand here."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pillow_mlic import cli, models
from pillow_mlic.models.base import Latents, ZeroCoder
from pillow_mlic.models.complexity import SIDE, complexity

from .family import VARIANTS, make, write_pack

KMAC = {
    "mlicv2-lite": (26.7, 26.1),
    "mlic++": (342.9, 403.4),
    "lalic": (381.7, 374.2),
    "mlic": (231.8, 282.5),
    "mlic+": (341.3, 401.7),
    "mlic-ex": (264.5, 260.3),
    "mlicv2": (468.2, 527.9),
}
"""To encode and to decode, counted while the networks of full width worked on real pixels."""


def test_the_bundled_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "mlicv2-lite", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    facts = json.loads(line)
    parameters = sum(p.numel() for p in models.create("mlicv2-lite").parameters())
    assert facts["parameters"] == parameters
    assert set(facts["weights"]) == {f"mlicv2-lite{kind}" for kind in ("", "-msssim", "-visual")}
    # docs/models.md has the table by parts
    assert (facts["encode_kmac_per_pixel"], facts["decode_kmac_per_pixel"]) == (26.7, 26.1)


@pytest.mark.parametrize("name", models.names())
def test_every_model(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one process, as the command has them: nothing may be left behind for the next one."""
    assert cli.main(["models", name, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["encode_kmac_per_pixel"], facts["decode_kmac_per_pixel"]) == KMAC[name]


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_counted_is_what_is_done(variant: str) -> None:
    """Without values as much is counted as while a network works, and it works afterwards."""
    model = make(variant)
    name, config = variant.split()[0], VARIANTS[variant]
    found = complexity(name, config)
    x, q = torch.rand(1, SIDE, SIDE, 3), torch.full((1,), 3.0)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        y = model.analysis(x, q)
        y_hat = model.entropy(q, Latents(y, model.hyper_analysis(y)).z_size, ZeroCoder())
        assert model.synthesis(y_hat, q).isfinite().all()
    done = counter.get_total_flops() / 2 / SIDE**2 / 1000
    assert found.encode + found.decode - found.entropy == pytest.approx(done, rel=1e-9)


def test_a_convolution_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of one 3x3 convolution a transform."""

    class Tiny(torch.nn.Module):
        channels = (4, 2)

        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 4, 16, stride=16)

        def analysis(self, x: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
            return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

        def hyper_analysis(self, y: torch.Tensor) -> torch.Tensor:
            return y[:, ::4, ::4, :2]

        def entropy(self, quality, z_size, coder):
            shape = (1, 4 * z_size[0], 4 * z_size[1], 4)
            return coder(torch.zeros(shape), torch.ones(shape), torch.ones(1), lambda v: v.y)

        def synthesis(self, y: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
            return y @ torch.ones(4, 768)

    monkeypatch.setattr("pillow_mlic.models.complexity.create", lambda name, config: Tiny())
    assert complexity("tiny") == (3 * 4 * 256 + 4, 3 * 4 / 1000, 4 * 768 / 256 / 1000, 0)


def test_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("pillow_mlic.packs.store.folders", lambda: [tmp_path])
    assert cli.main(["models", "mlicv2-lite"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split()[0] == "model"
    assert row.split()[0] == "mlicv2-lite"
    assert row.endswith("none installed")


def test_a_refined_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The network of another, in so many steps that nobody counts its multiplications."""
    write_pack(make("mlicv2"), "mlicv2", tmp_path / "mine.safetensors")
    monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path))
    found = []
    for name in ("mlicv2", "mlicv2+"):
        assert cli.main(["models", name, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
    plain, refined = found
    assert plain["weights"] == ["mine"]
    assert refined == plain | {"name": "mlicv2+", "refine": 3000, "encode_kmac_per_pixel": None}
    assert plain["refine"] == 0
    assert cli.main(["models", "mlicv2+"]) == 0
    assert "3000 steps" in capsys.readouterr().out.splitlines()[1]


def test_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["models", "nothing"]) == 2
    assert "there is no model 'nothing'" in capsys.readouterr().err


def test_every_model_names_its_paper() -> None:
    assert all(entry.paper for entry in models.REGISTRY.values())
