"""The stage "texture": synthesis learns to make textures of noise where symbols are zero.

Analysis and entropy part stay as they are, so streams do, too. Some pictures of each batch are
synthesised without noise, for the same loss as ever; the others with noise, for statistics at fine
scales and fidelity at coarse ones. One network shows both.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..distortion import ssimulacra2
from ..distortion.costs import cost, mse
from ..distortion.texture import texture_distance
from ..models.base import Latents, Model, Select, Textured
from ..models.lambdas import QUALITIES
from ..models.layers.quality import lambda_of
from ..models.layers.quantise import gaussian_bits
from .objective import LAMBDA_UNIT, Figures

BEST = 5.5
"""Qualities above this have next to no noise, and are not trained with it."""
NOISY = 1 / 2
"""Share of the pictures that have noise."""
STATISTICS, HALF_SIZE, QUARTER_SIZE = 96.0, 0.2, 0.05
"""Weights of the three parts of what noisy pictures are trained for: distance of textures and
SSIMULACRA2's u at half the size (of what the latter costs), squared error at a quarter."""
LEAST_SCALE = 1e-2
"""Scales, in steps, below this have the noise of this: none."""
MOST = 1 - 2e-6
"""Noise is less than 4.8 scales: where the error function is this."""


class TextureCoder:
    """Rounds, and notes the noise of latents whose symbols are zero, in units of latents.

    Its law is what a decoder knows of such a latent: a normal one with the predicted mean and
    scale, cut to half a step around its mean.
    """

    def __init__(self, latents: Latents, uniform: Latents) -> None:
        self.bits: Tensor | float = 0.0
        self.noise: list[Tensor] = []
        """One tensor a step, that of the hyper latents first."""
        self._latents = latents
        self._uniform = uniform

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        del coded
        symbols = (select(self._latents) * gain - mean).round()
        self.bits = self.bits + gaussian_bits(symbols, scale).sum(dim=(1, 2, 3))
        self.noise.append(cut_normal(select(self._uniform), scale) * (symbols == 0) / gain)
        return symbols

    def decide(self, odds: Tensor) -> Tensor:
        """See models.base.Coder."""
        return odds > 1

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """See models.base.TableCoder."""
        return (select(self._latents) - mean).round()


def cut_normal(uniform: Tensor, scale: Tensor) -> Tensor:
    """Samples of normal laws of these scales, cut to -0.5..0.5, from uniform ones (-0.5..0.5)."""
    scale = scale.float().clamp(min=LEAST_SCALE)
    inside = torch.erf(0.5 / (scale * 2**0.5))
    # The inverse of a normal law, written so that every device of torch has it.
    place = (2 * uniform * inside).clamp(-MOST, MOST)
    return scale * 2**0.5 * torch.erfinv(place)


def textured(
    model: Model,
    x: Tensor,
    quality: Tensor,
    noise: Latents,
    exponent: float,
    draw: torch.Generator | None = None,
) -> Figures:
    """Loss of pictures (B, H, W, 3) in 0..1 at `quality` (B,), which is scaled from 1 to 8 to 1 to
    `BEST` for those with noise.

    The squared error that is reported is that of the pictures without noise. `draw`: see
    `distortion.costs.cost`.
    """
    assert isinstance(model, Textured)
    plain = round(len(x) * (1 - NOISY))
    with torch.no_grad():
        # A random order, taken from the noise, as qualities ascend within a batch.
        order = noise.z.flatten(1).sum(1).argsort()
        x, quality = x[order], quality[order].clone()
        quality[plain:] = 1 + (quality[plain:] - 1) * (BEST - 1) / (QUALITIES - 1)
        latents = model.latents(x, quality)
        coder = TextureCoder(latents, noise)
        y_hat = model.entropy(quality, latents.z_size, coder)
        y_hat[plain:] += model.arranged(coder.noise[1:])[plain:]
    shown = model.synthesis(y_hat, quality)
    losses = torch.cat(
        (
            cost("visual", shown[:plain], x[:plain], quality[:plain], draw),
            _lively(shown[plain:], x[plain:], quality[plain:]),
        )
    )
    weight = (lambda_of(quality) / LAMBDA_UNIT) ** exponent
    assert isinstance(coder.bits, Tensor)
    bpp = coder.bits / (x.shape[1] * x.shape[2])
    error = mse(shown.detach()[:plain], x[:plain])
    return Figures((weight * losses).mean(), bpp, error)


def _lively(shown: Tensor, x: Tensor, quality: Tensor) -> Tensor:
    """What pictures with noise are trained for, (B,)."""
    shown = shown.float()
    beyond = mse(shown, shown.detach().clamp(0, 1))
    half = _smaller(x, 2), _smaller(shown, 2)
    coarse = mse(_smaller(shown, 4), _smaller(x, 4))
    seen = STATISTICS * texture_distance(shown, x)
    seen = seen + HALF_SIZE * ssimulacra2.badness(*half, crops=True)
    price = lambda_of(quality)
    return lambda_of(quality, "visual") * seen + price * (QUARTER_SIZE * coarse + beyond)


def _smaller(x: Tensor, factor: int) -> Tensor:
    """Means of squares of `factor` pixels of (B, H, W, 3)."""
    return F.avg_pool2d(x.permute(0, 3, 1, 2), factor).permute(0, 2, 3, 1)
