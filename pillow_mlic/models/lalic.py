"""LALIC (Feng et al., arXiv 2502.05741), the published network: its weights load as they are.

    x -> g_a -> y                                    /16, M channels
    y -> h_a -> z                                    /64, coded with a factorised prior
    z -> h_s -> hyper parameters; for each group: these and earlier groups -> anchors,
                these, earlier groups and the anchors -> non-anchors          code_y
    y -> g_s -> x

Convolutions change the resolution, Bi-RWKV blocks (`layers.rwkv`) do the rest. Five groups of 16 to
192 channels, two checkerboard halves each (figure 3: RWKV-SCCTX). Modules and their names are
those of the published state dict. Tensors are (B, H, W, C).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from .base import Coder
from .layers import checkerboard
from .layers.checkerboard import put, take
from .layers.checkerboard_conv import CheckerboardConv
from .layers.conv import Conv2d, ConvTranspose2d
from .layers.factorised import FactorisedPrior, GaussianModel
from .layers.rwkv import BiRwkvBlock, PointwiseMixing
from .loading import build
from .published import SingleQualityNetwork

ANCHOR, NON_ANCHOR = checkerboard.NON_ANCHOR, checkerboard.ANCHOR
"""Anchors are the positions with row + column even, the other half than in the MLIC family."""


@dataclass(frozen=True)
class LalicConfig:
    """Widths, depths and group sizes; the defaults are the published ones.

    `dims` are the widths of g_a's stages at 1/2, 1/4, 1/8 and 1/16 (the latents), of h_a and of
    its hyper latents; `depths` the blocks behind each stage but that of the latents, and of h_a.
    `width` is the published N; the network uses it only for its narrowest parameter network, 2N.
    In the published state dict M, the width of y, is also that of the channel contexts.
    """

    width: int = 128
    latents: int = 320
    dims: tuple[int, ...] = (96, 144, 256, 320, 256, 192)
    depths: tuple[int, ...] = (2, 4, 6, 6)
    groups: tuple[int, ...] = (16, 16, 32, 64, 192)

    def __post_init__(self) -> None:
        if len(self.dims) != 6 or len(self.depths) != 4:
            msg = f"six widths and four depths are needed, not {self.dims} and {self.depths}"
            raise ValueError(msg)
        if self.dims[3] != self.latents:
            msg = f"the analysis ends in {self.dims[3]} channels, not in {self.latents} latents"
            raise ValueError(msg)
        if sum(self.groups) != self.latents:
            msg = f"groups {self.groups} do not add up to {self.latents} latents"
            raise ValueError(msg)


def config_from_state_dict(state: Mapping[str, Tensor]) -> LalicConfig:
    """The configuration that a published state dict (or one of ours) belongs to, by its shapes.

    Raises ValueError if the state dict is not one of a LALIC network.
    """
    try:
        downs = [_indexes(state, part) for part in ("g_a", "h_a")]
        dims = [
            state[f"{part}.{i}.weight"].shape[0]
            for part, places in zip(("g_a", "h_a"), downs, strict=True)
            for i in places
        ]
        depths = [b - a - 1 for places in downs for a, b in pairwise(places)]
        contexts = "latent_codec.y.latent_codec.y"
        count = len({key.split(".")[3] for key in state if key.startswith(contexts)})
        groups = [state[f"{contexts}{i}.context_prediction.weight"].shape[1] for i in range(count)]
        # All that shows of it is the lower bound of these.
        narrowest = [
            state[f"{contexts}{i}.entropy_parameters.2.mix.weight"].shape[0] for i in range(count)
        ]
        return LalicConfig(
            width=min(narrowest) // 2,
            latents=sum(groups),
            dims=tuple(dims),
            depths=tuple(depths),
            groups=tuple(groups),
        )
    except (KeyError, ValueError) as error:
        msg = f"these weights are not of LALIC: {error}"
        raise ValueError(msg) from None


def _indexes(state: Mapping[str, Tensor], part: str) -> list[int]:
    """Where the convolutions between the blocks of transform `part` stand."""
    return sorted(
        int(key.split(".")[1])
        for key in state
        if key.startswith(f"{part}.") and key.endswith(".bias") and key.count(".") == 2
    )


def _blocks(width: int, depth: int) -> list[nn.Module]:
    return [BiRwkvBlock(width) for _ in range(depth)]


def _analysis(c: LalicConfig) -> nn.Sequential:
    """g_a: pixels (B, H, W, 3) in 0..1 -> latents (B, H/16, W/16, M)."""
    d, depth = c.dims, c.depths
    return nn.Sequential(
        Conv2d(3, d[0], 5, stride=2),
        *_blocks(d[0], depth[0]),
        Conv2d(d[0], d[1], 3, stride=2),
        *_blocks(d[1], depth[1]),
        Conv2d(d[1], d[2], 3, stride=2),
        *_blocks(d[2], depth[2]),
        Conv2d(d[2], d[3], 3, stride=2),
    )


def _synthesis(c: LalicConfig) -> nn.Sequential:
    """g_s: latents (B, H/16, W/16, M) -> pixels (B, H, W, 3), nominally in 0..1, not clamped."""
    d, depth = c.dims, c.depths
    return nn.Sequential(
        ConvTranspose2d(d[3], d[2], 3),
        *_blocks(d[2], depth[2]),
        ConvTranspose2d(d[2], d[1], 3),
        *_blocks(d[1], depth[1]),
        ConvTranspose2d(d[1], d[0], 3),
        *_blocks(d[0], depth[0]),
        ConvTranspose2d(d[0], 3, 5),
    )


def _hyper_analysis(c: LalicConfig) -> nn.Sequential:
    """h_a: latents (B, H/16, W/16, M) -> hyper latents (B, H/64, W/64, Z)."""
    d = c.dims
    return nn.Sequential(
        Conv2d(d[3], d[4], 5, stride=2),
        *_blocks(d[4], c.depths[3]),
        Conv2d(d[4], d[5], 5, stride=2),
    )


def _hyper_synthesis(c: LalicConfig) -> nn.Sequential:
    """h_s: hyper latents (B, H/64, W/64, Z) -> hyper parameters (B, H/16, W/16, M)."""
    d = c.dims
    return nn.Sequential(
        ConvTranspose2d(d[5], d[4], 5), *_blocks(d[4], c.depths[3]), ConvTranspose2d(d[4], d[3], 5)
    )


def _channel_context(previous: int, width: int, channels: int) -> nn.Sequential:
    """Earlier groups (B, H, W, previous) -> context (B, H, W, 2 channels)."""
    return nn.Sequential(
        Conv2d(previous, width),
        BiRwkvBlock(width, rate=8),
        BiRwkvBlock(width, rate=8),
        Conv2d(width, 2 * channels, 1),
    )


def _parameter_network(c_in: int, c_out: int, least: int) -> nn.Sequential:
    """Contexts (..., c_in) -> raw scales and means (..., c_out), for each position by itself."""
    a, b = (max((c_in * (3 - j) + c_out * j) // 3, least) for j in (1, 2))
    return nn.Sequential(
        PointwiseMixing(c_in, a),
        nn.Identity(),
        PointwiseMixing(a, b),
        nn.Identity(),
        PointwiseMixing(b, c_out),
    )


class _Conditional(nn.Module):
    """A level of the published names, `y.gaussian_conditional`."""

    def __init__(self) -> None:
        super().__init__()
        self.gaussian_conditional = GaussianModel()


class GroupContext(nn.Module):
    """Distribution of one group from side information; for its second half also from the first.

    Spatial context and side information -> parameter network -> scales and means. For anchors the
    spatial context is zero. The network works on single positions: it runs on the coded half only.
    """

    def __init__(self, side: int, channels: int, least: int) -> None:
        super().__init__()
        self.entropy_parameters = _parameter_network(2 * channels + side, 2 * channels, least)
        self.context_prediction = CheckerboardConv(channels, 2 * channels)
        self.y = _Conditional()

    def forward(self, side: Tensor, coder: Coder, start: int) -> Tensor:
        """Code the group whose first channel is `start`: side (B, H, W, S) -> (B, H, W, c)."""
        stop = start + self.context_prediction.weight.shape[1]

        def code(spatial: Tensor, half: int) -> Tensor:
            contexts = torch.cat([spatial, take(side, half)], dim=-1)
            scale, mean = self.entropy_parameters(contexts).chunk(2, dim=-1)
            gain = mean.new_ones(1)
            symbols = coder(
                mean, scale, gain, lambda latents: take(latents.y[..., start:stop], half)
            )
            return symbols + mean

        b, h, w, _ = side.shape
        anchors = code(side.new_zeros(b, h, w // 2, 2 * (stop - start)), ANCHOR)
        others = code(self.context_prediction(anchors, ANCHOR), NON_ANCHOR)
        return put(anchors, ANCHOR) + put(others, NON_ANCHOR)


class GroupContexts(nn.Module):
    """The walk through all groups of y."""

    def __init__(self, c: LalicConfig) -> None:
        super().__init__()
        self.groups = c.groups
        # The first group has no earlier ones: published names begin at y1.
        self.channel_context = nn.ModuleDict(
            {
                f"y{i}": _channel_context(sum(c.groups[:i]), c.latents, c.groups[i])
                for i in range(1, len(c.groups))
            }
        )
        self.latent_codec = nn.ModuleDict(
            {
                f"y{i}": GroupContext(c.latents + (2 * channels if i else 0), channels, 2 * c.width)
                for i, channels in enumerate(c.groups)
            }
        )

    def forward(self, hyper: Tensor, coder: Coder) -> Tensor:
        """Hyper parameters (B, H/16, W/16, M) -> y_hat (B, H/16, W/16, M)."""
        done: list[Tensor] = []
        for i in range(len(self.groups)):
            side = hyper
            if done:
                context = self.channel_context[f"y{i}"](torch.cat(done, dim=-1))
                side = torch.cat([context, hyper], dim=-1)
            done.append(self.latent_codec[f"y{i}"](side, coder, sum(self.groups[:i])))
        return torch.cat(done, dim=-1)


class Hyperprior(nn.Module):
    """Prior of z and the transforms around it; the published names list these twice."""

    def __init__(self, channels: int, h_a: nn.Module, h_s: nn.Module) -> None:
        super().__init__()
        self.entropy_bottleneck = FactorisedPrior(channels)
        self.h_a = h_a
        self.h_s = h_s


class LatentCodec(nn.Module):
    """A level of the published names: everything about the distributions of y and z."""

    def __init__(self, c: LalicConfig, h_a: nn.Module, h_s: nn.Module) -> None:
        super().__init__()
        self.y = GroupContexts(c)
        self.hyper = Hyperprior(c.dims[5], h_a, h_s)


class Lalic(SingleQualityNetwork):
    """The published network; see the module's docstring for the flow of data."""

    halo = None
    """Bi-WKV sees every token."""
    anchor = ANCHOR

    def __init__(self, config: LalicConfig | None = None) -> None:
        super().__init__()
        c = self.config = config or LalicConfig()
        h_a, h_s = _hyper_analysis(c), _hyper_synthesis(c)
        self.g_a = _analysis(c)
        self.g_s = _synthesis(c)
        self.latent_codec = LatentCodec(c, h_a, h_s)
        self.h_a = h_a
        self.h_s = h_s

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Lalic":
        """Build from the plain dictionary that `config_dict` gave (as stored in a pack)."""
        fields: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in config.items()
        }
        return cls(LalicConfig(**fields))

    def config_dict(self) -> dict[str, Any]:
        """Widths, depths and groups as plain JSON values."""
        config = asdict(self.config)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in config.items()}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> "Lalic":
        """Build the network that `state` belongs to, and load it; ValueError if it is another's."""
        return build(lambda: cls(config_from_state_dict(state)), state)

    @property
    def prior(self) -> FactorisedPrior:
        """The prior of z."""
        return self.latent_codec.hyper.entropy_bottleneck

    @property
    def conditional(self) -> GaussianModel:
        """The model of y, given scales and means: that of the first group; all are the same."""
        first = self.latent_codec.y.latent_codec["y0"]
        assert isinstance(first, GroupContext)
        return first.y.gaussian_conditional

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        return self.config.latents, self.config.dims[5]

    def code_y(self, hyper_parameters: Tensor, coder: Coder) -> Tensor:
        """Walk through all coding steps of y: (B, H, W, M) of h_s -> y_hat (B, H, W, M)."""
        return self.latent_codec.y(hyper_parameters, coder)
