"""Do streams decode everywhere? The matrix of settings that decoders differ in, run for real.

Pictures are encoded once, in this process. Then each setting decodes all streams in a process of
its own: other thread counts, without oneDNN, on an older instruction set, in another memory
layout, several tiles at once, in float64 and in float32. Three kinds of decoding are counted:

    exact   guard band 1e-9, walk in float64 (the default of files)
    fast    the pack's float32 guard band, walk in float32, without the retry in float64
    naive   no corrections at all, walk in float32: what learned codecs do otherwise
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from .packs import Pack

KINDS = ("exact", "fast", "naive")


class Setting(NamedTuple):
    """One way of decoding: environment of the process and options of torch."""

    name: str
    environment: dict[str, str] = {}  # noqa: RUF012
    threads: int = 1
    onednn: bool = True
    contiguous: bool = False
    batch: int = 1


SETTINGS = (
    Setting("1 thread"),
    Setting("2 threads", threads=2),
    Setting("oneDNN off", onednn=False),
    Setting("oneDNN on SSE4.1", {"ONEDNN_MAX_CPU_ISA": "SSE41"}),
    Setting("torch without AVX", {"ATEN_CPU_CAPABILITY": "default"}),
    Setting("contiguous layout", contiguous=True),
    Setting("contiguous, 2 threads", threads=2, contiguous=True),
    Setting("4 tiles at once", batch=4),
)


class Outcome(NamedTuple):
    """One setting: failures of each kind, mean seconds of entropy decoding a stream, drift.

    `drift` is the largest relative deviation of a float32 scale from the float64 one.
    """

    setting: str
    streams: int
    failures: dict[str, int]
    seconds: dict[str, float]
    drift: float


class Summary(NamedTuple):
    """The matrix and what the guard band costs: bytes in all and listed latents a stream."""

    outcomes: list[Outcome]
    bytes_exact: int
    bytes_fast: int
    listed_exact: float
    listed_fast: float
    guard_fast: float


def run(
    pictures: Sequence[Path],
    qualities: Sequence[float],
    model: str,
    say: Callable[[str], object],
) -> Summary:
    """Encode `pictures` at `qualities` and decode them in every setting."""
    import torch
    from PIL import Image

    from . import codec, packs

    file = packs.find(model)
    pack = packs.load(file)
    cpu = torch.device("cpu")
    jobs: list[dict[str, Any]] = []
    total = {"exact": 0, "fast": 0}
    listed = {"exact": 0, "fast": 0}
    with tempfile.TemporaryDirectory() as folder:
        for path in pictures:
            with Image.open(path) as image:
                pixels = np.asarray(image.convert("RGB"))
            for quality in qualities:
                say(f"encoding {path.name} at quality {quality:g}")
                job: dict[str, Any] = {"name": path.name, "quality": quality}
                for kind, guard in (("exact", codec.EXACT_GUARD), ("fast", file.guard)):
                    tiles = codec.encode(pixels, pack, quality, 2048, guard, cpu).tiles
                    job |= {kind: tiles[0].hex(), "size": _z_size(pixels, pack)}
                    total[kind] += sum(map(len, tiles))
                    listed[kind] += _listed(tiles[0])
                jobs.append(job)
        (Path(folder) / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
        outcomes = []
        for setting in SETTINGS:
            say(f"decoding: {setting.name}")
            outcomes.append(_run_setting(setting, file.path, Path(folder) / "jobs.json"))
    count = len(jobs)
    return Summary(
        outcomes,
        total["exact"],
        total["fast"],
        listed["exact"] / count,
        listed["fast"] / count,
        file.guard,
    )


def _z_size(pixels: Any, pack: Any) -> tuple[int, int]:
    """Hyper latents of the first tile of a picture."""
    import torch

    stride = pack.model(torch.device("cpu")).stride
    height, width = (min(-(-side // stride) * stride, 2048) for side in pixels.shape[:2])
    return height // 64, width // 64


def _listed(tile: bytes) -> int:
    from . import leb128
    from .entropy.payload import CHECKSUM_BYTES

    return leb128.decode(tile, CHECKSUM_BYTES)[0]


def _run_setting(setting: Setting, pack: Path, jobs: Path) -> Outcome:
    """Decode all jobs in a process of its own."""
    environment = {**os.environ, **setting.environment, "MLIC_WEIGHTS": str(pack)}
    options = json.dumps(setting._asdict())
    done = subprocess.run(
        [sys.executable, "-m", "pillow_mlic.portability", options, str(jobs)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        msg = f"decoding with {setting.name} failed: {done.stderr.strip().splitlines()[-1]}"
        raise OSError(msg)
    return Outcome(**json.loads(done.stdout))


def _worker(options: dict[str, Any], jobs_file: Path) -> Outcome:
    """The child process: decode every stream in every kind, count failures."""
    import torch

    from . import codec, packs
    from .entropy.walk import SymbolMismatchError

    setting = Setting(**options)
    torch.set_num_threads(setting.threads)
    if setting.contiguous:
        _use_contiguous_layout()
    pack = packs.load(packs.inspect(Path(os.environ["MLIC_WEIGHTS"])))
    cpu = torch.device("cpu")
    jobs = json.loads(jobs_file.read_text(encoding="utf-8"))
    failures = dict.fromkeys(KINDS, 0)
    seconds = dict.fromkeys(KINDS, 0.0)
    drift = 0.0
    for job in jobs:
        for kind in KINDS:
            data = bytes.fromhex(job["fast" if kind == "fast" else "exact"])
            start = time.perf_counter()
            with (
                torch.backends.mkldnn.flags(enabled=setting.onednn),
                codec.plain_arithmetic(cpu),
            ):
                try:
                    codec.walk(
                        [data] * setting.batch,
                        pack,
                        job["quality"],
                        tuple(job["size"]),
                        kind == "exact",
                        cpu,
                    )
                except SymbolMismatchError:
                    failures[kind] += 1
            seconds[kind] += time.perf_counter() - start
        with torch.backends.mkldnn.flags(enabled=setting.onednn), codec.plain_arithmetic(cpu):
            drift = max(drift, _drift(pack, job))
    mean = {kind: value / len(jobs) / setting.batch for kind, value in seconds.items()}
    return Outcome(setting.name, len(jobs), failures, mean, drift)


def _drift(pack: "Pack", job: dict[str, Any]) -> float:
    """Largest relative deviation of float32 scales from float64 ones, where symbols are coded."""
    import torch

    from . import codec
    from .entropy.payload import Payload
    from .entropy.walk import DecodingCoder

    class Watching(DecodingCoder):
        """A decoder that keeps the scales it sees."""

        def __call__(self, mean: Any, scale: Any, gain: Any, select: Any) -> Any:
            seen.append(scale.double().flatten())
            return super().__call__(mean, scale, gain, select)

    cpu = torch.device("cpu")
    z_size = tuple(job["size"])
    total = codec.symbols_of(pack.model(cpu), z_size)
    payload = Payload.from_bytes(bytes.fromhex(job["fast"]), total)
    scales = []
    for model, dtype in ((pack.canonical(cpu), torch.float64), (pack.model(cpu), torch.float32)):
        seen: list[torch.Tensor] = []
        quality = torch.tensor([job["quality"]], dtype=dtype)
        model.entropy(quality, z_size, Watching([payload], pack.tables, total))
        scales.append(torch.cat(seen))
    exact, single = scales
    coded = exact > pack.tables.thresholds[0]
    return float((single[coded] / exact[coded] - 1).abs().max())


def _use_contiguous_layout() -> None:
    """Convolutions on (B, C, H, W) memory, as most programs would run them."""
    from torch import Tensor
    from torch.nn import functional as F

    from .models.layers.blocks import Conv3x3

    def forward(self: Conv3x3, x: Tensor) -> Tensor:
        x = x.permute(0, 3, 1, 2).contiguous()
        x = F.conv2d(x, self.weight.contiguous(), self.bias, padding=1, groups=self.groups)
        return x.permute(0, 2, 3, 1).contiguous()

    Conv3x3.forward = forward  # type: ignore[method-assign]


def table(summary: Summary) -> str:
    """The matrix as Markdown."""
    lines = [
        "| decoder | streams | exact: failures | fast: failures | naive float32: failures "
        "| exact s | fast s | largest drift of a float32 scale |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for o in summary.outcomes:
        lines.append(
            f"| {o.setting} | {o.streams} | {o.failures['exact']} | {o.failures['fast']} "
            f"| {o.failures['naive']} | {o.seconds['exact']:.3f} | {o.seconds['fast']:.3f} "
            f"| {o.drift:.1e} |"
        )
    extra = summary.bytes_fast / summary.bytes_exact - 1
    lines += [
        "",
        f"Guard band {summary.guard_fast:g}: {summary.listed_fast:.1f} latents listed a stream, "
        f"{extra:+.3%} bytes. Guard band 1e-09: {summary.listed_exact:.2f} listed.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(json.dumps(_worker(json.loads(sys.argv[1]), Path(sys.argv[2]))._asdict()))
