"""The frame of the MLIC family's networks: what they all have in common.

    x -> g_a -> y                            /16, M channels
    y -> h_a -> z                            /64, N channels, coded with a factorised prior
    z -> h_s -> hyper parameters; for each slice: these and earlier slices -> anchors,
                these, earlier slices and the anchors -> non-anchors          code_y
    y -> g_s -> x

y is coded in slices of 32 channels and each slice in two halves of a checkerboard, anchors first;
after each half a network predicts what rounding took away. A model adds its transforms
(`add_transforms`) and its contexts: `add_contexts` makes them, `from_slices` gives those that are
known before a slice is coded, `from_anchors` those that its anchors give.

Tensors are (B, H, W, C). Networks for single positions run on the coded half only.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Coder, Select, TableCoder
from .layers.checkerboard import ANCHOR, NON_ANCHOR, keep, put, take
from .layers.conv import Conv2d, SubpixelConv
from .layers.factorised import FactorisedPrior, GaussianModel
from .layers.residual import ResidualBlock, ResidualDown, ResidualStack, ResidualUp
from .published import SingleQualityNetwork

WIDEST_WINDOW = 31
"""Attention within a window takes memory by the fourth power of its side."""


@dataclass(frozen=True)
class SliceConfig:
    """Widths; the defaults are the published ones of all models but MLIC."""

    width: int = 192
    latents: int = 320
    slices: int = 10
    slice_channels: int = 32
    window: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.window <= WIDEST_WINDOW or self.window % 2 == 0:
            msg = f"a window has 1, 3 ... {WIDEST_WINDOW} pixels a side, not {self.window}"
            raise ValueError(msg)
        if self.slice_channels < 2 or self.slice_channels % 2:
            msg = f"a slice has an even number of channels, not {self.slice_channels}"
            raise ValueError(msg)
        if self.slices * self.slice_channels != self.latents:
            msg = (
                f"{self.slices} slices of {self.slice_channels} channels are not "
                f"{self.latents} latents"
            )
            raise ValueError(msg)

    @property
    def synthesis_width(self) -> int:
        """The width that the first block of the synthesis leads to."""
        return self.latents

    def residual_widths(self, i: int) -> list[int]:
        """Widths of slice i's latent residual prediction."""
        out = self.slice_channels
        return [self.latents + out * (i + 1), 7 * out, 4 * out, out]


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

    def __init__(self, c: SliceConfig) -> None:
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

    def __init__(self, c: SliceConfig) -> None:
        super().__init__()
        n, first = c.width, c.synthesis_width
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

    def __init__(self, c: SliceConfig) -> None:
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

    def __init__(self, c: SliceConfig) -> None:
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

    def __init__(self, channels: int, slices: int, hidden: tuple[int, ...] = (6, 4)) -> None:
        """`hidden`: widths between, in multiples of `channels`."""
        super().__init__()
        widths = [channels * factor for factor in (slices, *hidden, 4)]
        self.fushion = Stack(*(Conv2d(a, b) for a, b in pairwise(widths)))

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


@dataclass
class Known:
    """What encoder and decoder both know at a point of the walk."""

    hyper: Tensor
    """Hyper parameters (B, H, W, 2M); the second half is about means."""
    done: list[Tensor] = field(default_factory=list)
    """Finished slices, (B, H, W, c) each."""
    memory: dict[str, Any] = field(default_factory=dict)
    """What a model keeps for later slices."""

    @property
    def hyper_means(self) -> Tensor:
        """(B, H, W, M)."""
        return self.hyper.chunk(2, dim=-1)[1]


