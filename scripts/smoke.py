"""Is the installed package complete? Saves and opens a picture by the library and the command.

    python scripts/smoke.py

For wheels, in an environment without anything else. It prints where the package lies, and fails if
that is a checkout.
"""

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import pillow_mlic

SIZE = 96, 64
MOST_ERROR = 6.0
"""Limit for the root mean squared error in levels; the picture below has about 2."""


def picture() -> Image.Image:
    """Soft colours, every pixel known."""
    x, y = np.meshgrid(np.linspace(0, 3, SIZE[0]), np.linspace(0, 2, SIZE[1]))
    planes = [128 + 90 * np.sin(a * x + b * y) for a, b in ((1, 2), (2, 1), (1.5, -1))]
    return Image.fromarray(np.stack(planes, -1).round().astype(np.uint8))


def error(a: Image.Image, b: Image.Image) -> float:
    """Root mean squared difference in levels."""
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    return float(np.sqrt((difference**2).mean()))


def main() -> None:
    """Save, open, compare; AssertionError or the command's own status where something is amiss."""
    place = Path(pillow_mlic.__file__).resolve()
    print(f"pillow-mlic {pillow_mlic.__version__} in {place.parent}")
    assert "site-packages" in place.parts, "this is a checkout, not what was installed"
    original, buffer = picture(), io.BytesIO()
    original.save(buffer, "MLIC", quality=5)
    with Image.open(buffer) as opened:
        assert opened.format == "MLIC"
        assert error(original, opened) < MOST_ERROR, error(original, opened)
    with tempfile.TemporaryDirectory() as name:
        source, coded, back = (Path(name, each) for each in ("a.png", "a.mlic", "b.png"))
        original.save(source)
        mlic = [sys.executable, "-m", "pillow_mlic"]
        subprocess.run([*mlic, "encode", source, "-q", "5", "-o", coded], check=True)
        subprocess.run([*mlic, "decode", coded, "-o", back], check=True)
        assert coded.read_bytes() == buffer.getvalue()
        with Image.open(back) as decoded:
            assert error(original, decoded) < MOST_ERROR
    print("saved, opened and compared")


if __name__ == "__main__":
    main()
