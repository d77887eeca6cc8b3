"""MLICv2 (Jiang et al., arXiv 2504.19119); with refined latents it is the paper's MLICv2+.

Changes from MLIC++:

- token mixing blocks, two of them, in place of each residual block (`layers.token_mixing`);
- a global context for the first slice, too, which the hyper parameters guide;
- rotary position embedding, gate blocks, and contexts whose channels are weighed against each
  other (`layers.reweighted`);
- guided selective compression: a network predicts which symbols are zero, and these are not coded
  (`Selection`). It is trained last, while all else stays as it is, and a network may lack it.

No weights have been published. `multi_reference` has the flow of data.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .base import Coder
from .layers.checkerboard import put
from .layers.conv import Conv2d, Linear, SubpixelConv
from .layers.residual import ResidualDown, ResidualUp
from .layers.reweighted import GuidedContext, InterSliceContext, Reweighting, RotaryLocalContext
from .layers.token_mixing import TokenMixing
from .maps import guided_map, inter_slice_map
from .multi_reference import ChannelContext, Known, MultiReferenceNetwork, SliceConfig, at

SMALL_SCALE = 0.3
"""Below this scale (xi) a symbol is taken to be zero, unless the network says otherwise."""

CONFIDENCE = 2.0
"""Log odds that an untrained network gives to the answer of the scale."""

LARGEST_LOG_ODDS = 30.0


@dataclass(frozen=True)
class MlicV2Config(SliceConfig):
    """Widths; the defaults are the published ones.

    `channel_hidden` are the inner widths of the channel contexts in multiples of `slice_channels`:
    the paper says only that they are less than those of MLIC++ (6 and 4). `selective`: whether
    there are networks for selective compression.
    """

    channel_hidden: tuple[int, ...] = (4, 4)
    selective: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "channel_hidden", tuple(self.channel_hidden))
        if len(self.channel_hidden) != 2:
            msg = f"a channel context has two inner widths, not {self.channel_hidden}"
            raise ValueError(msg)


def _blocks(width: int) -> list[nn.Module]:
    return [TokenMixing(width), TokenMixing(width)]


def _analysis(c: SliceConfig) -> nn.Sequential:
    """g_a: pixels (B, H, W, 3) in 0..1 -> latents (B, H/16, W/16, M)."""
    n = c.width
    return nn.Sequential(
        ResidualDown(3, n),
        *_blocks(n),
        ResidualDown(n, n),
        *_blocks(n),
        ResidualDown(n, n),
        *_blocks(n),
        Conv2d(n, c.latents, stride=2),
    )


def _synthesis(c: SliceConfig) -> nn.Sequential:
    """g_s: latents (B, H/16, W/16, M) -> pixels (B, H, W, 3), nominally in 0..1, not clamped."""
    n = c.width
    return nn.Sequential(
        *_blocks(c.latents),
        ResidualUp(c.latents, n),
        *_blocks(n),
        ResidualUp(n, n),
        *_blocks(n),
        ResidualUp(n, n),
        *_blocks(n),
        SubpixelConv(n, 3),
    )


class Selection(nn.Module):
    """f_s of one half of a slice: which symbols are worth coding (section 3.4.4).

    The scale's answer s (0 or 1; packed (B, H, W/2, c)), the symbols of finished slices, for
    non-anchors those of the slice's anchors, and the hyper parameters, by position:

        cat -> linear -> GELU -> linear -> + the scale's answer -> log odds (B, H, W/2, c)
    """

    def __init__(self, c_in: int, channels: int) -> None:
        super().__init__()
        self.first = Linear(c_in, 2 * channels)
        self.last = Linear(2 * channels, channels)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, by_scale: Tensor, evidence: Tensor) -> Tensor:
        hidden = F.gelu(self.first(torch.cat([by_scale, evidence], dim=-1)))
        log_odds = self.last(hidden) + CONFIDENCE * (2 * by_scale - 1)
        return log_odds.clamp(-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


class MlicV2(MultiReferenceNetwork):
    """The network with MEMv2; see the module's docstring."""

    config: MlicV2Config
    config_type = MlicV2Config
    halo = 224
    """Two token mixing blocks see 6 positions: 7 of latents, 8 each at 1/8, 1/4 and 1/2."""

    def __init__(self, config: SliceConfig | None = None) -> None:
        super().__init__(config)
        c = self.config
        self.selection: nn.ModuleList | None = None
        if c.selective:
            evidence = c.slice_channels + 2 * c.latents
            self.selection = nn.ModuleList(
                Selection(evidence + c.slice_channels * (i + half), c.slice_channels)
                for i in range(c.slices)
                for half in (0, 1)
            )

    @property
    def decisions(self) -> int:
        """Decisions about each latent besides its symbol: the scale's and the network's."""
        return 0 if self.selection is None else 2

    def add_selection(self) -> "MlicV2":
        """The same network (sharing its weights) with fresh networks for selective compression."""
        selective = MlicV2(replace(self.config, selective=True))
        selective.load_state_dict(self.state_dict(), strict=False, assign=True)
        return selective

    def without_selection(self) -> "MlicV2":
        """The same network (sharing its weights) that codes every symbol."""
        plain = copy.copy(self)
        plain._modules = {**self._modules, "selection": None}
        return plain

    def add_transforms(self) -> None:
        self.g_a = _analysis(self.config)
        self.g_s = _synthesis(self.config)

    def add_contexts(self) -> tuple[Sequence[int], Sequence[int]]:
        c = self.config
        ch, slices = c.slice_channels, range(c.slices)
        later = slices[1:]
        self.local_context = nn.ModuleList(RotaryLocalContext(ch, c.window) for _ in slices)
        self.channel_context = nn.ModuleDict(
            {str(i): ChannelContext(ch, i, c.channel_hidden) for i in later}
        )
        self.channel_reweighting = nn.ModuleDict({str(i): Reweighting(4 * ch) for i in later})
        self.global_inter_context = nn.ModuleDict({str(i): InterSliceContext(ch, i) for i in later})
        self.global_intra_context = nn.ModuleList(
            GuidedContext(ch, ch, heads=2) if i else GuidedContext(2 * c.latents, ch, heads=1)
            for i in slices
        )
        channel, inter, local, intra = 4 * ch, 2 * ch, 2 * ch, 2 * ch
        return [0, *(inter + channel for _ in later)], [local + intra for _ in slices]

    def from_slices(self, known: Known) -> list[Tensor]:
        if not known.done:
            return []
        i, previous = str(len(known.done)), torch.cat(known.done, dim=-1)
        channel = self.channel_reweighting[i](self.channel_context[i](previous))
        return [self.global_inter_context[i](previous), channel]

    def from_anchors(self, known: Known, anchors: Tensor) -> list[Tensor]:
        i = len(known.done)
        guide = known.done[-1] if known.done else known.hyper
        return [self.local_context[i](anchors), self.global_intra_context[i](guide, anchors)]

    def slice_maps(
        self, i: int, slices: Sequence[Tensor], at: tuple[int, int]
    ) -> dict[str, Tensor | None]:
        """Attention without its rotation, as in the paper's figure 9; mean weights of channels."""
        previous = torch.cat(list(slices[:i]), dim=-1)
        channel = self.channel_context[str(i)](previous)
        reweighting = self.channel_reweighting[str(i)]
        assert isinstance(reweighting, Reweighting)  # as it was made
        return {
            "from slices": inter_slice_map(self.global_inter_context[str(i)], previous, at),
            "from anchors": guided_map(self.global_intra_context[i], slices[i - 1], at),
            "channels": reweighting.weights(channel)[0].mean(0),
        }

    def code_symbols(
        self, known: Known, half: int, mean: Tensor, scale: Tensor, coder: Coder
    ) -> Tensor:
        if self.selection is None:
            return super().code_symbols(known, half, mean, scale, coder)
        seen: list[Tensor] = known.memory.setdefault("symbols", [])
        by_scale = coder.decide(scale / SMALL_SCALE).to(scale.dtype)
        step = len(seen)
        log_odds = self.selection[step](by_scale, at([*_slices(seen), known.hyper], half))
        coded = coder.decide(log_odds.exp())
        symbols = coder(mean, scale, mean.new_ones(1), self.select(known, half), coded)
        seen.append(put(symbols, half))
        return symbols


def _slices(halves: list[Tensor]) -> list[Tensor]:
    """Symbols of whole slices, (B, H, W, c) each, from those of halves; the last may lack one."""
    return [sum(halves[i + 1 : i + 2], halves[i]) for i in range(0, len(halves), 2)]
