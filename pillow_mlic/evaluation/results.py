"""What a bench run found: curves, BD-rates, memory, samples; and the same as JSON.

docs/reports.md describes the JSON documents for people who read them with programs.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from .bdrate import (
    METHODS,
    Measure,
    Method,
    Metric,
    Points,
    bd_rate,
    common_range,
    published,
    published_label,
    published_names,
)
from .metrics import level
from .monotonicity import Monotonicity

COLUMNS: dict[Metric, str] = {
    "psnr": "psnr-rgb",
    "ms-ssim": "ms-ssim-rgb",
    "ssimulacra2": "ssimulacra2",
    "flip": "flip",
    "butteraugli": "butteraugli",
}
"""How CompressAI's result files call the metrics (those after MS-SSIM are not among theirs)."""
BANDS = ("band-1", "band-2", "band-3", "band-4")
"""The columns of the measure "bands", finest first."""
NAMES: dict[Metric, str] = {
    "psnr": "PSNR",
    "ms-ssim": "MS-SSIM",
    "ssimulacra2": "SSIMULACRA2",
    "flip": "FLIP",
    "butteraugli": "Butteraugli",
}
"""The metrics as people write them."""
DIGITS: dict[Metric, int] = {
    "psnr": 3,
    "ms-ssim": 3,
    "ssimulacra2": 2,
    "flip": 4,
    "butteraugli": 3,
}
"""Digits after the point in tables."""
TIMES = ("encoding_time", "decoding_time", "encoding_cpu_time", "decoding_cpu_time")


def columns_of(measure: Measure) -> tuple[str, ...]:
    """The columns that a measure fills."""
    return BANDS if measure == "bands" else (COLUMNS[measure],)


@dataclass(frozen=True)
class Curve:
    """The means over the pictures of one codec, one entry for each setting.

    `columns`: "bpp" (whole files), "psnr-rgb" in dB, "ms-ssim-rgb" in 0..1, "ssimulacra2", "flip",
    "butteraugli" and `BANDS` where they were measured, and `TIMES` in seconds for one picture.
    `memory`: peak resident MiB of
    "idle", "encoding" and "decoding" processes, or empty.
    """

    name: str
    description: str
    settings: list[float] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)

    def has(self, metric: Metric) -> bool:
        """Whether the metric was measured."""
        return bool(self.columns.get(COLUMNS[metric]))

    @property
    def has_bands(self) -> bool:
        """Whether the energies of bands were measured."""
        return all(self.columns.get(name) for name in BANDS)

    def values(self, column: str) -> list[tuple[float, float]]:
        """Pairs of bpp and a column as it is; none where it was not measured."""
        found = self.columns.get(column)
        return list(zip(self.columns["bpp"], found, strict=True)) if found else []

    def quality(self, metric: Metric) -> list[float]:
        """The metric as `metrics.level` has it: means over pictures first, then dB."""
        return [level(metric, value) for value in self.columns.get(COLUMNS[metric], [])]

    def points(self, metric: Metric = "psnr") -> list[tuple[float, float]]:
        """Pairs of bpp and quality; none where the metric was not measured."""
        if not self.has(metric):
            return []
        return list(zip(self.columns["bpp"], self.quality(metric), strict=True))


@dataclass(frozen=True)
class BdRate:
    """Percent more bits than the anchor, by method and metric; None if there is no figure.

    `low`, `high`: the range of PSNR in dB that the figure covers. `note`: why there is no figure.
    """

    name: str
    rates: dict[Method, dict[Metric, float | None]]
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class SampleImage:
    """A codec's version of a picture in the report: the file shown, and its figures."""

    codec: str
    file: str
    setting: float
    size: int
    bpp: float
    psnr: float


@dataclass(frozen=True)
class Samples:
    """One picture's detail as original and through codecs in about the same number of bytes."""

    picture: str
    original: str
    width: int
    height: int
    images: list[SampleImage]


@dataclass(frozen=True)
class Results:
    """All that a bench run measured; `errors` are rows with codec, setting, image and error.

    `monotonicities`: for codecs of continuous quality, whether bytes and PSNR rise with it.
    """

    name: str
    description: str
    images: list[str]
    curves: dict[str, Curve]
    anchor: str
    bd_rates: list[BdRate]
    errors: list[dict[str, Any]]
    kodak: bool
    samples: list[Samples] = field(default_factory=list)
    monotonicities: list[Monotonicity] = field(default_factory=list)

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that some codec was measured with."""
        return [m for m in COLUMNS if any(curve.has(m) for curve in self.curves.values())]

    @property
    def has_bands(self) -> bool:
        """Whether the energies of bands were measured of some codec."""
        return any(curve.has_bands for curve in self.curves.values())

    @property
    def anchor_label(self) -> str:
        """The anchor as people write it."""
        return published_label(self.anchor) if self.anchor in published_names() else self.anchor


def bd_rates(curves: dict[str, Curve], anchor: str, kodak: bool) -> list[BdRate]:
    """BD-rates of every measured codec and, for Kodak, of the published ones."""

    def measured(name: str) -> dict[Metric, Points]:
        return {metric: curves[name].points(metric) for metric in COLUMNS}

    def paper(name: str) -> dict[Metric, Points]:
        return {metric: published(name, metric) for metric in COLUMNS}

    # One name can be both: "mlic" is a codec here and a curve of a paper.
    anchors = measured(anchor) if anchor in curves else paper(anchor)
    rates = [_bd_rate(name, anchors, measured(name)) for name in curves]
    for name in published_names() if kodak else []:
        rates.append(_bd_rate(f"{published_label(name)} (published)", anchors, paper(name)))
    return rates


def _bd_rate(name: str, anchor: dict[Metric, Points], test: dict[Metric, Points]) -> BdRate:
    rates: dict[Method, dict[Metric, float | None]] = {}
    notes: list[str] = []
    for method in METHODS:
        rates[method] = {}
        for metric in COLUMNS:
            try:
                known = anchor[metric] and test[metric]
                rates[method][metric] = (
                    bd_rate(anchor[metric], test[metric], method) if known else None
                )
            except ValueError as error:
                rates[method][metric] = None
                if method == "pchip":
                    notes.append(f"{NAMES[metric]}: {error}")
    try:
        low, high = common_range(anchor["psnr"], test["psnr"])
    except ValueError as error:
        return BdRate(name, rates, note=str(error))
    return BdRate(name, rates, low, high, "; ".join(notes))


# ---- JSON ----------------------------------------------------------------------------------------


def results_json(results: Results) -> dict[str, Any]:
    """Everything in one document; the lists of a codec have one entry for each setting."""

    def rates(method: Method) -> dict[str, dict[str, float | None]]:
        return {
            column: {rate.name: rate.rates[method][metric] for rate in results.bd_rates}
            for metric, column in COLUMNS.items()
        }

    return {
        "name": results.name,
        "description": results.description,
        "images": results.images,
        "codecs": {name: _lists(curve) for name, curve in results.curves.items()},
        "memory": {name: curve.memory for name, curve in results.curves.items() if curve.memory},
        "bd-rate": {"anchor": results.anchor, **rates("pchip"), "cubic": rates("cubic")},
        "errors": results.errors,
    }


def codec_json(curve: Curve) -> dict[str, Any]:
    """One codec's result file as CompressAI has them."""
    return {"name": curve.name, "description": curve.description, "results": _lists(curve)}


def _lists(curve: Curve) -> dict[str, list[float | None]]:
    lists = {"setting": curve.settings, **curve.columns}
    return {
        name: [value if math.isfinite(value) else None for value in values]
        for name, values in lists.items()
    }
