"""What the entropy part in integers costs in bytes, and its time, beside the float64 walk.

    python scripts/measure_integers.py PICTURES... [--model NAME] [--qualities 1 3 5 7 8]

The same latents of the same weights are coded both ways, with plain rounding. Bytes are those of
payloads, PSNR is that of the decoded pictures, times are CPU seconds of one thread
(OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1), the best of three, of walks without a range coder.
Prints a Markdown table.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pillow_mlic import packs
from pillow_mlic.conversion import find
from pillow_mlic.engines import Needs, engine_for
from pillow_mlic.engines.base import LatentArrays, Pixels
from pillow_mlic.engines.torch_integers import product
from pillow_mlic.evaluation.tables import markdown_table
from pillow_mlic.files import readable_suffixes
from pillow_mlic.format.header import quality_code
from pillow_mlic.integers.coders import ZeroSteps
from pillow_mlic.models.base import ZeroCoder


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this thread."""
    taken = []
    for _ in range(3):
        start = time.thread_time()
        work()
        taken.append(time.thread_time() - start)
    return min(taken)


def padded(path: Path) -> Pixels:
    """A picture (1, H, W, 3), padded with its edges to multiples of 64."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    missing = [(0, -side % 64) for side in pixels.shape[:2]]
    return np.pad(pixels, (*missing, (0, 0)), "edge")[None]


def psnr(pixels: Pixels, shown: Pixels) -> float:
    """In dB."""
    return float(10 * np.log10(255**2 / np.square(shown.astype(np.float64) - pixels).mean()))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--model", default=packs.DEFAULT_MODEL)
    parser.add_argument("--qualities", type=float, nargs="+", default=[1, 3, 5, 7, 8])
    args = parser.parse_args()
    torch.set_num_threads(1)
    pack = packs.load(packs.find(args.model))
    engine, network = engine_for(pack, "cpu", Needs(floats=True)), pack.need_integers()
    canonical, single = pack.canonical(torch.device("cpu")), pack.model(torch.device("cpu"))
    rows = []
    for quality in args.qualities:
        sizes = np.zeros(2)
        changes, gains, times = [], [], []
        for file in find(args.pictures, readable_suffixes()):
            pixels = padded(file.path)
            y = engine.analysis(pixels, quality)
            latents = LatentArrays(y, engine.hyper_analysis(y))
            z_size = latents.z.shape[1:3]
            coded = [engine.encode(latents, quality, guard)[0] for guard in (1e-9, None)]
            both = [len(tile.stream.payload) for tile in coded]
            levels = [psnr(pixels, engine.synthesis(tile.y_hat, quality)) for tile in coded]
            sizes += both
            changes.append(both[1] / both[0] - 1)
            gains.append(levels[1] - levels[0])
            q = torch.tensor([quality])
            with torch.inference_mode():
                walks = (
                    lambda: canonical.entropy(q.double(), z_size, ZeroCoder()),  # noqa: B023
                    lambda: single.entropy(q, z_size, ZeroCoder()),  # noqa: B023
                    lambda: network.walk(quality_code(quality), z_size, 1, ZeroSteps(), product),  # noqa: B023
                )
                times.append([seconds(walk) for walk in walks])
        exact, float32, integers = np.mean(times, axis=0)
        rows.append(
            [
                f"{quality:g}",
                f"{sizes[0]:,.0f}",
                f"{sizes[1]:,.0f}",
                f"{np.mean(changes):+.3%}",
                f"{max(changes):+.3%}",
                f"{np.mean(gains):+.4f}",
                f"{exact:.3f}",
                f"{float32:.3f}",
                f"{integers:.3f}",
                f"{integers / exact:.2f}",
            ]
        )
    header = ["quality", "bytes, float64", "bytes, integers", "mean change", "largest change"]
    header += ["PSNR change, dB", "float64 s", "float32 s", "integers s", "integers / float64"]
    print(markdown_table(header, rows))


if __name__ == "__main__":
    main()
