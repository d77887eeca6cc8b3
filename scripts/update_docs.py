"""Fill the marked regions of the documentation from measured reports.

    python scripts/update_docs.py REPORTS

REPORTS is a folder that scripts/reproduce.py filled; regions without a report stay as they are. A
region lies between `<!-- begin NAME -->` and `<!-- end NAME -->`, and is never edited by hand.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pillow_mlic.evaluation import cost
from pillow_mlic.evaluation.bdrate import bd_rate
from pillow_mlic.evaluation.bench import KODAK
from pillow_mlic.evaluation.metrics import level
from pillow_mlic.evaluation.results import COLUMNS
from pillow_mlic.evaluation.tables import markdown_table, percent

ROOT = Path(__file__).resolve().parent.parent
PAGES = (
    "README.md",
    "weights/README.md",
    "docs/benchmarks.md",
    "docs/portability.md",
    "docs/scale.md",
    "docs/security.md",
)
IMAGES = {
    "kodak": (
        "rd.png",
        "rd-ms-ssim.png",
        "rd-ssimulacra2.png",
        "rd-flip.png",
        "rd-butteraugli.png",
        "band-1.png",
    ),
    "cost": ("cost-time.png", "cost-memory.png"),
}
FOR_PSNR, FOR_MS_SSIM = "mlicv2-lite", "mlicv2-lite-msssim"
LIVELY_BPP = 0.25  # about quality 2 of mlic
SPEED_MEGAPIXELS = 0.4  # about Kodak's

Report = dict[str, Any]


def bd_table(kodak: Report, valid: Report | None) -> str:
    """BD-rates of all codecs on Kodak (and beside it on the validation pictures)."""
    rates, similar = kodak["bd-rate"]["psnr-rgb"], kodak["bd-rate"]["ms-ssim-rgb"]
    cubic = kodak["bd-rate"]["cubic"]["psnr-rgb"]
    anchor = kodak["bd-rate"]["anchor"].upper()
    header = [
        "codec",
        f"Kodak, PSNR, against {anchor}",
        "by one cubic",
        f"MS-SSIM, against {anchor}",
    ]
    header.append("SSIMULACRA2, against avif")
    others: dict[str, float | None] = {}
    if valid is not None:
        others = valid["bd-rate"]["psnr-rgb"]
        header.append(f"validation photographs, PSNR, against {valid['bd-rate']['anchor']}")
        header.append("SSIMULACRA2, against avif")
    rows = []
    for name in sorted(rates, key=lambda n: rates[n] if rates[n] is not None else 1e9):
        points = against_avif(kodak, name, "ssimulacra2")  # VTM has no published ones
        figures = [rates[name], cubic[name], similar.get(name), points]
        rows.append([name, *map(percent, figures)])
        if valid is not None:
            rows[-1].append(percent(others.get(name)))
            rows[-1].append(percent(against_avif(valid, name, "ssimulacra2")))
    return markdown_table(header, rows)


def against_avif(kodak: Report, name: str, metric: str) -> float | None:
    """BD-rate of measured curves; None if one of them lacks the metric."""
    curves = [kodak["codecs"].get(each, {}) for each in ("avif", name)]
    if not all(metric in curve for curve in curves):
        return None
    points = [list(zip(curve["bpp"], levels(curve, metric), strict=True)) for curve in curves]
    try:
        return bd_rate(*points)
    except ValueError:
        return None


def levels(curve: Report, metric: str) -> list[float]:
    """A curve's values of a column that holds a metric, as BD-rates take them."""
    name = next(name for name, column in COLUMNS.items() if column == metric)
    return [level(name, value) for value in curve[metric]]


