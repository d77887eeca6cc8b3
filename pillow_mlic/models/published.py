"""How the published networks, in (B, C, H, W) layout and for one quality, meet the codec."""

from torch import Tensor, nn

from .base import Coder, TableCoder, without
from .layers.factorised import FactorisedPrior


class PublishedNetwork(nn.Module):
    """Adds `base.Model` to a network that has g_a, g_s, h_a, h_s, entropy_bottleneck and code_y.

    Published networks are trained for one lambda each, so `quality` changes nothing.
    """

    g_a: nn.Module
    g_s: nn.Module
    h_a: nn.Module
    h_s: nn.Module
    stride = 64
    """Pictures are padded to multiples of this before analysis."""
    halo: int | None
    """How far, in pixels, the transforms see; None where they see the whole picture."""

    @property
    def prior(self) -> FactorisedPrior:
        """The prior of z."""
        raise NotImplementedError

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        raise NotImplementedError

    def code_y(self, hyper_parameters: Tensor, coder: Coder) -> Tensor:
        """Walk through all coding steps of y, (B, C, H, W) layout."""
        raise NotImplementedError

    def analysis(self, x: Tensor, quality: Tensor) -> Tensor:
        """Pixels (B, H, W, 3) in 0..1 -> y (B, H/16, W/16, M)."""
        del quality
        return self.g_a(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def hyper_analysis(self, y: Tensor) -> Tensor:
        """y -> z (B, H/64, W/64, Z)."""
        return self.h_a(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)

    def entropy(self, quality: Tensor, z_size: tuple[int, int], coder: TableCoder) -> Tensor:
        """Walk through all coding steps; quality (B,), z_size (H/64, W/64) -> y_hat."""
        medians = self.prior.medians().permute(0, 2, 3, 1)
        mean = medians.expand(quality.shape[0], *z_size, -1)
        z_hat = coder.fixed(mean, lambda latents: latents.z) + mean
        y_hat = self.code_y(self.h_s(z_hat.permute(0, 3, 1, 2).contiguous()), coder)
        return y_hat.permute(0, 2, 3, 1)

    def synthesis(self, y_hat: Tensor, quality: Tensor) -> Tensor:
        """y_hat -> pixels (B, H, W, 3), nominally in 0..1, not clamped."""
        del quality
        return self.g_s(y_hat.permute(0, 3, 1, 2).contiguous()).permute(0, 2, 3, 1)

    def entropy_only(self) -> "PublishedNetwork":
        """The network (sharing its weights) without its transforms."""
        return without(self, "g_a", "g_s", "h_a")
