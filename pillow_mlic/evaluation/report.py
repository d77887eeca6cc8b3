"""A bench run as files: JSON (CompressAI's layout for each codec), Markdown, plots, a web page."""

import json
from pathlib import Path
from typing import Any

from ..files import write_text
from . import page, plots
from .bdrate import Metric
from .measure import file_stem
from .metrics import ms_ssim_db
from .results import (
    BANDS,
    COLUMNS,
    DIGITS,
    NAMES,
    TIMES,
    Curve,
    Results,
    codec_json,
    results_json,
)
from .tables import markdown_table, percent

TUNING_NOTE = (
    "JPEG XL and AVIF with its default tuning are tuned for perception, not for PSNR: "
    "PSNR alone does not do them justice, so look at MS-SSIM, SSIMULACRA2 and the pictures too. "
    "Weights can be trained for SSIMULACRA2 and Butteraugli: FLIP is a second opinion."
)
RANGE_NOTE = (
    "BD-rate: bits more (+) or fewer (-) than the anchor at equal quality, averaged over the range "
    "of quality that both curves cover. Log rate over quality by PCHIP; by PSNR also by one cubic. "
    "FLIP and Butteraugli are distances, less is better: quality is the distance, negated."
)
BANDS_NOTE = (
    "Bands: detail at four sizes, finest first, root mean squares relative to the original's: 1 is "
    "as lively as the original, less is smoother. Noise counts, too, so this is no fidelity."
)
TIME_NOTE = (
    "Means over all images. Times in seconds for one image: elapsed, and processor time over all "
    "threads."
)
COST_NOTE = (
    "Times: mean over all settings and images, elapsed, as ratios within this run. Memory: "
    "most that was resident at once in a process that did nothing but encode (or decode) the "
    "largest image, interpreter, libraries and weights included."
)
_PEERS = ("avif", "jxl")


def write(results: Results, out: Path, samples: Path) -> list[Path]:
    """Write results.json, one JSON a codec, table.md, plots and report.html into `out`.

    `samples`: the folder of the pictures that `results.samples` names.
    """
    out.mkdir(parents=True, exist_ok=True)
    documents = {out / "results.json": results_json(results)}
    for curve in results.curves.values():
        documents[out / f"{file_stem(curve.name)}.json"] = codec_json(curve)
    for path, document in documents.items():
        write_text(path, json.dumps(document, indent=2) + "\n")
    write_text(out / "table.md", markdown(results))
    written = [*documents, out / "table.md"]
    drawings = []
    for metric in results.metrics:
        stem = "rd" if metric == "psnr" else f"rd-{metric}"
        paths = [out / f"{stem}.png", out / f"{stem}.svg"]
        plots.rate_distortion(results, metric, paths)
        drawings.append(paths[1])
        written += paths
    for number, column in enumerate(BANDS, start=1):
        if results.has_bands:
            paths = [out / f"{column}.png", out / f"{column}.svg"]
            plots.liveliness(results, number, paths)
            drawings.append(paths[1])
            written += paths
    write_text(out / "report.html", page.render(results, bd_columns(results), drawings, samples))
    return [*written, out / "report.html"]


# ---- Markdown ------------------------------------------------------------------------------------


def markdown(results: Results) -> str:
    """The whole of table.md: measurements, BD-rates, costs, and what failed."""
    parts = [
        f"# {results.name}",
        results.description,
        f"## BD-rate against {results.anchor_label}",
        bd_table(results),
        RANGE_NOTE,
        TUNING_NOTE,
        "## Time and memory",
        cost_table(results),
        COST_NOTE,
        "## Measurements",
        measurement_table(results),
        TIME_NOTE,
    ]
    if results.has_bands:
        parts.append(BANDS_NOTE)
    if results.monotonicities:
        parts += ["## From quality to quality", *(m.sentence() for m in results.monotonicities)]
    if results.errors:
        parts += ["## Failures", "Settings with a failure are left out above.", _failures(results)]
    return "\n\n".join(parts) + "\n"


