"""Tables and symbols for tests of the range coder, a model of CompressAI's decoder that counts the
words it reads, and streams that make it read beyond the end of its data."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pillow_mlic.entropy import compressai_coder
from pillow_mlic.entropy.range_coder import encode
from pillow_mlic.entropy.rows import rows_of

Ints = NDArray[np.int32]
ONES = 0xFFFFFFFF


@dataclass(frozen=True, eq=False)
class Tables:
    """What the coder needs of a table object."""

    cdfs: list[Ints]
    offsets: Ints


def table(*widths: Iterable[int], offsets: list[int] | None = None) -> Tables:
    """Rows from the widths of their intervals, the escape last."""
    cdfs = [np.cumsum([0, *row]).astype(np.int32) for row in widths]
    return Tables(cdfs, np.array(offsets or [0] * len(cdfs), np.int32))


def gaussian_widths(scale: float, reach: int) -> list[int]:
    at = np.arange(-reach, reach + 2)
    pmf = np.where(at <= reach, np.exp(-0.5 * (at / scale) ** 2), 1e-9)
    widths = np.maximum(1, np.floor(pmf / pmf.sum() * 65000)).astype(int)
    widths[reach] += 65536 - widths.sum()
    return [int(w) for w in widths]


SCALES = (0.2, 0.7, 2.0, 6.0, 25.0)
REACHES = (1, 3, 9, 25, 100)
GAUSSIAN = table(
    *(gaussian_widths(s, r) for s, r in zip(SCALES, REACHES, strict=True)),
    offsets=[-r for r in REACHES],
)
# Rows that make escapes likely, and rows that leave almost nothing of the state.
STEEP = table(
    [1, 65535], [65535, 1], [32768, 32768], [3, 65530, 3], [1, 1, 65534], [4096] * 16,
    offsets=[0, -5, 7, 0, 100, -(1 << 20)],
)  # fmt: skip


def sample(count: int, seed: int = 0, far: float = 0.01) -> tuple[Ints, Ints]:
    """Symbols as the Gaussian tables expect them, and a fraction far outside."""
    random = np.random.default_rng(seed)
    rows = random.integers(0, len(SCALES), count).astype(np.int32)
    symbols = np.rint(random.normal(0, np.array(SCALES)[rows]))
    reach = 10 ** random.uniform(0, 8, count)
    symbols += (random.random(count) < far) * np.rint(reach * random.choice([-1, 1], count))
    return symbols.astype(np.int32), rows


@dataclass
class Model:
    """CompressAI's decoder with a counter of words; what lies behind the data is zero."""

    words: list[int]
    next: int = 2

    def __post_init__(self) -> None:
        self.state = self.words[0] | self.words[1] << 32

    def renormalise(self) -> None:
        if self.state < 1 << 31:
            word = self.words[self.next] if self.next < len(self.words) else 0
            self.state = self.state << 32 | word
            self.next += 1

    def digit(self) -> int:
        digit = self.state & 15
        self.state >>= 4
        self.renormalise()
        return digit

    def take(self, cdf: list[int]) -> int:
        """The next relative value as the extension gives it on x86 and ARM."""
        late = self.next > len(self.words)
        count = self.state & 0xFFFF
        value = bisect_right(cdf, count) - 1
        self.state = (cdf[value + 1] - cdf[value]) * (self.state >> 16) + count - cdf[value]
        self.renormalise()
        length = len(cdf) - 2
        if value < length:
            return value
        digits = digit = self.digit()
        while digit == 15:
            digit = self.digit()
            digits += digit
        raw = 0
        for i in range(digits):
            raw |= self.digit() << (4 * i) % 32
        assert not late or raw < 1 << 28, "a late escape must be visible"
        raw = (raw & ONES) - ((raw & 1 << 31) << 1)
        return -(raw >> 1) - 1 if raw & 1 else (raw >> 1) + length


def words_beyond(data: list[int], rows: list[int], tables: Tables, call: int) -> tuple[int, int]:
    """Words that CompressaiDecoder reads behind the data, and the padding that it has there."""
    data = [*data, compressai_coder._SENTINEL]
    laid_out = rows_of(tables)
    escapes = compressai_coder.most_escapes(len(data) - 1, laid_out)
    padding = compressai_coder.padding_words(np.array(data, np.uint32), len(rows), escapes)
    model = Model(data)
    for start in range(0, len(rows), call):
        for row in rows[start : start + call]:
            value = model.take(laid_out.lists[row])
            escapes -= not 0 <= value < laid_out.lengths[row]
        if escapes < 0:
            return model.next - len(data), padding
    for _ in range(compressai_coder._PROBES):
        model.take(compressai_coder._PROBE_ROW)
    return model.next - len(data), padding


def started(words: list[int]) -> list[int]:
    """The words with a first state that StreamDecoder lets through."""
    return [words[0], words[1] & 0x7FFFFFFF or 1, *words[2:]]


class Attack(NamedTuple):
    """A stream that nobody should have written, as words, and the rows that are asked of it."""

    words: list[int]
    tables: Tables
    rows: list[int]

    def run(self) -> tuple[list[int], int]:
        """What the extension must give, unchecked, and how many words behind the data it reads."""
        lists = rows_of(self.tables).lists
        model = Model(self.words)
        values = [model.take(lists[row]) for row in self.rows]
        return values, max(0, model.next - len(self.words))


def attacks() -> Iterator[Attack]:
    """Streams that end before their symbols do: ones, escapes whose digits end at each place about
    a word's border, the shortest streams, random ones, beginnings of genuine ones; with tables
    from usual to worst."""
    random = np.random.default_rng(1)
    genuine = np.frombuffer(encode([sample(3000)], GAUSSIAN), "<u4").tolist()
    for tables in (GAUSSIAN, STEEP):
        count = len(tables.cdfs)
        for row in range(count):
            for length in (2, 3, 17, 90):
                yield Attack(started([ONES] * length), tables, [row] * 300)
                for last in (0, 0xF, 0xFF, 0x0FFFFFFF, 0xFFFFFFF0):
                    yield Attack(started([*[ONES] * length, last]), tables, [row] * 300)
        for words in ([0, 1], [ONES, ONES], [0xFFFF, 1], [0x7FFF0000, 0], [0, 0x7FFFFFFF]):
            for total in (1, 4, 200):
                yield Attack(started(words), tables, random.integers(0, count, total).tolist())
        for _ in range(60):
            some = random.integers(0, 1 << 32, random.integers(2, 150))
            some[random.random(len(some)) < random.random()] = ONES
            yield Attack(started(some.tolist()), tables, random.integers(0, count, 400).tolist())
            cut = genuine[: int(random.integers(2, len(genuine)))]
            yield Attack(cut, tables, random.integers(0, count, 3400).tolist())
