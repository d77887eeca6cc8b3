"""The trainer: exact resume, falling loss, bounds, export."""

import json
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pillow_mlic import packs
from pillow_mlic.distortion import butteraugli
from pillow_mlic.errors import WeightsError
from pillow_mlic.models.mlicv2_lite import MlicV2Lite
from pillow_mlic.training.data import Crops, load_folder
from pillow_mlic.training.export import write_half
from pillow_mlic.training.loop import LOG, STATE, Settings, Trainer, load_state, settings_from
from pillow_mlic.training.optimiser import Average

from .conftest import make_small_model, photograph

CPU = torch.device("cpu")
PICTURES = [np.asarray(photograph(200, 160, seed=s)) for s in range(3)]
QUICK = Settings(batch=2, crop=64, warm_up=4)


def trainer(run: Path, settings: Settings = QUICK) -> Trainer:
    return Trainer(make_small_model().train(), PICTURES, run, settings, CPU)


def silent(_: object) -> None:
    pass


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize(
    "changes",
    [{"optimiser": "adam"}, {"optimiser": "soap"}, {"distortion": "visual", "crop": 128}],
)
def test_resuming_is_exact(changes: dict[str, Any], tmp_path: Path) -> None:
    settings = replace(QUICK, **changes)
    through = trainer(tmp_path, settings)
    through.train(8, None, False, silent)
    first = trainer(tmp_path, settings)
    first.train(5, None, False, silent)
    state = load_state(tmp_path / STATE)
    second = trainer(tmp_path, settings_from(state))
    second.load(state)
    second.train(3, None, False, silent)
    assert second.step == 8
    assert torch.equal(weights(through.model), weights(second.model))
    for a, b in zip(through.average.parameters, second.average.parameters, strict=True):
        assert torch.equal(a, b)


def test_every_step_looks_at_other_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[list[int]] = []

    def distance(original: Tensor, shown: Tensor, draw: torch.Generator) -> Tensor:
        drawn.append(torch.randint(1000, (2,), generator=draw).tolist())
        return (original - shown).square().mean((1, 2, 3))

    monkeypatch.setattr(butteraugli, "distance", distance)
    trainer(tmp_path, replace(QUICK, distortion="visual", crop=128)).train(4, None, False, silent)
    assert len({tuple(pair) for pair in drawn}) == len(drawn) == 4


@pytest.mark.parametrize("optimiser", ["adam", "soap"])
def test_loss_falls_and_is_logged(optimiser: str, tmp_path: Path) -> None:
    run = trainer(tmp_path, replace(QUICK, optimiser=optimiser))
    entries: list[float] = []
    for _ in range(3):
        run.train(8, None, False, lambda r: entries.append(r.loss), report_seconds=1e9)
    assert entries[-1] < entries[0]
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [8, 16, 24]


def test_cooldown_ends_at_rate_zero_and_leaves_the_trunk(tmp_path: Path) -> None:
    trunk = trainer(tmp_path)
    trunk.train(4, None, False, silent)
    before = (tmp_path / STATE).read_bytes()
    rates: list[float] = []
    trunk.train(10, None, True, lambda r: rates.append(r.rate), report_seconds=0)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 0 < rates[0]
    assert (tmp_path / STATE).read_bytes() == before


def test_steps_that_are_not_finite_are_skipped(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    first = next(run.model.analysis.parameters())
    before = weights(run.model)
    first.register_hook(lambda grad: grad * float("nan"))
    run.train(2, None, False, silent)
    assert run.skipped == 2
    assert torch.equal(weights(run.model), before)


def test_minutes_bound_a_run(tmp_path: Path) -> None:
    run = trainer(tmp_path)
    run.train(None, 0.02, False, silent)
    assert 0 < run.step < 1000


def test_batches_depend_on_seed_and_step_alone() -> None:
    a, b = Crops(PICTURES, 32, seed=1), Crops(PICTURES, 32, seed=1)
    a.batch(0, 3)
    assert torch.equal(a.batch(7, 3), b.batch(7, 3))
    assert not torch.equal(a.batch(8, 3), b.batch(7, 3))
    assert not torch.equal(Crops(PICTURES, 32, seed=2).batch(7, 3), b.batch(7, 3))


def test_folder_is_read_and_broken_files_passed_over(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    photograph(80, 70).save(tmp_path / "sub" / "a.png")
    photograph(20, 70).save(tmp_path / "small.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert [p.shape for p in load_folder(tmp_path, 64)] == [(70, 80, 3)]
    with pytest.raises(ValueError, match="no picture"):
        load_folder(tmp_path, 128)


def test_average_forgets_its_start(small_model: MlicV2Lite) -> None:
    model = torch.nn.Linear(2, 2)
    average = Average(model, 0.999)
    with torch.no_grad():
        model.weight.fill_(5)
    for _ in range(100):
        average.update(model, 4)
    assert torch.allclose(average.parameters[0], model.weight, atol=0.1)


def test_pack_round_trip_and_damage(tmp_path: Path, small_model: MlicV2Lite) -> None:
    path = tmp_path / "a.safetensors"
    write_half(path, "mlicv2-lite", small_model, {"steps": 3})
    pack = packs.load(packs.inspect(path))
    assert pack.file.card == {"steps": 3}
    for name, tensor in pack.model(CPU).state_dict().items():
        assert torch.equal(tensor, small_model.state_dict()[name].half().float())
    data = path.read_bytes()
    for bad in (b"", data[:100], data[: len(data) // 2], b"\xff" * 64):
        path.write_bytes(bad)
        with pytest.raises(WeightsError):
            packs.load(packs.inspect(path))


def test_state_that_is_none(tmp_path: Path) -> None:
    (tmp_path / STATE).write_bytes(b"nothing")
    with pytest.raises(ValueError, match="start afresh"):
        load_state(tmp_path / STATE)


def test_batches_made_ahead_are_the_same() -> None:
    crops = Crops([np.asarray(photograph(100, 90))], 64)
    for step in (0, 1, 2, 7, 8):
        assert torch.equal(crops.ahead(step, 3), crops.batch(step, 3))


def test_a_state_survives_being_handed_on_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "scripts")
    import train_on_loan

    monkeypatch.setattr(train_on_loan, "PART", 1000)
    state = tmp_path / "state.pt"
    state.write_bytes(bytes(range(250)) * 30)
    out = tmp_path / "out"
    out.mkdir()
    train_on_loan.split(state, out)
    assert len(list(out.iterdir())) == 8
    state.write_bytes(bytes(range(200)) * 20)
    train_on_loan.split(state, out)
    back = tmp_path / "back" / "state.pt"
    assert train_on_loan.join(out, back)
    assert back.read_bytes() == state.read_bytes()
    (out / "state.pt.001").unlink()
    with pytest.raises(SystemExit, match="missing"):
        train_on_loan.join(out, back)
    assert not train_on_loan.join(tmp_path / "nothing", back)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such way")
def test_memory_that_was_used_is_used_again() -> None:
    script = (
        "import resource, numpy as np\n"
        "from pillow_mlic.cli import train\n"
        "assert train.keep_memory()\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    np.ones(2**26, np.uint8)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "print(faults(), faults())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    first, second = map(int, done.stdout.split())
    assert second < first / 4