def eye_table(report: Report) -> str:
    """BD-rates of the measured codecs against AVIF by the eye's measures, and liveliness."""
    metrics = ("ssimulacra2", "butteraugli", "flip", "psnr-rgb")
    header = ["codec", "SSIMULACRA2", "Butteraugli", "FLIP", "PSNR"]
    header += [f"band {band} at {LIVELY_BPP:g} bpp" for band in (1, 2)]
    rates = {
        name: [against_avif(report, name, metric) for metric in metrics]
        for name in report["codecs"]
    }
    rows = []
    for name in sorted(rates, key=lambda n: 1e9 if rates[n][0] is None else rates[n][0]):
        curve = report["codecs"][name]
        lively = [at_bpp(curve, f"band-{band}", LIVELY_BPP) for band in (1, 2)]
        shown = ["-" if value is None else f"{value:.2f}" for value in lively]
        rows.append([name, *map(percent, rates[name]), *shown])
    return f"{report['description']}\n\n{markdown_table(header, rows)}"


def at_bpp(curve: Report, column: str, bpp: float) -> float | None:
    """A column at so many bits a pixel, linear in log rate; None outside the measured range."""
    if column not in curve or not min(curve["bpp"]) <= bpp <= max(curve["bpp"]):
        return None
    order = np.argsort(curve["bpp"])
    rates = np.log(np.array(curve["bpp"])[order])
    return float(np.interp(np.log(bpp), rates, np.array(curve[column])[order]))


def quality_table(kodak: Report) -> str:
    """Bits and fidelity of .mlic at each quality."""
    mlic = kodak["codecs"]["mlic"]
    header, columns = (
        ["quality", "bpp", "PSNR, dB"],
        [mlic["setting"], mlic["bpp"], mlic["psnr-rgb"]],
    )
    formats = ["g", ".3f", ".2f"]
    if "ms-ssim-rgb" in mlic:
        header.append("MS-SSIM, dB")
        columns.append(levels(mlic, "ms-ssim-rgb"))
        formats.append(".2f")
    if "ssimulacra2" in mlic:
        header.append("SSIMULACRA2")
        columns.append(mlic["ssimulacra2"])
        formats.append(".1f")
    for column, label, form in (
        ("butteraugli", "Butteraugli", ".2f"),
        ("flip", "FLIP", ".3f"),
        ("band-1", "band 1", ".2f"),
        ("band-2", "band 2", ".2f"),
    ):
        if column in mlic:
            header.append(label)
            columns.append(mlic[column])
            formats.append(form)
    rows = [
        [format(value, form) for value, form in zip(row, formats, strict=True)]
        for row in zip(*columns, strict=True)
    ]
    return markdown_table(header, rows)


def memory_table(kodak: Report) -> str:
    """Peak memory of each codec."""
    rows = [
        [name, *(f"{peaks[what]:.0f}" for what in ("encoding", "decoding"))]
        for name, peaks in kodak["memory"].items()
    ]
    return markdown_table(["codec", "encoding, MiB", "decoding, MiB"], rows)


def at_level(curve: Report, metric: str, value: float) -> float:
    """Bits per pixel of a codec at a PSNR or SSIMULACRA2, log-linear between its settings."""
    order = np.argsort(curve[metric])
    quality = np.array(curve[metric])[order]
    if not quality[0] <= value <= quality[-1]:
        msg = f"{metric} {value} is outside what was measured"
        raise ValueError(msg)
    return float(np.exp(np.interp(value, quality, np.log(np.array(curve["bpp"])[order]))))


