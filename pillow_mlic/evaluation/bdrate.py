"""Bjontegaard's delta rate, and the published rate-distortion points to compare with."""

import functools
import json
import math
from collections.abc import Sequence
from importlib import resources
from typing import Any, Literal, cast

import numpy as np

Points = Sequence[tuple[float, float]]  # (bpp, quality in dB or points), in any order
Method = Literal["pchip", "cubic"]
Metric = Literal["psnr", "ms-ssim", "ssimulacra2", "flip", "butteraugli"]
Measure = Metric | Literal["bands"]
"""What can be measured of a decoded picture; BD-rates are taken over metrics."""

METHODS: tuple[Method, ...] = ("pchip", "cubic")
_LEAST_POINTS = {"pchip": 2, "cubic": 4}


def bd_rate(anchor: Points, test: Points, method: Method = "pchip") -> float:
    """How many percent more bits `test` takes than `anchor` at equal quality; negative is better.

    The natural logarithm of the rate is a function of quality, either a piecewise cubic Hermite
    interpolation ("pchip") or one polynomial of degree 3 fitted to all points ("cubic"). Both are
    averaged over the common range of quality. After Bjontegaard, VCEG-M33 (2001) and VCEG-AI11.

    ValueError for too few points, points that no curve can pass through, and no common range.
    """
    if method not in _LEAST_POINTS:
        msg = f"method is {method!r}, but must be 'pchip' or 'cubic'"
        raise ValueError(msg)
    low, high = common_range(anchor, test)
    means = [_mean_log_rate(points, low, high, method) for points in (anchor, test)]
    return 100 * (math.exp(means[1] - means[0]) - 1)


def common_range(anchor: Points, test: Points) -> tuple[float, float]:
    """The range of quality in dB that both curves cover; ValueError where there is none."""
    if not anchor or not test:
        msg = "a curve without points cannot be compared"
        raise ValueError(msg)
    low = max(min(quality for _, quality in points) for points in (anchor, test))
    high = min(max(quality for _, quality in points) for points in (anchor, test))
    if low >= high:
        msg = "the curves have no range of quality in common"
        raise ValueError(msg)
    return low, high


def published(name: str, metric: Metric = "psnr") -> list[tuple[float, float]]:
    """Published points (bpp, dB) on Kodak of "vtm-17.0", "mlic", "mlic+", "mlic++" or "lalic".

    By "ms-ssim" (in dB) only "vtm-17.0" has points, by "ssimulacra2" none has; the list is empty
    then.
    ValueError for an unknown name.
    """
    curves = _published_file()["curves"]
    if name not in curves:
        msg = f"there are no published points of {name!r}, only of {', '.join(curves)}"
        raise ValueError(msg)
    curve = curves[name]
    quality = curve.get("msssim_db" if metric == "ms-ssim" else metric, [])
    return list(zip(curve["bpp"], quality, strict=True)) if quality else []


def published_names() -> list[str]:
    """The names that `published` knows."""
    return list(_published_file()["curves"])


def published_label(name: str) -> str:
    """`name` as people write it, "MLIC++" for "mlic++"."""
    return str(_published_file()["curves"][name]["label"])


@functools.cache
def _published_file() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("rd_points.json").read_text(encoding="utf-8")
    return cast(dict[str, Any], json.loads(text))


def _mean_log_rate(points: Points, low: float, high: float, method: Method) -> float:
    """Mean of ln(bpp) over the qualities `low` to `high`."""
    if len(points) < _LEAST_POINTS[method]:
        msg = f"{method} needs at least {_LEAST_POINTS[method]} points a curve, not {len(points)}"
        raise ValueError(msg)
    ordered = sorted(points, key=lambda point: point[1])
    rate = np.array([bpp for bpp, _ in ordered], dtype=np.float64)
    quality = np.array([dB for _, dB in ordered], dtype=np.float64)
    if not (np.isfinite(rate).all() and np.isfinite(quality).all() and (rate > 0).all()):
        msg = "rates must be above 0 and qualities finite (two equal pictures have no finite PSNR)"
        raise ValueError(msg)
    if (np.diff(quality) <= 0).any():
        msg = "two points of one curve have the same quality; leave one out"
        raise ValueError(msg)
    if method == "cubic":
        middle = quality.mean()  # centred, so that the fit is well conditioned
        integral = np.polyint(np.polyfit(quality - middle, np.log(rate), 3))
        area = np.polyval(integral, high - middle) - np.polyval(integral, low - middle)
    else:
        from scipy.interpolate import PchipInterpolator

        area = PchipInterpolator(quality, np.log(rate)).integrate(low, high)
    return float(area) / (high - low)
