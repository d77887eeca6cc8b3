"""The range coder: one bit stream from all backends, and the same refusals."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pillow_mlic.entropy import c_coder, compressai_coder, range_coder
from pillow_mlic.entropy.range_coder import StreamDecoder, StreamError, available_backends, encode
from pillow_mlic.entropy.rows import RAW_END, _laid_out, rows_of

from .coder_model import (
    GAUSSIAN,
    STEEP,
    Ints,
    Tables,
    sample,
    table,
)

Steps = list[tuple[Ints, Ints]]

each_backend = pytest.mark.parametrize("backend", available_backends())
QUICK = settings(deadline=None, max_examples=60)


def decode(data: bytes, steps: Steps, tables: Tables, backend: str | None = None) -> list[Ints]:
    decoder = StreamDecoder(data, sum(len(rows) for _, rows in steps), tables, backend)
    taken = [decoder.take(rows) for _, rows in steps]
    decoder.finish()
    return taken


def check(steps: Steps, tables: Tables) -> bytes:
    """Every backend writes the same bytes and reads the symbols back; gives the bytes."""
    streams = {backend: encode(steps, tables, backend) for backend in available_backends()}
    assert len(set(streams.values())) == 1
    data = streams["numpy"]
    for backend in available_backends():
        for (symbols, _), taken in zip(steps, decode(data, steps, tables, backend), strict=True):
            assert taken.dtype == np.int32
            assert np.array_equal(taken, symbols)
    return data


# --- the same stream from all -----------------------------------------------------------------


def test_bytes_are_frozen() -> None:
    """A change here breaks every file ever written."""
    symbols = np.array([0, 1, -1, 5, 300, -70000, 2, -2, 0, 0, 1, 100000000], np.int32)
    rows = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 0], np.int32)
    assert check([(symbols, rows)], GAUSSIAN).hex() == FROZEN


FROZEN = "cc1ee26108000000a5d12cacf1ff5fdd22a2f52fffff0700fcc1eb0b"


@pytest.mark.parametrize("total", range(7))
def test_tiny_totals(total: int) -> None:
    for seed in range(20):
        symbols, rows = sample(total, seed, far=0.3)
        data = check([(symbols, rows)], GAUSSIAN)
        assert (data == b"") == (total == 0)


@pytest.mark.parametrize("total", range(7))
def test_tiny_totals_of_the_rarest_symbols(total: int) -> None:
    """Two symbols of probability 2^-16 make CompressAI write outside its buffer."""
    check([(np.zeros(total, np.int32), np.zeros(total, np.int32))], STEEP)


def test_steps_of_any_size_and_empty_ones() -> None:
    symbols, rows = sample(1000)
    cuts = [0, 0, 1, 1, 5, 300, 999, 1000, 1000]
    steps = [(symbols[a:b], rows[a:b]) for a, b in pairwise(cuts)]
    data = check(steps, GAUSSIAN)
    assert data == encode([(symbols, rows)], GAUSSIAN)
    assert encode([], GAUSSIAN) == encode([(symbols[:0], rows[:0])] * 3, GAUSSIAN) == b""


def test_more_symbols_than_one_call_takes() -> None:
    count = 2 * compressai_coder.CALL_SYMBOLS + 17
    symbols, rows = sample(count, far=0.0005)
    check([(symbols[:-9], rows[:-9]), (symbols[-9:], rows[-9:])], GAUSSIAN)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_integer_types(dtype: Any) -> None:
    symbols, rows = np.arange(0, 100, 5), np.arange(20) % 5
    want = encode([(symbols.astype(np.int32), rows.astype(np.int32))], GAUSSIAN, "numpy")
    for backend in available_backends():
        assert encode([(symbols.astype(dtype), rows.astype(dtype))], GAUSSIAN, backend) == want
        assert np.array_equal(
            StreamDecoder(want, 20, GAUSSIAN, backend).take(rows.astype(dtype)), symbols
        )


@pytest.mark.parametrize("beyond", [-1, 0])
def test_how_far_a_symbol_may_lie(beyond: int) -> None:
    """Eight digits would keep the extension's encoder busy for ever."""
    reach = RAW_END // 2
    low, high = 7 - reach + min(beyond, 0) + 1, 7 + 1 + reach + beyond
    rows = np.full(4, 2, np.int32)
    symbols = np.array([high, 7, low, low], np.int32)
    if beyond < 0:
        check([(symbols, rows)], STEEP)
    for wrong in (7 + 1 + reach, 7 - reach - 1, 2**31 - 1, -(2**31)):
        for backend in available_backends():
            with pytest.raises(ValueError, match="away from its table row"):
                encode([(np.array([wrong] * 4, np.int32), rows)], STEEP, backend)


