"""MLIC++ (Jiang et al., arXiv 2307.15421), the published network: its weights load as they are.

    x -> g_a -> y                            /16, M channels
    y -> h_a -> z                            /64, N channels, coded with a factorised prior
    z -> h_s -> hyper parameters; for each slice: these and earlier slices -> anchors,
                these, earlier slices and the anchors -> non-anchors          code_y
    y -> g_s -> x

Ten slices of 32 channels, two checkerboard halves each, anchors first; after each half a network
predicts what rounding took away. Modules and their names are those of the published state dict.
(B, C, H, W) layout but for what a coder sees, which is channels-last (see `base`).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from .base import Coder, Latents, Select
from .layers.attention import InterSliceContext, IntraSliceContext, LocalContext, keep_half
from .layers.checkerboard import ANCHOR, NON_ANCHOR, put, take
from .layers.factorised import FactorisedPrior, GaussianModel
from .layers.quantise import round_straight_through
from .layers.residual import ResidualBlock, ResidualDown, ResidualUp, conv, subpixel_conv
from .loading import build
from .maps import inter_slice_map, intra_slice_map
from .published import PublishedNetwork

WIDEST_WINDOW = 31
"""Attention within a window takes memory by the fourth power of its side."""


@dataclass(frozen=True)
class MlicPlusPlusConfig:
    """Widths; the defaults are the published ones.

    Checkpoints of 2023 have a narrower start of the synthesis (its first block goes from `latents`
    to `width` channels) and deeper networks for latent residual prediction: `variant_2023`.
    """

    width: int = 192
    latents: int = 320
    slices: int = 10
    slice_channels: int = 32
    window: int = 5
    variant_2023: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.window <= WIDEST_WINDOW:
            msg = f"a window has 1 to {WIDEST_WINDOW} pixels a side, not {self.window}"
            raise ValueError(msg)
        if self.slices * self.slice_channels != self.latents:
            msg = (
                f"{self.slices} slices of {self.slice_channels} channels are not "
                f"{self.latents} latents"
            )
            raise ValueError(msg)


def config_from_state_dict(state: Mapping[str, Tensor]) -> MlicPlusPlusConfig:
    """The configuration that a published state dict (or one of ours) belongs to, by its shapes.

    Raises ValueError if the state dict is not one of an MLIC++ network.
    """
    try:
        return MlicPlusPlusConfig(
            width=state["g_a.analysis_transform.0.conv1.weight"].shape[0],
            latents=state["g_a.analysis_transform.6.weight"].shape[0],
            slices=len({key.split(".")[1] for key in state if key.startswith("local_context.")}),
            slice_channels=state["local_context.0.norm1.weight"].shape[0],
            window=state["local_context.0.fusion.weight"].shape[-1],
            variant_2023="lrp_anchor.0.lrp_transform.6.weight" in state,
        )
    except KeyError as error:
        msg = f"these weights are not of MLIC++: there is no {error.args[0]!r}"
        raise ValueError(msg) from None


def _stack(*layers: nn.Module) -> nn.Sequential:
    """The layers with GELU between them."""
    stack = nn.Sequential(layers[0])
    for layer in layers[1:]:
        stack.extend((nn.GELU(), layer))
    return stack


class Analysis(nn.Module):
    """g_a: pixels (B, 3, H, W) in 0..1 -> latents (B, M, H/16, W/16)."""

    def __init__(self, c: MlicPlusPlusConfig) -> None:
        super().__init__()
        n = c.width
        self.analysis_transform = nn.Sequential(
            ResidualDown(3, n),
            ResidualBlock(n, n),
            ResidualDown(n, n),
            ResidualBlock(n, n),
            ResidualDown(n, n),
            ResidualBlock(n, n),
            conv(n, c.latents, stride=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.analysis_transform(x)


class Synthesis(nn.Module):
    """g_s: latents (B, M, H/16, W/16) -> pixels (B, 3, H, W), nominally in 0..1, not clamped."""

    def __init__(self, c: MlicPlusPlusConfig) -> None:
        super().__init__()
        n = c.width
        first = n if c.variant_2023 else c.latents
        self.synthesis_transform = nn.Sequential(
            ResidualBlock(c.latents, first),
            ResidualUp(first, n),
            ResidualBlock(n, n),
            ResidualUp(n, n),
            ResidualBlock(n, n),
            ResidualUp(n, n),
            ResidualBlock(n, n),
            subpixel_conv(n, 3),
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.synthesis_transform(y)


class HyperAnalysis(nn.Module):
    """h_a: latents (B, M, H/16, W/16) -> hyper latents (B, N, H/64, W/64)."""

    def __init__(self, c: MlicPlusPlusConfig) -> None:
        super().__init__()
        n = c.width
        self.reduction = _stack(
            conv(c.latents, n),
            conv(n, n),
            conv(n, n, stride=2),
            conv(n, n),
            conv(n, n, stride=2),
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.reduction(y)


class HyperSynthesis(nn.Module):
    """h_s: hyper latents (B, N, H/64, W/64) -> hyper parameters (B, 2M, H/16, W/16)."""

    def __init__(self, c: MlicPlusPlusConfig) -> None:
        super().__init__()
        m = c.latents
        self.increase = _stack(
            conv(c.width, m),
            subpixel_conv(m, m),
            conv(m, 3 * m // 2),
            subpixel_conv(3 * m // 2, 3 * m // 2),
            conv(3 * m // 2, 2 * m),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.increase(z)


class ChannelContext(nn.Module):
    """Context from the finished slices around: (B, c i, H, W) -> (B, 4c, H, W)."""

    def __init__(self, channels: int, slices: int) -> None:
        super().__init__()
        c = channels
        self.fushion = _stack(conv(c * slices, 6 * c), conv(6 * c, 4 * c), conv(4 * c, 4 * c))

    def forward(self, previous: Tensor) -> Tensor:
        return self.fushion(previous)


class ParameterNetwork(nn.Module):
    """All contexts together (B, c_in, H, W) -> raw scales and means (B, 2c, H, W), by pixel."""

    def __init__(self, c_in: int, channels: int) -> None:
        super().__init__()
        widths = (c_in, 10 * channels, 8 * channels, 4 * channels, 2 * channels)
        self.fusion = _stack(*(conv(a, b, 1) for a, b in pairwise(widths)))

    def forward(self, context: Tensor) -> Tensor:
        return self.fusion(context)


class ResidualPrediction(nn.Module):
    """Latent residual prediction: what rounding took away, within +-0.5; widths as listed.

    (B, widths[0], H, W) -> (B, widths[-1], H, W). Minnen and Singh, arXiv 2007.08739.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.lrp_transform = _stack(*(conv(a, b) for a, b in pairwise(widths)))

    def forward(self, decoded: Tensor) -> Tensor:
        return 0.5 * torch.tanh(self.lrp_transform(decoded))


