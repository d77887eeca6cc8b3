"""The range coder in C against its twin in Python, watched by AddressSanitizer and UBSan.

    python -m tests.fuzz.coder [--count 20000] [--first 0]

Builds _rans.c with sanitizers in a temporary folder and codes random streams with it and with the
twin: genuine ones, mutated ones, and random words, with tables from usual to worst.
Bytes, symbols and refusals must be the same. Some calls go past the checks of range_coder.py,
straight to the extension, with buffers and tables that do not fit. A difference or a report of a
sanitizer ends the program with an error. Needs a compiler whose sanitizers can be preloaded
(GCC's can).
"""

import argparse
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pillow_mlic.entropy import c_coder
from pillow_mlic.entropy.range_coder import StreamDecoder, encode
from pillow_mlic.entropy.rows import rows_of

from ..coder_model import GAUSSIAN, STEEP, Tables, started

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT / "pillow_mlic" / "entropy" / "_rans.c"
BATCH = 50
"""Streams that share their tables; the number of a batch is the seed of all in it."""
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
LIMITED = [] if sysconfig.get_config_var("Py_GIL_DISABLED") else ["-DPy_LIMITED_API=0x030B0000"]


def main() -> int:
    """Build, run itself again with the sanitizers; -> the exit status of that."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz.coder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=20_000, help="streams; default %(default)s")
    parser.add_argument("--first", type=int, default=0, help="number of the first stream")
    parser.add_argument("--source", type=Path, default=SOURCE, help="another _rans.c")
    parser.add_argument("--built", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.built:
        print(table(run(args.built, args.first, args.count)))
        return 0
    runtime = sanitizer()
    if runtime is None:
        print("there is no C compiler whose AddressSanitizer can be preloaded", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        built = build(args.source, Path(folder))
        command = [sys.executable, "-m", "tests.fuzz.coder", *sys.argv[1:], "--built", built]
        environment = {
            **os.environ,
            "LD_PRELOAD": str(runtime),
            "ASAN_OPTIONS": "detect_leaks=0",  # Python itself leaves much behind
            "PYTHONMALLOC": "malloc",  # so that a block of every object is watched
        }
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


# --- building -------------------------------------------------------------------------------


def compiler() -> list[str] | None:
    """The command that extensions are compiled with; None where it is missing."""
    command = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    words = shlex.split(command)
    return words if shutil.which(words[0]) else None


def sanitizer() -> Path | None:
    """AddressSanitizer's library as it is preloaded; None where the compiler has none."""
    words = compiler()
    if words is None or sys.platform != "linux":
        return None
    command = [*words, "-print-file-name=libasan.so"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    path = Path(done.stdout.strip() or ".")
    return path if path.is_absolute() else None


def build(source: Path, folder: Path) -> Path:
    """The extension with sanitizers."""
    words, built = compiler(), folder / "_rans.abi3.so"
    assert words is not None
    include = f"-I{sysconfig.get_path('include')}"
    flags = ["-shared", "-fPIC", *SANITIZERS, *LIMITED, include]
    subprocess.run([*words, *flags, str(source), "-o", built], check=True)
    return built


def use(built: Path) -> Any:
    """Make the package use this extension."""
    spec = importlib.util.spec_from_file_location("_rans", built)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    c_coder._rans = module
    return module


# --- streams --------------------------------------------------------------------------------


class Case(NamedTuple):
    """A stream, or what claims to be one, and what is asked of it."""

    data: bytes
    total: int
    steps: list[Any]
    """Row indexes of each."""


def random_row(random: np.random.Generator) -> Any:
    """Counts from 0 to 65536: usual ones, few and many intervals, rarest and commonest escapes."""
    kind = random.integers(0, 7)
    if kind == 0:
        return [[0, 1, 65536], [0, 65535, 65536], [0, 1, 2, 65536]][random.integers(0, 3)]
    if kind == 1 and random.random() < 0.05:
        return np.arange(65537)
    most = [3, 3, 10, 40, 200, 1000, 60][kind]
    inner = random.choice(65535, random.integers(1, most + 1), replace=False) + 1
    if kind == 6:  # narrow but for one interval
        inner = np.arange(1, len(inner) + 1) + random.choice([0, 65535 - len(inner)])
    return np.concatenate([[0], np.sort(inner), [65536]])


def random_tables(random: np.random.Generator) -> Any:
    """Rows of all kinds, offsets from small to the largest that are allowed."""
    kind = random.random()
    if kind < 0.2:
        return GAUSSIAN if kind < 0.1 else STEEP
    cdfs = [np.asarray(random_row(random), np.int32) for _ in range(random.integers(1, 6))]
    reach = random.choice([1, 100, (1 << 30) - 1])
    return Tables(cdfs, random.integers(-reach, reach + 1, len(cdfs)).astype(np.int32))


def random_symbols(random: np.random.Generator, tables: Any, rows: Any) -> Any:
    """Symbols within their rows and, with some probability, outside: by little, or by much."""
    lengths = rows_of(tables).lengths[rows]
    values = random.integers(0, np.maximum(lengths, 1))
    far = random.random(len(rows)) < random.choice([0, 0.02, 0.3, 1])
    reach = (2 ** random.uniform(0, 27, len(rows))).astype(np.int64)
    outside = np.where(random.random(len(rows)) < 0.5, -reach, lengths + reach - 1)
    if random.random() < 0.03 and len(rows):  # further than an escape goes, or just as far
        outside[0] += random.choice([-1, 1, 2, -(1 << 27), 1 << 27])
        far[0] = True
    symbols = np.where(far, outside, values) + tables.offsets[rows].astype(np.int64)
    return symbols.clip(-(1 << 31), (1 << 31) - 1).astype(np.int32)


def cut(random: np.random.Generator, rows: Any) -> list[Any]:
    """Row indexes in steps of any size."""
    return np.split(rows, np.sort(random.integers(0, len(rows) + 1, random.integers(0, 4))))


def mutated(random: np.random.Generator, data: bytes, rows: Any, count: int) -> Case:
    """A stream with something wrong, or another question asked of it."""
    words = np.frombuffer(data, "<u4").tolist()
    at = int(random.integers(0, len(words)))
    total = len(rows)
    match random.integers(0, 9):
        case 0 | 1:
            words[at] ^= 1 << int(random.integers(0, 32))
        case 2:
            words[at] = int(random.choice([0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 1 << 31]))
        case 3:
            del words[at:]
        case 4:
            del words[at]
        case 5:
            words.insert(at, int(random.integers(0, 1 << 32)))
        case 6:
            words += random.integers(0, 1 << 32, random.integers(1, 4)).tolist()
        case 7:
            rows = rows.copy()
            rows[random.integers(0, len(rows))] = random.integers(0, count)
        case _:
            rows = rows[: int(random.integers(0, len(rows) + 1))]
            total += int(random.integers(-2, 3))
    data = np.array(words, "<u4").tobytes()
    if random.random() < 0.05:
        data += b"\0" * int(random.integers(1, 4))
    return Case(data, total, cut(random, rows))


def hostile(random: np.random.Generator, count: int) -> Case:
    """Random words, many of them ones or zeros."""
    words = random.integers(0, 1 << 32, random.integers(2, 40))
    for value in (0, 0xFFFFFFFF):
        words[random.random(len(words)) < random.choice([0, 0, 0.2, 0.9])] = value
    listed = words.tolist()
    if random.random() < 0.95:
        listed = started(listed)
    rows = random.integers(0, count, random.integers(1, 120)).astype(np.int32)
    return Case(np.array(listed, "<u4").tobytes(), len(rows) + 40, cut(random, rows))


# --- comparing ------------------------------------------------------------------------------


def written(backend: str, steps: Any, tables: Any) -> bytes | str:
    """The stream, or the sentence of a refusal."""
    try:
        return encode(steps, tables, backend)
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


def read(backend: str, case: Case, tables: Any) -> tuple[list[list[int]], str]:
    """The symbols of each step until something is refused, and the sentence of that."""
    taken: list[list[int]] = []
    try:
        decoder = StreamDecoder(case.data, case.total, tables, backend)
        for step in case.steps:
            taken.append(decoder.take(step).tolist())
        decoder.finish()
    except ValueError as error:
        return taken, f"{type(error).__name__}: {error}"
    return taken, ""


def run(built: Path, first: int, count: int) -> "Counter[tuple[str, str]]":
    """How streams of each kind ended; AssertionError for the first that the two see differently."""
    module = use(built)
    counts: Counter[tuple[str, str]] = Counter()
    for number in range(first // BATCH, -(-(first + count) // BATCH)):
        try:
            batch(np.random.default_rng(number), module, counts)
        except AssertionError:
            print(f"in a stream from number {number * BATCH} on", file=sys.stderr)
            raise
    return counts


def batch(random: np.random.Generator, module: Any, counts: "Counter[tuple[str, str]]") -> None:
    """Code streams that share their tables: a fifth genuine, a fifth past all checks."""
    tables = random_tables(random)
    known: list[tuple[bytes, Any]] = []
    for number in range(BATCH):
        kind = ("genuine", "mutated", "hostile", "hostile", "unchecked")[number % 5]
        if kind == "genuine":
            how = genuine(random, tables, known)
        elif kind == "unchecked":
            how = unchecked(random, module, tables)
        else:
            if kind == "mutated" and known:
                case = mutated(random, *known[random.integers(0, len(known))], len(tables.cdfs))
            else:
                kind, case = "hostile", hostile(random, len(tables.cdfs))
            result, expected = (read(backend, case, tables) for backend in ("c", "numpy"))
            assert result == expected, (case, tables)
            how = result[1]
        counts[kind, how and "refused"] += 1


def genuine(random: np.random.Generator, tables: Any, known: list[tuple[bytes, Any]]) -> str:
    """A stream there and back; why not, where a symbol is too far away."""
    count = int(random.choice([0, 1, 2, 5, 20, 60, 150]))
    rows = random.integers(0, len(tables.cdfs), count).astype(np.int32)
    symbols = random_symbols(random, tables, rows)
    steps = [step.T for step in cut(random, np.stack([symbols, rows], 1))]
    data, expected = (written(backend, steps, tables) for backend in ("c", "numpy"))
    assert data == expected, (symbols, rows, tables)
    if isinstance(data, str):
        return data
    case = Case(data, count, cut(random, rows))
    for backend in ("c", "numpy"):
        taken, refusal = read(backend, case, tables)
        assert not refusal, (refusal, symbols, rows, tables)
        assert list(chain.from_iterable(taken)) == symbols.tolist(), (symbols, rows, tables)
    if data:
        known.append((data, rows))
    return ""


def unchecked(random: np.random.Generator, module: Any, tables: Any) -> str:
    """Both functions with arguments that range_coder.py would never let through."""
    rows = rows_of(tables)
    count = int(random.integers(0, 40))
    arrays = [
        random.integers(-20, 300, count).astype(np.int32),
        random.integers(0, len(rows), count).astype(np.int32),
        rows.counts,
        rows.starts,
        rows.offsets if random.random() < 0.5 else 0 * rows.offsets,
    ]
    for _ in range(random.integers(1, 3)):
        which = int(random.integers(0, 5))
        arrays[which] = spoilt(random, arrays[which])
    data = random.bytes(int(random.integers(0, 60)))
    state, position = (int(random.choice([0, 2, 14, 15, 1 << 31, (1 << 64) - 1])) for _ in "ab")
    if random.random() < 0.8:
        state, position = int.from_bytes(random.bytes(8), "little"), 0
    how = ""
    for function, arguments in (
        (module.encode, arrays),
        (module.decode, [arrays[0].copy(), arrays[1], state, position, data, *arrays[2:]]),
    ):
        try:
            function(*arguments)
        except (ValueError, BufferError):
            how = "refused"
    return how


def spoilt(random: np.random.Generator, array: Any) -> Any:
    """The array with other numbers, or in another size, type or place in memory."""
    if len(array) == 0:
        return array.astype(np.int16)
    array = array.copy()
    numbers = np.iinfo(array.dtype)
    some = random.integers(0, len(array), random.integers(1, 4))
    match random.integers(0, 9):
        case 0 | 1:
            array[some] += random.choice([-1, 1, 2, 3]).astype(array.dtype)
        case 2:
            array[some] = random.choice([numbers.min, numbers.max, 0, len(array)])
        case 3:
            array[:] = random.integers(numbers.min, numbers.max, len(array), array.dtype)
        case 4:
            array[:] = array[some[0]]
        case 5:
            return array[:-1].copy()
        case 6:
            return array.astype(array.dtype.str.replace("4", "2").replace("8", "4"))
        case 7:
            return np.repeat(array, 2)[::2]
        case _:
            return np.frombuffer(b"\0" + array.tobytes(), np.uint8)[1:].view(array.dtype)
    return array


def table(counts: "Counter[tuple[str, str]]") -> str:
    """Streams of each kind as Markdown."""
    lines = ["| streams | number | refused | accepted |", "|---|---|---|---|"]
    for kind in sorted({kind for kind, _ in counts}):
        refused, accepted = counts[kind, "refused"], counts[kind, ""]
        lines.append(f"| {kind} | {refused + accepted:,} | {refused:,} | {accepted:,} |")
    return "\n".join([*lines, "", f"{sum(counts.values()):,} streams, no difference."])


if __name__ == "__main__":
    sys.exit(main())
