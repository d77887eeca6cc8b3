"""Where the time of one picture goes, beside what the machine could have multiplied in it.

Seconds depend on the machine and on what else it does. Seconds times the machine's rate of float32
matrix products, measured in the same run, depend on both much less. This product is the *ratio*, in
GMAC: what the machine could have multiplied in the time.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from ..coding.coding import Coding
from ..coding.decoder import Decoder
from ..coding.encoder import Encoder
from ..engines import Needs, engine_for
from ..engines.arithmetic import plain_arithmetic
from ..engines.torch_integers import product
from ..engines.torch_walk import EXACT_GUARD
from ..format.geometry import Grid, size
from ..format.header import quality_code
from ..integers.coders import ZeroSteps
from ..models.base import Latents, ZeroCoder
from ..models.defaults import threads as torch_threads

if TYPE_CHECKING:
    from ..packs import Pack

CPU = torch.device("cpu")
TILE = 2048
SIDE = 2048
"""Side of the matrices whose product gives the machine's rate."""


class Part(NamedTuple):
    """Some work: its seconds, and its multiplications in billions, float64 counted twice."""

    name: str
    seconds: float
    gmac: float


class Speed(NamedTuple):
    """What `measure` found; `rate` is that of float32 matrix products in GMAC/s."""

    weights: str
    quality: float
    size: tuple[int, int]
    threads: int
    rate: float
    parts: list[Part]


def measure(
    pixels: NDArray[np.uint8],
    pack: "Pack",
    quality: float,
    threads: int = 1,
    repeats: int = 3,
    tell: Callable[[str, int, int], object] = lambda *_: None,
) -> Speed:
    """Encode and decode (H, W, 3) and measure parts and whole on the CPU, the best of `repeats`.

    With one thread, seconds are CPU time, which other work on the machine changes little; with
    more they are wall time. The rate is measured before, between and after the parts; the median
    counts.
    """
    clock = time.thread_time if threads == 1 else time.perf_counter
    with torch_threads(threads), plain_arithmetic(CPU):
        works = _works(pixels, pack, quality)
        rates, parts = [_rate(clock)], []
        for index, (name, work, gmac) in enumerate(works):
            tell("measuring", index, len(works))
            seconds = min(_seconds(work, clock) for _ in range(repeats))
            parts.append(Part(name, seconds, gmac))
            rates.append(_rate(clock))
        tell("measuring", len(works), len(works))
    width_height = (pixels.shape[1], pixels.shape[0])
    return Speed(pack.file.name, quality, width_height, threads, float(np.median(rates)), parts)


def _works(
    pixels: NDArray[np.uint8], pack: "Pack", quality: float
) -> Sequence[tuple[str, Callable[[], object], float]]:
    """What is measured: name, work and its multiplications."""
    model, canonical = pack.model(CPU), pack.canonical(CPU)
    height, width = pixels.shape[:2]
    q = torch.tensor([quality])
    x = torch.rand(1, *size(Grid(width, height, TILE).padded), 3)
    y = model.analysis(x, q)
    z_size = Latents(y, model.hyper_analysis(y)).z_size

    def analysis() -> object:
        return model.hyper_analysis(model.analysis(x, q))

    def entropy(dtype: torch.dtype) -> object:
        network = canonical if dtype == torch.float64 else model
        return network.entropy(q.to(dtype), z_size, ZeroCoder())

    def integers() -> object:
        code = quality_code(quality)
        return pack.need_integers().walk(code, z_size, 1, ZeroSteps(), product)

    def synthesis() -> object:
        return model.synthesis(y, q)

    engine = engine_for(pack, "cpu", Needs(floats=True))

    def encoded(guard: float | None) -> dict[int, bytes]:
        coding = Coding(pack, quality, TILE, guard, engine)
        return dict(enumerate(Encoder(coding).encode(pixels).payloads))

    def decode(tiles: dict[int, bytes], guard: float | None) -> object:
        coding = Coding(pack, quality, TILE, guard, engine)
        return Decoder(coding, (width, height)).decode(tiles)

    guard = pack.file.guard
    exact, fast = encoded(EXACT_GUARD), encoded(guard)
    ahead, back = _gmac(analysis), _gmac(synthesis)
    between = _gmac(lambda: entropy(torch.float32))
    twice = 2 * _gmac(lambda: entropy(torch.float64))
    works = [
        ("analysis", analysis, ahead),
        ("entropy part, float64", lambda: entropy(torch.float64), twice),
        ("entropy part, float32", lambda: entropy(torch.float32), between),
        ("synthesis", synthesis, back),
        ("encode", lambda: encoded(EXACT_GUARD), ahead + twice),
        ("decode", lambda: decode(exact, EXACT_GUARD), twice + back),
        (f"decode, guard band {guard:g}", lambda: decode(fast, guard), between + back),
    ]
    if pack.integers is not None:
        whole = encoded(None)  # counted as in float32, although it multiplies less
        works[3:3] = [("entropy part, integers", integers, between)]
        works += [
            ("encode, integers", lambda: encoded(None), ahead + between),
            ("decode, integers", lambda: decode(whole, None), between + back),
        ]
    return works


def _gmac(work: Callable[[], object]) -> float:
    """Multiplications that `work` really does, in billions."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops() / 2e9


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    work()
    return clock() - start


def _rate(clock: Callable[[], float]) -> float:
    """Float32 matrix products of the machine in GMAC/s."""
    a, b = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    torch.mm(a, b)
    return SIDE**3 / 1e9 / min(_seconds(lambda: torch.mm(a, b), clock) for _ in range(3))


def table(speed: Speed) -> str:
    """A sentence and a Markdown table."""
    width, height = speed.size
    kind = "CPU seconds of one thread" if speed.threads == 1 else f"{speed.threads} threads"
    lines = [
        f"{speed.weights}, {width} x {height}, quality {speed.quality:g}; {kind}; "
        f"float32 matrix products: {speed.rate:.0f} GMAC/s",
        "",
        "| | seconds | GMAC | GMAC/s | share of the matrix-product rate | ratio, GMAC |",
        "|---|---|---|---|---|---|",
    ]
    for part in speed.parts:
        per_second = part.gmac / part.seconds
        lines.append(
            f"| {part.name} | {part.seconds:.3f} | {part.gmac:.1f} | {per_second:.0f} "
            f"| {per_second / speed.rate:.0%} | {part.seconds * speed.rate:.0f} |"
        )
    return "\n".join(lines)
