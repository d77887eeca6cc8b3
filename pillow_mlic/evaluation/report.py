"""What a bench run found, as JSON in CompressAI's layout, as a Markdown table and as a plot."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .bdrate import Metric, published, published_label, published_names
from .metrics import ms_ssim_db

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TUNING_NOTE = (
    "JPEG XL and AVIF with its default tuning are tuned for perception, not for PSNR: "
    "PSNR alone does not do them justice, so look at MS-SSIM and at the pictures too."
)
RANGE_NOTE = (
    "BD-rate: bits more (+) or fewer (-) than the anchor at equal quality, PCHIP of log rate over "
    "quality, over the range of quality that both curves cover."
)
TIME_NOTE = (
    "Means over all images. Times in seconds for one image: elapsed, and processor time over all "
    "threads."
)

_METRIC_LABELS: dict[Metric, str] = {"psnr": "PSNR (dB)", "ms-ssim": "MS-SSIM (dB)"}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f4fc9")
_PUBLISHED_COLOURS = ("#000000", "#6b6b6b", "#8c6d31", "#843c39", "#3d6b5c")
_LABEL_GAP = 0.047  # of the height of the axes


@dataclass(frozen=True)
class Curve:
    """The means over the images of one codec, one entry for each setting.

    `bpp` counts whole files, `psnr` is in dB, `ms_ssim` in 0..1 (empty where it was not measured),
    times are in seconds for one image.
    """

    name: str
    description: str
    settings: list[float] = field(default_factory=list)
    bpp: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    ms_ssim: list[float] = field(default_factory=list)
    encoding_time: list[float] = field(default_factory=list)
    decoding_time: list[float] = field(default_factory=list)
    encoding_cpu_time: list[float] = field(default_factory=list)
    decoding_cpu_time: list[float] = field(default_factory=list)

    def points(self, metric: Metric = "psnr") -> list[tuple[float, float]]:
        """Pairs of bpp and quality in dB; MS-SSIM is averaged first and turned into dB then."""
        quality = self.psnr if metric == "psnr" else [ms_ssim_db(value) for value in self.ms_ssim]
        return list(zip(self.bpp, quality, strict=True)) if quality else []


@dataclass(frozen=True)
class BdRate:
    """Percent more bits than the anchor; None where it cannot be said, and `note` why not.

    `low`, `high`: the range of PSNR in dB that the figure is about.
    """

    name: str
    psnr: float | None
    ms_ssim: float | None
    low: float | None
    high: float | None
    note: str = ""


@dataclass(frozen=True)
class Results:
    """All that a bench run measured; `errors` are rows with codec, setting, image and error."""

    name: str
    description: str
    images: list[str]
    curves: dict[str, Curve]
    anchor: str
    bd_rates: list[BdRate]
    errors: list[dict[str, Any]]
    kodak: bool


def write(results: Results, out: Path) -> list[Path]:
    """Write results.json, one JSON a codec, table.md, rd.png and rd.svg into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    documents = {out / "results.json": results_json(results)}
    for curve in results.curves.values():
        documents[out / f"{file_stem(curve.name)}.json"] = codec_json(curve)
    for path, document in documents.items():
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    table = out / "table.md"
    table.write_text(markdown(results), encoding="utf-8")
    plots = [out / "rd.png", out / "rd.svg"]
    plot(results, plots)
    return [*documents, table, *plots]


def file_stem(codec: str) -> str:
    """A file name for a codec's name: "mlic-mlic++" for "mlic:mlic++"."""
    return re.sub(r"[^A-Za-z0-9._+-]", "-", codec)


# ---- JSON ----------------------------------------------------------------------------------------


def results_json(results: Results) -> dict[str, Any]:
    """Everything in one document; the lists of a codec have one entry for each setting."""
    return {
        "name": results.name,
        "description": results.description,
        "images": results.images,
        "codecs": {name: _lists(curve) for name, curve in results.curves.items()},
        "bd-rate": {
            "anchor": results.anchor,
            "psnr-rgb": {rate.name: rate.psnr for rate in results.bd_rates},
            "ms-ssim-rgb": {rate.name: rate.ms_ssim for rate in results.bd_rates},
        },
        "errors": results.errors,
    }


