"""Give the transforms of a pack of `mlicv2-lite` more blocks.

    python scripts/deepen.py OUT PACK --depth8 3 --depth16 3

New blocks are identities, at the end of each stage of analysis and of synthesis, so the new pack
shows the same pictures. `mlic train --from OUT` then teaches them something. Integers are left out:
add them with scripts/add_integers.py.
"""

import argparse
import dataclasses
from pathlib import Path

import torch

from pillow_mlic import packs
from pillow_mlic.models.lite_config import LiteConfig
from pillow_mlic.models.mlicv2_lite import MlicV2Lite
from pillow_mlic.training.export import write_half


def main() -> None:
    """Read, deepen, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("pack", type=Path)
    for name in ("depth4", "depth8", "depth16"):
        parser.add_argument(f"--{name}", type=int, help="blocks of this stage; as many by default")
    args = parser.parse_args()
    pack = packs.load(packs.inspect(args.pack))
    config = LiteConfig.from_dict(pack.file.config)
    asked = {name: getattr(args, name) for name in ("depth4", "depth8", "depth16")}
    asked = {name: depth for name, depth in asked.items() if depth is not None}
    if any(depth < getattr(config, name) for name, depth in asked.items()):
        parser.error("a pack can be deepened only")
    torch.manual_seed(0)
    model = MlicV2Lite(dataclasses.replace(config, **asked))
    model.load_state_dict(model.state_dict() | pack.model(torch.device("cpu")).state_dict())
    write_half(args.out, pack.file.model, model, pack.file.card)
    print(f"{args.out}: {sum(value.numel() for value in model.state_dict().values()):,} numbers")


if __name__ == "__main__":
    main()
