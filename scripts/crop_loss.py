"""The training loss of packs on crops that are the same for all.

    python scripts/crop_loss.py PACK... --on photos/ [--distortion visual] [--crops 64] [--bf16]

Rate with uniform noise, as in training, at eight qualities evenly spread from 1 to 8; crops and
noise depend on nothing but the pictures. So differences of a thousandth mean something, a minute
after a run began. What files are worth, scripts/judge.py says.
"""

import argparse
import math
from pathlib import Path

import torch

from pillow_mlic import packs
from pillow_mlic.distortion.costs import MIN_CROPS
from pillow_mlic.errors import WeightsError
from pillow_mlic.models.base import Latents
from pillow_mlic.models.lambdas import QUALITIES
from pillow_mlic.training.data import Crops, load_folder
from pillow_mlic.training.loop import Settings
from pillow_mlic.training.objective import rate_distortion

BATCH = 8
CPU = torch.device("cpu")


def figures(pack: packs.Pack, crops: torch.Tensor, distortion: str, bf16: bool) -> torch.Tensor:
    """Means over `crops` (N, S, S, 3) uint8: loss, bits a pixel, log10 of the squared error."""
    network = pack.model(CPU)
    generator = torch.Generator().manual_seed(1)
    y_channels, z_channels = network.channels
    quality = 1 + (QUALITIES - 1) * (torch.arange(BATCH) + 0.5) / BATCH
    side, rows = crops.shape[1], []
    for batch in crops.split(BATCH):
        y = torch.rand(BATCH, side // 16, side // 16, y_channels, generator=generator) - 0.5
        z = torch.rand(BATCH, side // 64, side // 64, z_channels, generator=generator) - 0.5
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            found = rate_distortion(
                network,
                batch.float() / 255,
                quality,
                Latents(y, z),
                Settings().exponent,
                distortion,
            )
        rows.append(torch.stack([found.loss, found.bpp.mean(), found.mse.log10().mean()]))
    return torch.stack(rows).mean(0)


def main() -> None:
    """Load, measure, print a line for each pack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packs", type=Path, nargs="+", help="weights for all qualities")
    parser.add_argument("--on", type=Path, required=True, help="folder of pictures")
    parser.add_argument("--distortion", choices=tuple(MIN_CROPS), default="visual")
    parser.add_argument("--crops", type=int, default=64, help="default: %(default)s")
    parser.add_argument("--side", type=int, default=256, help="of a crop; default: %(default)s")
    parser.add_argument("--bf16", action="store_true", help="as training computes")
    args = parser.parse_args()
    if args.crops < 1 or args.crops % BATCH:
        parser.error(f"--crops must be a multiple of {BATCH}, so that qualities are evenly spread")
    if args.side < MIN_CROPS[args.distortion] or args.side % 64:
        parser.error(f"--side must be a multiple of 64, {MIN_CROPS[args.distortion]} or more")
    try:
        files = [packs.inspect(path) for path in args.packs]
        pictures = load_folder(args.on, args.side)
    except (OSError, ValueError, WeightsError) as error:
        parser.error(str(error))
    crops = Crops(pictures, args.side, seed=5).batch(0, args.crops)
    width = max(len(str(path)) for path in args.packs)
    print(f"{'':{width}}     loss      bpp      PSNR")
    for path, file in zip(args.packs, files, strict=True):
        found = figures(packs.load(file), crops, args.distortion, args.bf16)
        loss, bpp, error = found.tolist()
        psnr = 20 * math.log10(255) - 10 * error
        print(f"{path!s:{width}}  {loss:7.4f}  {bpp:7.4f}  {psnr:5.2f} dB", flush=True)


if __name__ == "__main__":
    main()
