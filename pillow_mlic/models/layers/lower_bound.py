"""Lower bounds that are stored with the weights, as in the files of CompressAI's models."""

import torch
from torch import Tensor, nn

from .quantise import lower_bound


class LowerBound(nn.Module):
    """max(x, bound) with the gradient of `quantise.lower_bound`; the bound is a buffer (1,)."""

    bound: Tensor

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.register_buffer("bound", torch.tensor([bound]))

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return lower_bound(x, self.bound)
        return torch.maximum(x, self.bound)
