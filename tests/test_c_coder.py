"""The range coder in C: it is built where it can be, and stays within its own memory.

test_range_coder.py tests that it writes and reads the same streams as the others.
"""

import re
import subprocess
import sys
import sysconfig
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from pillow_mlic.entropy import c_coder, rans
from pillow_mlic.entropy.range_coder import StreamDecoder, StreamError, encode
from pillow_mlic.entropy.rows import rows_of

from .coder_model import GAUSSIAN, STEEP, attacks, sample
from .fuzz import coder as fuzz

needs_c = pytest.mark.skipif(not c_coder.available(), reason="installed without a compiler")
needs_sanitizer = pytest.mark.skipif(
    fuzz.sanitizer() is None, reason="no compiler whose AddressSanitizer can be preloaded"
)


def compiles(folder: Path) -> bool:
    """Whether extensions for this Python can be compiled here."""
    compiler = fuzz.compiler()
    if compiler is None:
        return False
    source = folder / "empty.c"
    source.write_text("#include <Python.h>\n", encoding="utf-8")
    command = [*compiler, f"-I{sysconfig.get_path('include')}", "-c", source, "-o", folder / "o"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_it_is_there_where_there_is_a_compiler(tmp_path: Path) -> None:
    if not compiles(tmp_path):
        pytest.skip("there is no compiler, or none for this Python")
    assert c_coder.available(), "_rans.c was not built; install the package again"


@needs_c
def test_refusals_are_those_of_the_twin() -> None:
    """Word for word, and at the same step."""
    for words, tables, rows in attacks():
        data = np.array(words, "<u4").tobytes()
        steps = np.split(np.array(rows, np.int32), [1, 2, 3, 10, 100])
        case = fuzz.Case(data, 10_000, steps)
        assert fuzz.read("c", case, tables) == fuzz.read("numpy", case, tables)


@needs_c
def test_what_does_not_fit_is_refused() -> None:
    """As range_coder.py never calls it."""
    rows = rows_of(GAUSSIAN)
    tables = (rows.counts, rows.starts, rows.offsets)
    symbols, indexes = sample(10)
    for wrong, sentence in (
        ((symbols, indexes[1:], *tables), "one row index"),
        ((symbols, indexes + 5, *tables), "no such table row"),
        ((symbols, indexes - 5, *tables), "no such table row"),
        ((symbols.astype(np.int64), indexes, *tables), "items of 4 bytes"),
        ((symbols, indexes, rows.counts, rows.starts[:-1], rows.offsets), "n rows need n [+] 1"),
        ((symbols, indexes, rows.counts[:-1], *tables[1:]), "no such table row"),
        ((symbols, indexes, rows.counts, rows.starts - 1, rows.offsets), "no such table row"),
        ((symbols, indexes, rows.counts * 0, *tables[1:]), "no such table row"),
    ):
        with pytest.raises(ValueError, match=sentence):
            c_coder._rans.encode(*wrong)
    fixed = np.empty(10, np.int32)
    fixed.flags.writeable = False
    with pytest.raises((TypeError, ValueError, BufferError), match=r"read-?only|read-write"):
        c_coder._rans.decode(fixed, indexes, 1 << 31, 2, bytes(8), *tables)


@needs_c
def test_other_threads_run_while_it_codes() -> None:
    """A thread that looks at the clock gets on in the middle of one long call, each way."""
    rows, indexes = rows_of(STEEP), np.zeros(4_000_000, np.int32)
    symbols = indexes - 1
    ticks: list[float] = []
    done = threading.Event()

    def tick() -> None:
        while not done.wait(0.0005):
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        times = [time.perf_counter()]
        data = c_coder.encode(symbols, indexes, rows)
        times.append(time.perf_counter())
        c_coder.CDecoder(data, rows).take(indexes)
        times.append(time.perf_counter())
    finally:
        done.set()
        thread.join()
    for start, end in pairwise(times):
        margin = (end - start) / 4
        assert sum(start + margin < at < end - margin for at in ticks) > 1


@needs_c
def test_a_long_stream_grows() -> None:
    """Two words a symbol is the most there is."""
    rows = np.ones(5000, np.int32)
    symbols = np.where(rows, (1 << 27) - 5, 0).astype(np.int32)
    data = encode([(symbols, rows)], STEEP, "c")
    assert data == encode([(symbols, rows)], STEEP, "numpy")
    assert len(data) > 4 * 6000
    decoder = StreamDecoder(data, 5000, STEEP, "c")
    assert np.array_equal(decoder.take(rows), symbols)
    decoder.finish()
    with pytest.raises(StreamError, match=rans.TOO_EARLY):
        StreamDecoder(data[:-4], 5000, STEEP, "c").take(rows)


# --- under sanitizers ---------------------------------------------------------------------------

MEMORY = "AddressSanitizer|runtime error"


def fuzzed(*options: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tests.fuzz.coder", *map(str, options)]
    return subprocess.run(command, cwd=fuzz.ROOT, capture_output=True, text=True, check=False)


@needs_sanitizer
def test_sanitizers_and_the_twin_find_nothing() -> None:
    """A few of the million streams of docs/security.md."""
    done = fuzzed("--count", 2000)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("2,000 streams, no difference.\n")


# What the fuzzer must see, were it so: the source, what becomes of it, and who reports it.
SABOTAGE = {
    "a word behind the data": ("position >= stream->words", "position > stream->words", MEMORY),
    "a row before the first": ("(index < 0 || ", "(", MEMORY),
    "a row behind the last": ("index >= tables->rows", "0", MEMORY),
    "a row before the tables": ("(start < 0 || ", "(", MEMORY),
    "a row that leaves the tables": ("end > tables->size || ", "", MEMORY),
    "a row of one interval": (" || end < start + 3", "", MEMORY),
    "a word behind the room": ("(spilt->used >= spilt->room)", "(!spilt->room)", MEMORY),
    "fewer indexes than symbols": ("if (symbols == indexes) return 1;", "return 1;", MEMORY),
    "fewer starts than rows": ("(starts != rows + 1)", "(0)", MEMORY),
    "a division by nothing": ("if (width == 0) return WRONG_ROW;", "", "division by zero"),
    "items across words": (" && (uintptr_t)view->buf % size == 0", "", "misaligned"),
    "an escape of eight digits": ("MOST_DIGITS 7", "MOST_DIGITS 8", "AssertionError"),
    "a word too early": ("width << 47", "width << 46", "AssertionError"),
}


@pytest.mark.slow
@needs_sanitizer
@pytest.mark.parametrize("fault", SABOTAGE)
def test_the_fuzzer_sees_faults(fault: str, tmp_path: Path) -> None:
    was, becomes, report = SABOTAGE[fault]
    source = fuzz.SOURCE.read_text(encoding="utf-8")
    assert source.count(was) == 1
    broken = tmp_path / "_rans.c"
    broken.write_text(source.replace(was, becomes), encoding="utf-8")
    done = fuzzed("--count", 4000, "--source", broken)
    assert done.returncode != 0
    assert re.search(report, done.stderr)
