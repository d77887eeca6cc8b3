"""Error in frequency bands of XYB, which counts less where the original is busy.

    sRGB -> light -> XYB -> error -> bands -> squares, weighted, masked -> 3-norm over the pixels

This is what Butteraugli (J. Alakuijala, https://github.com/libjxl/libjxl) looks at, without what
makes that slow: its filters along lines count here as sums of squares of the same expectation, and
nothing is clamped or stretched around zero. The constants are Butteraugli's. Over 54 pairs of
pictures and files (AVIF and two packs, three qualities, six photographs) the logarithms of this and
of Butteraugli's 3-norm correlate by 0.972; those of SSIMULACRA2's u and of it by 0.962, those of
squared error and of it by 0.849.
"""

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
_SIGMA_SENSED, _SIGMA_MASK = 1.2, 2.7
_SIGMA_LOW, _SIGMA_MIDDLE, _SIGMA_HIGH = 7.15593339443, 3.22489901262, 1.56416327805

# Weights of squares in X, Y and B. Of Butteraugli's filters along lines there are 16 directions of
# 9 taps, or of 5 in the two lower bands.
_FINE, _COARSE = 16 * 9, 16 * 5
_ULTRA = (_FINE * 0.437**2, _FINE * 0.0348**2)
_HIGH = (_COARSE * 4.23**2 + 400.0, _COARSE * 0.22**2 + 1.508)
_MIDDLE = (_COARSE * 4.62**2 + 2150.0, _COARSE * 0.3098**2 + 10.62, 16.2)
_LOW = (29.235 * 33.83**2, 0.8446 * 14.458**2, 0.7036 * 49.88**2)

_NORM = 3
_LEAST = 1e-6
"""Added to squares: the gradient of a root of zero would be infinite."""


def error(original: Tensor, shown: Tensor) -> Tensor:
    """Pictures (B, H, W, 3) in 0..1, of 64 pixels a side or more -> (B,): about 0 if equal, 6 where
    it is hard to see a difference, 20 and more for bad pictures.

    In float32, whatever autocast says. Values of `shown` outside 0..1 are clamped.
    """
    with torch.autocast(original.device.type, enabled=False):
        with torch.no_grad():
            seen = _xyb(original.float())
            fine, coarse = _masks(seen)
        low, middle, high, ultra = _bands(seen - _xyb(shown.float().clamp(0, 1)))
        busy = _weighted(ultra, _ULTRA) + _weighted(high, _HIGH) + _weighted(middle, _MIDDLE)
        squares = fine * busy + coarse * _weighted(low, _LOW) + _LEAST
        norm: Tensor = (squares ** (_NORM / 2)).mean((1, 2)) ** (1 / _NORM)
        return norm


def _xyb(x: Tensor) -> Tensor:
    """sRGB (B, H, W, 3) -> X, Y, B (B, 3, H, W) as the eye senses them beside what is around."""
    light = _LIGHT * linear_light(x.permute(0, 3, 1, 2))
    kernel = numbers(_MIX, light)[:, :, None, None]
    mixed = F.conv2d(light, kernel, numbers(_MIX_BIAS, light))
    around = _blur(mixed, _SIGMA_SENSED)
    sensed = 19.245013259874995 * torch.log(around + 9.9710635769299145) - 23.16046239805755
    red, green, blue = (mixed * sensed / around).unbind(1)
    return torch.stack((red - green, red + green, blue), 1)


def _bands(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """From low to ultra high frequencies; X and Y alone (B, 2, H, W) in the two highest."""
    low = _wide(x)
    rest = x - low
    middle = _blur(rest, _SIGMA_MIDDLE)
    fine = rest[:, :2] - middle[:, :2]
    high = _blur(fine, _SIGMA_HIGH)
    return low, middle, high, fine - high


def _weighted(x: Tensor, weights: tuple[float, ...]) -> Tensor:
    return (x * x * numbers(weights, x)[:, None, None]).sum(1)


def _masks(x: Tensor) -> tuple[Tensor, Tensor]:
    """Factors (B, H, W) of squares in all bands but the lowest, and in that."""
    fine = x[:, :2] - _wide(x[:, :2])
    x, y = (fine - _blur(fine, _SIGMA_MIDDLE)).unbind(1)
    activity = ((2.5 * x) ** 2 + (0.4 * y) ** 2).sqrt()
    activity = (6.19424080439 * activity + 12.61050594197).sqrt() - 12.61050594197**0.5
    activity = _blur(activity[:, None], _SIGMA_MASK)
    least = -F.max_pool2d(-activity, 3, 1, 1)  # not beyond the edge of what is busy
    activity = ((least + activity) / 2)[:, 0]
    fine = 2.5485944793 / (0.451936922203 * activity + 0.829591754942)
    coarse = 0.505054525019 / (3.87449418804 * activity + 0.20025578522)
    return ((1 + fine) / 0.79079917404) ** 2, ((1 + coarse) / 0.79079917404) ** 2


def _wide(x: Tensor) -> Tensor:
    """The lowest band: a blur at a quarter of the size."""
    height, width = x.shape[-2:]
    small = F.avg_pool2d(x, 4, ceil_mode=True, count_include_pad=False)
    small = _blur(small, _SIGMA_LOW / 4)
    wide = F.interpolate(small, scale_factor=4, mode="bilinear", align_corners=False)
    return wide[..., :height, :width]


def _blur(x: Tensor, sigma: float) -> Tensor:
    """(B, C, H, W) in Gaussian windows, mirrored beyond the sides."""
    return blur(x, sigma, max(1, round(2.25 * sigma)))
