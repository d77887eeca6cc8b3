"""Write tests/data anew: a small weight pack, files made with it, and what they must decode to.

Only for a change of format, with a new version number: golden files exist so as not to change.
"""

import os

from PIL import Image

from pillow_mlic.training.export import write_half
from tests.conftest import GOLDEN, make_small_model, photograph

CASES = {
    "rgb": {"quality": 5},
    "rgba_tiles": {"quality": 3.3, "tile": 64},
    "la": {"quality": 7},
    "l": {"quality": 1},
}


def main() -> None:
    """Write pack, files and pictures."""
    GOLDEN.mkdir(exist_ok=True)
    pack = GOLDEN / "small.safetensors"
    write_half(pack, "mlicv2-lite", make_small_model(), {"name": "small, untrained"})
    os.environ["MLIC_WEIGHTS"] = str(pack)
    for name, options in CASES.items():
        image = photograph(150, 100).convert(name.split("_")[0].upper())
        if "A" in image.getbands():
            image.putalpha(photograph(150, 100, seed=5).convert("L").point(lambda v: v // 64 * 64))
        image.save(GOLDEN / f"{name}.mlic", **options)
        with Image.open(GOLDEN / f"{name}.mlic") as decoded:
            decoded.save(GOLDEN / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
