"""Plots of results on white: curves have labels at their ends, and differ not only in colour."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .bdrate import Metric, published, published_label, published_names
from .metrics import DISTANCES
from .results import BANDS, COLUMNS, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRIC_LABELS: dict[Metric, str] = {
    "psnr": "PSNR of RGB (dB)",
    "ms-ssim": "MS-SSIM (dB)",
    "ssimulacra2": "SSIMULACRA2",
    "flip": "FLIP (distance: higher up is better)",
    "butteraugli": "Butteraugli, 3-norm (distance: higher up is better)",
}
COLOURS = ("#0072b2", "#d55e00", "#00805f", "#b5528e", "#8a6d00", "#2f7fb0", "#6a3fb5", "#c01048")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
_PUBLISHED_COLOURS = ("#000000", "#5a5a5a", "#7a5c2e", "#843c39", "#3d6b5c")
_DASHES = ("--", ":", "-.", (0, (6, 1.5, 1, 1.5)), (0, (1, 1)))
_LABEL_GAP = 0.047  # of the height of the axes
_BPP_TICKS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
_BAND_SIZES = ("finest detail", "fine detail", "middle detail", "coarse detail")

_Style = dict[str, Any]
_End = tuple[str, str, tuple[float, float]]  # text, colour, last point of the curve


def rate_distortion(results: Results, metric: Metric, paths: Sequence[Path]) -> None:
    """Rate-distortion curves in one metric; the suffixes of `paths` choose the formats.

    Measured curves are solid with a marker each and named at the right; for Kodak the published
    ones are dashed and named at the left. Distances are drawn as they are, on an axis that is
    upside down, so that better is higher everywhere.
    """
    figure, axes = new_figure()
    axes.set_xscale("log")
    distance = metric in DISTANCES
    if distance:
        axes.invert_yaxis()
    ends: list[_End] = []
    for i, curve in enumerate(results.curves.values()):
        points = curve.values(COLUMNS[metric]) if distance else curve.points(metric)
        ends += line(axes, curve.name, points, measured_style(i))
    others: list[_End] = []
    for i, name in enumerate(published_names() if results.kodak else []):
        others += line(axes, published_label(name), published(name, metric), _published_style(i))
    _finish(axes, results.name, METRIC_LABELS[metric], ends)
    _labels_left(axes, others)
    save(figure, paths)


def liveliness(results: Results, band: int, paths: Sequence[Path]) -> None:
    """The energy of one band (1 to 4, finest first) against bits a pixel, the original's at 1."""
    figure, axes = new_figure()
    axes.set_xscale("log")
    axes.axhline(1, color="#000000", linewidth=1)
    ends: list[_End] = []
    for i, curve in enumerate(results.curves.values()):
        ends += line(axes, curve.name, curve.values(BANDS[band - 1]), measured_style(i))
    label = f"{_BAND_SIZES[band - 1]} (band {band}), relative to the original"
    _finish(axes, results.name, label, ends)
    save(figure, paths)


def _finish(axes: "Axes", title: str, label: str, ends: list[_End]) -> None:
    """Ticks, titles and the names of the measured curves."""
    if axes.has_data():
        plain_ticks(axes, _BPP_TICKS)
    axes.set_xlabel("bits per pixel (whole file)")
    axes.set_ylabel(label)
    axes.set_title(title)
    axes.set_ylim(*axes.get_ylim())  # the labels are placed by these limits
    labels_right(axes, ends)


def new_figure() -> "tuple[Figure, Axes]":
    """An empty plot with a grid: white also where the page around it is dark."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 6.0), facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def save(figure: "Figure", paths: Sequence[Path]) -> None:
    """Write the figure to every path, the same bytes for the same content."""
    from matplotlib import rc_context

    for path in paths:
        vector = path.suffix == ".svg"
        with rc_context({"svg.hashsalt": "mlic"}):
            figure.savefig(path, dpi=150, metadata={"Date": None} if vector else None)


def measured_style(index: int) -> _Style:
    """Colour and marker of the curve number `index`."""
    marker = MARKERS[index % len(MARKERS)]
    colour = COLOURS[index % len(COLOURS)]
    return {"color": colour, "marker": marker, "markersize": 5, "linewidth": 2}


def _published_style(index: int) -> _Style:
    colour = _PUBLISHED_COLOURS[index % len(_PUBLISHED_COLOURS)]
    return {"color": colour, "linestyle": _DASHES[index % len(_DASHES)], "linewidth": 1.4}


def plain_ticks(axes: "Axes", ticks: Sequence[float], which: Literal["x", "y"] = "x") -> None:
    """Plain numbers instead of powers of ten, those of `ticks` that lie within the limits."""
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    shown = [tick for tick in ticks if low <= tick <= high]
    set_ticks = axes.set_xticks if which == "x" else axes.set_yticks
    set_ticks(shown, [f"{tick:g}" for tick in shown])
    set_ticks([], minor=True)


def line(
    axes: "Axes", name: str, points: Sequence[tuple[float, float]], style: _Style
) -> list[_End]:
    """Draw one curve; returns where its label belongs, or nothing if there is no finite point."""
    finite = sorted(point for point in points if math.isfinite(point[1]))
    if not finite:
        return []
    axes.plot([x for x, _ in finite], [y for _, y in finite], **style)
    return [(name, style["color"], finite[-1])]


def labels_right(axes: "Axes", ends: list[_End]) -> None:
    """Names beside the axes, each at the height of its curve's end if there is room."""
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
