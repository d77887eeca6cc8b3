"""The speed of the range coder's backends: nanoseconds a symbol, and seconds a picture.

    python scripts/measure_coder.py PICTURES [--quality 3] [--times 5]

Every picture is saved once. Then the backends that work here take turns: each decodes the file, and
then decodes and encodes only its symbols. The shortest time of each counts, averaged over the
pictures; whole pictures are in CPU seconds of one thread.
"""

import argparse
import io
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import pillow_mlic  # noqa: F401
from pillow_mlic.entropy import range_coder
from pillow_mlic.evaluation.bench import find_images
from pillow_mlic.evaluation.tables import markdown_table

Steps = list[tuple[NDArray[np.int32], NDArray[np.int32]]]


class Recorder(range_coder.StreamDecoder):
    """A decoder that notes every request."""

    streams: ClassVar[list["Recorder"]] = []

    def __init__(self, data: bytes, total: int, tables: range_coder.CdfTables) -> None:
        super().__init__(data, total, tables)
        self.data, self.total, self.tables = data, total, tables
        self.steps: Steps = []
        self.streams.append(self)

    def take(self, indexes: NDArray[np.int32]) -> NDArray[np.int32]:
        symbols = super().take(indexes)
        self.steps.append((symbols, indexes))
        return symbols


def seconds(work: Callable[..., object], *arguments: object) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    work(*arguments)
    return time.process_time() - start


def load(file: bytes) -> None:
    """Decode the picture."""
    with Image.open(io.BytesIO(file)) as image:
        image.load()


def recorded(file: bytes) -> list[Recorder]:
    """The decoded streams of a file, and the steps in which they were decoded."""
    plain = range_coder.StreamDecoder
    Recorder.streams.clear()
    range_coder.StreamDecoder = Recorder
    try:
        load(file)
    finally:
        range_coder.StreamDecoder = plain
    return list(Recorder.streams)


def decode(streams: list[Recorder], backend: str) -> None:
    """All symbols of the streams again."""
    for stream in streams:
        decoder = range_coder.StreamDecoder(stream.data, stream.total, stream.tables, backend)
        for _, indexes in stream.steps:
            decoder.take(indexes)
        decoder.finish()


def encode(streams: list[Recorder], backend: str) -> None:
    """All bytes of the streams again."""
    for stream in streams:
        data = range_coder.encode(stream.steps, stream.tables, backend)
        assert data == stream.data


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--quality", type=float, default=3.0)
    parser.add_argument("--times", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    backends = range_coder.available_backends()
    shortest: dict[tuple[str, str], list[float]] = defaultdict(list)
    symbols = []
    for path in find_images(args.pictures):
        buffer = io.BytesIO()
        with Image.open(path) as image:
            image.convert("RGB").save(buffer, "MLIC", quality=args.quality, optimize=False)
        file = buffer.getvalue()
        streams = recorded(file)
        symbols.append(sum(len(i) for stream in streams for _, i in stream.steps))
        times: dict[tuple[str, str], list[float]] = defaultdict(list)
        for _ in range(args.times):
            for backend in backends:
                os.environ[range_coder.ENVIRONMENT_VARIABLE] = backend
                times[backend, "picture"].append(seconds(load, file))
                times[backend, "encode"].append(seconds(encode, streams, backend))
                times[backend, "decode"].append(seconds(decode, streams, backend))
        for key, values in times.items():
            shortest[key].append(min(values))
    rows = []
    for backend in backends:
        whole, writing, reading = (
            fmean(shortest[backend, what]) for what in ("picture", "encode", "decode")
        )
        each = 1e9 / fmean(symbols)
        rows.append([backend, f"{writing * each:.0f}", f"{reading * each:.0f}", f"{whole:.3f}"])
    header = ["range coder", "encode, ns a symbol", "decode, ns a symbol", "load a picture, CPU s"]
    print(markdown_table(header, rows))
    print(f"\n{len(symbols)} pictures, {fmean(symbols):,.0f} symbols each.")


if __name__ == "__main__":
    main()
