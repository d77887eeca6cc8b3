"""Encode and decode one picture: seconds, and the share of the machine's matrix-product rate.

    python scripts/measure_speed.py PICTURE [--threads 2] [--quality 3]

The rate is that of a float32 product of 2048 x 2048 matrices, measured in the same run. Work is
counted in multiplications of the networks (float64 ones counted as two, as they cost two).
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from pillow_mlic import codec, packs

CPU = torch.device("cpu")


def best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest of `repeats` runs, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def gmac(work: Callable[[], object]) -> float:
    """Multiplications of `work`, in billions."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2e9


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quality", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with Image.open(args.picture) as image:
        pixels = np.asarray(image.convert("RGB"))
    pack = packs.load(packs.find())
    model, canonical = pack.model(CPU), pack.canonical(CPU)
    q = torch.tensor([args.quality])
    size = (pixels.shape[1], pixels.shape[0])
    tiles = codec.encode(pixels, pack, args.quality, 2048, codec.EXACT_GUARD, CPU).tiles

    with torch.inference_mode():
        x = torch.rand(1, -(-size[1] // 64) * 64, -(-size[0] // 64) * 64, 3)
        y = model.analysis(x, q)
        z = model.hyper_analysis(y)
        z_size = (z.shape[1], z.shape[2])
        analysis = gmac(lambda: (model.analysis(x, q), model.hyper_analysis(y)))
        walk = 2 * gmac(
            lambda: canonical.entropy(q.double(), z_size, lambda mean, *_: torch.zeros_like(mean))
        )
        synthesis = gmac(lambda: model.synthesis(y, q))
    a, b = torch.rand(2048, 2048), torch.rand(2048, 2048)
    rate = 2048**3 / 1e9 / best(lambda: torch.mm(a, b), args.repeats)

    def encode() -> object:
        return codec.encode(pixels, pack, args.quality, 2048, codec.EXACT_GUARD, CPU)

    def decode() -> object:
        return codec.decode(
            dict(enumerate(tiles)), size, pack, args.quality, 2048, codec.EXACT_GUARD, CPU
        )

    def entropy() -> object:
        with codec.plain_arithmetic(CPU):
            return codec.walk(tiles, pack, args.quality, z_size, True, CPU)

    print(f"{size[0]} x {size[1]}, quality {args.quality:g}, {args.threads} threads; ", end="")
    print(f"float32 matrix products: {rate:.0f} GMAC/s\n")
    print("| | seconds | GMAC | share of the matrix-product rate |\n|---|---|---|---|")
    for name, work, count in (
        ("encode", encode, analysis + walk),
        ("decode", decode, walk + synthesis),
        ("of which entropy decoding", entropy, walk),
    ):
        seconds = best(work, args.repeats)
        print(f"| {name} | {seconds:.3f} | {count:.1f} | {count / seconds / rate:.0%} |")


if __name__ == "__main__":
    main()
