"""Check everything on a GPU: symbols, pixels, time, memory. One command, a few minutes, no network.

    python scripts/check_gpu.py                          # the first CUDA device
    python scripts/check_gpu.py --device mps --page docs/gpu.md

Needs torch, numpy, pillow, safetensors and platformdirs. Networks without weights here get random
ones, at full width (`--narrow`: small ones, to try the script itself). Every model writes a file on
the CPU and one on the GPU; both are opened on both. A file opens only if its checksum says that all
symbols are the encoder's, so opening it is the test. Writes what it found as JSON, and as a table
into a page. Ends with 1 if something differs that may not. After five minutes (`--minutes`) it
begins nothing more, ends with what is under way then, and names what it has left out.
"""

import argparse
import io
import json
import os
import platform
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pillow_mlic import MlicImageFile, models, packs  # noqa: E402
from pillow_mlic.coding.coding import Coding  # noqa: E402
from pillow_mlic.coding.encoder import Encoder  # noqa: E402
from pillow_mlic.diagnostics import portability  # noqa: E402
from pillow_mlic.engines import arithmetic, devices, torch_integers  # noqa: E402
from pillow_mlic.engines.base import LatentArrays  # noqa: E402
from pillow_mlic.engines.torch_engine import TorchEngine  # noqa: E402
from pillow_mlic.entropy.published import published_tables  # noqa: E402
from pillow_mlic.format.header import quality_code  # noqa: E402
from pillow_mlic.integers.coders import ZeroSteps  # noqa: E402
from pillow_mlic.models.base import ZeroCoder  # noqa: E402
from pillow_mlic.training.loop import Settings, Trainer  # noqa: E402

EXACT = 1e-9
BEGIN, END = "<!-- begin check_gpu -->", "<!-- end check_gpu -->"
CPU = torch.device("cpu")
SELECTIVE = "mlicv2 selective"
"""MLICv2 with selective compression."""
FIRST = (packs.DEFAULT_PACK, packs.DEFAULT_MODEL, "mlic++", "lalic", SELECTIVE)
CHECKED = (*FIRST, *(name for name in models.names() if name not in FIRST))
"""What is checked, in this order: the bundled packs, published networks, what differs most."""

Over = Callable[[], bool]
"""Whether the time is up: then nothing more is begun."""


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--device", default="cuda", help="the GPU; default: cuda")
    parser.add_argument("--models", default=",".join(CHECKED), help="default: all, in this order")
    parser.add_argument("--side", type=int, default=512, help="side of the picture in pixels")
    parser.add_argument("--narrow", action="store_true", help="small networks")
    parser.add_argument("--minutes", type=float, default=5, help="begin nothing after; default: 5")
    parser.add_argument("--json", type=Path, default=Path("check_gpu.json"))
    parser.add_argument("--page", type=Path, help="a page whose table is replaced")
    args = parser.parse_args()
    try:
        found = check(args)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    args.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    table = page(found)
    if args.page is not None:
        text = args.page.read_text(encoding="utf-8")
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        args.page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
    print(table)
    return 0 if found["good"] else 1


class _Raw(argparse.RawDescriptionHelpFormatter):
    pass


def check(args: argparse.Namespace) -> dict[str, Any]:
    """All checks; ValueError where the device is not there."""
    device = devices.resolve(args.device)
    pixels = picture(args.side)
    found: dict[str, Any] = {
        "device": name_of(device),
        "torch": torch.__version__,
        "system": platform.platform(),
        "side": args.side,
        "width": "narrow" if args.narrow else "full",
        "models": {},
        "skipped": [],
    }
    end = time.perf_counter() + 60 * args.minutes

    def over() -> bool:
        return time.perf_counter() > end

    with tempfile.TemporaryDirectory() as folder:
        for name in args.models.split(","):
            if over():
                found["skipped"].append(name)
                continue
            start = time.perf_counter()
            pack = pack_of(name, args.narrow, Path(folder))
            row, skipped = check_model(pack, pixels, device, over)
            row["training_crops_per_second"] = None
            if over() and name == packs.DEFAULT_MODEL:  # only that is trained
                skipped.append("training")
            else:
                row["training_crops_per_second"] = training(name, args, device, Path(folder))
            found["skipped"] += [f"{name}: {part}" for part in skipped]
            row["seconds"] = time.perf_counter() - start
            found["models"][name] = row
            print(f"{name}: {'as it should be' if row['good'] else row}", file=sys.stderr)
    found["good"] = all(row["good"] for row in found["models"].values())
    return found


