"""Butteraugli on tensors, with gradients: a distance that counts lost texture and broken lines.

    sRGB -> light -> XYB -> four bands -> differences along lines -> masked -> map --+-> norms
              '-> means of 2x2 -> the same -> map of half the size ------------------'

J. Alakuijala and others, https://github.com/libjxl/libjxl (lib/jxl/butteraugli). Bands, lines,
masks and constants are those of that definition; windows are mirrored at the sides here. On 15
pairs of photographs and AVIF files it gave 0 to 5 % more than the program `butteraugli_main` 0.7.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .numbers import numbers
from .ssimulacra2 import linear_light
from .windows import blur

_LIGHT = 80.0
"""Candelas per square metre of white."""
_MIX = (
    (0.29956550340058319, 0.63373087833825936, 0.077705617820981968),
    (0.22158691104574774, 0.69391388044116142, 0.0987313588422),
    (0.02, 0.02, 0.20480129041026129),
)
_MIX_BIAS = (1.7557483643287353, 1.7557483643287353, 12.226454707163354)
_GAMMA, _GAMMA_INSIDE, _GAMMA_BIAS = 19.245013259874995, 9.9710635769299145, 23.16046239805755

_SIGMA_SENSED, _SIGMA_MASK = 1.2, 2.7
_SIGMA_LOW, _SIGMA_MIDDLE, _SIGMA_HIGH = 7.15593339443, 3.22489901262, 1.56416327805

_ASYMMETRY = 0.8
"""Below 1 what is weaker than the original counts more, what is stronger less."""

# Weights of squared differences in X, Y and B: along lines, and of single pixels.
_ULTRA_LINES = (173.5, 1.10039032555)
_HIGH_LINES, _HIGH_PIXELS = (6923.99476109, 18.7237414387), (400.0, 1.50815703118)
_MIDDLE_LINES = (8246.75321353, 37.0819870399)
_MIDDLE_PIXELS = (2150.0, 10.6195433239, 16.2176043152)
_LOW_PIXELS = (29.2353797994, 0.844626970982, 0.703646627719)
_ULTRA_NORM = (5.0, 71.7800275169)
"""Differences in the highest band count half where the band is as strong as this."""
_ULTRA_SCALE, _SCALE = 0.39905817637 / 8.5, 0.611612573796 / 8.5

_Line = tuple[tuple[int, int], ...]
_LINES = (
    (1.0, ((0, 1), (0, 2), (0, 3), (0, 4))),
    (1.0, ((1, 1), (2, 2), (3, 3))),
    (2.0, ((0, 1), (1, 2), (1, 3), (1, 4))),
    (1.0, ((1, 1), (1, 2), (2, 3))),
)
"""Weights, and halves of lines as rows and columns from the middle: those of the highest band."""
_THIN_LINES = (
    (1.0, ((0, 2), (0, 4))),
    (1.0, ((2, 2), (3, 3))),
    (1.0, ((1, 2), (1, 4))),
    (1.0, ((1, 2), (2, 3))),
    (1.0, ((1, 2), (2, 4))),
)
_REACH = 4
"""Pixels from the middle of a line to its ends."""

_NORMS = (3, 6, 12)
_STRIDE = 4
"""Of so many rows, and of so many columns, one is looked at."""
_LEAST = 1e-8
"""Added to squares: the gradient of a root of zero would be infinite."""


class _Bands(NamedTuple):
    """A picture by frequencies: X, Y and B in `low` and `middle` (B, 3, H, W), X and Y above."""

    low: Tensor
    middle: Tensor
    high: Tensor
    ultra: Tensor


def distance(original: Tensor, shown: Tensor, places: torch.Generator | None = None) -> Tensor:
    """Pictures (B, H, W, 3) in 0..1, of 64 pixels a side or more -> (B,): 0 if equal, 1 where it is
    hard to see a difference, 5 and more for bad pictures. The mean of the 3-, 6- and 12-norm of the
    map, as `butteraugli_main --pnorm 3` gives it.

    With `places`, of the CPU, only one of 16 pixels of the map is made, which takes half of the
    time; `places` draws which. In float32 or more, whatever autocast says. Values of `shown`
    outside 0..1 are clamped.
    """
    with torch.autocast(original.device.type, enabled=False):
        if not shown.is_floating_point() or shown.dtype in (torch.float16, torch.bfloat16):
            shown = shown.float()
        original, shown = original.to(shown.dtype), shown.clamp(0, 1)
        if places is None:
            found = _map(original, shown, 1)
        else:
            # What begins elsewhere has every fourth pixel elsewhere, too.
            y, x = torch.randint(_STRIDE, (2,), generator=places).tolist()
            found = _map(_from(original, y, x), _from(shown, y, x), _STRIDE)
        found = found.flatten(1)
        # Twelfth powers of small numbers would be zero.
        most = found.detach().amax(1, keepdim=True)
        norms = [((found / most) ** p).mean(1) ** (1 / p) for p in _NORMS]
        return most[:, 0] * torch.stack(norms).mean(0)


def _from(pictures: Tensor, y: int, x: int) -> Tensor:
    """Pictures (B, H, W, C) without what is above row y and left of column x, and without as much
    at the other sides that H and W are what they are for all places, multiples of `_STRIDE`."""
    height, width = ((side + 1) // _STRIDE * _STRIDE - _STRIDE for side in pictures.shape[1:3])
    return pictures[:, y : y + height, x : x + width]


def _map(original: Tensor, shown: Tensor, stride: int) -> Tensor:
    """What differs (B, h, w), at every `stride`-th pixel (1, or an even number)."""
    a, b = (_LIGHT * linear_light(x.permute(0, 3, 1, 2)) for x in (original, shown))
    whole = _differences(a, b, stride)
    small = _differences(_halved(a), _halved(b), max(1, stride // 2))
    if stride == 1:
        small = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    return 0.85 * whole + 0.5 * small[:, : whole.shape[1], : whole.shape[2]]


def _halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def _differences(a: Tensor, b: Tensor, stride: int) -> Tensor:
    """The map (B, h, w) of light (B, 3, H, W) at one size."""
    with torch.no_grad():
        seen = _bands(_xyb(a))
        activity = _activity(seen)
        fine, coarse = _masks(_eroded(activity, stride))
    found = _bands(_xyb(b))
    lost = (activity - _activity(found))[:, ::stride, ::stride]
    busy = 10 * lost * lost + _along_lines(seen, found, stride)

    seen, found = (_Bands(*(x[..., ::stride, ::stride] for x in bands)) for bands in (seen, found))
    middle, low = seen.middle - found.middle, seen.low - found.low
    high, beyond = seen.high - found.high, _beyond(seen.high, found.high, 0.4, 1.0)
    high = _ASYMMETRY * high * high + beyond * beyond / _ASYMMETRY
    busy = busy + 0.8 * _weighted(high, _HIGH_PIXELS) + _weighted(middle * middle, _MIDDLE_PIXELS)
    return (fine * busy + coarse * _weighted(low * low, _LOW_PIXELS) + _LEAST).sqrt()


def _weighted(x: Tensor, weights: tuple[float, ...]) -> Tensor:
    return (x * numbers(weights, x)[:, None, None]).sum(1)


# ---- what the eye senses ----------------------------------------------------------------------


def _xyb(light: Tensor) -> Tensor:
    """Light (B, 3, H, W) -> X, Y, B, each beside what is around it."""
    kernel, bias = numbers(_MIX, light)[:, :, None, None], numbers(_MIX_BIAS, light)
    around = F.conv2d(_blur(light, _SIGMA_SENSED), kernel, bias)
    sensitivity = (_GAMMA * torch.log(around + _GAMMA_INSIDE) - _GAMMA_BIAS) / around
    mixed = F.conv2d(light, kernel, bias) * sensitivity
    red, green, blue = torch.maximum(mixed, bias[:, None, None]).unbind(1)
    return torch.stack((red - green, red + green, blue), 1)


def _bands(xyb: Tensor) -> _Bands:
    """Small values of X, which nobody sees, are taken out of the bands; those of Y are doubled."""
    low = _wide(xyb)
    rest = xyb - low
    middle = _blur(rest, _SIGMA_MIDDLE)
    x, y = (rest[:, :2] - middle[:, :2]).unbind(1)
    x = x * (0.653020556257 + 0.346979443743 * 46.0 / (y * y + 46.0))
    blurred_x, blurred_y = _blur(torch.stack((x, y), 1), _SIGMA_HIGH).unbind(1)
    high_y = _compressed(blurred_y, 28.4691806922)
    ultra_y = 2.69313763794 * _compressed(y - high_y, 5.19175294647)
    ultra_x = _without_small(x - blurred_x, 0.04)
    high_x, high_y = _without_small(blurred_x, 1.5), _amplified(2.155 * high_y, 0.132)
    middle_x, middle_y, middle_b = middle.unbind(1)
    middle_x, middle_y = _without_small(middle_x, 0.29), _amplified(middle_y, 0.1)
    low_x, low_y, low_b = low.unbind(1)
    low_b = 49.87984651440 * (low_b - 0.362267051518 * low_y)
    return _Bands(
        torch.stack((33.832837186260 * low_x, 14.458268100570 * low_y, low_b), 1),
        torch.stack((middle_x, middle_y, middle_b), 1),
        torch.stack((high_x, high_y), 1),
        torch.stack((ultra_x, ultra_y), 1),
    )


def _without_small(x: Tensor, limit: float) -> Tensor:
    return x - x.clamp(-limit, limit)


def _amplified(x: Tensor, limit: float) -> Tensor:
    return x + x.clamp(-limit, limit)


def _compressed(x: Tensor, limit: float) -> Tensor:
    return 0.724216145665 * x + 0.275783854335 * x.clamp(-limit, limit)


def _wide(x: Tensor) -> Tensor:
    """The lowest band: a blur at a quarter of the size."""
    height, width = x.shape[-2:]
    small = F.avg_pool2d(x, 4, ceil_mode=True, count_include_pad=False)
    small = _blur(small, _SIGMA_LOW / 4)
    wide = F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
    return wide[..., :height, :width]


def _blur(x: Tensor, sigma: float) -> Tensor:
    """(B, C, H, W) in Gaussian windows, mirrored beyond the sides."""
    return blur(x, sigma, max(1, int(2.25 * sigma)))


# ---- masks ------------------------------------------------------------------------------------


def _activity(bands: _Bands) -> Tensor:
    """How busy it is around each pixel: (B, H, W)."""
    x, y = (bands.high + bands.ultra).unbind(1)
    busy = ((2.5 * x) ** 2 + (0.4 * y) ** 2 + 1e-12).sqrt()
    factor, bias = 6.19424080439, 12.61050594197
    busy = (factor * (busy + bias)).sqrt() - (factor * bias) ** 0.5
    return _blur(busy[:, None], _SIGMA_MASK)[:, 0]


def _eroded(activity: Tensor, stride: int) -> Tensor:
    """Not beyond the edge of what is busy: a mean of the three least of nine around."""
    height, width = activity.shape[-2:]
    wide = F.pad(activity, (3, 3, 3, 3), value=torch.inf)
    places = [(y, x) for y in (0, 3, 6) for x in (0, 3, 6)]
    around = [wide[:, y : y + height : stride, x : x + width : stride] for y, x in places]
    least = torch.stack(around).topk(3, 0, largest=False).values
    return 0.45 * least[0] + 0.3 * least[1] + 0.25 * least[2]


def _masks(activity: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of squares in all bands but the lowest, and in that."""
    scale = 17.83 * 0.79079917404
    fine = 2.5485944793 / (0.451936922203 * activity + 0.829591754942)
    coarse = 0.505054525019 / (3.87449418804 * activity + 0.20025578522)
    return ((1 + fine) / scale) ** 2, ((1 + coarse) / scale) ** 2


