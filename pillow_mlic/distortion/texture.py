"""How alike two textures are, whatever their grains are: a Wasserstein-like distance.

    XYB at three scales -> bands and differences -> local means m and deviations v -> distance

Two pictures of the same bark are equal to the eye where the local statistics of their details are,
even if no detail of one is at its place in the other. After Balle et al., "Good, Cheap, and Fast"
(CVPR 2025); windows, features and weights are this project's.
"""

import torch
from torch import Tensor

from .numbers import numbers
from .ssimulacra2 import B, X, Y, halve, linear_light, xyb
from .windows import blur

SCALES = 3
WINDOW = 3.0
"""Sigma of the Gaussian windows that statistics are taken in, in pixels of a scale."""
DETAIL = 1.0
"""Sigma of the Gaussian that is taken away for the band of details."""
REACH = 3
"""Where Gaussians end, in sigmas."""
PLANES = (1.0, 1.0, 1.0)
"""Weights of the planes X, Y, B: colours count as brightness does, so that skin stays clean."""
FLOORS = (1e-5, 2e-4, 3e-6)
"""What the sum of squares of a texture is at least, in planes X, Y, B: what is fainter than this
counts less. About a fifth of the sums in photographs, which differ so much between planes."""
LEAST_VARIANCE = 1e-8
"""Added to variances, whose roots have no useful gradient at zero."""


def texture_distance(shown: Tensor, original: Tensor) -> Tensor:
    """Pictures (B, H, W, 3) in 0..1 -> distances (B,): 0 where all statistics are the same, below 1
    where `shown` has less detail than `original`.

    Has a gradient by `shown`; its values outside 0..1 count as the nearest inside. In float32,
    whatever autocast says.
    """
    with torch.autocast(shown.device.type, enabled=False):
        with torch.no_grad():
            a = linear_light(original.float().permute(0, 3, 1, 2))
        b = linear_light(shown.float().clamp(0, 1).permute(0, 3, 1, 2))
        total = b.new_zeros(len(b))
        for scale in range(SCALES):
            if scale:
                a, b = halve(a), halve(b)
            total = total + _at_one_scale(a, b)
        return total / SCALES


def _at_one_scale(a: Tensor, b: Tensor) -> Tensor:
    """The distance of two pictures in linear light, (B, 3, H, W): (B,)."""
    with torch.no_grad():
        mean_a, deviation_a = _statistics(a)
        floors = numbers(FLOORS, a).repeat(mean_a.shape[1] // len(FLOORS))
        size = mean_a**2 + deviation_a**2 + floors[:, None, None]
    mean_b, deviation_b = _statistics(b)
    apart = ((mean_a - mean_b) ** 2 + (deviation_a - deviation_b) ** 2) / size
    by_plane = apart.unflatten(1, (-1, len(PLANES))).mean((1, 3, 4))
    return by_plane @ numbers(PLANES, by_plane) / sum(PLANES)


def _statistics(linear: Tensor) -> tuple[Tensor, Tensor]:
    """Local means and deviations, (B, 15, H/2, W/2) each, of five features of three planes: a band
    and the differences to the right, down, and along both diagonals."""
    planes = xyb(linear, (X, Y, B))
    here, right = planes[..., :-1, :-1], planes[..., :-1, 1:]
    below, across = planes[..., 1:, :-1], planes[..., 1:, 1:]
    differences = (right - here, below - here, 0.7 * (across - here), 0.7 * (below - right))
    band = (planes - blur(planes, DETAIL, int(REACH * DETAIL)))[..., :-1, :-1]
    features = torch.cat((band, *differences), 1)
    radius = int(REACH * WINDOW)
    mean = blur(features, WINDOW, radius, stride=2)
    variance = blur(features * features, WINDOW, radius, stride=2) - mean * mean
    return mean, (variance.clamp(min=0) + LEAST_VARIANCE).sqrt()
