"""What the networks of papers have in common, and how the codec uses them.

They are for one quality, have a factorised prior of z, and the structure of CompressAI's models:

    x -> g_a -> y -> h_a -> z,  z_hat -> h_s -> hyper parameters,  y_hat -> g_s -> x

Tensors inside are channels-last, (B, H, W, C); pictures and likelihoods that `forward` takes and
gives are (B, C, H, W), as everywhere.
"""

from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from .base import Coder, Latents, Select, TableCoder
from .layers.checkerboard import put
from .layers.factorised import FactorisedPrior, GaussianModel
from .layers.quantise import round_straight_through


class Likelihoods(TypedDict):
    """Probability of each latent's value: y (B, M, H/16, W/16), z (B, Z, H/64, W/64)."""

    y: Tensor
    z: Tensor


class Output(TypedDict):
    """What `forward` returns: pixels (B, 3, H, W), not clamped, and likelihoods."""

    x_hat: Tensor
    likelihoods: Likelihoods


class LikelihoodCoder:
    """A coder that computes symbols from latents and keeps the likelihood of each coding step.

    With `noise` (training) symbols pass the gradient straight through and likelihoods are those of
    latents with uniform noise in place of rounding.
    """

    def __init__(self, latents: Latents, model: GaussianModel, noise: bool) -> None:
        self.latents = latents
        self.model = model
        self.noise = noise
        self.steps: list[Tensor] = []

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        exact = select(self.latents) * gain - mean
        symbols = round_straight_through(exact) if self.noise else exact.round()
        deviation = exact + torch.rand_like(exact) - 0.5 if self.noise else symbols
        likelihood = self.model.likelihood(deviation, scale)
        if coded is not None:
            symbols = symbols * coded
            likelihood = torch.where(coded, likelihood, 1.0)
        self.steps.append(likelihood)
        return symbols

    def decide(self, odds: Tensor) -> Tensor:
        return odds > 1

    def likelihoods(self, first: int) -> Tensor:
        """Of all y, (B, H, W, M), after a complete walk whose steps began with half `first`."""
        pairs = zip(self.steps[0::2], self.steps[1::2], strict=True)
        return torch.cat([put(a, first) + put(b, 1 - first) for a, b in pairs], dim=-1)


class SingleQualityNetwork(nn.Module):
    """`base.Model` for a network that has the four transforms, a prior of z, and `code_y`.

    It is trained for one lambda, so `quality` changes nothing. All layers compute in the type of
    their input, so the same network also computes in float64.
    """

    g_a: nn.Module
    g_s: nn.Module
    h_a: nn.Module
    h_s: nn.Module
    halo: int | None
    """How far, in pixels, the transforms see; None where they see the whole picture."""
    anchor: int
    """Which half of the checkerboard (see `layers.checkerboard`) is coded first."""

    def config_dict(self) -> dict[str, Any]:
        """Widths and depths as plain JSON values."""
        raise NotImplementedError

    @property
    def fixed_rows(self) -> int:
        """Rows of the prior in the tables: one a hyper latent."""
        return self.channels[1]

    @property
    def decisions(self) -> int:
        """How often `entropy` has its coder decide about each latent."""
        return 0

    @property
    def prior(self) -> FactorisedPrior:
        """The prior of z."""
        raise NotImplementedError

    @property
    def conditional(self) -> GaussianModel:
        """The model of y, given scales and means."""
        raise NotImplementedError

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        raise NotImplementedError

    def code_y(self, hyper_parameters: Tensor, coder: Coder) -> Tensor:
        """Walk through all coding steps of y: what h_s gives -> y_hat (B, H/16, W/16, M).

        The coder is called for anchors and then non-anchors of each slice or group of channels;
        means and scales are (B, H/16, W/32, c), the packed half of `checkerboard.take`, the gain
        is one. Scales are as the network gives them: not bounded, even negative.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Output:
        """Pixels (B, 3, H, W) in 0..1, sides multiples of 64 -> reconstruction and likelihoods."""
        y = self.g_a(x.permute(0, 2, 3, 1))
        z = self.h_a(y)
        z_hat, z_likelihoods = self.prior(z)
        coder = LikelihoodCoder(Latents(y, z), self.conditional, self.training)
        y_hat = self.code_y(self.h_s(z_hat), coder)
        x_hat = self.g_s(y_hat)
        parts = (x_hat, coder.likelihoods(self.anchor), z_likelihoods)
        x_hat, y_likelihoods, z_likelihoods = (part.permute(0, 3, 1, 2) for part in parts)
        return Output(x_hat=x_hat, likelihoods=Likelihoods(y=y_likelihoods, z=z_likelihoods))

    def analysis(self, x: Tensor, quality: Tensor) -> Tensor:
        """Pixels (B, H, W, 3) in 0..1 -> y (B, H/16, W/16, M)."""
        del quality
        return self.g_a(x)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """y -> z (B, H/64, W/64, Z)."""
        return self.h_a(y)

    def latents(self, x: Tensor, quality: Tensor) -> Latents:
        """Pixels (B, H, W, 3) in 0..1, sides multiples of 64, quality (B,) -> latents."""
        y = self.analysis(x, quality).float()
        return Latents(y, self.hyper_analysis(y).float())

    def entropy(self, quality: Tensor, z_size: tuple[int, int], coder: TableCoder) -> Tensor:
        """Walk through all coding steps, in the type of `quality` (B,); z_size (H/64, W/64)."""
        return self.code_y(self.hyper_parameters(quality, z_size, coder), coder)

    def hyper_parameters(
        self, quality: Tensor, z_size: tuple[int, int], coder: TableCoder
    ) -> Tensor:
        """Code z; -> what h_s makes of it (B, H/16, W/16, ...), in the type of `quality`."""
        medians = self.prior.medians().to(quality.dtype)
        mean = medians.expand(quality.shape[0], *z_size, -1)
        z_hat = coder.fixed(mean, lambda latents: latents.z) + mean
        return self.h_s(z_hat)

    def synthesis(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """y_hat -> pixels (B, H, W, 3), nominally in 0..1, not clamped."""
        del quality
        return self.g_s(y_hat)

    def exact(self) -> "SingleQualityNetwork":
        """The network itself, whose `entropy` computes in float64 for a float64 quality."""
        return self
