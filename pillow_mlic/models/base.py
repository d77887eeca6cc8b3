"""What every model of the family offers to the codec and to the trainer.

    pixels -> analysis -> y -> hyper_analysis -> z          (encoder only)
    entropy(quality, z_size, coder) -> y_hat                (the same walk in encoder and decoder)
    y_hat -> synthesis -> pixels

`entropy` alone decides which distribution each symbol is coded with. Its results in float64 are the
canonical ones. Tensors are channels-last, (B, H, W, C).
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Latents(NamedTuple):
    """Latents y (B, H/16, W/16, M) and hyper latents z (B, H/64, W/64, Z), before quantisation."""

    y: Tensor
    z: Tensor

    @property
    def z_size(self) -> tuple[int, int]:
        """(H/64, W/64)."""
        return self.z.shape[1], self.z.shape[2]


Select = Callable[[Latents], Tensor]
"""Picks the latents of one coding step, in coding order, from whole tensors."""


class Coder(Protocol):
    """Called by a model's entropy part once for each coding step, in coding order."""

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        """Symbols round(select(latents) * gain - mean) as floating point, in the shape of `mean`.

        `mean` and `scale` (same shape) are in quantisation steps; `gain` broadcasts to them and
        turns latents into quantisation steps. An encoder computes the symbols, a decoder reads
        them from the stream, training relaxes them. Where `coded` (a result of `decide`, same
        shape) is false, the symbol is zero and not in the stream.
        """
        ...

    def decide(self, odds: Tensor) -> Tensor:
        """Whether `odds` are above 1: booleans, the same ones in encoder and decoder.

        An entropy part must use this for every choice that depends on a computed number, since a
        decoder's arithmetic may differ in the last digits. Each decision has a position of its own
        (`Model.decisions`).
        """
        ...


class TableCoder(Coder, Protocol):
    """A coder that also knows the tables of a factorised prior."""

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """Symbols round(select(latents) - mean), each coded with the table of its channel."""
        ...


class ZeroCoder:
    """A coder without a stream that makes all symbols zero: for walks that are only counted or
    timed."""

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        del scale, gain, select, coded
        return torch.zeros_like(mean)

    def decide(self, odds: Tensor) -> Tensor:
        """See Coder."""
        return odds > 1

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        """See TableCoder."""
        del select
        return torch.zeros_like(mean)


class Model(Protocol):
    """The interface of a model for engines and the trainer; a model is also a torch.nn.Module."""

    @property
    def fixed_rows(self) -> int:
        """Rows of a factorised prior in the model's tables: one a hyper latent, or none."""
        ...

    @property
    def decisions(self) -> int:
        """How often `entropy` calls its coder's `decide` for each latent."""
        ...

    @property
    def halo(self) -> int | None:
        """The reach of analysis and synthesis in pixels: a multiple of 16.

        None where they see the whole picture.
        """
        ...

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        ...

    def config_dict(self) -> dict[str, Any]:
        """Widths and depths as plain JSON values."""
        ...

    def analysis(self, x: Tensor, quality: Tensor) -> Tensor:
        """Pixels (B, H, W, 3) in 0..1 -> y (B, H/16, W/16, M)."""
        ...

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """y -> z (B, H/64, W/64, Z)."""
        ...

    def entropy(self, quality: Tensor, z_size: tuple[int, int], coder: TableCoder) -> Tensor:
        """Walk through all coding steps; quality (B,), z_size (H/64, W/64) -> y_hat."""
        ...

    def synthesis(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """y_hat -> pixels (B, H, W, 3), nominally in 0..1, not clamped."""
        ...

    def latents(self, x: Tensor, quality: Tensor) -> Latents:
        """Analysis and hyper analysis, for training: pixels (B, H, W, 3), quality (B,)."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """As torch.nn.Module has it, like the others below."""
        ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> object: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...
    def eval(self) -> object: ...
    def requires_grad_(self, requires_grad: bool = True) -> object: ...
    def exact(self) -> "Model":
        """The model whose `entropy`, given a float64 quality, computes all in float64.

        It may share weights or hold copies, and may lack all parts but `entropy`.
        """
        ...


@runtime_checkable
class StartsFromData(Protocol):
    """A model whose fresh weights are prepared from training pictures."""

    def start_from_data(self, patches: Tensor) -> None:
        """Prepare fresh weights; `patches` (N, 16, 16, 3) in 0..1."""
        ...


@runtime_checkable
class HasHyperpriorStage(Protocol):
    """A model that can be trained without its contexts first."""

    def hyperprior_only(
        self, quality: Tensor, z_size: tuple[int, int], coder: TableCoder
    ) -> Tensor:
        """Like `entropy`, without contexts."""
        ...


@runtime_checkable
class Selective(Protocol):
    """A model that can learn which symbols need not be coded."""

    def add_selection(self) -> Model:
        """The model with fresh networks that decide."""
        ...

    def without_selection(self) -> Model:
        """The model without them: every symbol is coded."""
        ...


@runtime_checkable
class Textured(Protocol):
    """A model whose synthesis can be trained to make textures of noise."""

    def arranged(self, steps: Sequence[Tensor]) -> Tensor:
        """What a coder has seen of y in each step, in coding order -> (B, H/16, W/16, M)."""
        ...


@runtime_checkable
class ContextMaps(Protocol):
    """A model that has global contexts, or reweights its contexts, and can show them."""

    def context_maps(self, y_hat: Tensor, at: tuple[int, int]) -> dict[str, Tensor]:
        """By name, what the contexts of the latent at (row, column) look at.

        `y_hat` (1, h, w, M) are decoded latents. A context gives a map (h, w), weights of the
        positions with sum 1, or a list (C,), factors by which its channels are reweighted.
        Contexts that this latent does not have are left out: an anchor has none within its slice.
        """
        ...


def without(module: M, *names: str) -> M:
    """A copy of `module` that shares its weights but lacks the children of these names."""
    rest = copy.copy(module)
    rest._modules = {k: v for k, v in module._modules.items() if k not in names}
    return rest
