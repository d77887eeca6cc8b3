"""What installing leaves behind."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_wheel_holds_the_packages_and_the_weights_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, ROOT], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops <= {"pillow_mlic", "pillow_mlic_gui"}
    assert "pillow_mlic/weights/mlicv2-lite.safetensors" in names
    assert "pillow_mlic/evaluation/rd_points.json" in names
    assert "pillow_mlic/evaluation/report.html" in names
    assert "pillow_mlic/py.typed" in names
    assert "pillow_mlic_gui/qt/window.py" in names
