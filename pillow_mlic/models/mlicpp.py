"""MLIC++ (Jiang et al., arXiv 2307.15421), the published network: its weights load as they are.

    x -> g_a -> y                            /16, M channels
    y -> h_a -> z                            /64, N channels, coded with a factorised prior
    z -> h_s -> hyper parameters; for each slice: these and earlier slices -> anchors,
                these, earlier slices and the anchors -> non-anchors          code_y
    y -> g_s -> x

Ten slices of 32 channels, two checkerboard halves each, anchors first; after each half a network
predicts what rounding took away. Modules and their names are those of the published state dict.
Tensors are (B, H, W, C). What works on single positions runs on the coded half only.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Coder
from .layers.attention import InterSliceContext, IntraSliceContext, LocalContext
from .layers.checkerboard import ANCHOR, NON_ANCHOR, keep, put, take
from .layers.conv import Conv2d, SubpixelConv
from .layers.factorised import FactorisedPrior, GaussianModel
from .layers.residual import ResidualBlock, ResidualDown, ResidualStack, ResidualUp
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


class Stack(nn.Sequential):
    """The layers with GELU between them; a place in the sequence is kept for each GELU."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(layers[0])
        for layer in layers[1:]:
            self.extend((nn.GELU(), layer))

    def forward(self, x: Tensor) -> Tensor:
        *layers, last = list(self)[::2]
        for layer in layers:
            x = layer(x, F.gelu)
        return last(x)


