"""Write golden files of the format's version: pictures of all modes, and one of every model.

Run it only for a new version of the format: the golden files of a version must never change. The
packs, all of them small, stay as they are.
"""

import os
from pathlib import Path

from PIL import Image

from pillow_mlic.format.layout import VERSION
from tests.conftest import GOLDEN, photograph

CASES = {
    "rgb": {"quality": 5},
    "rgba_tiles": {"quality": 3.3, "tile": 64},
    "la": {"quality": 7},
    "l": {"quality": 1},
}
INTEGERS = {"quality": 7.4, "model": "mlicv2-lite"}
"""With the bundled weights, which carry integers."""


def main() -> None:
    """Write files and pictures."""
    folder = GOLDEN / f"v{VERSION}"
    folder.mkdir(exist_ok=True)
    os.environ["MLIC_WEIGHTS"] = str(GOLDEN)
    for name, options in CASES.items():
        image = photograph(150, 100).convert(name.split("_")[0].upper())
        if "A" in image.getbands():
            image.putalpha(photograph(150, 100, seed=5).convert("L").point(lambda v: v // 64 * 64))
        write(image, folder / name, model="small", **options)
    for pack in sorted(GOLDEN.glob("model-*.safetensors")):
        write(photograph(70, 50), folder / pack.stem, model=pack.stem)
    write_lossless(folder)
    del os.environ["MLIC_WEIGHTS"]
    write(photograph(110, 70), folder / "integers", **INTEGERS)


def write_lossless(folder: Path) -> None:
    """Files with lossless tiles: of two colours, with alpha in the tiles, and of both kinds."""
    small = photograph(90, 60)
    write(small.convert("1"), folder / "lossless_palette", lossless=True)
    rgba = small.convert("RGBA")
    rgba.putalpha(photograph(90, 60, seed=5).convert("L").point(lambda v: v // 64 * 64))
    write(rgba, folder / "lossless_rgba", lossless=True, tile=64)
    page = photograph(190, 128)
    page.paste((90, 120, 60), (64, 0, 190, 128))
    page.paste(small.quantize(4).convert("RGB"), (80, 10))
    write(page, folder / "mixed", model="small", quality=5, tile=64)


def write(image: Image.Image, path: Path, **options: object) -> None:
    """A .mlic file and the picture that it decodes to."""
    image.save(path.with_suffix(".mlic"), optimize=False, **options)
    with Image.open(path.with_suffix(".mlic")) as decoded:
        decoded.save(path.with_suffix(".png"), optimize=True)


if __name__ == "__main__":
    main()
