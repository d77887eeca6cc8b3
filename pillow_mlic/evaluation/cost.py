"""What coding costs as pictures grow: time of all codecs in one process, and peak memory.

Pictures of any size are mosaics of given ones. Every size is written to OUT/cost.json as soon as
it is measured, and taken from there by a later run with the same pictures, codecs and weights.
"""

import hashlib
import json
import math
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import PIL
from PIL import Image

from ..conversion import any_size, read_rgb
from ..files import write_text
from . import matching, memory, plots
from .codecs import Codec
from .measure import CountProgress, weights_of
from .tables import markdown_table

DEFAULT_CODECS = ("mlic", "avif", "jxl")
DEFAULT_SIZES = (0.1, 0.4, 1.0, 4.0)
PEERS = ("avif", "jxl")
_ASPECT = 1.5
_MANY_PIXELS = 5_000_000  # from here on one run has to do
_TICKS = tuple(m * 10.0**e for e in range(-4, 6) for m in (1, 2, 5))
_WAYS = (("encoding", "-"), ("decoding", "--"))

Document = dict[str, Any]
"""What cost.json holds; docs/reports.md says what that is."""


def run(
    pictures: Sequence[Path],
    megapixels: Sequence[float],
    codecs: Sequence[Codec],
    out: Path,
    progress: CountProgress | None = None,
    *,
    quality: float | None = None,
    repeats: int = 3,
    with_memory: bool = True,
) -> Document:
    """Measure every codec at every size and write cost.json, cost.md and plots into `out`.

    The first codec works at `quality` (None: the middle of its ladder), the others at the setting
    that comes nearest to its size in bytes on the smallest mosaic. Times are the best of `repeats`
    runs (above 5 megapixels of one run); all codecs take turns in this process.
    """
    tell = progress or _silent
    with_memory = with_memory and memory.available()
    out.mkdir(parents=True, exist_ok=True)
    sources = [read_rgb(path) for path in pictures]
    sizes = sorted(set(megapixels))
    settings = _settings(codecs, mosaic(sources, sizes[0]), quality)
    document: Document = {
        "name": "Cost against pixels",
        "description": _describe(len(pictures), repeats),
        "source": _hash(pictures),
        "sizes": [],
    }
    known = _known(out / "cost.json", document["source"])
    tell("measuring", 0, len(sizes) * len(codecs))
    for index, size in enumerate(sizes):
        entry = known.get(size)
        if entry is None or not _fits(entry, codecs, settings, with_memory):
            picture = mosaic(sources, size)
            entry = {"megapixels": size, "width": picture.width, "height": picture.height}
            entry["codecs"] = _measure(picture, codecs, settings, repeats)
            if with_memory:
                _add_memory(entry["codecs"], picture, codecs, settings)
        document["sizes"].append(entry)
        write_text(out / "cost.json", json.dumps(document, indent=2) + "\n")
        tell("measuring", (index + 1) * len(codecs), len(sizes) * len(codecs))
    write_text(out / "cost.md", markdown(document))
    for what in ("time", "memory") if with_memory else ("time",):
        plot(document, what, [out / f"cost-{what}.png", out / f"cost-{what}.svg"])
    return document


def mosaic(sources: Sequence[Image.Image], megapixels: float) -> Image.Image:
    """A picture of 3:2 of about so many megapixels, tiled with the sources (RGB), cut to one
    size."""
    width = max(1, round(math.sqrt(megapixels * 1e6 * _ASPECT)))
    height = max(1, round(megapixels * 1e6 / width))
    across, down = (min(source.size[axis] for source in sources) for axis in (0, 1))
    picture = Image.new("RGB", (width, height))
    places = ((x, y) for y in range(0, height, down) for x in range(0, width, across))
    for number, place in enumerate(places):
        source = sources[number % len(sources)]
        picture.paste(source.crop((0, 0, across, down)), place)
    return picture


# ---- measuring -----------------------------------------------------------------------------------


