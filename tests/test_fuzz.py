"""Mutated files, a few thousand here and 200,000 in the nightly form (python -m tests.fuzz)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pillow_mlic.coding.decoder import Decoder
from pillow_mlic.entropy.range_coder import available_backends
from pillow_mlic.entropy.walk import DecodingCoder
from pillow_mlic.format import container

from .conftest import GOLDEN
from .fuzz import targets, worker
from .fuzz.__main__ import Lane
from .fuzz.worker import CRASH, GARBAGE, HANG, Fuzzer

ROOT = Path(__file__).resolve().parent.parent
CRASHES = Path(__file__).parent / "fuzz" / "crashes"
SENTENCES = {
    "alpha_as_webp_of_268_megapixels": "another size",
    "alpha_as_zlib_bomb": "does not end with its last pixel",
    "alpha_whose_own_checksum_is_wrong": "incorrect data check",
    "corrections_claim_to_be_4_billion": "more corrections than latents",
    "exif_of_four_gigabytes": "claims to have 4294967296 bytes",
    "stream_longer_than_its_symbols": "cannot be the stream of 776 symbols",
    "stream_of_ones_in_gray": "checksum of the decoded symbols|escaped value",
    "stream_of_ones_in_tiny": "cannot be the stream of 776 symbols",
    "three_hundred_empty_chunks": "more than 255 chunks",
    "tile_longer_than_it_can_be": "claims to have 65805 bytes",
    "tile_of_two_million_pixels_a_side": "tile_code is 15",
    "tiles_without_number": "exceeds limit",
    "weights_of_another_model": r"its model is mlic\+\+",
}


@pytest.mark.usefixtures("small_weights")
@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("path", sorted(CRASHES.glob("*.mlic")), ids=lambda path: path.stem)
def test_files_that_broke_something(
    path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLIC_RANGE_CODER", backend)
    permitted = (*targets.PERMITTED, Image.DecompressionBombError)
    with (
        pytest.raises(permitted, match=SENTENCES[path.stem]),
        Image.open(path) as image,
    ):
        image.load()


def test_a_few_thousand_mutated_files(tmp_path: Path) -> None:
    """In a process of its own, whose memory is capped."""
    command = [sys.executable, "-m", "tests.fuzz", "--count", "2000", "--save", tmp_path / "saved"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("\n2,000 files, 0 failures.\n")
    assert not (tmp_path / "saved").exists()


# A fuzzer that finds nothing must be known to find something.


@pytest.fixture
def fuzzer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fuzzer]:
    monkeypatch.setenv("MLIC_WEIGHTS", str(GOLDEN / "small.safetensors"))
    monkeypatch.setenv("MLIC_DEVICE", "cpu")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)
    return Fuzzer(0, tmp_path)


def outcomes(fuzzer: Fuzzer, target: str, count: int) -> list[str]:
    """The first words of what comes of the first `count` files of a target."""
    numbers = (number for number in range(10**6) if fuzzer.make(number)[0] == target)
    return [fuzzer.run(next(numbers)).outcome.split()[0] for _ in range(count)]


def test_files_are_made_again_from_their_number(fuzzer: Fuzzer) -> None:
    first = [fuzzer.make(number)[:2] for number in range(50)]
    assert [fuzzer.make(number)[:2] for number in range(50)] == first
    assert len({mutant.data for _, mutant in first}) > 40


@pytest.mark.parametrize("target", ["load", "payload"])
def test_garbage_is_seen(fuzzer: Fuzzer, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the symbols' checksum there is plenty."""
    assert GARBAGE not in outcomes(fuzzer, target, 60)
    monkeypatch.setattr(DecodingCoder, "finish", lambda self: None)
    assert outcomes(fuzzer, target, 240).count(GARBAGE) > 5


def test_damage_that_goes_unnoticed_is_seen(
    fuzzer: Fuzzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unchecked(fp: Any, place: container.ChunkPlace, block: int) -> Iterator[bytes]:
        fp.seek(place.offset)
        yield fp.read(place.length)

    assert GARBAGE not in outcomes(fuzzer, "container", 60)
    monkeypatch.setattr(container, "_checked_blocks", unchecked)
    assert GARBAGE in outcomes(fuzzer, "container", 60)


def test_crashes_are_seen(fuzzer: Fuzzer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decoder, "decode_into", lambda *args: 1 // 0)
    for target in ("load", "truncated", "region", "command"):
        assert CRASH in outcomes(fuzzer, target, 40)


def test_what_takes_too_long_is_seen(fuzzer: Fuzzer, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*args: Any) -> None:
        while True:
            pass

    monkeypatch.setattr(Decoder, "decode_into", busy)
    monkeypatch.setattr(worker, "SECONDS", 0.05)
    assert HANG in outcomes(fuzzer, "load", 20)


@pytest.mark.slow
def test_a_process_that_dies_is_seen_and_replaced() -> None:
    lane = Lane(0, range(4))
    lane._process.kill()
    found = []
    while not lane.done:
        found += [(r.number, r.outcome.split()[0]) for r in lane.heard(lane.reports.poll(1.0))]
    assert [number for number, _ in found] == [0, 1, 2, 3]
    assert [outcome for _, outcome in found].count(CRASH) == 1
