"""Training with several processes is as with one, and the number may change between starts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from pillow_mlic import packs
from pillow_mlic.training.loop import LOG, STATE, load_state

from .conftest import photograph

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed"),
]
ROOT = Path(__file__).resolve().parent.parent
STEPS = 50


def launch(processes: int, module: str, *arguments: object) -> None:
    """Run a module in this many processes, started by torchrun if there are several."""
    command = [sys.executable]
    if processes > 1:
        command += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def losses(run: Path, *parts: tuple[int, int]) -> torch.Tensor:
    """The loss of each step of a run in parts of (processes, steps)."""
    run.mkdir(exist_ok=True)
    for processes, steps in parts:
        launch(processes, "tests.train_small", run, steps)
    lines = [json.loads(line) for line in (run / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    return torch.tensor([line["loss"] for line in lines])


def test_two_processes_have_the_losses_of_one(tmp_path: Path) -> None:
    """At one global batch, over 50 steps; also where a run changes their number on its way."""
    alone = losses(tmp_path / "alone", (1, STEPS))
    assert alone[-10:].mean() < 0.8 * alone[:10].mean()
    for name, parts in {
        "together": [(2, STEPS)],
        "two, then one, then two": [(2, 20), (1, 10), (2, 20)],
    }.items():
        other = losses(tmp_path / name, *parts)
        assert (other / alone - 1).abs().max() < 1e-4, name
        states = [load_state(tmp_path / run / STATE) for run in ("alone", name)]
        assert states[0]["step"] == states[1]["step"] == STEPS
        for key, tensor in states[0]["model"].items():
            assert torch.allclose(tensor, states[1]["model"][key], atol=1e-3), (name, key)


def test_the_documented_command(tmp_path: Path) -> None:
    """The whole trainer by torchrun, then resumed by one process; a pack comes out each time."""
    (tmp_path / "photos").mkdir()
    for seed in range(2):
        photograph(150, 130, seed=seed).save(tmp_path / "photos" / f"{seed}.png")
    run = tmp_path / "run"
    common = (tmp_path / "photos", run, "--threads", 1, "--steps", 1)
    launch(2, "pillow_mlic", "train", *common, "--batch", 2, "--crop", 64)
    launch(1, "pillow_mlic", "train", *common)
    state = load_state(run / STATE)
    assert (state["step"], state["settings"]["batch"]) == (2, 2)
    assert packs.inspect(run / "mlicv2-lite.safetensors").card["steps"] == 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLIC_WEIGHTS", str(run / "mlicv2-lite.safetensors"))
        photograph(64, 64).save(tmp_path / "x.mlic")
        with Image.open(tmp_path / "x.mlic") as image:
            image.load()