def _settings(
    codecs: Sequence[Codec], picture: Image.Image, quality: float | None
) -> dict[str, float]:
    """A setting for each codec that gives about the same size."""
    first, *others = codecs
    settings = {first.name: first.middle if quality is None else quality}
    size = len(first.encode(picture, settings[first.name]))
    return settings | {codec.name: matching.to_size(codec, picture, size)[0] for codec in others}


def _measure(
    picture: Image.Image, codecs: Sequence[Codec], settings: dict[str, float], repeats: int
) -> dict[str, Any]:
    """Times by codec, in seconds; the codecs take turns, so that all meet the same machine."""
    found: dict[str, Any] = {codec.name: _stamp(codec, settings) for codec in codecs}
    many = picture.width * picture.height > _MANY_PIXELS
    with any_size():  # the pictures are our own
        for _ in range(1 if many else repeats):
            for codec in codecs:
                entry = found[codec.name]
                try:
                    times = _times(codec, settings[codec.name], picture)
                except Exception as error:  # whatever a codec raises is its result at this size
                    entry["error"] = f"{type(error).__name__}: {error}"
                    continue
                for name, value in times.items():
                    entry[name] = min(value, entry.get(name, math.inf))
    return found


def _times(codec: Codec, setting: float, picture: Image.Image) -> dict[str, float]:
    codec.weights(setting)  # loads what the first use has to load
    start, start_cpu = time.perf_counter(), time.process_time()
    data = codec.encode(picture, setting)
    middle, middle_cpu = time.perf_counter(), time.process_time()
    codec.decode(data)
    end, end_cpu = time.perf_counter(), time.process_time()
    return {
        "bytes": len(data),
        "encoding_time": middle - start,
        "decoding_time": end - middle,
        "encoding_cpu_time": middle_cpu - start_cpu,
        "decoding_cpu_time": end_cpu - middle_cpu,
    }


