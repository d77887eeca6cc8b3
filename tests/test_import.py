"""What importing costs, and which way imports go."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "pillow_mlic"

HEAVY = {"torch", "compressai", "numpy.linalg", "matplotlib", "scipy", "safetensors"}


def test_importing_and_opening_load_nothing_heavy(tmp_path: Path) -> None:
    script = (
        "import sys, io; before = set(sys.modules); import pillow_mlic; from PIL import Image\n"
        "from pillow_mlic import container\n"
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


# Rooms of the house and what each may import besides the standard library and itself.
MAY_IMPORT = {
    "container": {"leb128"},
    "leb128": set(),
    "exceptions": set(),
    "version": set(),
    "devices": set(),
    "entropy": {
        "models.base",
        "models.layers.quantise",
        "models.layers.factorised",
        "leb128",
    },
    "models": set(),
    "packs": {
        "container",
        "files",
        "models",
        "entropy.tables",
        "exceptions",
        "opening",
        "shared_weights",
    },
    "shared_weights": set(),
    "opening": set(),
    "preview": set(),
    "codec": {
        "encoder",
        "entropy",
        "models.base",
        "packs",
        "exceptions",
        "refinement",
        "regions",
    },
    "encoder": {
        "entropy",
        "models.base",
        "models.layers.quality",
        "packs",
        "refinement",
        "regions",
    },
    "refinement": {
        "entropy.annealing",
        "entropy.tables",
        "models.base",
        "models.layers.quality",
        "regions",
    },
    "regions": {"models.base"},
    "alpha": {"container"},
    "plugin": {
        "alpha",
        "container",
        "codec",
        "entropy.slices",
        "models",
        "packs",
        "devices",
        "exceptions",
        "opening",
        "preview",
        "saving",
    },
    "saving": {
        "alpha",
        "container",
        "codec",
        "models",
        "packs",
        "devices",
        "preview",
        "targets",
    },
    "bulk": {"codec", "container", "devices", "files", "plugin", "saving", "targets"},
    "training": {
        "exceptions",
        "models",
        "packs",
        "devices",
        "entropy.tables",
        "entropy.published",
    },
    "checkpoints": {"files", "models", "packs", "entropy.published", "exceptions"},
    "evaluation": {"version", "rate"},
    "files": set(),
    "heatmaps": set(),
    "desktop": {"container"},
    "rate": set(),
    "targets": {"container", "rate"},
    "analysis": {
        "codec",
        "container",
        "devices",
        "encoder",
        "packs",
        "regions",
        "entropy",
        "models",
        "exceptions",
    },
    "skipping": {"codec", "encoder", "packs", "regions", "entropy", "models.base"},
    "portability": {
        "codec",
        "packs",
        "leb128",
        "entropy",
        "models.layers",
    },
    "speed": {"codec", "models.base", "packs"},
}


def imports_of(path: Path) -> set[str]:
    """Modules of this package that a file imports, relative to the package."""
    package = path.relative_to(ROOT).parent.parts
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            if node.module:
                found.add(".".join((*base, node.module)))
            else:
                found |= {".".join((*base, alias.name)) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.removeprefix("pillow_mlic.")
                for alias in node.names
                if alias.name.startswith("pillow_mlic.")
            }
    return found


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_import_direction(room: str) -> None:
    path = ROOT / room
    files = sorted(path.rglob("*.py")) if path.is_dir() else [ROOT / f"{room}.py"]
    allowed = {room, *MAY_IMPORT[room]}
    for file in files:
        if file.name == "__main__.py":
            continue
        for name in imports_of(file):
            parts = name.split(".")
            prefixes = {".".join(parts[: i + 1]) for i in range(len(parts))}
            assert prefixes & allowed, f"{file.relative_to(ROOT)} may not import {name}"
