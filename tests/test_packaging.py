"""What installing leaves behind."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .test_c_coder import compiles

ROOT = Path(__file__).resolve().parent.parent
# What a checkout has besides what it is installed from; old builds among it.
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".*_cache", ".hypothesis", ".venv*", "__pycache__", "build", "dist", "runs",
    "*.egg-info", "*.so", "*.pyd",
)  # fmt: skip


def wheel(source: Path, folder: Path, **environment: str) -> Path:
    """A wheel built from the sources with these variables of the environment."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder, source]
    subprocess.run(command, env={**os.environ, **environment}, check=True)
    (made,) = folder.glob("*.whl")
    return made


@pytest.mark.slow
def test_wheel_holds_the_packages_and_the_weights_and_nothing_else(tmp_path: Path) -> None:
    names = zipfile.ZipFile(wheel(ROOT, tmp_path)).namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops <= {"pillow_mlic", "pillow_mlic_gui"}
    assert "pillow_mlic/weights/mlicv2-lite.safetensors" in names
    assert "pillow_mlic/evaluation/rd_points.json" in names
    assert "pillow_mlic/evaluation/report.html" in names
    assert "pillow_mlic/py.typed" in names
    assert "pillow_mlic/entropy/_rans.pyi" in names
    assert "pillow_mlic/entropy/_rans.c" not in names
    assert "pillow_mlic_gui/qt/window.py" in names
    built = [name for name in names if name.endswith((".so", ".pyd"))]
    assert all(name.startswith("pillow_mlic/entropy/_rans.") for name in built)
    assert len(built) == compiles(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="CC says nothing to Microsoft's compiler")
def test_without_a_compiler_it_installs_and_codes(tmp_path: Path) -> None:
    """The wheel lacks the range coder in C and nothing else; the tests of the others pass."""
    shutil.copytree(ROOT, tmp_path / "source", ignore=NOT_COPIED)
    no_compiler = {"CC": shutil.which("false") or "/bin/false"}
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel(tmp_path / "source", tmp_path, **no_compiler)) as made:
        made.extractall(installed)
    assert (installed / "pillow_mlic" / "entropy" / "_rans.pyi").exists()
    assert not [*installed.rglob("*.so"), *installed.rglob("*.pyd")]
    shutil.copytree(ROOT / "tests", installed / "tests", ignore=NOT_COPIED)
    shutil.copy(ROOT / "pyproject.toml", installed)
    tests = ["tests/test_range_coder.py", "tests/test_c_coder.py", "tests/test_golden.py"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=installed,
        env={**os.environ, **no_compiler},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "installed without a compiler" in done.stdout, "the tests ran with the coder in C"