def measurement_table(results: Results) -> str:
    """Codec, setting, bpp, quality and times as a Markdown table."""
    bands = BANDS if results.has_bands else ()
    header = ["codec", "setting", "bpp", *map(_with_unit, results.metrics)]
    header += [band.replace("-", " ") for band in bands]
    header += ["enc s", "dec s", "enc CPU s", "dec CPU s"]
    rows = []
    for curve in results.curves.values():
        for i, setting in enumerate(curve.settings):
            values = {name: column[i] for name, column in curve.columns.items()}
            row = [curve.name, f"{setting:g}", f"{values['bpp']:.4f}"]
            for metric in results.metrics:
                row.append(_figure(metric, values.get(COLUMNS[metric])))
            row += [f"{values[band]:.3f}" if band in values else "-" for band in bands]
            rows.append(row + [f"{values[name]:.3f}" for name in TIMES])
    return markdown_table(header, rows)


def _with_unit(metric: Metric) -> str:
    return f"{NAMES[metric]} dB" if metric in ("psnr", "ms-ssim") else NAMES[metric]


def _figure(metric: Metric, value: float | None) -> str:
    """A mean as people read it: MS-SSIM in dB, distances as they are."""
    if value is None:
        return "-"
    shown = ms_ssim_db(value) if metric == "ms-ssim" else value
    return f"{shown:.{DIGITS[metric]}f}"


def bd_columns(results: Results) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the BD-rates."""
    others = [metric for metric in results.metrics if metric != "psnr"]
    header = ["codec", "PSNR", "PSNR, cubic", *(NAMES[metric] for metric in others)]
    header += ["range of PSNR, dB", "note"]
    rows = []
    for rate in results.bd_rates:
        covered = "-"
        if rate.low is not None and rate.high is not None:
            covered = f"{rate.low:.1f} - {rate.high:.1f}"
        pchip, cubic = rate.rates["pchip"], rate.rates["cubic"]
        figures = [pchip["psnr"], cubic["psnr"], *(pchip[metric] for metric in others)]
        rows.append([rate.name, *map(percent, figures), covered, rate.note])
    if not any(rate.note for rate in results.bd_rates):
        header, rows = header[:-1], [row[:-1] for row in rows]
    return header, rows


def bd_table(results: Results) -> str:
    """BD-rates as a Markdown table."""
    return markdown_table(*bd_columns(results))


def cost_table(results: Results) -> str:
    """Times as ratios to the usual peers, and peak memory."""
    peers = [name for name in _PEERS if name in results.curves]
    header = ["codec", "enc s", "dec s"]
    header += [f"{what} / {peer}" for peer in peers for what in ("enc", "dec")]
    header += ["enc MiB", "dec MiB"]
    rows = []
    for curve in results.curves.values():
        times = _mean_times(curve)
        row = [curve.name, *("-" if time is None else f"{time:.3f}" for time in times)]
        for peer in peers:
            pairs = zip(times, _mean_times(results.curves[peer]), strict=True)
            row += ["-" if not (a and b) else f"{a / b:.2f}" for a, b in pairs]
        peaks = [curve.memory.get(what) for what in ("encoding", "decoding")]
        rows.append(row + ["-" if peak is None else f"{peak:.0f}" for peak in peaks])
    return markdown_table(header, rows)


def _mean_times(curve: Curve) -> list[float | None]:
    columns = [curve.columns.get(name) for name in TIMES[:2]]
    return [sum(column) / len(column) if column else None for column in columns]


def _failures(results: Results) -> str:
    rows = [_failure(row) for row in results.errors]
    return markdown_table(["codec", "setting", "image", "error"], rows)


def _failure(row: dict[str, Any]) -> list[str]:
    return [str(row["codec"]), f"{row['setting']:g}", str(row["image"]), str(row["error"])]
