"""Transforms of ELIC (He et al., arXiv 2203.10886): residual bottlenecks and attention blocks.

    x -> conv 5 /2 -> 3 blocks -> conv 5 /2 -> 3 blocks, attention -> conv 5 /2 -> 3 blocks
      -> conv 5 /2 -> attention -> y

and the same backwards. (B, H, W, C) layout. Either way a pixel depends on others up to 132 pixels
away: 48 for the attention at 1/16, 16 + 24 at 1/8, 8 + 12 + 12 at 1/4, 4 + 6 at 1/2 and 2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .conv import Conv2d, ConvTranspose2d


class ResidualBottleneck(nn.Module):
    """1x1 to half the width, 3x3, 1x1 back, ReLU between; added to the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = Conv2d(width, width // 2, 1)
        self.conv2 = Conv2d(width // 2, width // 2)
        self.conv3 = Conv2d(width // 2, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        def finish(y: Tensor, x: Tensor) -> Tensor:
            return x + self.conv3(F.relu(y))

        return self.conv2(self.conv1(x, F.relu), finish, x)


class AttentionBlock(nn.Module):
    """x + trunk(x) * sigmoid(gate(x)): Cheng'20's, of residual units."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = nn.ModuleList(ResidualBottleneck(width) for _ in range(3))
        self.gate = nn.ModuleList(ResidualBottleneck(width) for _ in range(3))
        self.out = Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        trunk = gate = x
        for layer in self.trunk:
            trunk = F.relu(layer(trunk))
        for layer in self.gate:
            gate = F.relu(layer(gate))
        return x + trunk * torch.sigmoid(self.out(gate))


def _blocks(width: int) -> list[nn.Module]:
    return [ResidualBottleneck(width) for _ in range(3)]


def elic_analysis(width: int, latents: int) -> nn.Sequential:
    """Pixels (B, H, W, 3) in 0..1 -> latents (B, H/16, W/16, M)."""
    return nn.Sequential(
        Conv2d(3, width, 5, stride=2),
        *_blocks(width),
        Conv2d(width, width, 5, stride=2),
        *_blocks(width),
        AttentionBlock(width),
        Conv2d(width, width, 5, stride=2),
        *_blocks(width),
        Conv2d(width, latents, 5, stride=2),
        AttentionBlock(latents),
    )


def elic_synthesis(width: int, latents: int) -> nn.Sequential:
    """Latents (B, H/16, W/16, M) -> pixels (B, H, W, 3), nominally in 0..1, not clamped."""
    return nn.Sequential(
        AttentionBlock(latents),
        ConvTranspose2d(latents, width, 5),
        *_blocks(width),
        ConvTranspose2d(width, width, 5),
        AttentionBlock(width),
        *_blocks(width),
        ConvTranspose2d(width, width, 5),
        *_blocks(width),
        ConvTranspose2d(width, 3, 5),
    )
