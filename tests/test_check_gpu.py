"""The check of a GPU, on the emulated one."""

import argparse
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from pillow_mlic import packs

from .accelerator import Accelerator
from .conftest import WITH_INTEGERS
from .documentation import ROOT

pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_gpu", ROOT / "scripts/check_gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arguments(device: str, names: str, minutes: float = 5) -> argparse.Namespace:
    return argparse.Namespace(device=device, models=names, side=64, narrow=True, minutes=minutes)


@pytest.fixture(autouse=True)
def weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check names others, which ends with the test."""
    monkeypatch.setenv("MLIC_WEIGHTS", str(WITH_INTEGERS))


@pytest.mark.parametrize(
    ("device", "names"),
    [("cuda", "mlicv2-lite-visual,mlicv2 selective"), ("mps", "mlicv2-lite,lalic")],
)
def test_what_it_finds(device: str, names: str) -> None:
    check_gpu = script()
    assert set(names.split(",")) < set(check_gpu.CHECKED)
    with Accelerator(device) as gpu:
        found = check_gpu.check(arguments(device, names))
    assert gpu.uploads
    assert found["good"]
    assert not found["skipped"]
    assert [row["symbols_identical"] for row in found["models"].values()] == [True, True]
    table = check_gpu.page(found)
    for name, row in found["models"].items():
        (line,) = [line for line in table.splitlines() if line.startswith(f"| `{name}`")]
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        assert len(cells) == table.count("---|")
        assert cells[1] == "identical"
        for first in (4, 8):  # seconds, and of them transforms, walk and coder
            shares = [int(cell.removesuffix("%")) for cell in cells[first + 1 : first + 4]]
            assert sum(shares) == pytest.approx(100, abs=2)
            assert shares[1] > 0
        row["symbols_identical"] = False
        assert f"| `{name}` | DIFFER | " in check_gpu.page(found)


def test_when_the_time_is_up() -> None:
    """What is left is not begun, and named."""
    check_gpu = script()
    with Accelerator("cuda") as gpu:
        found = check_gpu.check(arguments("cuda", "lalic,mlicv2-lite", minutes=0))
        assert found["skipped"] == ["lalic", "mlicv2-lite"]
        assert "Left out, as the time was up: lalic, mlicv2-lite." in check_gpu.page(found)
        assert gpu.uploads == 0
        pack = packs.load(packs.inspect(WITH_INTEGERS))
        pixels = check_gpu.picture(64)
        row, skipped = check_gpu.check_model(pack, pixels, gpu.device, lambda: True)
    assert row["good"]
    assert {"plugin", "portability", "times", "refine_per_second"} < set(skipped)
    row["training_crops_per_second"] = None
    found["models"]["mlicv2-lite"] = row
    assert "| `mlicv2-lite` | identical | 0 | - | - | " in check_gpu.page(found)


def test_a_device_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["check_gpu.py", "--json", str(tmp_path / "a.json")])
    assert script().main() == 2
    assert capsys.readouterr().err == (
        "device 'cuda' is not there, or this torch cannot use it; try 'cpu'\n"
    )
