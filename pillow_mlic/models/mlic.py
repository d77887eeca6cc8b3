"""The networks of MLIC (Jiang et al., arXiv 2211.07273): MLIC, MLIC+ and MLIC-EX.

The first multi-reference entropy models: channel, local and global contexts together.

|         | local context                    | global context            | transforms      |
| mlic    | three checkerboard convolutions  | intra-slice               | Cheng'20, plain |
| mlic+   | checkerboard attention           | intra-slice, inter-slice  | Cheng'20, plain |
| mlic-ex | three checkerboard convolutions  | intra-slice, one map      | ELIC            |

The intra-slice context maps how similar the non-anchors of the previous slice are to its anchors,
and weighs the current slice's anchors by this map. MLIC-EX uses the map of the first slice for all,
and has no latent residual prediction (appendix C). No weights have been published.
`multi_reference` has the flow of data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from .layers.attention import LocalContext
from .layers.checkerboard import ANCHOR, NON_ANCHOR, keep, take
from .layers.checkerboard_conv import DEPTH, StackedCheckerboard
from .layers.elic import elic_analysis, elic_synthesis
from .layers.masked_attention import InterSliceAttention, IntraSliceAttention, IntraSliceMaps
from .maps import patch_row
from .multi_reference import ChannelContext, Known, MultiReferenceNetwork, SliceConfig


@dataclass(frozen=True)
class StackedConfig(SliceConfig):
    """Widths of a network whose local context is made of stacked convolutions."""

    mask_depth: int = DEPTH
    """How many of these convolutions the mask of the intra-slice context covers: all, as in section
    3.5.1. Packs that do not say it have 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.mask_depth <= DEPTH:
            msg = f"a mask covers 1 to {DEPTH} convolutions, not {self.mask_depth}"
            raise ValueError(msg)


@dataclass(frozen=True)
class MlicConfig(StackedConfig):
    """The same; the defaults are those of MLIC's table 2."""

    latents: int = 192
    slices: int = 6


class Mlic(MultiReferenceNetwork):
    """MLIC with MEM: stacked checkerboard, channel and intra-slice global context."""

    config_type: ClassVar[type[SliceConfig]] = MlicConfig

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """See MultiReferenceNetwork."""
        stacked = issubclass(cls.config_type, StackedConfig)
        return super().from_config({"mask_depth": 1, **config} if stacked else config)

    def add_contexts(self) -> tuple[Sequence[int], Sequence[int]]:
        c = self.config
        ch, later = c.slice_channels, range(1, c.slices)
        self.local_context = nn.ModuleList(self.make_local() for _ in range(c.slices))
        self.channel_context = nn.ModuleDict({str(i): ChannelContext(ch, i) for i in later})
        self.add_maps()
        self.global_intra_context = nn.ModuleDict(
            {str(i): IntraSliceAttention(ch, c.window) for i in later}
        )
        channel, local, intra = 4 * ch, 2 * ch, 2 * ch
        return [0, *(channel for _ in later)], [local, *(local + intra for _ in later)]

    def make_local(self) -> nn.Module:
        """The local context of one slice."""
        return StackedCheckerboard(self.config.slice_channels, self.config.window)

    def add_maps(self) -> None:
        """Make the networks that find similar positions."""
        later = range(1, self.config.slices)
        self.similarity = nn.ModuleDict({str(i): self.make_maps() for i in later})

    def make_maps(self) -> IntraSliceMaps:
        """Maps of one slice, which pass over what the local context sees."""
        c = self.config
        depth = c.mask_depth if isinstance(c, StackedConfig) else 1
        return IntraSliceMaps(c.slice_channels, c.window, depth)

    def from_slices(self, known: Known) -> list[Tensor]:
        if not known.done:
            return []
        return [self.channel_context[str(len(known.done))](torch.cat(known.done, dim=-1))]

    def from_anchors(self, known: Known, anchors: Tensor) -> list[Tensor]:
        i = len(known.done)
        local = self.local(i, anchors)
        if i == 0:
            return [local]
        intra = self.global_intra_context[str(i)](self.maps(known), anchors)
        return [local, take(intra, NON_ANCHOR)]

    def local(self, i: int, anchors: Tensor) -> Tensor:
        """Local context of slice i's non-anchors, packed."""
        return self.local_context[i](take(anchors, ANCHOR))

    def maps(self, known: Known) -> list[Tensor]:
        """How similar non-anchors are to anchors in the previous slice."""
        return self.similarity[str(len(known.done))](known.done[-1])

    def slice_maps(
        self, i: int, slices: Sequence[Tensor], at: tuple[int, int]
    ) -> dict[str, Tensor | None]:
        if sum(at) % 2:
            return {}
        maps = self.maps(Known(slices[0], list(slices[:i])))
        height, width = slices[0].shape[1:3]
        return {"from anchors": patch_row(maps, (height, width), at, NON_ANCHOR, ANCHOR)}


class MlicPlus(Mlic):
    """MLIC+ with MEM+: checkerboard attention, and an inter-slice global context."""

    config_type = SliceConfig

    def add_contexts(self) -> tuple[Sequence[int], Sequence[int]]:
        before, after = super().add_contexts()
        c = self.config
        self.global_inter_context = nn.ModuleDict(
            {str(i): InterSliceAttention(c.slice_channels, c.window) for i in range(1, c.slices)}
        )
        first, *others = after
        return before, [first, *(width + 2 * c.slice_channels for width in others)]

    def make_local(self) -> nn.Module:
        return LocalContext(self.config.slice_channels, self.config.window)

    def local(self, i: int, anchors: Tensor) -> Tensor:
        return self.local_context[i](anchors)

    def from_anchors(self, known: Known, anchors: Tensor) -> list[Tensor]:
        contexts = super().from_anchors(known, anchors)
        if not known.done:
            return contexts
        inter = self.global_inter_context[str(len(known.done))](known.done[-1], anchors)
        return [*contexts, take(inter, NON_ANCHOR)]

    def slice_maps(
        self, i: int, slices: Sequence[Tensor], at: tuple[int, int]
    ) -> dict[str, Tensor | None]:
        found = super().slice_maps(i, slices, at)
        if not found:
            return found
        # Queries are made at anchors only: take the one beside the position.
        beside = (at[0], at[1] - 1 if at[1] else 1)
        inter = self.global_inter_context[str(i)]
        assert isinstance(inter, InterSliceAttention)  # as it was made
        maps = inter.maps(slices[i - 1], keep(slices[i], ANCHOR))
        height, width = slices[0].shape[1:3]
        return {**found, "from slices": patch_row(maps, (height, width), beside, ANCHOR, None)}


class MlicEx(Mlic):
    """MLIC-EX: ELIC's transforms, the first slice's map for all, no latent residual prediction."""

    config_type = StackedConfig
    halo = 144
    """ELIC's blocks and 5x5 convolutions reach 132 pixels; see `layers.elic`."""
    predicts_residuals = False

    def add_transforms(self) -> None:
        c = self.config
        self.g_a = elic_analysis(c.width, c.latents)
        self.g_s = elic_synthesis(c.width, c.latents)

    def add_maps(self) -> None:
        self.first_similarity = self.make_maps()

    def maps(self, known: Known) -> list[Tensor]:
        if "maps" not in known.memory:
            known.memory["maps"] = self.first_similarity(known.done[0])
        return known.memory["maps"]
