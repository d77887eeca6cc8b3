"""One picture through several codecs at equal bytes or equal PSNR, as a table and as a picture."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from ..format.geometry import Box
from . import details, matching, metrics
from .bdrate import Metric
from .codecs import Codec
from .tables import plain_table

MatchBy = Literal["bytes", "psnr"]

GAP, BAND = 12, 40
INK, PAPER, SOFT = (24, 24, 27), (255, 255, 255), (113, 113, 122)
MOST_COLUMN = 512  # pixels; larger pictures are shown reduced
LEAST_COLUMN = 320
_LABELS: dict[Metric, str] = {
    "psnr": "PSNR dB",
    "ms-ssim": "MS-SSIM dB",
    "ssimulacra2": "SSIMULACRA2",
}


@dataclass(frozen=True)
class CodecOutcome:
    """A picture as one codec keeps it; `fidelity` in dB, in points for SSIMULACRA2."""

    codec: Codec
    setting: float
    data: bytes
    fidelity: dict[Metric, float]
    encode_seconds: float
    decode_seconds: float
    image: Image.Image

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)


def compare(
    image: Image.Image,
    codecs: Sequence[Codec],
    *,
    quality: float | None = None,
    size: float | None = None,
    psnr: float | None = None,
    match: MatchBy = "bytes",
    progress: Callable[[str], object] | None = None,
) -> list[CodecOutcome]:
    """Each codec's version of `image` (RGB), in the order of `codecs`.

    Give one of three: `size` in bytes; `psnr` in dB; or `quality`, of the first codec, whose bytes
    or PSNR (`match`) the others then aim at. A codec that cannot reach the aim comes as near as it
    can. `progress` is told what is being done. Times do not include what a codec loads at its
    first use. ValueError for a quality that the first codec does not have.
    """
    say = progress or _silent
    outcomes: list[CodecOutcome] = []
    for codec in codecs:
        say(codec.label)
        codec.weights(codec.settings[0])
        if size is not None:
            setting, _ = matching.to_size(codec, image, round(size))
        elif psnr is not None:
            setting, _ = matching.to_psnr(codec, image, psnr)
        else:
            setting = _quality(codec, quality)
        outcomes.append(_code(image, codec, setting))
        if size is None and psnr is None:  # the first of them says it for the others
            size = outcomes[0].size if match == "bytes" else None
            psnr = outcomes[0].fidelity["psnr"] if match == "psnr" else None
    return outcomes


def _quality(codec: Codec, quality: float | None) -> float:
    chosen = codec.middle if quality is None else quality
    if not codec.lowest <= chosen <= codec.highest:
        msg = (
            f"quality is {chosen:g}, but {codec.label}'s goes from {codec.lowest:g} to "
            f"{codec.highest:g}"
        )
        raise ValueError(msg)
    return chosen


def _code(image: Image.Image, codec: Codec, setting: float) -> CodecOutcome:
    """Encode to bytes and decode from them, timed."""
    start = time.perf_counter()
    data = codec.encode(image, setting)
    encoded = time.perf_counter()
    decoded = codec.decode(data)
    done = time.perf_counter()
    decoded = decoded.convert("RGB")
    return CodecOutcome(
        codec=codec,
        setting=setting,
        data=data,
        fidelity=_fidelity(image, decoded),
        encode_seconds=encoded - start,
        decode_seconds=done - encoded,
        image=decoded,
    )


def _fidelity(image: Image.Image, decoded: Image.Image) -> dict[Metric, float]:
    """Every metric of `_LABELS` that is installed and that the picture is large enough for.

    The other metrics are left to `mlic bench`, where a second a picture does not matter.
    """
    return {
        name: metrics.level(name, metrics.METRICS[name](image, decoded))
        for name in _LABELS
        if name in metrics.available() and min(image.size) >= metrics.LEAST_SIDES.get(name, 0)
    }


def _silent(_: str) -> None:
    """Report to nobody."""


# ---- as text -------------------------------------------------------------------------------------


def table(outcomes: Sequence[CodecOutcome]) -> str:
    """One line a codec."""
    measured = outcomes[0].fidelity
    pixels = outcomes[0].image.width * outcomes[0].image.height
    header = ["", "quality", "bytes", "bpp", *(_LABELS[m] for m in measured)]
    rows = [
        [
            o.codec.label,
            f"{o.setting:.4g}",
            f"{o.size}",
            f"{8 * o.size / pixels:.3f}",
            *(f"{o.fidelity[m]:.2f}" for m in measured),
            f"{o.encode_seconds:.2f}",
            f"{o.decode_seconds:.2f}",
        ]
        for o in outcomes
    ]
    return plain_table([*header, "encode s", "decode s"], rows)


# ---- as a picture --------------------------------------------------------------------------------


def choose_boxes(original: Image.Image, outcomes: Sequence[CodecOutcome], zoom: int) -> list[Box]:
    """Two places to look at: the one richest in detail, and another where the codecs do worst."""
    width = _column(original) // zoom
    size = (width, width * 3 // 4)
    first = details.most_detailed(original, size)
    if first[2:] == original.size and first[:2] == (0, 0):
        return [first]
    pictures = [outcome.image for outcome in outcomes]
    return [first, details.most_different(original, pictures, size, first)]


def sheet(
    original: Image.Image, outcomes: Sequence[CodecOutcome], boxes: Sequence[Box], zoom: int = 2
) -> Image.Image:
    """Original (RGB) and outcomes side by side, below each the `boxes` enlarged `zoom` times."""
    width = _column(original)
    width = max([width, *((box[2] - box[0]) * zoom for box in boxes)])
    overview = _overview(original, width)
    heights = [overview.height, *((box[3] - box[1]) * zoom for box in boxes)]
    columns = [("original", "", original)]
    columns += [(outcome.codec.label, _note(outcome), outcome.image) for outcome in outcomes]
    total = (GAP + len(columns) * (width + GAP), BAND + sum(heights) + GAP * len(heights))
    out = Image.new("RGB", total, PAPER)
    draw = ImageDraw.Draw(out)
    bold, plain = ImageFont.load_default(22), ImageFont.load_default(18)
    for i, (label, note, image) in enumerate(columns):
        left, top = GAP + i * (width + GAP), BAND
        draw.text((left, 8), label, fill=INK, font=bold)
        draw.text((left + width, 11), note, fill=SOFT, font=plain, anchor="ra")
        out.paste(_overview(image, width), (left, top))
        for box, above in zip(boxes, heights, strict=False):
            top += above + GAP
            crop = image.crop(box)
            size = (crop.width * zoom, crop.height * zoom)
            out.paste(crop.resize(size, Image.Resampling.NEAREST), (left, top))
    return out


def _column(original: Image.Image) -> int:
    return min(max(original.width, LEAST_COLUMN), MOST_COLUMN)


def _overview(image: Image.Image, width: int) -> Image.Image:
    """The whole picture, at most `width` wide and twice as high."""
    small = image.copy()
    small.thumbnail((width, 2 * width), Image.Resampling.LANCZOS)
    return small


def _note(outcome: CodecOutcome) -> str:
    """Size and PSNR, and SSIMULACRA2 where it was measured."""
    points = outcome.fidelity.get("ssimulacra2")
    looks = "" if points is None else f"   SSIMULACRA2 {points:.0f}"
    return f"{outcome.size / 1000:.1f} kB   {outcome.fidelity['psnr']:.1f} dB{looks}"