@given(st.data())
@QUICK
def test_any_symbols_of_any_tables(data: st.DataObject) -> None:
    cuts = st.sets(st.integers(1, 65535), min_size=1, max_size=12)
    inner = data.draw(st.lists(cuts, min_size=1, max_size=4))
    offset = st.integers(-1000, 1000)
    tables = Tables(
        [np.array([0, *sorted(c), 65536], np.int32) for c in inner],
        np.array([data.draw(offset) for _ in inner], np.int32),
    )
    near = st.integers(-1020, 1020)
    symbol = near | st.integers(-(1 << 26), 1 << 26)
    pairs = st.lists(st.tuples(symbol, st.integers(0, len(inner) - 1)), max_size=40)
    steps: Steps = []
    for step in data.draw(st.lists(pairs, max_size=4)):
        both = np.array(step, np.int32).reshape(-1, 2)
        steps.append((both[:, 0], both[:, 1]))  # not contiguous, as it happens
    check(steps, tables)


def test_threads_do_not_meet() -> None:
    steps = [[sample(3000, seed)] for seed in range(16)]
    with ThreadPoolExecutor(4) as pool:
        streams = list(pool.map(lambda s: encode(s, GAUSSIAN), steps))
        taken = list(pool.map(lambda d, s: decode(d, s, GAUSSIAN), streams, steps))
    for (one,), ((symbols, _),) in zip(taken, steps, strict=True):
        assert np.array_equal(one, symbols)


# --- arguments ----------------------------------------------------------------------------------


@each_backend
def test_wrong_arguments(backend: str) -> None:
    symbols, rows = sample(10)
    data = encode([(symbols, rows)], GAUSSIAN)
    wrongs: list[Any] = [rows - 5, rows + 5, rows.astype(np.float32), rows.reshape(2, 5)]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="row indexes must be"):
            encode([(symbols, wrong)], GAUSSIAN, backend)
        with pytest.raises(ValueError, match="row indexes must be"):
            StreamDecoder(data, 10, GAUSSIAN, backend).take(wrong)
    halves: Any = symbols / 2
    with pytest.raises(ValueError, match="symbols must be a flat array of integers"):
        encode([(halves, rows)], GAUSSIAN, backend)
    with pytest.raises(ValueError, match="needs one row index"):
        encode([(symbols, rows[1:]), (symbols[1:], rows)], GAUSSIAN, backend)
    with pytest.raises(ValueError, match="cannot be negative"):
        StreamDecoder(data, -1, GAUSSIAN, backend)


@each_backend
def test_no_more_symbols_than_announced(backend: str) -> None:
    symbols, rows = sample(10)
    decoder = StreamDecoder(encode([(symbols, rows)], GAUSSIAN), 10, GAUSSIAN, backend)
    assert np.array_equal(decoder.take(rows[:6]), symbols[:6])
    with pytest.raises(ValueError, match="5 symbols asked for where 4"):
        decoder.take(rows[:5])
    assert np.array_equal(decoder.take(rows[6:]), symbols[6:])
    decoder.finish()
    with pytest.raises(ValueError, match="1 symbols asked for where 0"):
        decoder.take(rows[:1])


@pytest.mark.parametrize(
    "cdf",
    [[0, 65536], [0], [], [1, 2, 65536], [0, 2, 65535], [0, 5, 5, 65536], [0, 9, 5, 65536], [[0]]],
)
def test_tables_that_nobody_should_trust(cdf: list[Any]) -> None:
    with pytest.raises(ValueError, match="table row 1 must"):
        encode([], Tables([GAUSSIAN.cdfs[0], np.array(cdf, np.int32)], np.zeros(2, np.int32)))


def test_tables_without_sensible_offsets() -> None:
    with pytest.raises(ValueError, match="5 table rows with offsets of shape"):
        encode([], Tables(GAUSSIAN.cdfs, np.zeros(4, np.int32)))
    with pytest.raises(ValueError, match="offsets must be within"):
        encode([], Tables(GAUSSIAN.cdfs, np.full(5, -(2**31), np.int32)))


def test_tables_are_laid_out_once_and_let_go() -> None:
    tables = table([5, 65531])
    rows = rows_of(tables)
    assert rows_of(tables) is rows
    assert rows_of(table([5, 65531])) is not rows
    gone, count = weakref.ref(rows), len(_laid_out)
    del tables, rows
    gc.collect()
    assert gone() is None
    assert len(_laid_out) < count


def test_backend_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="coder 'zip'; choose one of c, compressai, numpy"):
        encode([], GAUSSIAN, "zip")
    monkeypatch.setenv(range_coder.ENVIRONMENT_VARIABLE, "zap")
    with pytest.raises(ValueError, match="no range coder 'zap'"):
        StreamDecoder(b"", 0, GAUSSIAN)


