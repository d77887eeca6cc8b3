"""CompressAI's extension: found without a trace, the same stream, no way out of its buffer."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pillow_mlic.entropy import compressai_coder, rans
from pillow_mlic.entropy.range_coder import StreamDecoder, encode
from pillow_mlic.entropy.rows import rows_of

from .coder_model import (
    GAUSSIAN,
    ONES,
    STEEP,
    Model,
    attacks,
    sample,
    started,
    table,
    words_beyond,
)
from .test_range_coder import check

needs_extension = pytest.mark.skipif(
    not compressai_coder.available(), reason="compressai is not installed"
)


@needs_extension
def test_it_is_the_stream_of_compressai() -> None:
    """Several calls and one flush, with CompressAI's own arguments."""
    steps = [sample(500, seed) for seed in range(3)]
    coder = compressai_coder._extension().BufferedRansEncoder()  # type: ignore[union-attr]
    cdfs = [cdf.tolist() for cdf in GAUSSIAN.cdfs]
    sizes, offsets = [len(cdf) for cdf in cdfs], GAUSSIAN.offsets.tolist()
    for symbols, rows in steps:
        coder.encode_with_indexes(symbols.tolist(), rows.tolist(), cdfs, sizes, offsets)
    data = coder.flush()
    assert data == check(steps, GAUSSIAN)
    coder = compressai_coder._extension().RansDecoder()  # type: ignore[union-attr]
    coder.set_stream(data + bytes(1 << 16))
    for symbols, rows in steps:
        assert coder.decode_stream(rows.tolist(), cdfs, sizes, offsets) == symbols.tolist()


def test_fewer_than_four_symbols_never_reach_the_extension(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compressai_coder, "_extension", lambda: SimpleNamespace())
    for total in range(4):
        encode([sample(total)], GAUSSIAN, "compressai")
    with pytest.raises(AttributeError):
        encode([sample(4)], GAUSSIAN, "compressai")


LOADING = """
import importlib, sys, types
from pillow_mlic.entropy import compressai_coder, range_coder
assert not [name for name in sys.modules if name.startswith(("compressai", "torch"))]
assert "compressai" in range_coder.available_backends()
assert not [name for name in sys.modules if name.startswith(("compressai", "torch"))]

# A later import finds the ground as it was.
package = types.ModuleType("compressai")
package.__path__ = list(importlib.util.find_spec("compressai").submodule_search_locations)
sys.modules["compressai"] = package
import compressai.ans
assert compressai.ans.RansDecoder().set_stream(bytes(8)) is None

# One that was imported already is used.
compressai_coder._find_extension.cache_clear()
assert compressai_coder._extension() is compressai.ans
"""


@needs_extension
def test_loading_leaves_no_trace() -> None:
    run_child(LOADING)


def run_child(code: str) -> None:
    child = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert child.returncode == 0, child.stderr


