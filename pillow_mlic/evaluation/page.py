"""The report as one self-contained web page: tables, plots, pictures with a divider.

The template report.html lies beside this module. Pictures are data URIs; a content security policy
in the page forbids the browser to fetch anything.
"""

import base64
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from .results import Results, SampleImage, Samples

ORIGINAL = "original"
_TYPES = {".svg": "image/svg+xml", ".webp": "image/webp"}
_NOTE = (
    "Bits more (+) or fewer (-) than the anchor at equal quality. Codecs tuned for how pictures "
    "look (JPEG XL, AVIF by default) do worse by PSNR than they look. Nothing here was trained for "
    "FLIP; bands say how lively a picture is, 1 as lively as the original."
)
_SAMPLES_NOTE = (
    "A detail of each picture, from files of about the same size. Drag over the picture, or focus "
    "it and use the arrow keys (Page Up and Page Down for larger steps, Home and End for the "
    "edges). Sizes and PSNR are those of the whole files; to keep this page small, the details "
    "themselves are shown as WebP of high quality."
)


def render(
    results: Results,
    bd_table: tuple[list[str], list[list[str]]],
    drawings: Sequence[Path],
    samples: Path,
) -> str:
    """The page. `drawings`: plots as SVG; `samples`: the folder of what `results.samples` names."""
    text = resources.files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    pictures = [_figure(each, samples) for each in results.samples]
    if pictures:
        pictures.insert(0, f'<h2>Pictures</h2>\n<p class="note">{escape(_SAMPLES_NOTE)}</p>')
    return Template(text).substitute(
        title=escape(results.name),
        description=escape(results.description),
        anchor=escape(results.anchor_label),
        bd_table=_table(*bd_table),
        notes=escape(_NOTE),
        plots="\n".join(map(_plot, drawings)),
        pictures="\n".join(pictures),
    )


def _plot(path: Path) -> str:
    alt = f"Rate-distortion curves, {path.stem}"
    return f'<p><img class="plot" alt="{escape(alt)}" src="{_data_uri(path)}"></p>'


def _figure(each: Samples, folder: Path) -> str:
    versions = [(ORIGINAL, each.original), *((image.codec, image.file) for image in each.images)]
    codecs = [image.codec for image in each.images]
    left = "mlic" if "mlic" in codecs else ORIGINAL
    right = "avif" if "avif" in codecs else next((c for c in codecs if c != left), ORIGINAL)
    images = "\n".join(
        f'<img alt="{escape(name)}" data-name="{escape(name)}"{_side(name, left, right)} '
        f'src="{_data_uri(folder / file)}">'
        for name, file in versions
    )
    divider = f"Divider between left and right on {each.picture}"
    names = [name for name, _ in versions]
    rows = [_row(image) for image in each.images]
    return f"""<figure class="compare">
<figcaption><b>{escape(each.picture)}</b></figcaption>
<div class="view" style="width: {each.width}px; aspect-ratio: {each.width} / {each.height}">
{images}
<div class="divider"></div>
<input type="range" min="0" max="100" value="50" step="1" aria-label="{escape(divider)}">
</div>
<div class="sides">
{_choice("left", names, left)}
{_choice("right", names, right)}
</div>
{_table(["codec", "quality", "bytes", "bits a pixel", "PSNR, dB"], rows)}
</figure>"""


def _side(name: str, left: str, right: str) -> str:
    sides = [side for side, shown in (("left", left), ("right", right)) if name == shown]
    return f' class="{" ".join(sides)}"' if sides else ""


def _choice(side: str, names: Sequence[str], chosen: str) -> str:
    options = "".join(
        f"<option{' selected' if name == chosen else ''}>{escape(name)}</option>" for name in names
    )
    return f'<label>{side.capitalize()}: <select class="{side}">{options}</select></label>'


def _row(image: SampleImage) -> list[str]:
    return [
        image.codec,
        f"{image.setting:.2f}".rstrip("0").rstrip("."),
        f"{image.size}",
        f"{image.bpp:.3f}",
        f"{image.psnr:.2f}",
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _data_uri(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:{_TYPES[path.suffix]};base64,{data}"
