"""Run the range coder's extension with guard pages around every block that it allocates.

A program for test_guard_pages.py, started with guarded_new.c preloaded: a byte read or written
outside a block ends it with a segmentation fault.

    python -m tests.guarded decode | encode
"""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from pillow_mlic.entropy import compressai_coder
from pillow_mlic.entropy.range_coder import StreamDecoder, StreamError, encode
from pillow_mlic.entropy.rows import rows_of

from .coder_model import GAUSSIAN, STEEP, Attack, attacks, sample

SHORTEST = 31
"""Strings of fewer bytes have spare room in C++, where guard pages see nothing."""


def survives(work: Callable[[], object]) -> bool:
    """Whether `work` ends in a process of its own without a segmentation fault."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGSEGV), status
    return status == 0


def decode_unchecked(attack: Attack, padding: int) -> list[int]:
    """CompressAI's decoder alone, with so many words behind the data."""
    coder = compressai_coder._extension().RansDecoder()  # type: ignore[union-attr]
    coder.set_stream(np.array(attack.words, "<u4").tobytes() + bytes(4 * padding))
    lists = rows_of(attack.tables).lists
    values: list[int] = coder.decode_stream(
        attack.rows, lists, [len(row) for row in lists], [0] * len(lists)
    )
    return values


def decode_checked(attack: Attack) -> None:
    """As the package does it."""
    data, total = np.array(attack.words, "<u4").tobytes(), len(attack.rows)
    rows = np.array(attack.rows)
    with contextlib.suppress(StreamError):
        decoder = StreamDecoder(data, total, attack.tables, "compressai")
        for start in range(0, total, 997):
            decoder.take(rows[start : start + 997])
        decoder.finish()


def check_decoding() -> None:
    """The padding is enough, the model counts to the word, and the guard pages see one too few."""
    streams = caught = 0
    for number, attack in enumerate(attacks()):
        decode_checked(attack)
        values, beyond = attack.run()
        assert decode_unchecked(attack, beyond) == values
        watched = 4 * (len(attack.words) + beyond - 1) >= SHORTEST
        if beyond and watched and number % 4 == 0:
            assert not survives(partial(decode_unchecked, attack, beyond - 1))
            caught += 1
        streams += 1
    print(streams, caught)


def check_encoding() -> None:
    """No symbols, few of them and the rarest make no way out of the encoder's buffer either."""
    for total in [*range(20), 1000]:
        for tables, far in ((GAUSSIAN, 1.0), (GAUSSIAN, 0.0)):
            encode([sample(total, total, far)], tables, "compressai")
        rows = np.zeros(total, np.int32)
        encode([(rows, rows)], STEEP, "compressai")
        encode([(rows + (1 << 26), rows)], STEEP, "compressai")

    def two_rarest() -> None:
        coder = compressai_coder._extension().BufferedRansEncoder()  # type: ignore[union-attr]
        coder.encode_with_indexes([0] * 2, [0] * 2, [[0, 1, 65536]], [3], [0])
        coder.flush()

    print(survives(two_rarest))


if __name__ == "__main__":
    {"decode": check_decoding, "encode": check_encoding}[sys.argv[1]]()