def _add_memory(
    entries: dict[str, Any],
    picture: Image.Image,
    codecs: Sequence[Codec],
    settings: dict[str, float],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.ppm"
        picture.save(path)
        for codec in codecs:
            try:
                peaks = memory.measure(codec, settings[codec.name], path)
            except RuntimeError as error:
                entries[codec.name]["error"] = str(error)
            else:
                entries[codec.name]["memory"] = peaks


# ---- taking up what was measured before ----------------------------------------------------------


def _stamp(codec: Codec, settings: dict[str, float]) -> dict[str, Any]:
    """A codec's figures are used again only if all of this is the same."""
    setting = settings[codec.name]
    weights = weights_of(codec, setting)
    return {"encoder": codec.describe(), "weights": weights, "setting": setting}


def _known(path: Path, source: str) -> dict[float, dict[str, Any]]:
    """Sizes measured before with the same pictures, by megapixels."""
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["source"] != source:
            return {}
        return {entry["megapixels"]: entry for entry in document["sizes"]}
    except (ValueError, KeyError, TypeError):
        return {}


def _fits(
    entry: dict[str, Any], codecs: Sequence[Codec], settings: dict[str, float], with_memory: bool
) -> bool:
    """Whether the entry of a size has all codecs as they are now, without an error."""
    if list(entry["codecs"]) != [codec.name for codec in codecs]:
        return False
    for codec in codecs:
        found = entry["codecs"][codec.name]
        whole = "error" not in found and ("memory" in found or not with_memory)
        if not whole or any(found[k] != v for k, v in _stamp(codec, settings).items()):
            return False
    return True


def _hash(pictures: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in pictures:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _describe(pictures: int, repeats: int) -> str:
    threads = os.environ.get("OMP_NUM_THREADS")
    limit = f" (OMP_NUM_THREADS={threads})" if threads else ""
    return (
        f"Mosaics of {pictures} picture{'s' if pictures > 1 else ''}, 8-bit RGB, all codecs in "
        f"one process with as many threads as they choose{limit}, best of {repeats} runs up to "
        f"5 megapixels, one run above; Pillow {PIL.__version__} on Python "
        f"{platform.python_version()}, {platform.machine()} with {os.cpu_count()} cores."
    )


def _silent(what: str, made: int, to_make: int) -> None:
    """Report to nobody."""


# ---- tables and plots ----------------------------------------------------------------------------


def markdown(document: Document) -> str:
    """The whole of cost.md."""
    memory_note = (
        "Times are elapsed seconds. Memory: most that was resident at once in a process that did "
        "nothing but this, interpreter, libraries, weights and the picture included."
    )
    parts = [f"# {document['name']}", document["description"], table(document), memory_note]
    for entry in document["sizes"]:
        for name, found in entry["codecs"].items():
            if "error" in found:
                parts.append(f"{name} failed at {entry['megapixels']:g} MP: {found['error']}")
    return "\n\n".join(parts) + "\n"


def table(document: Document, megapixels: Sequence[float] | None = None) -> str:
    """Seconds, ratios to the peers, and memory, as a Markdown table of all sizes, or of those
    given."""
    entries = [e for e in document["sizes"] if megapixels is None or e["megapixels"] in megapixels]
    peers = [peer for peer in PEERS if any(peer in entry["codecs"] for entry in entries)]
    header = ["megapixels", "codec", "bpp", "encode s", "decode s"]
    header += [f"{what} / {peer}" for peer in peers for what in ("encode", "decode")]
    header += ["encode MiB", "decode MiB"]
    rows = []
    for entry in entries:
        for name, found in entry["codecs"].items():
            times = [found.get(f"{way}_time") for way, _ in _WAYS]
            row = [f"{entry['megapixels']:g}", f"{name} {found['setting']:g}", _bpp(entry, found)]
            row += ["-" if t is None else f"{t:.3g}" for t in times]
            for peer in peers:
                others = [entry["codecs"].get(peer, {}).get(f"{way}_time") for way, _ in _WAYS]
                pairs = zip(times, others, strict=True)
                row += [f"{a / b:.2f}" if a and b else "-" for a, b in pairs]
            peaks = [found.get("memory", {}).get(way) for way, _ in _WAYS]
            rows.append(row + ["-" if peak is None else f"{peak:.0f}" for peak in peaks])
    return markdown_table(header, rows)


def _bpp(entry: dict[str, Any], found: dict[str, Any]) -> str:
    if "bytes" not in found:
        return "-"
    return f"{8 * found['bytes'] / (entry['width'] * entry['height']):.3f}"


def plot(document: Document, what: str, paths: Sequence[Path]) -> None:
    """Seconds ("time") or MiB ("memory") over megapixels, encoding solid and decoding dashed."""
    figure, axes = plots.new_figure()
    axes.set_xscale("log")
    axes.set_yscale("log")
    names = list(dict.fromkeys(name for e in document["sizes"] for name in e["codecs"]))
    ends = []
    for index, name in enumerate(names):
        for way, dashes in _WAYS:
            points = _points(document, name, way, what)
            style = {**plots.measured_style(index), "linestyle": dashes}
            ends += plots.line(axes, f"{name}, {way}", points, style)
    if ends:
        plots.plain_ticks(axes, _TICKS, "x")
        plots.plain_ticks(axes, _TICKS, "y")
    axes.set_xlabel("megapixels")
    label = {"time": "seconds", "memory": "peak memory of the process (MiB)"}[what]
    axes.set_ylabel(label)
    axes.set_title(document["name"])
    axes.set_ylim(*axes.get_ylim())
    plots.labels_right(axes, ends)
    plots.save(figure, paths)


def _points(document: Document, name: str, way: str, what: str) -> list[tuple[float, float]]:
    points = []
    for entry in document["sizes"]:
        found = entry["codecs"].get(name, {})
        value = found.get(f"{way}_time") if what == "time" else found.get("memory", {}).get(way)
        if value is not None:
            points.append((entry["megapixels"], value))
    return points
