"""SSIMULACRA2 on tensors, with gradients: a distortion that agrees with eyes.

    sRGB -> linear light -> XYB -> windows -> structure, artifacts, lost detail -> S -> u -> score
                 |-> means of 2x2 pixels -> ... the same at five scales

J. Sneyers, 2022: https://github.com/cloudinary/ssimulacra2. Constants, weights and windows are
those of that definition; borders are treated as in the package `ssimulacra2`, with which
`evaluation.metrics` measures files. Of its 108 terms the 76 with a weight below 0.003 are left
out: all together they change a score by less than 0.01. That removes the sixth scale, and at the
finest scale all planes but Y, so the measure costs a third. (If a side is shorter than 256 pixels,
the definition itself has fewer than six scales and then gives scales the weights of others. Here
every scale keeps its own.)
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .numbers import numbers
from .windows import blur

MIN_CROP = 128
"""Side of the smallest crop (a multiple of 64) that has all five scales."""
MIN_SIDE = 8
"""Scales that are shorter than this have no terms."""
SIGMA, RADIUS = 1.5, 5
"""Windows are Gaussian, 11 x 11."""

_MIX = ((0.30, 0.622, 0.078), (0.23, 0.692, 0.078), (0.24342268924547819, 0.20476744424496821))
_BIAS = 0.0037930732552754493
_C2 = 0.0009
_SUM = 0.9562382616834844
_POLYNOMIAL = (2.326765642916932, -0.020884521182843837, 6.248496625763138e-05)
_POWER = 0.6276336467831387
_LEAST = 1e-24
"""Smaller means of fourth powers count as this: the gradient of their root would be of no use."""

X, Y, B = range(3)
STRUCTURE, ARTIFACT, DETAIL = range(3)
MEAN, NORM4 = range(2)

# Weights by scale, plane, and what is summed up how.
_WEIGHTS: tuple[dict[int, dict[tuple[int, int], float]], ...] = (
    {Y: {(STRUCTURE, NORM4): 7.466890328078848, (DETAIL, NORM4): 17.445833984131262}},
    {
        X: {(STRUCTURE, NORM4): 1.1041726426657346},
        Y: {(STRUCTURE, NORM4): 6.683678146179332, (DETAIL, NORM4): 1.027889937768264},
    },
    {
        X: {(STRUCTURE, NORM4): 1.8422455520539298, (ARTIFACT, NORM4): 11.441172603757666},
        Y: {(STRUCTURE, MEAN): 225.20515300849274, (STRUCTURE, NORM4): 19.213238186143016},
    },
    {
        X: {(STRUCTURE, NORM4): 1.8787594979546387, (ARTIFACT, NORM4): 10.94906990605142},
        Y: {
            (STRUCTURE, MEAN): 176.39317598450694,
            (STRUCTURE, NORM4): 24.43300999870476,
            (ARTIFACT, NORM4): 0.28520802612117757,
        },
        B: {(STRUCTURE, NORM4): 8.826982764996862, (ARTIFACT, NORM4): 23.19243343998926},
    },
    {
        X: {(ARTIFACT, MEAN): 0.9677937080626833, (ARTIFACT, NORM4): 0.9981766977854967},
        Y: {(STRUCTURE, NORM4): 34.77906344483772, (ARTIFACT, NORM4): 44.835625328877896},
        B: {
            (STRUCTURE, MEAN): 95.1080498811086,
            (ARTIFACT, MEAN): 0.9863978034400682,
            (DETAIL, MEAN): 0.9834382792465353,
            (ARTIFACT, NORM4): 171.2667255897307,
            (DETAIL, NORM4): 0.9807858872435379,
        },
    },
)


def score(original: Tensor, shown: Tensor) -> Tensor:
    """Pictures (B, H, W, 3) in 0..1 -> scores (B,): 100 if equal, 90 if no eye sees a difference,
    50 for medium quality; below 0 for very bad ones."""
    return 100 - 10 * badness(original, shown).clamp(min=0) ** _POWER


def badness(original: Tensor, shown: Tensor, crops: bool = False) -> Tensor:
    """Pictures (B, H, W, 3) -> u (B,), where score = 100 - 10 u^0.63: 0 if equal, about 13 at a
    score of 50 and 3 at 80.

    u is nearly linear in the error, so that means over pictures make sense. Values of `shown`
    outside 0..1 are clamped and have no gradient. With `crops` pictures are mirrored beyond their
    sides: then the mean over the crops of a picture is close to the u of the whole. Zeros beyond
    the sides would hide 5 to 15 %. In float32 or more, whatever autocast says: variances are
    small differences.
    """
    with torch.autocast(original.device.type, enabled=False):
        if not shown.is_floating_point() or shown.dtype in (torch.float16, torch.bfloat16):
            shown = shown.float()
        total = _SUM * _weighted_sum(original.to(shown.dtype), shown.clamp(0, 1), crops)
    first, second, third = _POLYNOMIAL
    return total * (first + total * (second + total * third))


def _weighted_sum(original: Tensor, shown: Tensor, crops: bool) -> Tensor:
    with torch.no_grad():
        a = linear_light(original.permute(0, 3, 1, 2))
    b = linear_light(shown.permute(0, 3, 1, 2))
    total = b.new_zeros(len(b))
    for scale, planes in enumerate(_WEIGHTS):
        if scale:
            a, b = halve(a), halve(b)
        if min(a.shape[-2:]) < MIN_SIDE:
            break
        with torch.no_grad():
            x = xyb(a, tuple(planes))
        total = total + _terms(x, xyb(b, tuple(planes)), planes, crops)
    return total


def _terms(
    a: Tensor, b: Tensor, weights: dict[int, dict[tuple[int, int], float]], crops: bool
) -> Tensor:
    """The weighted sum at one scale of planes (B, C, H, W): (B,)."""
    with torch.no_grad():
        mean_a, squares_a = _blur(torch.cat((a, a * a), 1), crops).chunk(2, 1)
        edges_a = 1 + (a - mean_a).abs()
    mean_b, squares_b, products = _blur(torch.cat((b, b * b, a * b), 1), crops).chunk(3, 1)
    covariance = products - mean_a * mean_b
    variances = squares_a - mean_a * mean_a + squares_b - mean_b * mean_b
    similar = (1 - (mean_a - mean_b) ** 2) * (2 * covariance + _C2) / (variances + _C2)
    edges = (1 + (b - mean_b).abs()) / edges_a - 1
    total = a.new_zeros(len(a))
    for channel, terms in enumerate(weights.values()):
        for kind in sorted({kind for kind, _ in terms}):
            map_ = (1 - similar, edges, -edges)[kind][:, channel].clamp(min=0)
            if (weight := terms.get((kind, MEAN))) is not None:
                total = total + weight * map_.mean((1, 2))
            if (weight := terms.get((kind, NORM4))) is not None:
                squares = map_ * map_
                fourth = (squares * squares).mean((1, 2)).clamp(min=_LEAST)
                total = total + weight * fourth.sqrt().sqrt()
    return total


def linear_light(x: Tensor) -> Tensor:
    """sRGB -> linear light, 0..1 each."""
    bright = ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(x <= 0.04045, x / 12.92, bright)


def xyb(linear: Tensor, planes: tuple[int, ...]) -> Tensor:
    """The wanted planes (B, C, H, W) of XYB, shifted to be positive, of linear RGB (B, 3, H, W)."""
    mix = _MIX[:2] if B not in planes else (*_MIX[:2], (*_MIX[2], 1 - sum(_MIX[2])))
    kernel = numbers(mix, linear)[:, :, None, None]
    roots = (F.conv2d(linear, kernel) + _BIAS) ** (1 / 3) - _BIAS ** (1 / 3)
    y = (roots[:, 0] + roots[:, 1]) / 2
    made = {Y: y + 0.01}
    if X in planes:
        made[X] = 7 * (roots[:, 0] - roots[:, 1]) + 0.42
    if B in planes:
        made[B] = roots[:, 2] - y + 0.55
    return torch.stack([made[plane] for plane in planes], 1)


def halve(x: Tensor) -> Tensor:
    """Means of 2x2; what is left of an odd side counts as a whole pixel."""
    return F.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)


def _blur(x: Tensor, crops: bool) -> Tensor:
    """(B, C, H, W) in Gaussian windows, mirrored above and below; zero to the left and right, or
    (`crops`) mirrored there, too."""
    return blur(x, SIGMA, RADIUS, "symmetric", "symmetric" if crops else "zero")
