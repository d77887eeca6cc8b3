"""Fill the marked regions of the documentation from the output of `mlic bench` and its kin.

    python scripts/update_docs.py --kodak REPORT --valid REPORT --selftest TABLE --speed TABLE

A region lies between `<!-- begin NAME -->` and `<!-- end NAME -->`. No figure in the documentation
is typed by hand.
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "weights/README.md", "docs/benchmarks.md", "docs/portability.md")


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bd_table(kodak: dict[str, Any], valid: dict[str, Any] | None) -> str:
    """BD-rates of all codecs on Kodak (and beside it on the validation pictures)."""
    rates = kodak["bd-rate"]["psnr-rgb"]
    similar = kodak["bd-rate"]["ms-ssim-rgb"]
    header = ["codec", "Kodak, PSNR, against VTM-17.0", "Kodak, MS-SSIM, against VTM-17.0"]
    others: dict[str, float] = {}
    if valid is not None:
        anchor = valid["bd-rate"]["anchor"]
        others = {**valid["bd-rate"]["psnr-rgb"], anchor: 0.0}
        header.append(f"validation photographs, PSNR, against {anchor}")
    rows = []
    for name in sorted(rates, key=lambda n: rates[n] if rates[n] is not None else 1e9):
        row = [name, percent(rates[name]), percent(similar.get(name))]
        if valid is not None:
            row.append(percent(others.get(name)))
        rows.append(row)
    return table(header, rows)


def percent(value: float | None) -> str:
    """+12.3 %, or a dash."""
    return "-" if value is None else f"{value:+.1f} %"


def quality_table(kodak: dict[str, Any]) -> str:
    """Bits and fidelity of .mlic at each quality."""
    mlic = kodak["codecs"]["mlic"]
    rows = [
        [f"{q:g}", f"{bpp:.3f}", f"{psnr:.2f}"]
        for q, bpp, psnr in zip(mlic["setting"], mlic["bpp"], mlic["psnr-rgb"], strict=True)
    ]
    return table(["quality", "bpp", "PSNR, dB"], rows)


def at_psnr(curve: dict[str, Any], psnr: float) -> float:
    """Bits per pixel of a codec at a PSNR, log-linear between its settings."""
    import numpy as np

    order = np.argsort(curve["psnr-rgb"])
    quality = np.array(curve["psnr-rgb"])[order]
    if not quality[0] <= psnr <= quality[-1]:
        msg = f"{psnr} dB is outside what was measured"
        raise ValueError(msg)
    return float(np.exp(np.interp(psnr, quality, np.log(np.array(curve["bpp"])[order]))))


def headline(kodak: dict[str, Any]) -> str:
    """Size against the others at the fidelity of quality 3, one sentence."""
    mlic = kodak["codecs"]["mlic"]
    at = mlic["setting"].index(3.0)
    psnr, bpp = mlic["psnr-rgb"][at], mlic["bpp"][at]
    parts = [
        f"{1 - bpp / at_psnr(kodak['codecs'][name], psnr):.0%} smaller than {label}"
        for name, label in (("jpeg", "JPEG"), ("webp", "WebP"), ("avif", "AVIF"))
        if name in kodak["codecs"]
    ]
    similar = kodak["bd-rate"]["ms-ssim-rgb"]
    behind = ""
    if similar.get("avif") is not None and similar["avif"] < similar["mlic"]:
        behind = " By MS-SSIM default AVIF is still ahead."
    return (
        f"On the 24 Kodak photographs, at the PSNR of its default quality 3 ({psnr:.1f} dB, "
        f"{bpp:.2f} bits a pixel), a `.mlic` file is {', '.join(parts[:-1])} and {parts[-1]} (real "
        f"files through Pillow, its default speed for AVIF, 4:4:4; [how it was measured]"
        "(docs/benchmarks.md)). AVIF's default is tuned for how pictures look, not for PSNR."
        + behind
    )


def fill(text: str, regions: dict[str, str]) -> str:
    """`text` with every known region replaced."""
    for name, content in regions.items():
        pattern = rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)"
        text = re.sub(pattern, lambda m, c=content: f"{m[1]}{c}\n{m[2]}", text, flags=re.S)
    return text


def main() -> None:
    """Fill all pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kodak", type=Path, required=True, help="output folder of mlic bench")
    parser.add_argument("--valid", type=Path, help="the same for the validation photographs")
    parser.add_argument("--selftest", type=Path, help="file written by mlic selftest -o")
    parser.add_argument("--speed", type=Path, help="output of scripts/measure_speed.py")
    args = parser.parse_args()
    kodak = json.loads((args.kodak / "results.json").read_text(encoding="utf-8"))
    valid = None
    if args.valid:
        valid = json.loads((args.valid / "results.json").read_text(encoding="utf-8"))
    regions = {
        "headline": headline(kodak),
        "bd": bd_table(kodak, valid),
        "qualities": quality_table(kodak),
    }
    if args.selftest:
        regions["selftest"] = args.selftest.read_text(encoding="utf-8").strip()
    if args.speed:
        regions["speed"] = args.speed.read_text(encoding="utf-8").strip()
    for page in PAGES:
        path = ROOT / page
        path.write_text(fill(path.read_text(encoding="utf-8"), regions), encoding="utf-8")
    shutil.copyfile(args.kodak / "rd.png", ROOT / "docs/images/rd.png")


if __name__ == "__main__":
    main()
