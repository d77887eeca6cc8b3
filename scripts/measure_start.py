"""How long a fresh process takes to the pixels of a picture, and how much memory.

    python scripts/measure_start.py PICTURE [--old CHECKOUT] [--rounds 7] [--quality 3] [--commands]

Alternates between this checkout with ONNX Runtime and with torch, both with the default pack, with
the pack for squared error, AVIF by Pillow and, if given, another checkout (which writes and reads a
file of its own, with its pack for squared error: it may have no other). A process imports what it
needs, opens the file and loads the pixels. Prints the medians of CPU and wall seconds of the whole
process, and its peak memory; then where the milliseconds of one process with ONNX Runtime go.

With --commands what is timed are commands instead, as `python -m pillow_mlic`: info, decode and
desktop thumbnail, of this checkout with the default pack and with that for squared error, and of
the other checkout. The file has no preview, so the thumbnail is made of all pixels.

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
from pillow_mlic import process
process.load_numpy()
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


COMMANDS = (
    ("info", "{file}"),
    ("decode", "{file}", "-o", "{out}", "--quiet"),
    ("desktop", "thumbnail", "{file}", "{out}"),
)


class Way(NamedTuple):
    """One way to a picture."""

    name: str
    words: list[str]
    """What Python is called with."""
    environment: dict[str, str]
    quiet: bool = False
    """What it prints is of no interest."""


class Cost(NamedTuple):
    """What one process took."""

    cpu: float
    wall: float
    peak: float
    """MiB."""


def fresh(words: list[str], environment: dict[str, str], quiet: bool = False) -> Cost:
    """Run Python with these words, in a process of its own."""
    outer = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    outer["PYTHONSAFEPATH"] = "1"  # else the caller's folder would go before another checkout
    out = subprocess.DEVNULL if quiet else None
    process = subprocess.Popen([sys.executable, *words], env=outer | environment, stdout=out)
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

    def mlic(environment: dict[str, str], name: str, model: str = "mlicv2-lite") -> Path:
        file = folder / f"{name}.mlic"
        words = ["-c", SAVE, str(args.picture), str(file), str(args.quality), model]
        fresh(words, environment)
        return file

    def load(name: str, file: Path, environment: dict[str, str], code: str = LOAD) -> Way:
        return Way(name, ["-c", code, str(file)], environment)

    here = {"PYTHONPATH": str(HERE)}
    with_onnx = here | {"MLIC_ENGINE": "onnx"}
    file, error = mlic(here, "here", DEFAULT_PACK), mlic(here, "error")
    others = []
    if args.old:
        checkout = args.old.resolve()
        old = {"PYTHONPATH": str(checkout), "MLIC_WEIGHTS": str(checkout / "weights")}
        others.append((f"other checkout ({checkout.name})", mlic(old, "old"), old))
    if args.commands:
        found = []
        for command in COMMANDS:
            found.append(called(command, "ONNX Runtime", file, with_onnx))
            found.append(called(command, "ONNX Runtime, mlicv2-lite", error, with_onnx))
            found += [called(command, *other) for other in others]
        return found
    avif = folder / "picture.avif"
    Image.open(args.picture).convert("RGB").save(avif)
    return [
        load("ONNX Runtime", file, with_onnx),
        load("torch", file, here | {"MLIC_ENGINE": "torch"}),
        load("ONNX Runtime, mlicv2-lite", error, with_onnx),
        load("AVIF", avif, {}, LOAD_AVIF),
        *(load(*other) for other in others),
    ]


def called(command: tuple[str, ...], name: str, file: Path, environment: dict[str, str]) -> Way:
    """A command as a user calls it; what it writes is beside the file."""
    words = [word.format(file=file, out=file.with_suffix(".png")) for word in command]
    said = " ".join(word for word in command if word.isalpha())
    return Way(f"`mlic {said}`, {name}", ["-m", "pillow_mlic", *words], environment, quiet=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--old", type=Path, help="another checkout of this project")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quality", type=float, default=3.0)
    parser.add_argument("--commands", action="store_true", help="time commands of mlic instead")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["PYTHONPYCACHEPREFIX"] = str(Path(name, "bytecode"))
        compared = ways(args, Path(name))
        costs: dict[str, list[Cost]] = {way.name: [] for way in compared}
        for counted in range(args.rounds + 1):
            for way in compared:
                for picture in Path(name).glob("*.png"):
                    picture.unlink()  # nothing is there that a command would have to replace
                cost = fresh(way.words, way.environment, way.quiet)
                if counted:
                    costs[way.name].append(cost)
        print("| way | CPU s | wall s | peak MiB |\n|---|---|---|---|")
        for way, found in costs.items():
            cpu, wall, peak = (statistics.median(each) for each in zip(*found, strict=True))
            print(f"| {way} | {cpu:.3f} | {wall:.3f} | {peak:.0f} |")
        sys.stdout.flush()
        if not args.commands:
            fresh(["-c", STAGES, *compared[0].words[2:]], compared[0].environment)


if __name__ == "__main__":
    main()
