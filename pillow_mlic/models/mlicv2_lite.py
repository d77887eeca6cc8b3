"""`mlicv2-lite`, the bundled model: the ideas of MLICv2 at a width that a laptop runs.

One network serves every quality: gains per channel and quality (log-interpolated) scale latents to
quantisation steps; contexts and transforms see latents in units that do not depend on quality.

    x -> /4 [blocks] -> /8 [blocks] -> /16 [blocks] -> y           Analysis
    y -> /32 -> /64 -> z                                           HyperAnalysis
    z -> h; for each slice: h, earlier slices -> anchors
            h, earlier slices, anchors -> non-anchors              Entropy
    y_hat -> /16 [blocks] -> /8 [blocks] -> /4 [blocks] -> x_hat   Synthesis

Slices of uneven size in order of variance and two checkerboard passes for each: MLICv2 section
3.4 and MLIC section 3.2, at small width. Latent residual prediction as in MLIC.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Coder, Latents, without
from .lambdas import LAMBDAS
from .layers.blocks import (
    Conv3x3,
    Merge,
    Split,
    TokenMixing,
    depth_to_space,
    linear,
    space_to_depth,
    token_mixing_stack,
)
from .layers.checkerboard import ANCHOR, NON_ANCHOR, put, take
from .layers.quality import Gain
from .lite_config import LiteConfig


class Analysis(nn.Module):
    """g_a: pixels (B, H, W, 3) in 0..1 -> latents (B, H/16, W/16, M)."""

    def __init__(self, c: LiteConfig) -> None:
        super().__init__()
        self.stem = linear(48, c.width4, exact=True)
        self.blocks4 = token_mixing_stack(c.width4, c.depth4)
        self.merge8 = Merge(c.width4, c.width8)
        self.gain8 = Gain(c.width8)
        self.blocks8 = token_mixing_stack(c.width8, c.depth8)
        self.merge16 = Merge(c.width8, c.width16)
        self.blocks16 = token_mixing_stack(c.width16, c.depth16)
        self.head = linear(c.width16, c.latents, exact=True)

    def forward(self, x: Tensor, quality: Tensor) -> Tensor:
        x = self.blocks4(self.stem(space_to_depth(x - 0.5, 4)))
        x = self.blocks8(self.gain8.scale(self.merge8(x), quality))
        return self.head(self.blocks16(self.merge16(x)))


class Synthesis(nn.Module):
    """g_s: latents (B, H/16, W/16, M) -> pixels (B, H, W, 3), nominally in 0..1, not clamped."""

    def __init__(self, c: LiteConfig) -> None:
        super().__init__()
        self.gain_in = Gain(c.latents)
        self.stem = linear(c.latents, c.width16, exact=True)
        self.gain16 = Gain(c.width16)
        self.blocks16 = token_mixing_stack(c.width16, c.depth16)
        self.split8 = Split(c.width16, c.width8)
        self.gain8 = Gain(c.width8)
        self.blocks8 = token_mixing_stack(c.width8, c.depth8)
        self.split4 = Split(c.width8, c.width4)
        self.blocks4 = token_mixing_stack(c.width4, c.depth4)
        self.head = linear(c.width4, 48, exact=True)

    def forward(self, y: Tensor, quality: Tensor) -> Tensor:
        x = self.gain16.scale(self.stem(self.gain_in.scale(y, quality)), quality)
        x = self.gain8.scale(self.split8(self.blocks16(x)), quality)
        x = self.blocks4(self.split4(self.blocks8(x)))
        return depth_to_space(self.head(x), 4).float() + 0.5


class HyperAnalysis(nn.Module):
    """h_a: latents (B, H/16, W/16, M) -> hyper latents (B, H/64, W/64, Z)."""

    deviation: Tensor

    def __init__(self, c: LiteConfig) -> None:
        super().__init__()
        width = 128
        self.register_buffer("deviation", torch.ones(c.latents))
        self.stem = linear(c.latents, width, exact=True)
        self.block16 = TokenMixing(width)
        self.merge32 = Merge(width, width)
        self.block32 = TokenMixing(width)
        self.merge64 = Merge(width, c.hyper_latents)

    def forward(self, y: Tensor) -> Tensor:
        x = self.block16(self.stem(y / self.deviation))
        return self.merge64(self.block32(self.merge32(x)))


class HyperSynthesis(nn.Module):
    """h_s: hyper latents (B, H/64, W/64, Z) -> features (B, H/16, W/16, hyper_width)."""

    def __init__(self, c: LiteConfig) -> None:
        super().__init__()
        width = 128
        self.split32 = Split(c.hyper_latents, width)
        self.block32 = TokenMixing(width)
        self.split16 = Split(width, c.hyper_width)
        self.gain16 = Gain(c.hyper_width)
        self.block16 = TokenMixing(c.hyper_width)

    def forward(self, z: Tensor, quality: Tensor) -> Tensor:
        x = self.split16(self.block32(self.split32(z)))
        return self.block16(self.gain16.scale(x, quality))


class SliceContext(nn.Module):
    """Distribution of one slice: from hyper features, earlier slices, and then its anchors.

    The anchors see F = W [h, earlier slices] (plus a depthwise look around); the non-anchors see
    in addition a 3x3 convolution of the decoded anchors. The layers behind are position-wise and
    shared by both halves, and run only on the half that is coded.
    """

    def __init__(self, hyper_width: int, previous: int, channels: int, width: int) -> None:
        super().__init__()
        self.feature = linear(hyper_width + previous, width)
        self.around = Conv3x3(width, width, groups=width, bias=False)
        self.local = Conv3x3(channels, width, bias=False)
        self.hidden = linear(width, width)
        self.parameters_out = linear(width, 2 * channels, exact=True)
        self.residual_out = linear(width, channels)
        nn.init.zeros_(self.around.weight)
        nn.init.normal_(self.parameters_out.weight, std=0.1 * width**-0.5)
        nn.init.zeros_(self.residual_out.weight)

    def features(self, hyper: Tensor, previous: list[Tensor]) -> Tensor:
        """Features (B, H, W, F) of every position, from all that was decoded before this slice."""
        x = self.feature(torch.cat([hyper, *(p.to(hyper.dtype) for p in previous)], dim=-1))
        return x + self.around(F.leaky_relu(x, 0.1))

    def distribution(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean, log scale and residual (before tanh), (B, H, W/2, c) each, of packed features."""
        x = F.leaky_relu(self.hidden(F.leaky_relu(features, 0.1)), 0.1)
        mean, log_scale = self.parameters_out(x).chunk(2, dim=-1)
        return mean, log_scale, self.residual_out(x)

    def forward(
        self,
        hyper: Tensor,
        previous: list[Tensor],
        coder: Coder,
        gain: Tensor,
        deviation: Tensor,
        start: int,
    ) -> Tensor:
        """Code the slice whose first channel is `start`, anchors first; -> (B, H, W, c)."""
        stop = start + deviation.shape[0]

        def code(features: Tensor, half: int) -> Tensor:
            mean, log_scale, residual = self.distribution(features)
            mean = mean.to(gain.dtype) * deviation
            scale = log_scale.to(gain.dtype).clamp(-15, 15).exp() * gain
            symbols = coder(
                mean * gain, scale, gain, lambda latents: take(latents.y[..., start:stop], half)
            )
            # Latent residual prediction: what rounding took away, guessed (MLIC, section 3.5).
            residual = 0.5 * torch.tanh(residual.to(gain.dtype))
            return put(mean + (symbols + residual) / gain, half)

        features = self.features(hyper, previous)
        anchors = code(take(features, ANCHOR), ANCHOR)
        local = self.local((anchors / deviation).to(features.dtype))
        return anchors + code(take(features + local, NON_ANCHOR), NON_ANCHOR)