# ---- differences ------------------------------------------------------------------------------


def _beyond(a: Tensor, b: Tensor, small: float, big: float) -> Tensor:
    """How far b lies outside small |a|..big |a| on a's side of zero, with the sign of a - b."""
    side = torch.where(a < 0, -1.0, 1.0)
    a, b = a.abs(), b * side
    return side * (F.relu(small * a - b) - F.relu(b - big * a))


def _difference(
    a: Tensor, b: Tensor, weights: tuple[float, ...], scale: float, asymmetry: float
) -> Tensor:
    """(B, 2, H, W): a - b, and more where b is much weaker than a, or stronger."""
    roots = scale * numbers(weights, a).sqrt()[:, None, None]
    plain, more = (0.5 * asymmetry) ** 0.5, (0.33 / asymmetry) ** 0.5
    return roots * (plain * (a - b) + more * _beyond(a, b, 0.55, 1.05))


def _along_lines(a: _Bands, b: _Bands, stride: int) -> Tensor:
    """Squares of sums along lines in all directions, of all bands but the lowest: (B, h, w)."""
    ultra = _difference(a.ultra, b.ultra, _ULTRA_LINES, _ULTRA_SCALE, _ASYMMETRY)
    norm = numbers(_ULTRA_NORM, ultra)[:, None, None]
    ultra = ultra * norm / (norm + (a.ultra.abs() + b.ultra.abs()) / 2)
    high = _difference(a.high, b.high, _HIGH_LINES, _SCALE, _ASYMMETRY**0.5)
    middle = _difference(a.middle[:, :2], b.middle[:, :2], _MIDDLE_LINES, _SCALE, 1.0)
    thin = torch.cat((high, middle), 1)
    return _squared_sums(ultra, _FINE, stride) + _squared_sums(thin, _THIN, stride)