@needs_extension
def test_the_twin_steps_in_where_padding_would_be_huge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forged streams ask for many times their own length."""
    symbols, rows = sample(5000)
    data = encode([(symbols, rows)], GAUSSIAN)
    used = []
    for most in (1 << 25, 1000):
        monkeypatch.setattr(compressai_coder, "MOST_PADDING", most)
        decoder = StreamDecoder(data, 5000, GAUSSIAN, "compressai")
        used.append(type(decoder._reader))
        assert np.array_equal(decoder.take(rows), symbols)
        decoder.finish()
    assert used == [compressai_coder.CompressaiDecoder, rans.RansDecoder]
    forged = np.array(started([ONES] * 3_000_000), "<u4").tobytes()
    monkeypatch.undo()
    assert (
        type(StreamDecoder(forged, 4_000_000, GAUSSIAN, "compressai")._reader) is rans.RansDecoder
    )


@needs_extension
@pytest.mark.parametrize("step", [5, 1 << 16])
def test_as_many_escapes_as_a_stream_can_hold(step: int) -> None:
    """Streams of nothing but the cheapest escapes are genuine; they must not be refused."""
    for count in (4, 5, 100, 5000):
        rows = np.zeros(count, np.int32)
        steps = [(rows[:step] + 1, rows[:step])] * (count // step + 1)
        for tables in (table([1, 65535]), table([32768, 32768]), table([65535, 1])):
            check(steps, tables)


# --- the proof of padding_words, checked on a model of the extension's decoder ------------------


word = st.one_of(
    st.sampled_from([0, 1, ONES, ONES, ONES, 0xFFFF, 0xFFFF0000, 0x7FFFFFFF, 1 << 31]),
    st.integers(0, ONES),
)


@given(
    st.lists(word, min_size=2, max_size=30).map(started),
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.integers(1, 8),
)
@settings(deadline=None, max_examples=300)
def test_padding_holds_for_any_words(data: list[int], rows: list[int], call: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressai_coder, "CALL_SYMBOLS", call)
        beyond, padding = words_beyond(data, rows * 8, STEEP, call)
    assert beyond <= padding


@pytest.mark.parametrize("words", [2, 3, 10, 800])
def test_padding_holds_for_ones_and_is_needed(words: int) -> None:
    data = started([ONES] * words)
    for tables in (GAUSSIAN, STEEP):
        for row in range(5):
            beyond, padding = words_beyond(data, [row] * 50, tables, compressai_coder.CALL_SYMBOLS)
            assert 14 * (words - 2) < beyond <= padding


def test_padding_holds_for_every_attack() -> None:
    """Counted exactly, and also where the decoder would have given up before."""
    tight = 0
    for attack in attacks():
        words, tables, rows = attack
        beyond, padding = words_beyond(words, rows, tables, compressai_coder.CALL_SYMBOLS)
        assert beyond <= padding
        tight += attack.run()[1] > len(words)
    assert tight > 100


def test_padding_holds_for_random_words() -> None:
    random = np.random.default_rng(0)
    for tables in (GAUSSIAN, STEEP) * 40:
        data = started(random.integers(0, 1 << 32, random.integers(2, 40)).tolist())
        rows = random.integers(0, random.integers(1, 6), 600).tolist()
        beyond, padding = words_beyond(data, rows, tables, compressai_coder.CALL_SYMBOLS)
        assert beyond <= padding


def test_the_longest_run() -> None:
    for words, longest in (([0], 0), ([ONES], 1), ([ONES, ONES, 5, ONES], 2), ([1, ONES], 1)):
        assert compressai_coder._longest_run(np.array(words, np.uint32)) == longest


@needs_extension
@pytest.mark.parametrize("words", [2, 9, 60])
def test_the_model_is_the_extension(words: int) -> None:
    """Symbol for symbol, also where the data are hostile or have ended."""
    random = np.random.default_rng(words)
    lists = rows_of(STEEP).lists
    arguments = lists, [len(row) for row in lists], [0] * len(lists)
    for seed in range(30):
        some = random.integers(0, 1 << 32, words)
        some[random.random(words) < seed / 30] = ONES
        data = started(some.tolist())
        rows = random.integers(0, 6, 200).tolist()
        coder = compressai_coder._extension().RansDecoder()  # type: ignore[union-attr]
        coder.set_stream(np.array(data, "<u4").tobytes() + bytes(1 << 16))
        model = Model(data)
        assert coder.decode_stream(rows, *arguments) == [model.take(lists[row]) for row in rows]


HOSTILE = """
from tests.coder_model import GAUSSIAN, ONES, STEEP, Attack, attacks, started
from tests.guarded import decode_checked

for tables in (GAUSSIAN, STEEP):
    for row in range(5):
        decode_checked(Attack(started([ONES] * 20000), tables, [row] * 20000))
for attack in attacks():
    decode_checked(attack)
"""


@needs_extension
def test_hostile_streams_in_a_child_process() -> None:
    """Again with guard pages in test_guard_pages.py, where there is a compiler."""
    run_child(HOSTILE)
