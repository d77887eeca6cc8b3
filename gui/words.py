"""Numbers and outcomes as people read them."""

import math
import os
from pathlib import Path

from pillow_mlic.evaluation.metrics import ms_ssim_db
from pillow_mlic.files import bytes_text

BPP = "bpp, bits per pixel: the file's size over the picture's; 24 is uncompressed."
PSNR = "PSNR: how close the pixels are to the original; every 3 dB more halve the squared error."
SSIMULACRA2 = (
    "SSIMULACRA2: how well it looks, by what people said of pictures; 90: no difference is seen, "
    "70: high quality, 50: medium."
)
MS_SSIM = "MS-SSIM: how well structures are kept, nearer to what eyes see; more dB are closer."


def psnr(value: float) -> str:
    """33.1 dB, or words for a lossless picture."""
    return f"{value:.1f} dB" if math.isfinite(value) else "lossless"


def bpp(value: float) -> str:
    """0.376 bpp."""
    return f"{value:.3f} bpp" if value < 10 else f"{value:.1f} bpp"


def similarity(value: float | None) -> str:
    """MS-SSIM in dB, or a dash."""
    if value is None:
        return "–"
    level = ms_ssim_db(value)
    return f"{level:.1f} dB" if math.isfinite(level) else "∞"


def score(value: float | None) -> str:
    """SSIMULACRA2, or a dash: 71.3, −4.0."""
    return "–" if value is None else f"{value:.1f}".replace("-", "−")


def seconds(value: float | None) -> str:
    """12 ms, 1.4 s, 3 min."""
    if value is None:
        return "–"
    if value < 0.9995:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 90 else duration(value)


def duration(value: float) -> str:
    """A stretch of time in round words: 8 s, 3 min, 1 h 20 min."""
    if value < 60:
        return f"{math.ceil(value)} s"
    minutes = math.ceil(value / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def quality(value: float | None) -> str:
    """q 3, q 3.25."""
    return "" if value is None else f"q {value:g}"


def zoom(value: float) -> str:
    """100 %, 141 %, 6.3 %."""
    percent = 100 * value
    return f"{percent:.0f} %" if percent >= 10 else f"{percent:.1f} %"


def change(before: int, after: int) -> str:
    """How much smaller or larger: 88 % smaller."""
    if not before:
        return ""
    share = after / before - 1
    return f"{abs(share):.0%} {'smaller' if share <= 0 else 'larger'}"


def place(path: Path) -> str:
    """A path as people write it: ~ for their own folder."""
    home = Path.home()
    return f"~{os.sep}{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def signed(share: float) -> str:
    """By how much something is off: +2.3 %, −12 %."""
    percent = 100 * share
    text = f"{abs(percent):.1f}" if abs(percent) < 10 else f"{abs(percent):.0f}"
    return f"{'−' if share < 0 else '+'}{text} %"


__all__ = [
    "BPP",
    "MS_SSIM",
    "PSNR",
    "SSIMULACRA2",
    "bpp",
    "bytes_text",
    "change",
    "duration",
    "place",
    "psnr",
    "quality",
    "score",
    "seconds",
    "signed",
    "similarity",
    "zoom",
]
