"""MLIC++ (Jiang et al., arXiv 2307.15421), the published network: its weights load as they are.

Unlike those of MLIC+ (`mlic`), its global contexts take linear time. So the one between slices can
look at all finished slices, and also serves anchors. Modules and their names are those of
the published state dict; `multi_reference` has the flow of data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from .layers.attention import InterSliceContext, IntraSliceContext, LocalContext
from .layers.checkerboard import NON_ANCHOR, take
from .loading import build
from .maps import inter_slice_map, intra_slice_map
from .multi_reference import ChannelContext, Known, MultiReferenceNetwork, SliceConfig


@dataclass(frozen=True)
class MlicPlusPlusConfig(SliceConfig):
    """Widths; the defaults are the published ones.

    Checkpoints of 2023 have a narrower start of the synthesis (its first block goes from `latents`
    to `width` channels) and deeper networks for latent residual prediction: `variant_2023`.
    """

    variant_2023: bool = False

    @property
    def synthesis_width(self) -> int:
        """The width that the first block of the synthesis leads to."""
        return self.width if self.variant_2023 else self.latents

    def residual_widths(self, i: int) -> list[int]:
        """Widths of slice i's latent residual prediction."""
        widths = super().residual_widths(i)
        if self.variant_2023:
            c_in, out = widths[0], widths[-1]
            return [c_in - (c_in - out) * j // 4 for j in range(5)]
        return widths


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


class MlicPlusPlus(MultiReferenceNetwork):
    """The published network."""

    config: MlicPlusPlusConfig
    config_type = MlicPlusPlusConfig

    def add_contexts(self) -> tuple[Sequence[int], Sequence[int]]:
        ch, slices = self.config.slice_channels, range(self.config.slices)
        later = slices[1:]
        self.local_context = nn.ModuleList(LocalContext(ch, self.config.window) for _ in slices)
        # The first slice has no earlier ones: published names begin at 1.
        self.channel_context = nn.ModuleDict({str(i): ChannelContext(ch, i) for i in later})
        self.global_inter_context = nn.ModuleDict({str(i): InterSliceContext(ch, i) for i in later})
        self.global_intra_context = nn.ModuleDict({str(i): IntraSliceContext(ch) for i in later})
        channel, inter, local, intra = 4 * ch, 2 * ch, 2 * ch, 2 * ch
        first, others = [0], [inter + channel for _ in later]
        return first + others, [local, *(local + intra for _ in later)]

    def from_slices(self, known: Known) -> list[Tensor]:
        if not known.done:
            return []
        i, previous = str(len(known.done)), torch.cat(known.done, dim=-1)
        return [self.global_inter_context[i](previous), self.channel_context[i](previous)]

    def from_anchors(self, known: Known, anchors: Tensor) -> list[Tensor]:
        i = len(known.done)
        local = self.local_context[i](anchors)
        if i == 0:
            return [local]
        intra = self.global_intra_context[str(i)](known.done[-1], anchors)
        return [local, take(intra, NON_ANCHOR)]

    def slice_maps(
        self, i: int, slices: Sequence[Tensor], at: tuple[int, int]
    ) -> dict[str, Tensor | None]:
        inter, intra = self.global_inter_context[str(i)], self.global_intra_context[str(i)]
        return {
            "from slices": inter_slice_map(inter, torch.cat(list(slices[:i]), dim=-1), at),
            "from anchors": intra_slice_map(intra, slices[i - 1], at),
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor]) -> Self:
        """Build the variant that `state` belongs to, and load it; ValueError if it is another's."""
        return build(lambda: cls(config_from_state_dict(state)), state)