class MultiReferenceNetwork(SingleQualityNetwork):
    """A network of the family; see the module's docstring for the flow of data."""

    halo = 112
    """g_s has 3x3 convolutions: 3 of latents, 4 each at 1/8, 1/4 and 1/2: 104 pixels."""
    anchor = ANCHOR
    config_type: ClassVar[type[SliceConfig]]
    predicts_residuals = True
    """Whether there is latent residual prediction."""

    def __init__(self, config: SliceConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or self.config_type()
        slices = range(c.slices)
        self.entropy_bottleneck = FactorisedPrior(c.width)
        self.add_transforms()
        self.h_a = HyperAnalysis(c)
        self.h_s = HyperSynthesis(c)
        self.gaussian_conditional = GaussianModel()
        before, after = self.add_contexts()
        hyper = 2 * c.latents
        self.entropy_parameters_anchor = nn.ModuleList(
            ParameterNetwork(hyper + before[i], c.slice_channels) for i in slices
        )
        self.entropy_parameters_nonanchor = nn.ModuleList(
            ParameterNetwork(hyper + before[i] + after[i], c.slice_channels) for i in slices
        )
        if self.predicts_residuals:
            widths = [c.residual_widths(i) for i in slices]
            self.lrp_anchor = nn.ModuleList(ResidualPrediction(w) for w in widths)
            self.lrp_nonanchor = nn.ModuleList(ResidualPrediction(w) for w in widths)

    def add_transforms(self) -> None:
        """Make g_a and g_s: those of MLIC, a simplified Cheng'20."""
        self.g_a = Analysis(self.config)
        self.g_s = Synthesis(self.config)

    def add_contexts(self) -> tuple[Sequence[int], Sequence[int]]:
        """Make the contexts; -> for each slice the channels of `from_slices` and of
        `from_anchors`."""
        raise NotImplementedError

    def from_slices(self, known: Known) -> list[Tensor]:
        """Contexts (B, H, W, ...) that the finished slices give the next one."""
        raise NotImplementedError

    def from_anchors(self, known: Known, anchors: Tensor) -> list[Tensor]:
        """Contexts of non-anchors, packed (B, H, W/2, ...), that a slice's anchors give.

        `anchors` (B, H, W, c) are zero elsewhere.
        """
        raise NotImplementedError

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Build from the plain dictionary that `config_dict` gave (as stored in a pack)."""
        return cls(cls.config_type(**config))

    def config_dict(self) -> dict[str, Any]:
        """Widths as plain JSON values."""
        return asdict(self.config)

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
        """What the contexts of each slice but the first look at; see base.ContextMaps."""
        slices = y_hat.split(self.config.slice_channels, dim=-1)
        return {
            f"slice {i + 1}, {what}": values
            for i in range(1, self.config.slices)
            for what, values in self.slice_maps(i, slices, at).items()
            if values is not None
        }

    def slice_maps(
        self, i: int, slices: Sequence[Tensor], at: tuple[int, int]
    ) -> dict[str, Tensor | None]:
        """Maps of slice i > 0 by name; None for a context that the position does not have."""
        raise NotImplementedError

    def hyperprior_only(
        self, quality: Tensor, z_size: tuple[int, int], coder: TableCoder
    ) -> Tensor:
        """`entropy` without any context: hyper parameters are scales and means. For training."""
        scale, mean = self.hyper_parameters(quality, z_size, coder).chunk(2, dim=-1)
        return coder(mean, scale, mean.new_ones(1), lambda latents: latents.y) + mean

    def code_y(self, hyper_parameters: Tensor, coder: Coder) -> Tensor:
        """Walk through all coding steps of y: (B, H, W, 2M) of h_s -> y_hat (B, H, W, M)."""
        known = Known(hyper_parameters)
        for _ in range(self.config.slices):
            known.done.append(self._code_slice(known, coder))
        return torch.cat(known.done, dim=-1)

    def _code_slice(self, known: Known, coder: Coder) -> Tensor:
        """Code the slice after those that are done; -> (B, H, W, c)."""
        i = len(known.done)
        contexts = [*self.from_slices(known), known.hyper]
        parameters = self.entropy_parameters_anchor[i](at(contexts, ANCHOR))
        anchors = self.code_half(known, ANCHOR, parameters, coder)
        if self.predicts_residuals:
            anchors = anchors + self._residual(self.lrp_anchor[i], known, anchors, ANCHOR)

        around = [*self.from_anchors(known, anchors), at(contexts, NON_ANCHOR)]
        parameters = self.entropy_parameters_nonanchor[i](torch.cat(around, dim=-1))
        both = anchors + self.code_half(known, NON_ANCHOR, parameters, coder)
        if self.predicts_residuals:
            both = both + self._residual(self.lrp_nonanchor[i], known, both, NON_ANCHOR)
        return both

    def _residual(self, network: nn.Module, known: Known, decoded: Tensor, half: int) -> Tensor:
        """What rounding took away from one half of a slice (B, H, W, c); zero at the other."""
        return keep(network(torch.cat([known.hyper_means, *known.done, decoded], dim=-1)), half)

    def code_half(self, known: Known, half: int, parameters: Tensor, coder: Coder) -> Tensor:
        """Code one half of a slice with `parameters` (B, H, W/2, 2c); zero at the other half."""
        scale, mean = parameters.chunk(2, dim=-1)
        return put(self.code_symbols(known, half, mean, scale, coder) + mean, half)

    def code_symbols(
        self, known: Known, half: int, mean: Tensor, scale: Tensor, coder: Coder
    ) -> Tensor:
        """Symbols of one half of a slice, packed (B, H, W/2, c) as `mean` and `scale` are."""
        return coder(mean, scale, mean.new_ones(1), self.select(known, half))

    def select(self, known: Known, half: int) -> Select:
        """What picks one half of the slice after those that are done."""
        start = len(known.done) * self.config.slice_channels
        stop = start + self.config.slice_channels
        return lambda latents: take(latents.y[..., start:stop], half)


def at(contexts: list[Tensor], half: int) -> Tensor:
    """Contexts (B, H, W, ...) side by side, at one half of the positions: (B, H, W/2, sum)."""
    return torch.cat([take(context, half) for context in contexts], dim=-1)