class Entropy(nn.Module):
    """All that decides the distributions: prior of z, hyper synthesis, contexts of the slices."""

    deviation: Tensor

    def __init__(self, c: LiteConfig) -> None:
        super().__init__()
        self.slices = c.slices
        self.hyper_latents = c.hyper_latents
        self.gain = Gain(c.latents)
        self.hyper_gain = Gain(c.hyper_latents)
        self.hyper_scale = Gain(c.hyper_latents)
        self.register_buffer("deviation", torch.ones(c.latents))
        self.hyper_synthesis = HyperSynthesis(c)
        self.contexts = nn.ModuleList(
            SliceContext(c.hyper_width, sum(c.slices[:i]), channels, c.context_width)
            for i, channels in enumerate(c.slices)
        )

    def forward(self, quality: Tensor, z_size: tuple[int, int], coder: Coder) -> Tensor:
        """Walk through all steps; quality (B,), z_size (H/64, W/64) -> y_hat (B, H/16, W/16, M)."""
        b = quality.shape[0]
        scale = self.hyper_scale(quality).expand(b, *z_size, self.hyper_latents)
        gain = self.hyper_gain(quality)
        z_hat = coder(torch.zeros_like(scale), scale, gain, lambda latents: latents.z) / gain
        hyper = self.hyper_synthesis(z_hat, quality)
        gains = self.gain(quality).split(self.slices, dim=-1)
        deviations = self.deviation.split(self.slices)
        done: list[Tensor] = []
        previous: list[Tensor] = []
        start = 0
        for context, gain, deviation in zip(self.contexts, gains, deviations, strict=True):
            decoded = context(hyper, previous, coder, gain, deviation, start)
            done.append(decoded)
            previous.append(decoded / deviation)
            start += deviation.shape[0]
        return torch.cat(done, dim=-1)


