"""Do streams decode everywhere? Tries the settings in which decoders differ.

Pictures are encoded once on every device of this machine. Then each setting decodes all streams in
a process of its own: other thread counts, without oneDNN, on an older instruction set, in another
memory layout, several tiles at once, on the GPU, with scales disturbed on purpose, by the engine of
ONNX Runtime. These kinds of decoding are counted:

    integers  walk in integers, where the pack carries them (then the default of files): of each
              picture a stream by each engine (`two_engines`)
    exact     guard band 1e-9, walk in float64 (the default of all other files)
    fast      the pack's float32 guard band, walk in float32, without the retry in float64
    naive     no corrections at all, walk in float32, as in other learned codecs
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..format import geometry
from . import two_engines

if TYPE_CHECKING:
    import torch

    from ..entropy.walk import DecodingCoder
    from ..packs import Pack

KINDS = ("exact", "fast", "naive")
INTEGERS = "integers"
"""The kind that only packs with integers have, and the only one of ONNX Runtime's engine. A job has
its streams by the names of the engines that wrote them."""
SIDE = 2048
"""Side of a tile in pixels; of larger pictures only the first tile is decoded."""


class Setting(NamedTuple):
    """One way of decoding: environment of the process and options of torch."""

    name: str
    environment: dict[str, str] = {}  # noqa: RUF012
    threads: int = 1
    onednn: bool = True
    other_layout: bool = False
    batch: int = 1
    noise: float = 0.0
    """How far every scale is moved, up or down at random, as a share of the guard band."""
    device: str = "cpu"
    engine: str = two_engines.TORCH
    """What decodes. Where it is ONNX Runtime's, pixels are made by both and compared."""


_MKL = "MKL_ENABLE_INSTRUCTIONS"
_SSE4 = {"OPENBLAS_CORETYPE": "Nehalem"}
SETTINGS = (
    Setting("1 thread"),
    Setting("2 threads", threads=2),
    Setting("oneDNN off", onednn=False),
    Setting("oneDNN and MKL on SSE4", {"ONEDNN_MAX_CPU_ISA": "SSE41", _MKL: "SSE4_2"}),
    Setting("torch without AVX", {"ATEN_CPU_CAPABILITY": "default"}),
    Setting("other memory layout, MKL on AVX2", {_MKL: "AVX2"}, other_layout=True),
    Setting("other layout, 2 threads", threads=2, other_layout=True),
    Setting("ONNX Runtime's engine", engine=two_engines.ONNX),
    Setting("ONNX Runtime's engine, 2 threads, BLAS on SSE4", _SSE4, 2, engine=two_engines.ONNX),
    Setting("4 tiles at once", batch=4),
    Setting("scales moved by half the guard band", noise=0.5),
)
GPU_SETTINGS = (
    Setting("GPU", device="cuda"),
    Setting("GPU, 4 tiles at once", device="cuda", batch=4),
    Setting("GPU, other memory layout", device="cuda", other_layout=True),
)


class SettingOutcome(NamedTuple):
    """One setting: failures of each kind, mean seconds of entropy decoding a stream, drift.

    `drift` is the largest relative deviation of a float32 scale from the float64 one; `levels` how
    far the pixels of the two engines are apart, where the setting compares them.
    """

    setting: str
    streams: int
    failures: dict[str, int]
    seconds: dict[str, float]
    drift: float
    levels: int | None = None


class PortabilitySummary(NamedTuple):
    """The matrix and what decoding everywhere costs: bytes in all and listed latents a stream."""

    outcomes: list[SettingOutcome]
    bytes_exact: int
    bytes_fast: int
    listed_exact: float
    listed_fast: float
    guard_fast: float
    bytes_integers: int | None = None
    """By torch's engine; None where the pack carries no integers."""
    size_gap: float | None = None
    """The largest difference in size of one picture's streams by the two engines, as a share."""