def codec_json(curve: Curve) -> dict[str, Any]:
    """One codec's result file as CompressAI has them."""
    return {"name": curve.name, "description": curve.description, "results": _lists(curve)}


def _lists(curve: Curve) -> dict[str, list[float]]:
    lists = {
        "setting": curve.settings,
        "bpp": curve.bpp,
        "psnr-rgb": curve.psnr,
        "ms-ssim-rgb": curve.ms_ssim,
        "encoding_time": curve.encoding_time,
        "decoding_time": curve.decoding_time,
        "encoding_cpu_time": curve.encoding_cpu_time,
        "decoding_cpu_time": curve.decoding_cpu_time,
    }
    return {key: values for key, values in lists.items() if values or key != "ms-ssim-rgb"}


# ---- Markdown ------------------------------------------------------------------------------------


def markdown(results: Results) -> str:
    """The whole of table.md: measurements, BD-rates, and what failed."""
    parts = [
        f"# {results.name}",
        results.description,
        TIME_NOTE,
        measurement_table(results),
        f"## BD-rate against {_anchor_label(results.anchor)}",
        bd_table(results),
        RANGE_NOTE,
        TUNING_NOTE,
    ]
    if results.errors:
        parts += ["## Failures", "Settings with a failure are left out above.", _failures(results)]
    return "\n\n".join(parts) + "\n"


def measurement_table(results: Results) -> str:
    """Codec, setting, bpp, quality and times as a Markdown table."""
    header = ["codec", "setting", "bpp", "PSNR dB", "MS-SSIM dB"]
    header += ["enc s", "dec s", "enc CPU s", "dec CPU s"]
    rows = []
    for curve in results.curves.values():
        for i, setting in enumerate(curve.settings):
            similarity = f"{ms_ssim_db(curve.ms_ssim[i]):.3f}" if curve.ms_ssim else "-"
            row = [curve.name, f"{setting:g}", f"{curve.bpp[i]:.4f}", f"{curve.psnr[i]:.3f}"]
            row += [similarity, f"{curve.encoding_time[i]:.3f}", f"{curve.decoding_time[i]:.3f}"]
            row += [f"{curve.encoding_cpu_time[i]:.3f}", f"{curve.decoding_cpu_time[i]:.3f}"]
            rows.append(row)
    return _table(header, rows)


def bd_table(results: Results) -> str:
    """BD-rates as a Markdown table."""
    rows = []
    for rate in results.bd_rates:
        covered = "-"
        if rate.low is not None and rate.high is not None:
            covered = f"{rate.low:.1f} - {rate.high:.1f}"
        rows.append([rate.name, _percent(rate.psnr), _percent(rate.ms_ssim), covered, rate.note])
    header = ["codec", "BD-rate by PSNR", "BD-rate by MS-SSIM", "range of PSNR, dB", "note"]
    if not any(rate.note for rate in results.bd_rates):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return _table(header, rows)


def _failures(results: Results) -> str:
    rows = [
        [str(row["codec"]), f"{row['setting']:g}", str(row["image"]), str(row["error"])]
        for row in results.errors
    ]
    return _table(["codec", "setting", "image", "error"], rows)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f} %"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor_label(anchor: str) -> str:
    return published_label(anchor) if anchor in published_names() else anchor


# ---- plot ----------------------------------------------------------------------------------------


