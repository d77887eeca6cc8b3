"""Add the entropy part in integers to a pack of `mlicv2-lite`, beside its float tensors.

    python scripts/add_integers.py PACK PICTURES... [--out PACK] [--qualities 1 3 5 8]

Ranges of activations are measured on the pictures (files or folders). Float tensors, tables and
card stay as they are; integers that the pack has already are replaced. The pack's identity changes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save

from pillow_mlic import packs
from pillow_mlic.conversion import find
from pillow_mlic.files import readable_suffixes, whole_file
from pillow_mlic.integers.quantise import examples, integers_of
from pillow_mlic.packs import identity

LARGEST = 1024
"""Of larger pictures the middle is taken, so many pixels a side."""


def pictures(paths: list[Path]) -> Iterator[NDArray[np.uint8]]:
    """The pictures, (H, W, 3)."""
    for file in find(paths, readable_suffixes()):
        with Image.open(file.path) as image:
            width, height = (min(side, LARGEST) for side in image.size)
            left, top = (image.width - width) // 2, (image.height - height) // 2
            yield np.asarray(image.convert("RGB").crop((left, top, left + width, top + height)))


def main() -> None:
    """Measure, add, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, help="by default the pack is replaced")
    parser.add_argument("--qualities", type=float, nargs="+", default=[1.0, 3.0, 5.0, 8.0])
    args = parser.parse_args()
    out = args.out or args.pack
    pack = packs.load(packs.inspect(args.pack))
    model = pack.model(torch.device("cpu"))
    measured = examples(model, pictures(args.pictures), args.qualities)
    integers = integers_of(model, pack.tables, measured)
    with safe_open(args.pack, "np") as stored:
        metadata = stored.metadata()
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    arrays = {n: a for n, a in arrays.items() if not n.startswith(packs.INTEGERS)}
    arrays |= {f"{packs.INTEGERS}{name}": array for name, array in integers.items()}
    metadata["identity"] = identity.of(pack.file.model, pack.file.config, arrays).hex()
    with whole_file(out) as file:
        file.write(save(arrays, metadata=metadata))
    written = packs.load(packs.inspect(out))
    size = sum(array.nbytes for array in integers.values())
    print(f"{out}: {size:,} bytes of integers, identity {written.hash.hex()}")


if __name__ == "__main__":
    main()