def smaller(kodak: Report, metric: str, value: float, bpp: float) -> str:
    """By how much `bpp` is less than what the others need for this value of the metric."""
    parts = [
        f"{1 - bpp / at_level(kodak['codecs'][name], metric, value):.0%} smaller than {label}"
        for name, label in (("jpeg", "JPEG"), ("webp", "WebP"), ("avif", "AVIF"))
        if name in kodak["codecs"]
    ]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def headline(kodak: Report) -> str:
    """Size against the others at the looks, and at the PSNR, of quality 3."""
    mlic = kodak["codecs"]["mlic"]
    at = mlic["setting"].index(3.0)
    looks, psnr, bpp = (mlic[column][at] for column in ("ssimulacra2", "psnr-rgb", "bpp"))
    tuned = [
        f'`model="{pack}"` is tuned for {label}: {percent(found)} against AVIF by that measure'
        for pack, label, metric in (
            (FOR_PSNR, "PSNR", "psnr-rgb"),
            (FOR_MS_SSIM, "MS-SSIM", "ms-ssim-rgb"),
        )
        if (found := against_avif(kodak, f"mlic:{pack}", metric)) is not None
    ]
    return (
        f"On the 24 Kodak photographs, at the SSIMULACRA2 of its default quality 3 ({looks:.0f} "
        f"points, {bpp:.2f} bits a pixel), a `.mlic` file is "
        f"{smaller(kodak, 'ssimulacra2', looks, bpp)}; at its PSNR ({psnr:.1f} dB) it is "
        f"{smaller(kodak, 'psnr-rgb', psnr, bpp)} (real files through Pillow, its default speed "
        "for AVIF, 4:4:4; [how it was measured](docs/benchmarks.md)). The weights were trained for "
        f"SSIMULACRA2 and Butteraugli. {'; '.join(tuned)}."
    )


def regions(reports: Path) -> dict[str, str]:
    """The contents of all regions for which there is a report."""
    found: dict[str, str] = {}
    kodak, valid = (read(reports / name / "results.json") for name in ("kodak", "valid"))
    if kodak is not None:
        if {Path(name).stem for name in kodak["images"]} != KODAK:
            msg = f"{reports / 'kodak'} is not about the 24 Kodak pictures, as the docs are"
            raise ValueError(msg)
        found["headline"] = headline(kodak)
        found["bd"] = bd_table(kodak, valid)
        found["qualities"] = quality_table(kodak)
        if "flip" in kodak["codecs"].get("avif", {}):  # a report with second opinions
            found["eye"] = eye_table(kodak)
        found["kodak run"] = kodak["description"]
        if kodak["memory"]:
            found["memory"] = memory_table(kodak)
    costs = read(reports / "cost" / "cost.json")
    if costs is not None:
        sizes = [entry["megapixels"] for entry in costs["sizes"]]
        near = min(sizes, key=lambda size: abs(size - SPEED_MEGAPIXELS))
        found["ratios"] = cost.table(costs, [near])
        found["cost"] = f"{costs['description']}\n\n{cost.table(costs)}"
    for name in ("selftest", "speed", "fuzz", "scale"):
        path = reports / f"{name}.md"
        if path.exists():
            found[name] = path.read_text(encoding="utf-8").strip()
    return found


def read(path: Path) -> Report | None:
    """A JSON document, or None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def fill(text: str, contents: dict[str, str]) -> str:
    """`text` with every known region replaced."""
    for name, content in contents.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text = re.sub(pattern, lambda m, c=content: f"{m[1]}{c}\n{m[2]}", text, flags=re.S)
    return text


def main() -> None:
    """Fill all pages and copy the plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reports", type=Path, help="folder filled by scripts/reproduce.py")
    reports = parser.parse_args().reports
    try:
        contents = regions(reports)
    except ValueError as error:
        sys.exit(f"update_docs: {error}")
    for page in PAGES:
        path = ROOT / page
        path.write_text(fill(path.read_text(encoding="utf-8"), contents), encoding="utf-8")
    for report, names in IMAGES.items():
        for name in names:
            if (reports / report / name).exists():
                shutil.copyfile(reports / report / name, ROOT / "docs/images" / name)
    demo = reports / "demo" / "comparison.png"
    if demo.exists():
        with Image.open(demo) as sheet:
            sheet.save(ROOT / "docs/images/demo.webp", quality=90, method=6)
    print(f"filled: {', '.join(contents)}")


if __name__ == "__main__":
    main()
