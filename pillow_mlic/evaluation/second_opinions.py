"""Two measures of how pictures look that nothing in this project was trained on.

FLIP (Andersson et al. 2020, "FLIP: A Difference Evaluator for Alternating Images"), by its
authors' package flip-evaluator, and Butteraugli, by the program butteraugli_main of libjxl. Both
are distances: 0 for equal pictures, larger is worse.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from .pixels import PictureLike, pair

BUTTERAUGLI = "butteraugli_main"
_THREE_NORM = re.compile(r"^3(?:\.0*)?-norm: ([0-9.]+(?:e[+-]?\d+)?)$", re.MULTILINE)
BUTTERAUGLI_SIDE = 8
"""For smaller pictures the program says 0, whatever is in them."""


def flip(a: PictureLike, b: PictureLike) -> float:
    """FLIP of `b` against the original `a`: 0 for equal pictures, at most 1.

    The mean of its map of differences as seen at 67 pixels a degree (the package's own setting:
    a screen of 3840 pixels on 0.7 m, 0.7 m away). `a`, `b`: images, or uint8 arrays (H, W, 3) of
    sRGB in 0..255. ModuleNotFoundError without the package flip-evaluator.
    """
    from flip_evaluator import evaluate

    first, second = (picture.astype(np.float32) / 255 for picture in pair(a, b))
    _, mean, _ = evaluate(first, second, "LDR", applyMagma=False)
    return float(mean)


def butteraugli(a: PictureLike, b: PictureLike) -> float:
    """Butteraugli's 3-norm of `b` against the original `a`: 0 for equal pictures, no upper end.

    The norm of the whole map of differences, for a screen of 80 nits; its maximum, which the
    program also gives, says little about pictures this far from the original. `a`, `b`: images,
    or uint8 arrays (H, W, 3) of sRGB in 0..255, at least 8 pixels a side. FileNotFoundError
    without the program, RuntimeError where it fails.
    """
    pictures = pair(a, b)
    if min(pictures[0].shape[:2]) < BUTTERAUGLI_SIDE:
        height, width = pictures[0].shape[:2]
        msg = (
            f"Butteraugli needs pictures of at least {BUTTERAUGLI_SIDE} pixels a side, "
            f"but this one is {width} x {height}"
        )
        raise ValueError(msg)
    with tempfile.TemporaryDirectory(prefix="mlic-butteraugli-") as folder:
        files = [Path(folder) / name for name in ("original.ppm", "decoded.ppm")]
        for picture, file in zip(pictures, files, strict=True):
            Image.fromarray(picture).save(file)
        done = subprocess.run(
            [BUTTERAUGLI, *map(str, files), "--pnorm", "3"],
            capture_output=True,
            text=True,
            check=False,
        )
    found = _THREE_NORM.search(done.stdout)
    if done.returncode or found is None:
        said = (done.stderr or done.stdout).strip() or f"exit status {done.returncode}"
        msg = f"{BUTTERAUGLI} gave no 3-norm: {said}"
        raise RuntimeError(msg)
    return float(found[1])