def plot(results: Results, paths: Sequence[Path]) -> None:
    """Rate-distortion curves, PSNR and (where measured) MS-SSIM; the suffix chooses the format."""
    from matplotlib.figure import Figure

    metrics: list[Metric] = ["psnr"]
    if any(curve.ms_ssim for curve in results.curves.values()):
        metrics.append("ms-ssim")
    figure = Figure(figsize=(9.0 * len(metrics), 6.0), facecolor="white", layout="constrained")
    for index, metric in enumerate(metrics):
        axes = figure.add_subplot(1, len(metrics), index + 1)
        _draw(axes, results, metric)
    figure.suptitle(results.name)
    for path in paths:
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def _draw(axes: "Axes", results: Results, metric: Metric) -> None:
    """One panel: measured curves solid with labels at the right, published ones dashed."""
    measured = {curve.name: curve.points(metric) for curve in results.curves.values()}
    others: dict[str, list[tuple[float, float]]] = {}
    if results.kodak:
        others = {published_label(name): published(name, metric) for name in published_names()}
    axes.set_xscale("log")
    ends = []
    for i, (name, points) in enumerate(measured.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        ends += _line(axes, name, points, color=colour, marker="o", markersize=4, linewidth=2)
    other_ends = []
    for i, (name, points) in enumerate(others.items()):
        colour = _PUBLISHED_COLOURS[i % len(_PUBLISHED_COLOURS)]
        other_ends += _line(axes, name, points, color=colour, linestyle="--", linewidth=1.3)
    if ends or other_ends:
        ticks = [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
        low, high = axes.get_xlim()
        shown = [tick for tick in ticks if low <= tick <= high]
        axes.set_xticks(shown, [f"{tick:g}" for tick in shown])
        axes.set_xticks([], minor=True)
    axes.set_xlabel("bits per pixel (whole file)")
    axes.set_ylabel(_METRIC_LABELS[metric])
    axes.set_ylim(*axes.get_ylim())  # the labels below are placed by these limits
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    _labels_right(axes, ends)
    _labels_left(axes, other_ends)


_End = tuple[str, str, tuple[float, float]]  # text, colour, last point of the curve


def _line(
    axes: "Axes", name: str, points: list[tuple[float, float]], color: str, **style: Any
) -> list[_End]:
    """Draw one curve; returns where its label belongs, or nothing if there is no finite point."""
    finite = sorted(point for point in points if math.isfinite(point[1]))
    if not finite:
        return []
    axes.plot([x for x, _ in finite], [y for _, y in finite], color=color, **style)
    return [(name, color, finite[-1])]


def _labels_right(axes: "Axes", ends: list[_End]) -> None:
    """Names beside the axes, each as high as its curve's end where there is room."""
    heights = {end: _in_axes(axes, end)[1] for end in ends}
    top = math.inf
    for end in sorted(ends, key=heights.__getitem__, reverse=True):
        top = min(heights[end], top - _LABEL_GAP)
        _annotate(axes, end, (1.015, top), "left")


def _labels_left(axes: "Axes", ends: list[_End]) -> None:
    """Names of the published curves, one below the other above the curves, where it is empty."""
    if not ends:
        return
    left = min(_in_axes(axes, end)[0] for end in ends) - 0.12
    bottom = max(_in_axes(axes, end)[1] for end in ends)
    for i, end in enumerate(sorted(ends, key=lambda end: end[2][1])):
        _annotate(axes, end, (left, bottom + i * _LABEL_GAP), "right")


def _in_axes(axes: "Axes", end: _End) -> tuple[float, float]:
    """Where a curve ends, in fractions of the width and height of the axes."""
    x, y = axes.transAxes.inverted().transform(axes.transData.transform(end[2]))
    return float(x), float(y)


def _annotate(
    axes: "Axes", end: _End, place: tuple[float, float], align: Literal["left", "right"]
) -> None:
    """A label at `place` (fractions of the axes) and a thin line to the curve's end."""
    text, colour, point = end
    axes.annotate(
        text,
        xy=point,
        xytext=place,
        textcoords="axes fraction",
        color=colour,
        va="center",
        ha=align,
        arrowprops={
            "arrowstyle": "-",
            "color": colour,
            "linewidth": 0.6,
            "alpha": 0.6,
            "relpos": (0.0 if align == "left" else 1.0, 0.5),
        },
        annotation_clip=False,
    )
