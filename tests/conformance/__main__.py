"""Stand-in checkpoints and a picture, to try the published networks without their weights.

python -m tests.conformance FOLDER
"""

import sys
from pathlib import Path

import torch
from PIL import Image

from . import recipe


def main() -> None:
    """Write mlicpp.pth, mlicpp_2023.pth, lalic.pth and picture.png."""
    if len(sys.argv) != 2:
        sys.exit(str(__doc__))
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("mlicpp", "mlicpp_2023", "lalic"):
        state = recipe.make_state_dict(recipe.load_manifest(name), 0)
        torch.save(state, folder / f"{name}.pth")
    pixels = (recipe.make_image(512, 768, 0)[0].permute(1, 2, 0) * 255).round().byte()
    Image.fromarray(pixels.numpy()).save(folder / "picture.png")


if __name__ == "__main__":
    main()