class Analysis(nn.Module):
    """g_a: pixels (B, H, W, 3) in 0..1 -> latents (B, H/16, W/16, M)."""

    def __init__(self, c: MlicPlusPlusConfig) -> None:
        super().__init__()
        n = c.width
        self.analysis_transform = ResidualStack(
            ResidualDown(3, n),
            ResidualBlock(n, n),
            ResidualDown(n, n),
            ResidualBlock(n, n),
            ResidualDown(n, n),
            ResidualBlock(n, n),
            Conv2d(n, c.latents, stride=2),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.analysis_transform(x)


class Synthesis(nn.Module):
    """g_s: latents (B, H/16, W/16, M) -> pixels (B, H, W, 3), nominally in 0..1, not clamped."""

    def __init__(self, c: MlicPlusPlusConfig) -> None:
        super().__init__()
        n = c.width
        first = n if c.variant_2023 else c.latents
        self.synthesis_transform = ResidualStack(
            ResidualBlock(c.latents, first),
            ResidualUp(first, n),
            ResidualBlock(n, n),
            ResidualUp(n, n),
            ResidualBlock(n, n),
            ResidualUp(n, n),
            ResidualBlock(n, n),
            SubpixelConv(n, 3),
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.synthesis_transform(y)


class HyperAnalysis(nn.Module):
    """h_a: latents (B, H/16, W/16, M) -> hyper latents (B, H/64, W/64, N)."""

    def __init__(self, c: MlicPlusPlusConfig) -> None:
        super().__init__()
        n = c.width
        self.reduction = Stack(
            Conv2d(c.latents, n),
            Conv2d(n, n),
            Conv2d(n, n, stride=2),
            Conv2d(n, n),
            Conv2d(n, n, stride=2),
        )

    def forward(self, y: Tensor) -> Tensor:
        return self.reduction(y)


class HyperSynthesis(nn.Module):
    """h_s: hyper latents (B, H/64, W/64, N) -> hyper parameters (B, H/16, W/16, 2M)."""

    def __init__(self, c: MlicPlusPlusConfig) -> None:
        super().__init__()
        m = c.latents
        self.increase = Stack(
            Conv2d(c.width, m),
            SubpixelConv(m, m),
            Conv2d(m, 3 * m // 2),
            SubpixelConv(3 * m // 2, 3 * m // 2),
            Conv2d(3 * m // 2, 2 * m),
        )

    def forward(self, z: Tensor) -> Tensor:
        return self.increase(z)


class ChannelContext(nn.Module):
    """Context from the finished slices around: (B, H, W, c i) -> (B, H, W, 4c)."""

    def __init__(self, channels: int, slices: int) -> None:
        super().__init__()
        c = channels
        self.fushion = Stack(Conv2d(c * slices, 6 * c), Conv2d(6 * c, 4 * c), Conv2d(4 * c, 4 * c))

    def forward(self, previous: Tensor) -> Tensor:
        return self.fushion(previous)


class ParameterNetwork(nn.Module):
    """All contexts together (B, H, W, c_in) -> raw scales and means (B, H, W, 2c), by pixel."""

    def __init__(self, c_in: int, channels: int) -> None:
        super().__init__()
        widths = (c_in, 10 * channels, 8 * channels, 4 * channels, 2 * channels)
        self.fusion = Stack(*(Conv2d(a, b, 1) for a, b in pairwise(widths)))

    def forward(self, context: Tensor) -> Tensor:
        return self.fusion(context)


class ResidualPrediction(nn.Module):
    """Latent residual prediction: what rounding took away, within +-0.5; widths as listed.

    (B, H, W, widths[0]) -> (B, H, W, widths[-1]). Minnen and Singh, arXiv 2007.08739.
    """

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.lrp_transform = Stack(*(Conv2d(a, b) for a, b in pairwise(widths)))

    def forward(self, decoded: Tensor) -> Tensor:
        return 0.5 * torch.tanh(self.lrp_transform(decoded))


def _residual_widths(c: MlicPlusPlusConfig, i: int) -> list[int]:
    """Widths of slice i's latent residual prediction."""
    out = c.slice_channels
    c_in = c.latents + out * (i + 1)
    if c.variant_2023:
        return [c_in - (c_in - out) * j // 4 for j in range(5)]
    return [c_in, 7 * out, 4 * out, out]


class MlicPlusPlus(PublishedNetwork):
    """The published network; see the module's docstring for the flow of data."""

    halo = 112
    """g_s has 3x3 convolutions: 3 of latents, 4 each at 1/8, 1/4 and 1/2: 104 pixels."""
    anchor = ANCHOR

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
    def conditional(self) -> GaussianModel:
        """The model of y, given scales and means."""
        return self.gaussian_conditional

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        return self.config.latents, self.config.width

    def context_maps(self, y_hat: Tensor, at: tuple[int, int]) -> dict[str, Tensor]:
        """Attention of the global contexts of each slice but the first; see base.ContextMaps."""
        slices = y_hat.split(self.config.slice_channels, dim=-1)
        found: dict[str, Tensor] = {}
        for i in range(1, self.config.slices):
            inter = self.global_inter_context[str(i)]
            previous = torch.cat(slices[:i], dim=-1)
            found[f"slice {i + 1}, from slices"] = inter_slice_map(inter, previous, at)
            intra = intra_slice_map(self.global_intra_context[str(i)], slices[i - 1], at)
            if intra is not None:
                found[f"slice {i + 1}, from anchors"] = intra
        return found

    def code_y(self, hyper_parameters: Tensor, coder: Coder) -> Tensor:
        """Walk through all coding steps of y: (B, H, W, 2M) of h_s -> y_hat (B, H, W, M)."""
        done: list[Tensor] = []
        for _ in range(self.config.slices):
            done.append(self._code_slice(hyper_parameters, done, coder))
        return torch.cat(done, dim=-1)

    def _code_slice(self, hyper: Tensor, done: list[Tensor], coder: Coder) -> Tensor:
        """Code the slice after those `done`; -> (B, H, W, c)."""
        i = len(done)
        hyper_means = hyper.chunk(2, dim=-1)[1]
        contexts = [*self._from_slices(done), hyper]

        parameters = self.entropy_parameters_anchor[i](_at(contexts, ANCHOR))
        anchors = self._code_half(i, ANCHOR, parameters, coder)
        residual = self.lrp_anchor[i](torch.cat([hyper_means, *done, anchors], dim=-1))
        anchors = anchors + keep(residual, ANCHOR)

        contexts = [*self._from_anchors(done, anchors), *contexts]
        local = self.local_context[i](anchors)
        around = torch.cat([local, _at(contexts, NON_ANCHOR)], dim=-1)
        parameters = self.entropy_parameters_nonanchor[i](around)
        both = anchors + self._code_half(i, NON_ANCHOR, parameters, coder)
        residual = self.lrp_nonanchor[i](torch.cat([hyper_means, *done, both], dim=-1))
        return both + keep(residual, NON_ANCHOR)

    def _from_slices(self, done: list[Tensor]) -> list[Tensor]:
        """Contexts (B, H, W, 6c) in all that the slices `done` give; none for the first."""
        if not done:
            return []
        i, previous = str(len(done)), torch.cat(done, dim=-1)
        return [self.global_inter_context[i](previous), self.channel_context[i](previous)]

    def _from_anchors(self, done: list[Tensor], anchors: Tensor) -> list[Tensor]:
        """Context (B, H, W, 2c) that a slice's anchors give together with the slice before it."""
        if not done:
            return []
        return [self.global_intra_context[str(len(done))](done[-1], anchors)]

    def _code_half(self, i: int, half: int, parameters: Tensor, coder: Coder) -> Tensor:
        """Code one half of slice i with `parameters` (B, H, W/2, 2c); zero at the other half."""
        start, stop = i * self.config.slice_channels, (i + 1) * self.config.slice_channels
        scale, mean = parameters.chunk(2, dim=-1)
        gain = mean.new_ones(1)
        symbols = coder(mean, scale, gain, lambda latents: take(latents.y[..., start:stop], half))
        return put(symbols + mean, half)


def _at(contexts: list[Tensor], half: int) -> Tensor:
    """Contexts (B, H, W, ...) side by side, at one half of the positions: (B, H, W/2, sum)."""
    return torch.cat([take(context, half) for context in contexts], dim=-1)
