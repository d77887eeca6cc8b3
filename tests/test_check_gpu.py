"""The check of a GPU, on the emulated one."""

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from .accelerator import Accelerator
from .documentation import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_gpu", ROOT / "scripts/check_gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_what_it_finds(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLIC_WEIGHTS", "nowhere")  # it sets another, which ends with the test
    check_gpu = script()
    args = argparse.Namespace(device=device, models="mlicv2-lite,lalic", side=64, narrow=True)
    with Accelerator(device) as gpu:
        found = check_gpu.check(args)
    assert gpu.uploads
    assert found["good"]
    assert [row["symbols_identical"] for row in found["models"].values()] == [True, True]
    table = check_gpu.page(found)
    assert "| `lalic` | identical | " in table
    found["models"]["lalic"]["symbols_identical"] = False
    assert "| `lalic` | DIFFER | " in check_gpu.page(found)


def test_a_device_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["check_gpu.py", "--json", str(tmp_path / "a.json")])
    assert script().main() == 2
    assert capsys.readouterr().err == (
        "device 'cuda' is not there, or this torch cannot use it; try 'cpu'\n"
    )
