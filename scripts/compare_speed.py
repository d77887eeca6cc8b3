"""Two checkouts of pillow-mlic against each other, and against AVIF: CPU and wall time, and bytes.

    python scripts/compare_speed.py OLD NEW PICTURES... --megapixels 0.4,12

OLD and NEW are folders with a checkout each; the C extension is built in them if they have one
(`python setup.py build_ext --inplace`). Each has a process of its own, which stays; the two take
turns picture by picture, after a first round that is not counted. Both use the pack `mlicv2-lite`
and the default options; NEW decodes with --precision bf16, too, where it can. With --megapixels a
picture of each of these sizes is tiled with the pictures. Medians of --repeats;
a ratio is NEW / OLD.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from PIL import Image

Times = dict[str, float]
MODEL = "mlicv2-lite"
AVIF = {"quality": 44, "subsampling": "4:4:4", "speed": 6}


def clocked(name: str, work: Any) -> tuple[Any, Times]:
    """What `work()` gives, and its wall and CPU seconds under NAME wall and NAME cpu."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, {
        f"{name} wall": time.perf_counter() - wall,
        f"{name} cpu": time.process_time() - cpu,
    }


def measure(path: str, quality: float) -> Times:
    """Times of a picture in this process, whose pillow_mlic is that of a checkout."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    buffer, avif = io.BytesIO(), io.BytesIO()
    save = {"model": MODEL, "quality": quality}
    _, found = clocked("encode", lambda: image.save(buffer, "MLIC", **save))
    found |= {"bytes": float(len(buffer.getvalue()))}
    decoded, times = clocked("decode", lambda: loaded(buffer))
    error = np.asarray(decoded, np.float32) - np.asarray(image, np.float32)
    found |= times | {"psnr": float(20 * np.log10(255) - 10 * np.log10(np.square(error).mean()))}
    if halves():
        found |= clocked("decode bf16", lambda: loaded(buffer, precision="bf16"))[1]
    found |= clocked("avif encode", lambda: image.save(avif, "AVIF", **AVIF))[1]
    found |= clocked("avif decode", lambda: loaded(avif))[1]
    return found


def halves() -> bool:
    """Whether this checkout decodes in bfloat16 and the processor is fast at it."""
    try:
        from pillow_mlic.engines.arithmetic import has_fast_bf16
    except ImportError:
        return False
    return has_fast_bf16()


def loaded(buffer: io.BytesIO, **options: Any) -> Image.Image:
    """The picture in memory, all of it."""
    buffer.seek(0)
    if options:
        import pillow_mlic

        pillow_mlic.register_mlic_opener(**options)
    image = Image.open(buffer)
    image.load()
    if options:
        pillow_mlic.register_mlic_opener(**dict.fromkeys(options))
    return image


def serve() -> None:
    """Measure the pictures that come in, a line of JSON each."""
    import pillow_mlic

    print(json.dumps(str(Path(pillow_mlic.__file__).parents[1])), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(**json.loads(line))), flush=True)


class Checkout:
    """A process that measures with the code of one checkout."""

    def __init__(self, folder: Path, threads: int) -> None:
        folder = folder.resolve()
        if not (folder / "pillow_mlic" / "__init__.py").exists():
            msg = f"{folder} is no checkout of pillow-mlic"
            raise SystemExit(msg)
        if (folder / "setup.py").exists():
            build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
            subprocess.run(build, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        weights = str(folder / "weights")
        environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "MLIC_WEIGHTS": weights,
            "MLIC_RANGE_CODER": "",
            "OMP_NUM_THREADS": str(threads),
        }
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--serve"],
            env=environment,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        used = self._answer()
        if used != str(folder):
            msg = f"the code of {used} is used in place of {folder}"
            raise SystemExit(msg)

    def measure(self, path: Path, quality: float) -> Times:
        """See `measure`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"path": str(path), "quality": quality}) + "\n")
        self._process.stdin.flush()
        return self._answer()  # type: ignore[no-any-return]

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            msg = "the process of a checkout has ended; what it printed stands above"
            raise SystemExit(msg)
        return json.loads(line)


def sized(
    pictures: list[Path], megapixels: list[float] | None, folder: Path
) -> Iterator[tuple[float, list[Path]]]:
    """The pictures, or one that is tiled with them for each size; with their megapixels."""
    if megapixels is None:
        with contextlib.ExitStack() as stack:
            images = [stack.enter_context(Image.open(path)) for path in pictures]
            mean = sum(image.width * image.height for image in images) / len(images) / 1e6
        yield round(mean, 2), pictures
        return
    from pillow_mlic.evaluation.cost import mosaic

    sources = [Image.open(path).convert("RGB") for path in pictures]
    for size in megapixels:
        path = folder / f"{size:g}.png"
        mosaic(sources, size).save(path, compress_level=1)
        yield size, [path]


def row(size: float, name: str, old: Times, new: Times) -> str:
    """A line of the table for one of the works."""
    cells = [f"{size:g}", name]
    for clock in ("cpu", "wall"):
        key = f"{name} {clock}"
        before = old.get(key, old[f"{name.removesuffix(' bf16')} {clock}"])
        avif = new[f"avif {name.split()[0]} {clock}"]
        cells += [f"{before:.3f}", f"{new[key]:.3f}", f"{new[key] / before:.2f}"]
        cells.append(f"{new[key] / avif:.1f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("old", type=Path, help="checkout to compare with")
    parser.add_argument("new", type=Path, help="checkout that is compared")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--megapixels", type=lambda s: [float(x) for x in s.split(",")])
    parser.add_argument("--quality", type=float, default=3.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    checkouts = [Checkout(folder, args.threads) for folder in (args.old, args.new)]
    with tempfile.TemporaryDirectory() as folder:
        compare(checkouts, sized(args.pictures, args.megapixels, Path(folder)), args)


def compare(
    checkouts: list[Checkout],
    sizes: Iterator[tuple[float, list[Path]]],
    args: argparse.Namespace,
) -> None:
    """Print the table: two or three lines for each size, and how files differ."""
    print("| MP | | CPU s, old | new | ratio | / AVIF | wall s, old | new | ratio | / AVIF |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    notes = []
    for size, paths in sizes:
        found: list[list[Times]] = [[], []]
        for turn in range(args.repeats + 1):
            for path in paths:
                for mine, checkout in zip(found, checkouts, strict=True):
                    times = checkout.measure(path, args.quality)
                    if turn:
                        mine.append(times)
        old, new = ({k: median(t[k] for t in mine) for k in mine[0]} for mine in found)
        for name in ("encode", "decode", *(["decode bf16"] if "decode bf16 cpu" in new else [])):
            print(row(size, name, old, new), flush=True)
        totals = [sum(t["bytes"] for t in mine) for mine in found]
        psnr = [sum(t["psnr"] for t in mine) / len(mine) for mine in found]
        notes.append(
            f"{size:g} megapixels: {100 * (totals[1] / totals[0] - 1):+.3f} % bytes, "
            f"{psnr[1] - psnr[0]:+.4f} dB"
        )
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        serve()
    else:
        main()
