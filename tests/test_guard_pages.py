"""CompressAI's extension never touches memory that is not its own, whatever the stream.

`RansDecoder.set_stream` copies the stream into a string of C++, so guard pages around our bytes
would prove nothing. Instead an operator new of our own (guarded_new.c) puts them around every block
that the extension allocates. A test checks that they work: with one word of padding less than the
model says is read, the same decoding is killed.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pillow_mlic.entropy.range_coder import available_backends

HERE = Path(__file__).parent
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="preloading is done as Linux has it"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C compiler"),
    pytest.mark.skipif("compressai" not in available_backends(), reason="no compressai"),
]


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("guard") / "guarded_new.so"
    assert COMPILER is not None
    source = HERE / "guarded_new.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def run_guarded(guard: Path, side: str, what: str) -> str:
    """What the program prints that runs with guard pages on this side of its blocks."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.guarded", what],
        env={**os.environ, "LD_PRELOAD": str(guard), "GUARDED_SIDE": side},
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr}"
    return done.stdout


def test_no_stream_makes_the_decoder_read_behind_its_padding(guard: Path) -> None:
    streams, caught = map(int, run_guarded(guard, "rear", "decode").split())
    assert streams > 500
    assert caught > 100, "guard pages that see nothing prove nothing"


def test_nothing_makes_the_encoder_write_outside_its_buffer(guard: Path) -> None:
    run_guarded(guard, "rear", "encode")
    survived = run_guarded(guard, "front", "encode").strip()
    assert survived == "False", "two symbols straight to the extension must be seen to do harm"
