"""One picture through several codecs at the same size, as a table and as a picture."""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .metrics import psnr

GAP, BAND = 12, 40
INK, PAPER, SOFT = (24, 24, 27), (255, 255, 255), (113, 113, 122)


@dataclass(frozen=True)
class Outcome:
    """A picture as one codec keeps it."""

    label: str
    setting: float
    data: bytes
    psnr: float
    encode_seconds: float
    decode_seconds: float
    image: Image.Image

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return len(self.data)


@dataclass(frozen=True)
class Peer:
    """A codec whose quality is searched for a given size: Pillow format, options, quality range."""

    label: str
    format: str
    options: dict[str, Any]
    lowest: int
    highest: int


PEERS = (
    Peer("JPEG", "JPEG", {"optimize": True, "progressive": True}, 1, 95),
    Peer("WebP", "WEBP", {"method": 6}, 0, 100),
    Peer("AVIF", "AVIF", {"subsampling": "4:4:4"}, 0, 100),
)


def code(
    image: Image.Image, label: str, setting: float, format_: str, options: dict[str, Any]
) -> Outcome:
    """Encode to bytes and decode from them, timed; PSNR against `image` (RGB)."""
    buffer = io.BytesIO()
    start = time.perf_counter()
    image.save(buffer, format_, quality=setting, **options)
    encoded = time.perf_counter()
    decoded = Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")
    decoded.load()
    done = time.perf_counter()
    return Outcome(
        label=label,
        setting=setting,
        data=buffer.getvalue(),
        psnr=psnr(np.asarray(image), np.asarray(decoded)),
        encode_seconds=encoded - start,
        decode_seconds=done - encoded,
        image=decoded,
    )


def match_size(image: Image.Image, peer: Peer, size: int) -> Outcome:
    """The codec at the quality whose file is nearest to `size` bytes."""
    low, high = peer.lowest, peer.highest
    while low < high:  # the lowest quality whose file is not smaller
        middle = (low + high) // 2
        if _size(image, peer, middle) < size:
            low = middle + 1
        else:
            high = middle
    nearest = min({max(low - 1, peer.lowest), low}, key=lambda q: abs(_size(image, peer, q) - size))
    return code(image, peer.label, nearest, peer.format, peer.options)


def _size(image: Image.Image, peer: Peer, quality: int) -> int:
    buffer = io.BytesIO()
    image.save(buffer, peer.format, quality=quality, **peer.options)
    return buffer.tell()


def compare(
    image: Image.Image, quality: float, progress: Callable[[str], object] | None = None
) -> list[Outcome]:
    """`.mlic` at `quality`, then every peer at about the same size.

    The first use of a model loads it; that is not part of the times.
    """
    say = progress or (lambda _: None)
    image = image.convert("RGB")
    say("loading the model")
    code(image.crop((0, 0, 64, 64)), "", quality, "MLIC", {})
    say(".mlic")
    outcomes = [code(image, ".mlic", quality, "MLIC", {})]
    for peer in PEERS:
        say(peer.label)
        outcomes.append(match_size(image, peer, outcomes[0].size))
    return outcomes


def table(outcomes: list[Outcome], pixels: int) -> str:
    """The outcomes as lines of text."""
    lines = [
        f"{'':8}{'quality':>8}{'bytes':>9}{'bpp':>8}{'PSNR dB':>9}{'encode s':>10}{'decode s':>10}"
    ]
    lines += [
        f"{o.label:8}{o.setting:8g}{o.size:9}{8 * o.size / pixels:8.3f}{o.psnr:9.2f}"
        f"{o.encode_seconds:10.2f}{o.decode_seconds:10.2f}"
        for o in outcomes
    ]
    return "\n".join(lines)


def sheet(
    original: Image.Image, outcomes: list[Outcome], box: tuple[int, int, int, int], zoom: int = 2
) -> Image.Image:
    """Original and outcomes side by side, below each the region `box` enlarged `zoom` times."""
    original = original.convert("RGB")
    columns = [("original", "", original)]
    columns += [(o.label, f"{o.size / 1000:.1f} kB   {o.psnr:.2f} dB", o.image) for o in outcomes]
    detail = ((box[2] - box[0]) * zoom, (box[3] - box[1]) * zoom)
    width = max(original.width, detail[0])
    out = Image.new(
        "RGB",
        (GAP + len(columns) * (width + GAP), BAND + original.height + 2 * GAP + detail[1]),
        PAPER,
    )
    draw = ImageDraw.Draw(out)
    bold, plain = ImageFont.load_default(22), ImageFont.load_default(18)
    for i, (label, note, image) in enumerate(columns):
        left = GAP + i * (width + GAP)
        draw.text((left, 8), label, fill=INK, font=bold)
        draw.text((left + width, 11), note, fill=SOFT, font=plain, anchor="ra")
        out.paste(image, (left, BAND))
        crop = image.crop(box).resize(detail, Image.Resampling.NEAREST)
        out.paste(crop, (left, BAND + original.height + GAP))
    return out
