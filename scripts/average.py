"""Average the weights of packs that were trained on from the same weights.

    python scripts/average.py OUT PACK:SHARE PACK:SHARE...

Shares add up to 1. Runs that began at the same weights end in one valley, and what lies between
them is often better than each (Wortsman et al., "Model soups", ICML 2022). Integers are left out:
add them with scripts/add_integers.py. The card is that of the first pack; it lists the parts.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from pillow_mlic import packs
from pillow_mlic.files import whole_file
from pillow_mlic.packs import identity


def part(text: str) -> tuple[Path, float]:
    """A pack's file and its share."""
    path, colon, share = text.rpartition(":")
    if not colon:
        msg = f"{text!r} is no PACK:SHARE"
        raise argparse.ArgumentTypeError(msg)
    return Path(path), float(share)


def main() -> None:
    """Read, average, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", type=part, nargs="+", metavar="PACK:SHARE")
    args = parser.parse_args()
    if abs(sum(share for _, share in args.parts) - 1) > 1e-6:
        parser.error("shares must add up to 1")
    first = packs.inspect(args.parts[0][0])
    total: dict[str, NDArray[np.float64]] = {}
    fixed: dict[str, NDArray[np.generic]] = {}
    for path, share in args.parts:
        with safe_open(path, "np") as stored:
            metadata = stored.metadata()
            for name in stored.keys():  # noqa: SIM118
                array = stored.get_tensor(name)
                if name.startswith(packs.INTEGERS):
                    continue
                if array.dtype == np.float16:
                    total[name] = total.get(name, np.zeros(array.shape)) + share * array
                elif name in fixed and not np.array_equal(fixed[name], array):
                    parser.error(f"{name} is not the same in all packs")
                else:
                    fixed[name] = array
    arrays = {**fixed, **{name: array.astype(np.float16) for name, array in total.items()}}
    cards = [packs.inspect(path).card for path, _ in args.parts]
    kept = ("steps", "hours", "rate", "batch", "crop")
    card = dict(first.card)
    card["average of"] = [
        {"share": share, **{name: each[name] for name in kept if name in each}}
        for (_, share), each in zip(args.parts, cards, strict=True)
    ]
    metadata["card"] = json.dumps(card)
    metadata["identity"] = identity.of(first.model, first.config, arrays).hex()
    with whole_file(args.out) as file:
        file.write(save(arrays, metadata=metadata))
    print(f"{args.out}: {', '.join(f'{share:g} of {path.name}' for path, share in args.parts)}")


if __name__ == "__main__":
    main()