def run(
    pictures: Sequence[Path],
    qualities: Sequence[float],
    model: str | None,
    say: Callable[[str], object],
    only: str = "",
) -> PortabilitySummary:
    """Encode `pictures` at `qualities` and decode them in every setting whose name has `only`.

    ValueError where there is no such setting.
    """
    import torch

    from .. import packs
    from ..coding.coding import Coding
    from ..coding.encoder import Encoder
    from ..conversion import read_rgb
    from ..engines.torch_walk import EXACT_GUARD

    file = packs.find(model)
    pack = packs.load(file)
    gpu = torch.cuda.is_available()
    engines = two_engines.names(pack)
    settings = _settings(engines, gpu, only)
    jobs: list[dict[str, Any]] = []
    kinds = {"exact": EXACT_GUARD, "fast": file.guard}
    total = dict.fromkeys((*kinds, INTEGERS), 0)
    listed = dict.fromkeys(kinds, 0.0)
    gaps = [0.0]
    with tempfile.TemporaryDirectory() as folder:
        for path in pictures:
            pixels = np.asarray(read_rgb(path, say))
            first = geometry.Grid(pixels.shape[1], pixels.shape[0], SIDE).box(0)
            size = geometry.size(first, geometry.HYPER_LATENT)
            for quality in qualities:
                for device in ("cpu", "cuda") if gpu else ("cpu",):
                    say(f"encoding {path.name} at quality {quality:g} ({device})")
                    job: dict[str, Any] = {"quality": quality, "size": size}
                    for kind, guard in kinds.items():
                        engine = two_engines.engine(two_engines.TORCH, pack, device)
                        coding = Coding(pack, quality, SIDE, guard, engine)
                        tiles = Encoder(coding).encode(pixels).payloads
                        job[kind] = tiles[0].hex()
                        total[kind] += sum(map(len, tiles))
                        listed[kind] += _listed(tiles[0])
                    if engines:
                        streams = two_engines.streams(pack, pixels, quality, SIDE, device)
                        job[INTEGERS] = {name: tiles[0].hex() for name, tiles in streams.items()}
                        sizes = [sum(map(len, tiles)) for tiles in streams.values()]
                        total[INTEGERS] += sizes[0]
                        gaps.append(abs(sizes[-1] / sizes[0] - 1))
                    jobs.append(job)
        (Path(folder) / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
        outcomes = []
        for setting in settings:
            say(f"decoding: {setting.name}")
            outcomes.append(_run_setting(setting, file.path, Path(folder) / "jobs.json"))
    return PortabilitySummary(
        outcomes,
        total["exact"],
        total["fast"],
        listed["exact"] / len(jobs),
        listed["fast"] / len(jobs),
        file.guard,
        total[INTEGERS] if engines else None,
        max(gaps) if two_engines.ONNX in engines else None,
    )


def _settings(engines: Sequence[str], gpu: bool, only: str) -> list[Setting]:
    """The settings that a pack whose `engines` these are, and this machine, can be tried in."""
    every = (*SETTINGS, *(GPU_SETTINGS if gpu else ()))
    possible = [s for s in every if s.engine in (two_engines.TORCH, *engines)]
    found = [setting for setting in possible if only in setting.name]
    if not found:
        msg = f"no setting for these weights has {only!r} in its name"
        raise ValueError(msg)
    return found


def _listed(tile: bytes) -> int:
    from ..entropy.payload import CHECKSUM_BYTES
    from ..format import leb128

    return leb128.decode(tile, CHECKSUM_BYTES)[0]


def _run_setting(setting: Setting, pack: Path, jobs: Path) -> SettingOutcome:
    """Decode all jobs in a process of its own."""
    environment = {**os.environ, **setting.environment, "MLIC_WEIGHTS": str(pack)}
    options = json.dumps(setting._asdict())
    done = subprocess.run(
        [sys.executable, "-m", "pillow_mlic.diagnostics.portability", options, str(jobs)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"decoding with {setting.name} failed: {done.stderr.strip().splitlines()[-1]}"
        raise OSError(msg)
    return SettingOutcome(**json.loads(done.stdout))


def decode_all(setting: Setting, pack: "Pack", jobs: Sequence[dict[str, Any]]) -> SettingOutcome:
    """Decode every stream in every kind, in this process, and count failures."""
    import torch

    from ..entropy.payload import SymbolMismatchError
    from ..errors import DecodeError

    device = torch.device(setting.device)
    by_onnx = setting.engine == two_engines.ONNX
    kinds = [*(() if by_onnx else KINDS), *(kind for kind in (INTEGERS,) if kind in jobs[0])]
    failures = dict.fromkeys(kinds, 0)
    seconds = dict.fromkeys(kinds, 0.0)
    drift, levels = 0.0, 0
    with _set_up(setting, device):
        for job in jobs:
            for kind in kinds:
                decode = _decoder(kind, setting, pack, device)
                start = time.perf_counter()
                decoded: Sequence[Any] = ()
                try:
                    decoded = decode(job)
                except (SymbolMismatchError, DecodeError):
                    failures[kind] += 1
                seconds[kind] += time.perf_counter() - start
                for y_hat in decoded if by_onnx else []:
                    apart = two_engines.levels_apart(pack, y_hat, job["quality"])
                    failures[kind] += apart > two_engines.MOST_LEVELS
                    levels = max(levels, apart)
            if not by_onnx:
                drift = max(drift, _drift(pack, job, device))
    mean = {kind: value / len(jobs) / setting.batch for kind, value in seconds.items()}
    if INTEGERS in mean:
        mean[INTEGERS] /= len(jobs[0][INTEGERS])
    return SettingOutcome(
        setting.name, len(jobs), failures, mean, drift, levels if by_onnx else None
    )


def _decoder(
    kind: str, setting: Setting, pack: "Pack", device: "torch.device"
) -> "Callable[[dict[str, Any]], Sequence[Any]]":
    """What decodes a job's streams of this kind; one of the two errors if it fails."""
    from ..engines.torch_walk import EXACT_GUARD, walk

    name = "exact" if kind == "naive" else kind

    def tiles(stream: str) -> list[bytes]:
        return [bytes.fromhex(stream)] * setting.batch

    if kind == INTEGERS:  # they are what they are: there is nothing to disturb
        engine = two_engines.engine(setting.engine, pack, device)
        return lambda job: [
            engine.decode(tiles(stream), tuple(job["size"]), job["quality"], None)
            for stream in job[INTEGERS].values()
        ]
    exact = kind == "exact"
    disturbed = _disturbed(setting.noise * (EXACT_GUARD if exact else pack.file.guard))
    return lambda job: [
        walk(tiles(job[name]), pack, job["quality"], tuple(job["size"]), exact, device, disturbed)
    ]


@contextlib.contextmanager
def _set_up(setting: Setting, device: "torch.device") -> Iterator[None]:
    """Threads, libraries and memory layout as the setting says."""
    import torch

    from .. import settings
    from ..engines.arithmetic import plain_arithmetic
    from ..models.defaults import threads
    from ..models.layers.planar import planar_memory

    with (
        threads(setting.threads),
        settings.changed(threads=setting.threads),  # those of ONNX Runtime
        torch.backends.mkldnn.flags(enabled=setting.onednn),
        plain_arithmetic(device),
        planar_memory() if setting.other_layout else contextlib.nullcontext(),
    ):
        yield


def _drift(pack: "Pack", job: dict[str, Any], device: "torch.device") -> float:
    """Largest relative deviation of float32 scales from float64 ones, where symbols are coded."""
    import torch

    from ..engines.arithmetic import entropy_device
    from ..engines.torch_walk import symbols_of
    from ..entropy.payload import Payload
    from ..entropy.walk import DecodingCoder

    class Watching(DecodingCoder):
        """A decoder that keeps the scales it sees."""

        def __call__(self, mean: Any, scale: Any, *others: Any) -> Any:
            seen.append(scale.double().flatten())
            return super().__call__(mean, scale, *others)

    device = entropy_device(device)
    z_size = tuple(job["size"])
    total = symbols_of(pack.model(device), z_size)
    payload = Payload.from_bytes(bytes.fromhex(job["fast"]), total)
    scales = []
    for model, dtype in (
        (pack.canonical(device), torch.float64),
        (pack.model(device), torch.float32),
    ):
        seen: list[torch.Tensor] = []
        quality = torch.tensor([job["quality"]], dtype=dtype, device=device)
        coder: Any = Watching([payload], pack.tables, total)
        model.entropy(quality, z_size, coder)
        scales.append(torch.cat(seen))
    exact, single = scales
    coded = exact > pack.tables.thresholds[0]
    return float((single[coded] / exact[coded] - 1).abs().max()) if coded.any() else 0.0


def _disturbed(amplitude: float) -> "type[DecodingCoder]":
    """A decoder that sees every scale moved by this share of itself, up or down at random."""
    import torch

    from ..entropy.walk import DecodingCoder

    generator = torch.Generator().manual_seed(0)

    class Disturbed(DecodingCoder):
        """A decoder whose network computes slightly wrong scales."""

        def __call__(self, mean: Any, scale: Any, *others: Any) -> Any:
            return super().__call__(mean, self._moved(scale), *others)

        def decide(self, odds: Any) -> Any:
            return super().decide(self._moved(odds))

        def _moved(self, values: Any) -> Any:
            signs = torch.randint(0, 2, values.shape, generator=generator).to(values.device) * 2 - 1
            return (values.double() * (1 + amplitude * signs)).to(values.dtype)

    return Disturbed if amplitude else DecodingCoder


def table(summary: PortabilitySummary) -> str:
    """The matrix as Markdown."""
    whole = summary.bytes_integers is not None
    shown = ((INTEGERS,) if whole else ()) + KINDS
    first, last = ("integers: failures | ", "integers s | ") if whole else ("", "")
    lines = [
        f"| decoder | streams | {first}exact: failures | fast: failures "
        f"| naive float32: failures | {last}exact s | fast s "
        "| largest drift of a float32 scale |",
        "|---" * (10 if whole else 8) + "|",
    ]
    for o in summary.outcomes:
        failures = [o.failures.get(kind, "-") for kind in shown]
        seconds = [f"{o.seconds[k]:.3f}" if k in o.seconds else "-" for k in shown[:-1]]
        drift = f"{o.drift:.1e}" if "fast" in o.failures else "-"
        cells = [o.setting, o.streams, *failures, *seconds, drift]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    extra = summary.bytes_fast / summary.bytes_exact - 1
    lines += [
        "",
        f"Guard band {summary.guard_fast:g}: {summary.listed_fast:.1f} latents listed a stream, "
        f"{extra:+.3%} bytes. Guard band 1e-09: {summary.listed_exact:.2f} listed.",
    ]
    if summary.bytes_integers is not None:
        change = summary.bytes_integers / summary.bytes_exact - 1
        lines[-1] += f" Integers: none listed, {change:+.3%} bytes."
    levels = [o.levels for o in summary.outcomes if o.levels is not None]
    if summary.size_gap is not None and levels:
        lines[-1] += f" The two engines: {summary.size_gap:.3%} apart in size of a file at most, "
        lines[-1] += f"{max(levels)} in levels of pixels."
    return "\n".join(lines)


if __name__ == "__main__":
    from .. import packs

    found = packs.load(packs.inspect(Path(os.environ["MLIC_WEIGHTS"])))
    options, coded = json.loads(sys.argv[1]), json.loads(Path(sys.argv[2]).read_bytes())
    print(json.dumps(decode_all(Setting(**options), found, coded)._asdict()))