def picture(side: int) -> np.ndarray[Any, Any]:
    """Smooth waves, edges and noise, the same on every machine."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / 40
    waves = [128 + 60 * np.sin(a * x + y) + 40 * (np.cos(x * y / a) > 0.3) for a in (1, 2, 3)]
    noise = random.normal(0, 4, (side, side, 3))
    return (np.stack(waves, -1) + noise).clip(0, 255).astype(np.uint8)


def name_of(device: torch.device) -> str:
    """What the device is called."""
    known = device.type == "cuda" and torch.cuda.is_available()
    return torch.cuda.get_device_name(device) if known else str(device)


def network(name: str, narrow: bool) -> Any:
    """A network with random weights."""
    from tests.family import VARIANTS, make

    if name in VARIANTS and narrow:
        return make(name)
    torch.manual_seed(0)
    config = {"selective": True} if name == SELECTIVE else None
    return models.create(name.split()[0], config).eval()


def pack_of(name: str, narrow: bool, folder: Path) -> packs.Pack:
    """A bundled pack, or one with random weights."""
    if name == packs.DEFAULT_MODEL and narrow:
        return packs.load(packs.inspect(ROOT / "tests/data/whole.safetensors"))
    if name in (packs.DEFAULT_MODEL, packs.DEFAULT_PACK):
        return packs.load(packs.find(name))
    model = network(name, narrow)
    tables = published_tables(model.prior, model.conditional)
    path = folder / f"{name.replace(' ', '-')}-3.safetensors"
    state = model.state_dict()
    packs.write(path, name.split()[0], model.config_dict(), state, tables, {}, 1e-4, 3.0)
    return packs.load(packs.inspect(path))


def check_model(
    pack: packs.Pack, pixels: Any, device: torch.device, over: Over
) -> tuple[dict[str, Any], list[str]]:
    """Files of both devices on both, streams in every setting, times and memory.

    And what was left out because time was `over`. The first check always runs.
    """
    engines = {"cpu": TorchEngine(pack, CPU), "gpu": TorchEngine(pack, device, quick=True)}
    forget(device)
    guard = EXACT if pack.integers is None else None

    def rate(count: int, **options: Any) -> float:
        """So many of something that an encoder with these options does, a second."""
        coding = Coding(pack, 3.0, 1024, guard, engines["gpu"])
        return count / seconds(lambda: Encoder(coding, **options).encode(pixels), device, 1)

    parts: dict[str, Callable[[], Any]] = {
        "plugin": lambda: through_plugin(pack, pixels, device),
        "portability": lambda: matrix(pack, pixels, device),
        "times": lambda: times(engines["gpu"], pack, pixels, device),
        "times_cpu": lambda: times(engines["cpu"], pack, pixels, CPU),
        "optimize_per_second": lambda: rate(1, optimize=True),
        "refine_per_second": lambda: rate(3, refine=3),
    }
    if not pack.file.for_squared_error:  # there is no optimised rounding for others
        del parts["optimize_per_second"]
    row, skipped = streams(engines, pack, pixels), []
    for name, part in parts.items():
        if over():
            skipped.append(name)
        else:
            row[name] = part()
    row["failures"] = sum(
        f[kind] for f in row.get("portability", {}).values() for kind in ("exact", "fast")
    )
    row["memory_mib"] = memory(device)
    most = max(row["most_levels"], row.get("plugin", 0))
    row["good"] = bool(row["symbols_identical"] and most <= 1 and not row["failures"])
    return row, skipped


def streams(engines: dict[str, TorchEngine], pack: packs.Pack, pixels: Any) -> dict[str, Any]:
    """Whether streams of each engine decode to the same symbols by both, and how far pixels are."""
    guards = [EXACT] if pack.integers is None else [None, EXACT]
    shown, symbols = [], True
    for guard in guards:
        for writer in engines.values():
            coding = Coding(pack, 3.0, 1024, guard, writer)
            tiles = Encoder(coding, optimize=pack.file.for_squared_error).encode(pixels).payloads
            z_size = (-(-pixels.shape[0] // 64), -(-pixels.shape[1] // 64))
            where = list(engines.values())
            decoded = [e.decode(tiles, z_size, 3.0, guard) for e in where]
            # Latents are symbols and means: means differ in their last digits.
            symbols &= bool(np.abs(decoded[0] - decoded[1]).max() < 1e-3)
            both = [e.synthesis(y, 3.0).astype(int) for e, y in zip(where, decoded, strict=True)]
            shown.append(int(np.abs(both[0] - both[1]).max()))
    return {"symbols_identical": symbols, "most_levels": max(shown)}


def through_plugin(pack: packs.Pack, pixels: Any, device: torch.device) -> int:
    """Save on one device, open on the other: the most that pixels differ by."""
    os.environ["MLIC_WEIGHTS"] = str(pack.file.path)
    worst = 0
    for writer in ("cpu", str(device)):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "MLIC", model=pack.file.name, device=writer)
        with MlicImageFile(io.BytesIO(file.getvalue())) as image:
            both = [np.asarray(image.decode(device=d), int) for d in ("cpu", str(device))]
        worst = max(worst, int(np.abs(both[0] - both[1]).max()))
    return worst


def matrix(pack: packs.Pack, pixels: Any, device: torch.device) -> dict[str, dict[str, int]]:
    """Failures of each kind of decoding, by device and batch; streams of both devices."""
    jobs = []
    for where in (CPU, device):
        engine = TorchEngine(pack, where)
        job: dict[str, Any] = {"quality": 3.0, "size": [-(-n // 64) for n in pixels.shape[:2]]}
        kinds = {"exact": EXACT, "fast": pack.file.guard}
        for kind, guard in kinds.items():
            coding = Coding(pack, 3.0, 2048, guard, engine)
            job[kind] = Encoder(coding).encode(pixels).payloads[0].hex()
        jobs.append(job)
    found = {}
    for where in ("cpu", str(device)):
        for batch, noise in ((1, 0.0), (4, 0.0), (1, 0.5)):
            setting = portability.Setting("", device=where, batch=batch, noise=noise)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome = portability.decode_all(setting, pack, jobs)
            found[f"{where}, {batch} at once, noise {noise:g}"] = outcome.failures
    return found


def times(
    engine: TorchEngine, pack: packs.Pack, pixels: Any, device: torch.device
) -> dict[str, float]:
    """Seconds of encoding and decoding in float64 and their shares; the best of three."""
    one = pixels[None]
    repeats = 3 if device.type != "cpu" else 1
    y = engine.analysis(one, 3.0)
    latents = LatentArrays(y, engine.hyper_analysis(y))
    z_size = (latents.z.shape[1], latents.z.shape[2])
    guard = None if pack.integers is not None else EXACT
    (tile,) = engine.encode(latents, 3.0, guard)
    payload = [tile.stream.payload]
    found = {
        "analysis": seconds(
            lambda: engine.hyper_analysis(engine.analysis(one, 3.0)), device, repeats
        ),
        "encode": seconds(lambda: engine.encode(latents, 3.0, guard), device, repeats),
        "decode": seconds(lambda: engine.decode(payload, z_size, 3.0, guard), device, repeats),
        "synthesis": seconds(lambda: engine.synthesis(y, 3.0), device, repeats),
    }

    def walk() -> None:
        """All steps with symbols that are zero: no range coder, and nothing to wait for."""
        if guard is None:
            code, network = quality_code(3.0), pack.need_integers()
            network.walk(code, z_size, 1, ZeroSteps(), torch_integers.product)
            return
        with arithmetic.plain_arithmetic(device):
            where = arithmetic.entropy_device(device)
            quality = torch.full((1,), 3.0, dtype=torch.float64, device=where)
            pack.canonical(where).entropy(quality, z_size, ZeroCoder())

    found["walk"] = seconds(walk, device, repeats)
    return found


def training(
    name: str, args: argparse.Namespace, device: torch.device, folder: Path
) -> float | None:
    """Crops of 128 pixels (64 if narrow) a second; only the bundled model is trained here."""
    if name != packs.DEFAULT_MODEL:
        return None
    model = network(name, args.narrow)
    batch = 2 if args.narrow else 16
    settings = Settings(batch=batch, crop=64 if args.narrow else 128, bf16=False)
    (folder / "run").mkdir(exist_ok=True)
    trainer = Trainer(model.train(), [picture(256)], folder / "run", settings, device)
    step = lambda: trainer.train(1, None, True, lambda _: None)  # noqa: E731
    return batch / seconds(step, device, 1)


def seconds(work: Callable[[], object], device: torch.device, repeats: int) -> float:
    """The best of some times, after one that does not count."""
    best = float("inf")
    for turn in range(repeats + 1):
        start = time.perf_counter()
        work()
        if device.type == "cuda" and torch.cuda.is_available():
            torch.cuda.synchronize(device)
        if turn:
            best = min(best, time.perf_counter() - start)
    return best


def forget(device: torch.device) -> None:
    """Count the memory from here."""
    if device.type == "cuda" and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats(device)


def memory(device: torch.device) -> float | None:
    """Most memory of the device so far."""
    if device.type == "cuda" and torch.cuda.is_available():
        return torch.cuda.max_memory_allocated(device) / 2**20
    return None


def page(found: dict[str, Any]) -> str:
    """What was found, as Markdown."""
    lines = [
        f"{found['device']}, torch {found['torch']}, {found['system']}; "
        f"{found['side']}x{found['side']} pixels, networks of {found['width']} width. "
        f"{'All as it should be.' if found['good'] else 'NOT as it should be.'}",
        "",
        "| model | symbols | pixels differ by | failures | encode s | of it transforms | walk | "
        "coder | decode s | of it transforms | walk | coder | encode s, CPU | decode s, CPU | "
        "optimised a second | steps of refinement a second | memory, MiB |",
        "|" + "---|" * 17,
    ]
    for name, row in found["models"].items():
        cells = [
            f"`{name}`",
            "identical" if row["symbols_identical"] else "DIFFER",
            max(row["most_levels"], row.get("plugin", 0)),
            row["failures"] if "portability" in row else "-",
            *_shares(row.get("times")),
            *_shares(row.get("times_cpu"))[::4],
            _number(row.get("optimize_per_second"), 2),
            _number(row.get("refine_per_second"), 2),
            _number(row["memory_mib"], 0),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    rates = [row["training_crops_per_second"] for row in found["models"].values()]
    rates = [rate for rate in rates if rate is not None]
    if rates:
        lines += ["", f"Training `{packs.DEFAULT_MODEL}`: {rates[0]:.1f} crops a second."]
    if found["skipped"]:
        lines += ["", f"Left out, as the time was up: {', '.join(found['skipped'])}."]
    return "\n".join(lines)


def _shares(t: dict[str, float] | None) -> list[str]:
    """Seconds of encoding and the shares of transforms, walk and coder; the same of decoding."""
    if t is None:
        return ["-"] * 8
    cells = []
    for transforms, coding in ((t["analysis"], t["encode"]), (t["synthesis"], t["decode"])):
        walk = min(t["walk"], coding)
        parts = (transforms, walk, coding - walk)
        cells.append(f"{transforms + coding:.3f}")
        cells += [f"{part / (transforms + coding):.0%}" for part in parts]
    return cells


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


if __name__ == "__main__":
    sys.exit(main())