def _squared_sums(x: Tensor, kernels: tuple[Any, ...], stride: int) -> Tensor:
    """Planes (B, C, H, W) -> (B, h, w): over all planes and kernels, at every `stride`-th pixel."""
    planes = x.flatten(0, 1)[:, None]
    sums = F.conv2d(planes, numbers(kernels, x)[:, None], stride=stride, padding=_REACH)
    return (sums * sums).sum(1).unflatten(0, x.shape[:2]).sum(1)


def _kernel(half: _Line, weight: float) -> tuple[Any, ...]:
    """9 x 9: `weight` along a line."""
    line = {(0, 0)} | {(sign * y, sign * x) for y, x in half for sign in (1, -1)}
    reach = range(-_REACH, _REACH + 1)
    return tuple(tuple(weight * ((y, x) in line) for x in reach) for y in reach)


def _kernels(lines: tuple[tuple[float, _Line], ...]) -> tuple[Any, ...]:
    """Lines, mirrored and transposed, each direction once: (N, 9, 9)."""
    made: dict[tuple[Any, ...], None] = {}
    for weight, half in lines:
        for each in (half, tuple((y, -x) for y, x in half)):
            for line in (each, tuple((x, y) for y, x in each)):
                made[_kernel(line, weight**0.5)] = None
    return tuple(made)


_FINE, _THIN = _kernels(_LINES), _kernels(_THIN_LINES)