def _residual_widths(c: MlicPlusPlusConfig, i: int) -> list[int]:
    """Widths of slice i's latent residual prediction."""
    out = c.slice_channels
    c_in = c.latents + out * (i + 1)
    if c.variant_2023:
        return [c_in - (c_in - out) * j // 4 for j in range(5)]
    return [c_in, 7 * out, 4 * out, out]


class Likelihoods(TypedDict):
    """Probability of each latent's value: y (B, M, H/16, W/16), z (B, N, H/64, W/64)."""

    y: Tensor
    z: Tensor


class Output(TypedDict):
    """What `forward` returns: pixels (B, 3, H, W), not clamped, and likelihoods."""

    x_hat: Tensor
    likelihoods: Likelihoods


class LikelihoodCoder:
    """Computes symbols from latents and keeps the likelihood of each coding step.

    With `noise` (training) symbols pass the gradient straight through and likelihoods are those of
    latents with uniform noise in place of rounding.
    """

    def __init__(self, latents: Latents, model: GaussianModel, noise: bool) -> None:
        self.latents = latents
        self.model = model
        self.noise = noise
        self.steps: list[Tensor] = []

    def __call__(self, mean: Tensor, scale: Tensor, gain: Tensor, select: Select) -> Tensor:
        exact = select(self.latents) * gain - mean
        symbols = round_straight_through(exact) if self.noise else exact.round()
        deviation = exact + torch.rand_like(exact) - 0.5 if self.noise else symbols
        self.steps.append(self.model.likelihood(deviation, scale))
        return symbols

    def likelihoods(self) -> Tensor:
        """Of all y, (B, M, H, W), after a complete walk: slice by slice, anchors first."""
        pairs = zip(self.steps[0::2], self.steps[1::2], strict=True)
        slices = [put(anchors, ANCHOR) + put(others, NON_ANCHOR) for anchors, others in pairs]
        return torch.cat(slices, dim=-1).permute(0, 3, 1, 2)


class MlicPlusPlus(PublishedNetwork):
    """The published network; see the module's docstring for the flow of data."""

    halo = 112
    """g_s has 3x3 convolutions: 3 of latents, 4 each at 1/8, 1/4 and 1/2: 104 pixels."""

    def __init__(self, config: MlicPlusPlusConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or MlicPlusPlusConfig()
        ch, slices = c.slice_channels, range(c.slices)
        later = slices[1:]
        hyper = 2 * c.latents
        from_slices, from_anchors, intra = 6 * ch, 2 * ch, 2 * ch
        self.entropy_bottleneck = FactorisedPrior(c.width)
        self.g_a = Analysis(c)
        self.g_s = Synthesis(c)
        self.h_a = HyperAnalysis(c)
        self.h_s = HyperSynthesis(c)
        self.gaussian_conditional = GaussianModel()
        self.local_context = nn.ModuleList(LocalContext(ch, c.window) for _ in slices)
        # The first slice has no earlier ones: published names begin at 1.
        self.channel_context = nn.ModuleDict({str(i): ChannelContext(ch, i) for i in later})
        self.global_inter_context = nn.ModuleDict({str(i): InterSliceContext(ch, i) for i in later})
        self.global_intra_context = nn.ModuleDict({str(i): IntraSliceContext(ch) for i in later})
        self.entropy_parameters_anchor = nn.ModuleList(
            ParameterNetwork(hyper + (from_slices if i else 0), ch) for i in slices
        )
        self.entropy_parameters_nonanchor = nn.ModuleList(
            ParameterNetwork(hyper + from_anchors + (from_slices + intra if i else 0), ch)
            for i in slices
        )
        self.lrp_anchor = nn.ModuleList(ResidualPrediction(_residual_widths(c, i)) for i in slices)
        self.lrp_nonanchor = nn.ModuleList(
            ResidualPrediction(_residual_widths(c, i)) for i in slices
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "MlicPlusPlus":
        """Build from the plain dictionary that `config_dict` gave (as stored in a pack)."""
        return cls(MlicPlusPlusConfig(**config))

    def config_dict(self) -> dict[str, Any]:
        """Widths as plain JSON values."""
        return asdict(self.config)

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> "MlicPlusPlus":
        """Build the variant that `state` belongs to, and load it; ValueError if it is another's."""
        return build(lambda: cls(config_from_state_dict(state)), state)

    @property
    def prior(self) -> FactorisedPrior:
        """The prior of z."""
        return self.entropy_bottleneck

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        return self.config.latents, self.config.width

    def forward(self, x: Tensor) -> Output:
        """Pixels (B, 3, H, W) in 0..1, sides multiples of 64 -> reconstruction and likelihoods."""
        y = self.g_a(x)
        z = self.h_a(y)
        z_hat, z_likelihoods = self.entropy_bottleneck(z)
        latents = Latents(y.permute(0, 2, 3, 1), z.permute(0, 2, 3, 1))
        coder = LikelihoodCoder(latents, self.gaussian_conditional, self.training)
        y_hat = self.code_y(self.h_s(z_hat), coder)
        likelihoods = Likelihoods(y=coder.likelihoods(), z=z_likelihoods)
        return Output(x_hat=self.g_s(y_hat), likelihoods=likelihoods)

    def context_maps(self, y_hat: Tensor, at: tuple[int, int]) -> dict[str, Tensor]:
        """Attention of the global contexts of each slice but the first; see base.ContextMaps."""
        slices = y_hat.permute(0, 3, 1, 2).split(self.config.slice_channels, dim=1)
        found: dict[str, Tensor] = {}
        for i in range(1, self.config.slices):
            inter = self.global_inter_context[str(i)]
            found[f"slice {i + 1}, from slices"] = inter_slice_map(
                inter, torch.cat(slices[:i], dim=1), at
            )
            intra = intra_slice_map(self.global_intra_context[str(i)], slices[i - 1], at)
            if intra is not None:
                found[f"slice {i + 1}, from anchors"] = intra
        return found

    def code_y(self, hyper_parameters: Tensor, coder: Coder) -> Tensor:
        """Walk through all coding steps of y: (B, 2M, H, W) of h_s -> y_hat (B, M, H, W).

        The coder is called for the anchors and then the non-anchors of each slice; means and
        scales are (B, H, W/2, c), the packed half of `checkerboard.take`, the gain is one. Scales
        are as the network gives them: not bounded, even negative.
        """
        done: list[Tensor] = []
        for _ in range(self.config.slices):
            done.append(self._code_slice(hyper_parameters, done, coder))
        return torch.cat(done, dim=1)

    def _code_slice(self, hyper: Tensor, done: list[Tensor], coder: Coder) -> Tensor:
        """Code the slice after those `done`; -> (B, c, H, W)."""
        i = len(done)
        hyper_means = hyper.chunk(2, dim=1)[1]
        contexts = [*self._from_slices(done), hyper]

        parameters = self.entropy_parameters_anchor[i](torch.cat(contexts, dim=1))
        anchors = self._code_half(i, ANCHOR, parameters, coder)
        residual = self.lrp_anchor[i](torch.cat([hyper_means, *done, anchors], dim=1))
        anchors = anchors + keep_half(residual, ANCHOR)

        contexts = [*self._from_anchors(done, anchors), *contexts]
        parameters = self.entropy_parameters_nonanchor[i](torch.cat(contexts, dim=1))
        both = anchors + self._code_half(i, NON_ANCHOR, parameters, coder)
        residual = self.lrp_nonanchor[i](torch.cat([hyper_means, *done, both], dim=1))
        return both + keep_half(residual, NON_ANCHOR)

    def _from_slices(self, done: list[Tensor]) -> list[Tensor]:
        """Contexts (B, 6c, H, W) in all that the slices `done` give; none for the first."""
        if not done:
            return []
        i, previous = str(len(done)), torch.cat(done, dim=1)
        return [self.global_inter_context[i](previous), self.channel_context[i](previous)]

    def _from_anchors(self, done: list[Tensor], anchors: Tensor) -> list[Tensor]:
        """Contexts (B, 4c, H, W) in all, 2c for the first slice, that a slice's anchors give."""
        i = len(done)
        contexts = [self.local_context[i](anchors)]
        if done:
            contexts.append(self.global_intra_context[str(i)](done[-1], anchors))
        return contexts

    def _code_half(self, i: int, half: int, parameters: Tensor, coder: Coder) -> Tensor:
        """Code one half of slice i with `parameters` (B, 2c, H, W); zero at the other half."""
        start, stop = i * self.config.slice_channels, (i + 1) * self.config.slice_channels
        scale, mean = take(parameters.permute(0, 2, 3, 1), half).chunk(2, dim=-1)
        gain = mean.new_ones(1)
        symbols = coder(mean, scale, gain, lambda latents: take(latents.y[..., start:stop], half))
        return put(symbols + mean, half).permute(0, 3, 1, 2).contiguous()
