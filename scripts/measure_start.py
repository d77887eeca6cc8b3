"""How long a fresh process takes to the pixels of a picture, and how much memory.

    python scripts/measure_start.py PICTURE [--old CHECKOUT] [--rounds 7] [--quality 3]

Alternates between this checkout with ONNX Runtime and with torch, both with the default pack, with
the pack for squared error, AVIF by Pillow and, if given, another checkout (which writes and reads a
file of its own, with its pack for squared error: it may have no other). A process imports what it
needs, opens the file and loads the pixels. Prints the medians of CPU and wall seconds of the whole
process, and its peak memory; then where the milliseconds of one process with ONNX Runtime go.

As in an installed package, modules are compiled beforehand: each checkout's bytecode is made by a
round that does not count, in a folder that is removed afterwards, even where the caller's
environment says that none is to be written.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent.parent

SAVE = """
import sys, pillow_mlic
from PIL import Image
_, picture, out, quality, model = sys.argv
Image.open(picture).convert("RGB").save(out, quality=float(quality), model=model)
"""
LOAD = "import sys, pillow_mlic; from PIL import Image; Image.open(sys.argv[1]).load()"
LOAD_AVIF = "import sys; from PIL import Image; Image.open(sys.argv[1]).load()"
STAGES = """
import sys, time
start, names = time.process_time(), []
def lap(name):
    names.append((name, time.process_time() - start))
lap("Python")
import pillow_mlic
from PIL import Image
lap("import pillow_mlic")
image = Image.open(sys.argv[1])
lap("open")
import numpy
lap("import numpy")
import onnxruntime
lap("import onnxruntime")
from pillow_mlic import packs
pack = packs.load(packs.find_header(image._header))
lap("read the pack")
from pillow_mlic.engines import engine_for, onnx_sessions
engine = engine_for(pack, "cpu")
made = onnx_sessions._session(pack, engine._graphs / "synthesis.onnx", 1)
lap("make a session")
image.load()
lap("decode, with a session of its own")
before = 0.0
for name, now in names:
    print(f"{1000 * (now - before):7.0f} ms  {name}")
    before = now
"""


class Way(NamedTuple):
    """One way to a picture."""

    name: str
    code: str
    file: Path
    environment: dict[str, str]


class Cost(NamedTuple):
    """What one process took."""

    cpu: float
    wall: float
    peak: float
    """MiB."""


def fresh(code: str, arguments: list[str], environment: dict[str, str]) -> Cost:
    """Run code in a process of its own."""
    outer = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], env=outer | environment)
    start = time.perf_counter()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(process.returncode)
    return Cost(used.ru_utime + used.ru_stime, wall, _mebibytes(used))


def _mebibytes(used: "resource.struct_rusage") -> float:
    return used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def ways(args: argparse.Namespace, folder: Path) -> list[Way]:
    """What is compared; writes the files."""
    from PIL import Image

    from pillow_mlic.packs.store import DEFAULT_PACK

    def mlic(checkout: Path, name: str, model: str = "mlicv2-lite") -> Path:
        file = folder / f"{name}.mlic"
        environment = {"PYTHONPATH": str(checkout)}
        if checkout != HERE:
            environment["MLIC_WEIGHTS"] = str(checkout / "weights")
        fresh(SAVE, [str(args.picture), str(file), str(args.quality), model], environment)
        return file

    file, avif = mlic(HERE, "here", DEFAULT_PACK), folder / "picture.avif"
    Image.open(args.picture).convert("RGB").save(avif)
    here = {"PYTHONPATH": str(HERE)}
    found = [
        Way("ONNX Runtime", LOAD, file, {**here, "MLIC_ENGINE": "onnx"}),
        Way("torch", LOAD, file, {**here, "MLIC_ENGINE": "torch"}),
        Way("ONNX Runtime, mlicv2-lite", LOAD, mlic(HERE, "error"), here | {"MLIC_ENGINE": "onnx"}),
        Way("AVIF", LOAD_AVIF, avif, {}),
    ]
    if args.old:
        old = args.old.resolve()
        environment = {"PYTHONPATH": str(old), "MLIC_WEIGHTS": str(old / "weights")}
        found.append(Way(f"other checkout ({old.name})", LOAD, mlic(old, "old"), environment))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--old", type=Path, help="another checkout of this project")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quality", type=float, default=3.0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(name, "bytecode"))
        compared = ways(args, Path(name))
        costs: dict[str, list[Cost]] = {way.name: [] for way in compared}
        for counted in range(args.rounds + 1):
            for way in compared:
                cost = fresh(way.code, [str(way.file)], way.environment)
                if counted:
                    costs[way.name].append(cost)
        first = {"PYTHONPATH": str(HERE), "MLIC_ENGINE": "onnx"}
        print("| way | CPU s | wall s | peak MiB |\n|---|---|---|---|")
        for way, found in costs.items():
            cpu, wall, peak = (statistics.median(each) for each in zip(*found, strict=True))
            print(f"| {way} | {cpu:.3f} | {wall:.3f} | {peak:.0f} |")
        sys.stdout.flush()
        fresh(STAGES, [str(compared[0].file)], first)


if __name__ == "__main__":
    main()
