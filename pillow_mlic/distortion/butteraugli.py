"""Butteraugli on tensors, with gradients: a distance that counts broken lines and changed texture.

    sRGB -> light -> XYB -> four bands -> differences along lines -> masked -> map --+-> norms
              '-> means of 2x2 -> the same -> map of half the size ------------------'

J. Alakuijala and others, https://github.com/libjxl/libjxl (lib/jxl/butteraugli). Bands, lines,
masks and constants are those of that definition but for two things: windows are mirrored at the
sides, and the lowest band is a blur at a quarter of the size. Damaged pictures have the distances
of the program `butteraugli_main` 0.7 to 1 %.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .numbers import numbers
from .ssimulacra2 import halve, linear_light
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

# Bands: small values of X are left out, those of Y doubled, large ones of Y pressed together.
_SUPPRESSED, _SUPPRESSED_BY = 1 - 0.653020556257, 46.0
_PRESSED = 1 - 0.724216145665
_MIDDLE_SMALL, _HIGH_SMALL, _ULTRA_SMALL = (0.29, 0.1), (1.5, 0.132), 0.04
_HIGH_LARGE, _ULTRA_LARGE = 28.4691806922, 5.19175294647
_HIGH_Y, _ULTRA_Y = 2.155, 2.69313763794
_LOW_SCALES, _LOW_Y_IN_B = (33.832837186260, 14.458268100570, 49.87984651440), 0.362267051518

# Masks: how busy a place is, and by what differences are divided there.
_ACTIVITY_X, _ACTIVITY_Y = 2.5, 0.4
_ACTIVITY_FACTOR, _ACTIVITY_BIAS = 6.19424080439, 12.61050594197
_LEAST_SHARES = (0.45, 0.3, 0.25)
_MASK_SCALE = 17.83 * 0.79079917404
_MASK = (2.5485944793, 0.451936922203, 0.829591754942)
_MASK_LOW = (0.505054525019, 3.87449418804, 0.20025578522)

_ASYMMETRY = 0.8
"""Below 1 the plain difference counts less, and what is far from as strong as the original more."""
_CHANGED_ACTIVITY = 10.0
"""Weight of the square of how much busier or calmer it has become."""

# Weights of squared differences in X, Y and B: along lines, and of single pixels.
_ULTRA_LINES = (173.5, 1.10039032555)
_HIGH_LINES, _HIGH_PIXELS = (6923.99476109, 18.7237414387), (400.0, 1.50815703118)
_MIDDLE_LINES = (8246.75321353, 37.0819870399)
_MIDDLE_PIXELS = (2150.0, 10.6195433239, 16.2176043152)
_LOW_PIXELS = (29.2353797994 / 1.0988, 0.844626970982 / 1.0988, 0.703646627719 / 1.0988)
"""The published constants are 1.0988 times these; the program was measured, with flat pictures."""
_ULTRA_NORM = (5.0, 71.7800275169)
"""Differences in the highest band are halved where the band is as strong as this."""
_ULTRA_SCALE, _SCALE = 0.39905817637 / 8.5, 0.611612573796 / 8.5
"""Factors of sums along lines of nine pixels, and along those of five."""

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
"""Those of the two bands below: every other pixel."""
_REACH = 4
"""Pixels from the middle of a line to its ends."""

_NORMS = (3, 6, 12)
_LEAST = 1e-8
"""Added to squares: the gradient of a root of zero would be infinite."""


class _Bands(NamedTuple):
    """A picture by frequencies: X, Y and B in `low` and `middle` (B, 3, H, W), X and Y above."""

    low: Tensor
    middle: Tensor
    high: Tensor
    ultra: Tensor


class _Grid(NamedTuple):
    """The pixels of a map that are made: rows y, y + step, ... and columns x, x + step, ..."""

    step: int = 1
    y: int = 0
    x: int = 0

    def of(self, planes: Tensor) -> Tensor:
        """What (..., H, W) is at these pixels."""
        return planes[..., self.y :: self.step, self.x :: self.step]


_ALL = _Grid()
_EVERY = 4
"""With `draw` one row and one column in so many are looked at."""


def distance(original: Tensor, shown: Tensor, draw: torch.Generator | None = None) -> Tensor:
    """Pictures (B, H, W, 3) in 0..1, of 64 pixels a side or more -> (B,): 0 if equal, 1 where it is
    hard to see a difference, 5 and more for bad pictures. The mean of the 3-, 6- and 12-norm of the
    map, as `butteraugli_main --pnorm 3` gives it.

    With `draw`, of the CPU, only one pixel of 16 of the map is made, which takes a quarter of the
    time; `draw` says which. In float32 or more, whatever autocast says. Values of `shown` outside
    0..1 are clamped.
    """
    with torch.autocast(original.device.type, enabled=False):
        shown = (shown if shown.dtype == torch.float64 else shown.float()).clamp(0, 1)
        original = original.to(shown.dtype)
        grid = _ALL
        if draw is not None:
            grid = _Grid(_EVERY, *torch.randint(_EVERY, (2,), generator=draw).tolist())
        values = _map(original, shown, grid).flatten(1)
        # Twelfth powers of small numbers would be zero.
        most = values.detach().amax(1, keepdim=True)
        norms = [((values / most) ** p).mean(1) ** (1 / p) for p in _NORMS]
        return most[:, 0] * torch.stack(norms).mean(0)


def _map(original: Tensor, shown: Tensor, grid: _Grid) -> Tensor:
    """What differs, (B, h, w)."""
    a, b = (_LIGHT * linear_light(x.permute(0, 3, 1, 2)) for x in (original, shown))
    whole = _differences(a, b, grid)
    half = _Grid(max(1, grid.step // 2), grid.y // 2, grid.x // 2)
    small = _differences(halve(a), halve(b), half)
    if grid == _ALL:
        small = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    return 0.85 * whole + 0.5 * small[:, : whole.shape[1], : whole.shape[2]]


def _differences(a: Tensor, b: Tensor, grid: _Grid) -> Tensor:
    """The map (B, h, w) of light (B, 3, H, W) at one size."""
    with torch.no_grad():
        bands_a = _bands(_xyb(a))
        activity_a = _activity(bands_a)
        fine, coarse = _masks(_eroded(activity_a, grid))
    bands_b = _bands(_xyb(b))
    change = grid.of(activity_a - _activity(bands_b))
    squares = _CHANGED_ACTIVITY * change * change + _along_lines(bands_a, bands_b, grid)

    low_a, middle_a, high_a, _ = map(grid.of, bands_a)
    low_b, middle_b, high_b, _ = map(grid.of, bands_b)
    plain, beyond = high_a - high_b, _beyond(high_a, high_b, 0.4, 1.0)
    high = 0.8 * (_ASYMMETRY * plain * plain + beyond * beyond / _ASYMMETRY)
    middle, low = (middle_a - middle_b) ** 2, (low_a - low_b) ** 2
    squares = squares + _weighted(high, _HIGH_PIXELS) + _weighted(middle, _MIDDLE_PIXELS)
    return (fine * squares + coarse * _weighted(low, _LOW_PIXELS) + _LEAST).sqrt()


def _weighted(x: Tensor, weights: tuple[float, ...]) -> Tensor:
    return (x * numbers(weights, x)[:, None, None]).sum(1)


# ---- what the eye senses ---------------------------------------------------------------------


def _xyb(light: Tensor) -> Tensor:
    """Light (B, 3, H, W) -> X, Y, B, each beside what is around it."""
    kernel, bias = numbers(_MIX, light)[:, :, None, None], numbers(_MIX_BIAS, light)
    around = F.conv2d(_blur(light, _SIGMA_SENSED), kernel, bias)
    sensitivity = (_GAMMA * torch.log(around + _GAMMA_INSIDE) - _GAMMA_BIAS) / around
    mixed = F.conv2d(light, kernel, bias) * sensitivity
    red, green, blue = torch.maximum(mixed, bias[:, None, None]).unbind(1)
    return torch.stack((red - green, red + green, blue), 1)


def _bands(xyb: Tensor) -> _Bands:
    """(B, 3, H, W) -> by frequencies, as strong as they are seen."""
    low = _wide(xyb)
    rest = xyb - low
    middle = _blur(rest, _SIGMA_MIDDLE)
    x, y = (rest[:, :2] - middle[:, :2]).unbind(1)
    x = x * (1 - _SUPPRESSED + _SUPPRESSED * _SUPPRESSED_BY / (y * y + _SUPPRESSED_BY))
    high_x, high_y = _blur(torch.stack((x, y), 1), _SIGMA_HIGH).unbind(1)
    pressed_y = _pressed(high_y, _HIGH_LARGE)
    ultra_x = _without_small(x - high_x, _ULTRA_SMALL)
    ultra_y = _ULTRA_Y * _pressed(y - pressed_y, _ULTRA_LARGE)
    high_x = _without_small(high_x, _HIGH_SMALL[0])
    high_y = _doubled_small(_HIGH_Y * pressed_y, _HIGH_SMALL[1])
    middle_x, middle_y, middle_b = middle.unbind(1)
    middle_x = _without_small(middle_x, _MIDDLE_SMALL[0])
    middle_y = _doubled_small(middle_y, _MIDDLE_SMALL[1])
    low_x, low_y, low_b = low.unbind(1)
    low = torch.stack((low_x, low_y, low_b - _LOW_Y_IN_B * low_y), 1)
    return _Bands(
        low * numbers(_LOW_SCALES, low)[:, None, None],
        torch.stack((middle_x, middle_y, middle_b), 1),
        torch.stack((high_x, high_y), 1),
        torch.stack((ultra_x, ultra_y), 1),
    )


def _without_small(x: Tensor, limit: float) -> Tensor:
    return x - x.clamp(-limit, limit)


def _doubled_small(x: Tensor, limit: float) -> Tensor:
    return x + x.clamp(-limit, limit)


def _pressed(x: Tensor, limit: float) -> Tensor:
    return (1 - _PRESSED) * x + _PRESSED * x.clamp(-limit, limit)


def _wide(x: Tensor) -> Tensor:
    """The lowest band."""
    height, width = x.shape[-2:]
    small = F.avg_pool2d(x, 4, ceil_mode=True, count_include_pad=False)
    small = _blur(small, _SIGMA_LOW / 4)
    wide = F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
    return wide[..., :height, :width]


def _blur(x: Tensor, sigma: float) -> Tensor:
    """(B, C, H, W) in Gaussian windows, mirrored beyond the sides."""
    return blur(x, sigma, max(1, int(2.25 * sigma)))


# ---- masks -----------------------------------------------------------------------------------


def _activity(bands: _Bands) -> Tensor:
    """How busy it is around each pixel: (B, H, W)."""
    x, y = (bands.high + bands.ultra).unbind(1)
    strength = ((_ACTIVITY_X * x) ** 2 + (_ACTIVITY_Y * y) ** 2 + 1e-12).sqrt()
    least = (_ACTIVITY_FACTOR * _ACTIVITY_BIAS) ** 0.5
    activity = (_ACTIVITY_FACTOR * (strength + _ACTIVITY_BIAS)).sqrt() - least
    return _blur(activity[:, None], _SIGMA_MASK)[:, 0]


def _eroded(activity: Tensor, grid: _Grid) -> Tensor:
    """Not beyond the edge of what is busy: a mean of the three least of nine, three pixels apart,
    the second and third at most twice the one in the middle."""
    height, width = activity.shape[-2:]
    wide = F.pad(activity, (3, 3, 3, 3), value=torch.inf)
    corners = [(y, x) for y in (0, 3, 6) for x in (0, 3, 6)]
    around = [grid.of(wide[:, y : y + height, x : x + width]) for y, x in corners]
    twice = 2 * grid.of(activity)
    least = torch.stack((*around, twice, twice)).topk(3, 0, largest=False).values
    return (least * numbers(_LEAST_SHARES, least)[:, None, None, None]).sum(0)


def _masks(activity: Tensor) -> tuple[Tensor, Tensor]:
    """Factors of squares in all bands but the lowest, and in that."""
    fine, coarse = (
        ((1 + top / (factor * activity + bias)) / _MASK_SCALE) ** 2
        for top, factor, bias in (_MASK, _MASK_LOW)
    )
    return fine, coarse


# ---- differences -----------------------------------------------------------------------------


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


def _along_lines(a: _Bands, b: _Bands, grid: _Grid) -> Tensor:
    """Squares of sums along lines in all directions, of all bands but the lowest: (B, h, w)."""
    ultra = _difference(a.ultra, b.ultra, _ULTRA_LINES, _ULTRA_SCALE, _ASYMMETRY)
    norm = numbers(_ULTRA_NORM, ultra)[:, None, None]
    ultra = ultra * norm / (norm + (a.ultra.abs() + b.ultra.abs()) / 2)
    high = _difference(a.high, b.high, _HIGH_LINES, _SCALE, _ASYMMETRY**0.5)
    middle = _difference(a.middle[:, :2], b.middle[:, :2], _MIDDLE_LINES, _SCALE, 1.0)
    thin = torch.cat((high, middle), 1)
    return _squared_sums(ultra, _NINE, grid) + _squared_sums(thin, _FIVE, grid)


def _squared_sums(planes: Tensor, kernels: tuple[Any, ...], grid: _Grid) -> Tensor:
    """Planes (B, C, H, W) -> (B, h, w): over all planes and kernels."""
    wide = F.pad(planes, (_REACH - grid.x, _REACH, _REACH - grid.y, _REACH))
    kernel = numbers(kernels, planes)[:, None]
    total = torch.zeros((), dtype=planes.dtype, device=planes.device)
    for plane in wide.split(1, 1):  # all at once would take much memory
        sums = F.conv2d(plane, kernel, stride=grid.step)
        total = total + (sums * sums).sum(1)
    return total


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


_NINE, _FIVE = _kernels(_LINES), _kernels(_THIN_LINES)