@each_backend
def test_the_environment_chooses(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And without it the first one that is available is used."""
    data = encode([sample(100)], GAUSSIAN)
    wanted = type(StreamDecoder(data, 100, GAUSSIAN, backend)._reader)
    monkeypatch.setenv(range_coder.ENVIRONMENT_VARIABLE, backend)
    assert type(StreamDecoder(data, 100, GAUSSIAN)._reader) is wanted
    monkeypatch.setenv(range_coder.ENVIRONMENT_VARIABLE, "")
    is_first = backend == available_backends()[0]
    assert (type(StreamDecoder(data, 100, GAUSSIAN)._reader) is wanted) == is_first


def test_without_extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_coder, "_rans", None)
    assert available_backends()[0] != "c"
    with pytest.raises(ImportError, match="'c' was not built; install pillow-mlic again"):
        encode([], GAUSSIAN, "c")
    monkeypatch.setattr(compressai_coder, "_extension", lambda: None)
    assert available_backends() == ("numpy",)
    check([sample(100)], GAUSSIAN)
    with pytest.raises(ImportError, match="compressai, which is not installed"):
        StreamDecoder(b"", 0, GAUSSIAN, "compressai")


# --- streams that nobody wrote ------------------------------------------------------------------


@each_backend
def test_impossible_data(backend: str) -> None:
    fine = encode([sample(100)], GAUSSIAN)
    for data in (fine[:-1], fine[:7], fine[:4], fine + b"\0", b"\0"):
        with pytest.raises(StreamError, match="bytes cannot be the stream"):
            StreamDecoder(data, 100, GAUSSIAN, backend)
    with pytest.raises(StreamError, match="of 0 symbols"):
        StreamDecoder(fine, 0, GAUSSIAN, backend)
    for state in (0, 2**31 - 1, 2**63, 2**64 - 1):
        with pytest.raises(StreamError, match="impossible state"):
            StreamDecoder(state.to_bytes(8, "little") + fine, 100, GAUSSIAN, backend)


@each_backend
def test_more_words_than_its_symbols_could_fill(backend: str) -> None:
    """Four rarest escapes with seven digits each are the longest that four symbols can be."""
    rows = np.zeros(4, np.int32)
    longest = encode([(rows + (1 << 27) - 1, rows)], table([65535, 1]))
    assert len(longest) // 4 <= range_coder.most_words(4) == 10
    with pytest.raises(StreamError, match="44 bytes cannot be the stream of 4 symbols"):
        StreamDecoder(longest[:8] + bytes(36), 4, GAUSSIAN, backend)


@each_backend
def test_an_empty_stream_holds_nothing_whatever_the_total(backend: str) -> None:
    decoder = StreamDecoder(b"", 100, GAUSSIAN, backend)
    assert decoder.take(np.zeros(0, np.int32)).dtype == np.int32
    with pytest.raises(StreamError, match="holds no symbols"):
        decoder.take(np.zeros(1, np.int32))
    decoder.finish()


@each_backend
def test_a_wrong_end_is_seen(backend: str) -> None:
    """Missing and extra words, symbols left over, and a row that differs from the encoder's."""
    symbols, rows = sample(400)
    data = encode([(symbols, rows)], GAUSSIAN)
    other = rows.copy()
    other[200] = (other[200] + 1) % 5

    def read(data: bytes, rows: Ints) -> None:
        decoder = StreamDecoder(data, 500, GAUSSIAN, backend)
        decoder.take(rows)
        decoder.finish()

    read(data, rows)
    longer = np.append(rows, rows[:1])
    for wrong, which in (
        (data[:-4], rows), (data + bytes(4), rows), (data + b"CILM", rows), (data[:8], rows),
        (data, rows[:-1]), (data, rows[:0]), (data, longer), (data, other),
    ):  # fmt: skip
        with pytest.raises(StreamError):
            read(wrong, which)


@each_backend
def test_nothing_is_given_after_an_error(backend: str) -> None:
    rows = np.random.default_rng(0).integers(0, 6, 5000).astype(np.int32)
    decoder = StreamDecoder(bytes.fromhex("0123456789abcd0f"), 10_000, STEEP, backend)
    with pytest.raises(StreamError, match=r"too early|escaped value"):
        decoder.take(rows)
    with pytest.raises(ValueError, match="where 0 can be left"):
        decoder.take(rows[:1])


@given(st.binary(max_size=200), st.sampled_from([GAUSSIAN, STEEP]), st.integers(0, 9))
@QUICK
def test_the_twin_reads_anything(data: bytes, tables: Tables, seed: int) -> None:
    rows = np.random.default_rng(seed).integers(0, len(tables.cdfs), 300).astype(np.int32)
    for backend in available_backends():
        try:
            decoder = StreamDecoder(data, 300, tables, backend)
            decoder.take(rows)
            decoder.finish()
        except StreamError:
            continue
