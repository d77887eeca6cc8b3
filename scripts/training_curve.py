"""Draw how far each hour of training took the default weights.

    python scripts/training_curve.py [--out docs/images/training-hours.png]

The figures are those of the table in weights/README.md whose first heading is "run": there a row
is a run of `minutes` minutes, and what its weights need against Pillow's default AVIF, in percent
of the bytes, by each measure (scripts/judge.py).
"""

import argparse
import re
from pathlib import Path

from pillow_mlic.evaluation.plots import labels_right, line, measured_style, new_figure, save

ROOT = Path(__file__).resolve().parent.parent
CARD = ROOT / "weights" / "README.md"
MEASURES = ("SSIMULACRA2", "Butteraugli", "FLIP", "PSNR")

Points = dict[str, list[tuple[float, float]]]


def rows(card: str) -> list[dict[str, str]]:
    """The table's rows by heading; ValueError if there is no such table."""
    table = re.search(r"^\| run \|.*\n\|[-| ]+\n((?:\|.*\n)+)", card, re.MULTILINE)
    if table is None:
        msg = f"{CARD} has no table whose first heading is 'run'"
        raise ValueError(msg)
    header, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.group(0).splitlines()
    )
    return [dict(zip(header, line, strict=True)) for line in lines]


def points(card: str) -> Points:
    """By measure: hours of training so far and percent against AVIF, one point a row."""
    found: Points = {measure: [] for measure in MEASURES}
    minutes = 0.0
    for row in rows(card):
        minutes += float(row["minutes"])
        for measure in MEASURES:
            percent = float(row[measure].rstrip(" %"))
            found[measure].append((minutes / 60, percent))
    return found


def main() -> None:
    """Read the card, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ROOT / "docs" / "images" / "training-hours.png"
    parser.add_argument("--out", type=Path, default=default, help="default: %(default)s")
    args = parser.parse_args()
    figure, axes = new_figure()
    ends = []
    for i, (measure, curve) in enumerate(points(CARD.read_text(encoding="utf-8")).items()):
        ends += line(axes, measure, curve, measured_style(i))
    axes.axhline(0, color="#000000", linewidth=1)
    axes.set_xlim(left=0)
    axes.set_xlabel("hours of training for looks, two cores")
    axes.set_ylabel("bytes against Pillow's default AVIF (%)")
    axes.set_title("Kodak, 12 pictures, four qualities")
    axes.set_ylim(*axes.get_ylim())
    labels_right(axes, ends)
    save(figure, [args.out])


if __name__ == "__main__":
    main()
