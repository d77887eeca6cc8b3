"""What importing costs, and which way imports go."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

HEAVY = {"torch", "compressai", "numpy.linalg", "matplotlib", "scipy", "safetensors"}


def test_importing_and_opening_load_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys, io; before = set(sys.modules); import pillow_mlic; from PIL import Image\n"
        "from pillow_mlic.format import container\n"
        "h = container.Header('RGB', 5, 4, 1, bytes(8), 0)\n"
        "b = io.BytesIO()\n"
        "container.write(b, h, [container.Chunk(container.ChunkType.TILE, b'x')])\n"
        "b.seek(0); im = Image.open(b); assert im.size == (5, 4)\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def lint_imports(config: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as l; l()"]
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*command, str(config), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def test_rooms_import_from_rooms_below_only() -> None:
    """The contracts are in pyproject.toml: the floors of the house, and what the viewer may use."""
    done = lint_imports(ROOT / "pyproject.toml", ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_import_from_a_room_above_is_found(tmp_path: Path) -> None:
    shutil.copytree(
        ROOT / "pillow_mlic", tmp_path / "pillow_mlic", ignore=shutil.ignore_patterns("*.pyc")
    )
    with open(tmp_path / "pillow_mlic" / "training" / "data.py", "a", encoding="utf-8") as file:
        file.write("\nfrom ..cli import common\n")
    done = lint_imports(ROOT / "pyproject.toml", tmp_path)
    assert done.returncode != 0
    assert "pillow_mlic.training.data -> pillow_mlic.cli" in done.stdout