class MlicV2Lite(nn.Module):
    """The bundled model; see the module's docstring for the flow of data."""

    fixed_rows = 0
    """Hyper latents have scales, like latents."""
    decisions = 0
    """Nothing is decided but by scales."""

    def __init__(self, config: LiteConfig | None = None) -> None:
        super().__init__()
        self.config = config or LiteConfig()
        self.analysis = Analysis(self.config)
        self.hyper_analysis = HyperAnalysis(self.config)
        self.entropy = Entropy(self.config)
        self.synthesis = Synthesis(self.config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MlicV2Lite":
        """Build from the plain dictionary that `config_dict` gave (as stored in a pack)."""
        return cls(LiteConfig.from_dict(config))

    def config_dict(self) -> dict[str, Any]:
        """Widths and depths as plain JSON values."""
        return self.config.to_dict()

    @property
    def halo(self) -> int:
        """How far, in pixels, the transforms see."""
        return self.config.halo

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        return self.config.latents, self.config.hyper_latents

    def arranged(self, steps: Sequence[Tensor]) -> Tensor:
        """What a coder has seen of y in each step, in coding order -> (B, H/16, W/16, M)."""
        halves = zip(steps[::2], steps[1::2], strict=True)
        return torch.cat([put(a, ANCHOR) + put(n, NON_ANCHOR) for a, n in halves], dim=-1)

    def exact(self) -> "MlicV2Lite":
        """A float64 copy of the entropy part."""
        return copy.deepcopy(without(self, "analysis", "hyper_analysis", "synthesis")).double()

    def latents(self, x: Tensor, quality: Tensor) -> Latents:
        """Pixels (B, H, W, 3) in 0..1, sides multiples of 64, quality (B,) -> latents."""
        y = self.analysis(x, quality).float()
        return Latents(y, self.hyper_analysis(y).float())

    def start_from_data(self, patches: Tensor) -> None:
        """Prepare fresh weights for training; `patches` (N, 16, 16, 3) in 0..1."""
        start_from_klt(self, patches)


@torch.no_grad()
def start_from_klt(model: MlicV2Lite, patches: Tensor) -> None:
    """Turn a fresh model into a 16x16x3 block KLT codec fitted to `patches` (N, 16, 16, 3) in 0..1.

    With every residual branch at zero the transforms are linear maps in three stages. Their
    matrices are set so that the whole is the Karhunen-Loeve transform of 16x16 blocks, its
    strongest components in order of variance, and the gains so that every coefficient has the
    step that is best at high rate, 2.94 / sqrt(lambda) grey levels.
    """
    patches = patches.double() - 0.5
    stage1 = space_to_depth(patches, 4).reshape(-1, 48)
    a1, s1 = _klt(stage1, 48)
    stage2 = space_to_depth((stage1 @ a1).reshape(-1, 4, 4, 48), 2).reshape(-1, 192)
    a2, s2 = _klt(stage2, min(192, model.config.width8))
    stage3 = space_to_depth((stage2 @ a2).reshape(-1, 2, 2, a2.shape[1]), 2)
    stage3 = stage3.reshape(-1, 4 * a2.shape[1])
    pixels = patches.reshape(-1, 768)
    m = model.config.latents
    a3_pixels, _ = _klt(pixels, m)
    # The same components, expressed through the outputs of stage 2 (and back).
    ridge = 1e-9 * torch.eye(stage3.shape[1], dtype=torch.float64)
    target = pixels @ a3_pixels
    a3 = torch.linalg.solve(stage3.T @ stage3 + ridge, stage3.T @ target)
    ridge = 1e-9 * torch.eye(m, dtype=torch.float64)
    s3 = torch.linalg.solve(target.T @ target + ridge, target.T @ stage3)

    _embed(model.analysis.stem.weight, a1.T)
    _embed(model.analysis.merge8.linear.weight, _regroup(a2.T, 48, model.config.width4))
    _embed(model.analysis.merge16.linear.weight, _regroup(a3.T, a2.shape[1], model.config.width8))
    _embed(model.analysis.head.weight, torch.eye(m, dtype=torch.float64))
    _embed(model.synthesis.stem.weight, torch.eye(m, dtype=torch.float64))
    _embed(
        model.synthesis.split8.linear.weight,
        _regroup(s3, a2.shape[1], model.config.width8).T,
    )
    _embed(model.synthesis.split4.linear.weight, _regroup(s2, 48, model.config.width4).T)
    _embed(model.synthesis.head.weight, s1.T)

    scale = (pixels @ _basis(pixels, m)).std(0)
    log_unit = 0.5 * (scale + 0.01).log()
    lambdas = torch.tensor(LAMBDAS, dtype=torch.float64)
    log_gain = 0.5 * lambdas.log()[:, None] + torch.tensor(255 / 2.94).log() + log_unit[None]
    model.entropy.gain.log.copy_(log_gain)
    deviation = target.std(0)
    model.entropy.deviation.copy_(deviation + 0.02)
    model.hyper_analysis.deviation.copy_(deviation + 0.02)
    start = 0
    for context, channels in zip(model.entropy.contexts, model.config.slices, strict=True):
        assert isinstance(context, SliceContext)
        bias = (0.6 * deviation[start : start + channels]).log()
        context.parameters_out.bias[channels:].copy_(bias)
        start += channels
    nn.init.normal_(
        model.hyper_analysis.merge64.linear.weight,
        std=0.3 * model.hyper_analysis.merge64.linear.in_features**-0.5,
    )
    model.entropy.hyper_scale.log.fill_(-0.6)
    model.entropy.hyper_gain.log.copy_(
        0.15 * (lambdas / lambdas[4]).log()[:, None].expand(-1, model.config.hyper_latents)
    )


def _basis(samples: Tensor, count: int) -> Tensor:
    """The `count` strongest principal directions of (N, D), as columns (D, count).

    About zero, not about the mean: the transform has no offset.
    """
    _, vectors = torch.linalg.eigh(samples.T @ samples / samples.shape[0])
    return vectors.flip(1)[:, :count]


def _klt(samples: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Analysis (D, count) and synthesis (count, D) matrices of a KLT with levelled coefficients."""
    basis = _basis(samples, count)
    unit = ((samples @ basis).std(0) + 0.01).sqrt()
    return basis / unit, basis.T * unit[:, None]


def _regroup(matrix: Tensor, inner: int, outer: int) -> Tensor:
    """Columns of a map from 2x2 groups of `inner` channels moved to groups of `outer`."""
    wide = matrix.new_zeros(matrix.shape[0], 4, outer)
    wide[:, :, :inner] = matrix.reshape(matrix.shape[0], 4, inner)
    return wide.reshape(matrix.shape[0], 4 * outer)


def _embed(weight: Tensor, start: Tensor) -> None:
    """weight = 0.02 x its random start, with `start` added in the leading corner."""
    weight.mul_(0.02)
    weight[: start.shape[0], : start.shape[1]] += start.to(weight.dtype)
