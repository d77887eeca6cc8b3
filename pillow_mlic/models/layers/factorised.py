"""Likelihoods of the published networks, with exactly the tensors that CompressAI's files hold.

    z -> FactorisedPrior: a density of its own for each channel
    y -> GaussianModel: mean and scale of every latent come from the context model

(B, H, W, C) layout. Both carry the count tables of published files (`_quantized_cdf`, `_offset`,
`_cdf_length`), which are empty in a fresh model and take any shape on loading; the networks do not
use them.
"""

import math
import re
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .lower_bound import LowerBound
from .quantise import LIKELIHOOD_MIN, SCALE_MIN, round_straight_through

OLD_NAMES = {"_matrix": "matrices", "_bias": "biases", "_factor": "factors"}
"""How CompressAI up to 1.2.6 spells the prior's tensors: `_matrix0` for `matrices.0`."""

BISECTIONS = 40


class _CountTables(nn.Module):
    """Buffers for the integer tables of a published file, of whatever shape the file has."""

    _offset: Tensor
    _quantized_cdf: Tensor
    _cdf_length: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("_offset", "_quantized_cdf", "_cdf_length"):
            self.register_buffer(name, torch.zeros(0, dtype=torch.int32))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        for name in ("_offset", "_quantized_cdf", "_cdf_length", "scale_table"):
            buffer = self._buffers.get(name)
            if buffer is not None and (stored := state.get(prefix + name)) is not None:
                self._buffers[name] = buffer.new_zeros(stored.shape)
        super()._load_from_state_dict(state, prefix, *args)


class FactorisedPrior(_CountTables):
    """A density for each channel, its distribution function a small monotone network.

    Balle et al., arXiv 1802.01436, appendix 6.1: sizes 1-3-3-3-3-1,

        v -> softplus(matrix_i) v + bias_i,  then (but for the last)  v + tanh(factor_i) tanh(v)

    and the distribution function is the sigmoid of the result. `quantiles` (C, 1, 3) holds where
    the logits are `target`: lower tail, median, upper tail.
    """

    target: Tensor

    def __init__(self, channels: int, sizes: tuple[int, ...] = (1, 3, 3, 3, 3, 1)) -> None:
        super().__init__()
        tail = math.log(2e9 - 1)
        self.quantiles = nn.Parameter(torch.tensor([-10.0, 0.0, 10.0]).repeat(channels, 1, 1))
        self.register_buffer("target", torch.tensor([-tail, 0.0, tail]))
        self.likelihood_lower_bound = LowerBound(LIKELIHOOD_MIN)
        self.matrices = nn.ParameterList()
        self.biases = nn.ParameterList()
        self.factors = nn.ParameterList()
        spread = 10.0 ** (1 / (len(sizes) - 1))
        for a, b in pairwise(sizes):
            start = math.log(math.expm1(1 / (spread * b)))
            self.matrices.append(nn.Parameter(torch.full((channels, b, a), start)))
            self.biases.append(nn.Parameter(torch.rand(channels, b, 1) - 0.5))
        for b in sizes[1:-1]:
            self.factors.append(nn.Parameter(torch.zeros(channels, b, 1)))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *args: Any) -> None:
        for key in [key for key in state if key.startswith(prefix)]:
            old = re.fullmatch(r"(_matrix|_bias|_factor)(\d)", key.removeprefix(prefix))
            if old:
                state[f"{prefix}{OLD_NAMES[old[1]]}.{old[2]}"] = state.pop(key)
        super()._load_from_state_dict(state, prefix, *args)

    def medians(self) -> Tensor:
        """The centres of quantisation, (C,)."""
        return self.quantiles[:, 0, 1].detach()

    def quantise(self, z: Tensor) -> Tensor:
        """z (B, H, W, C) to the nearest median + integer; in training gradients pass through."""
        medians = self.medians()
        if self.training:
            return round_straight_through(z - medians) + medians
        return torch.round(z - medians) + medians

    def logits(self, v: Tensor) -> Tensor:
        """Logits of the distribution functions at v (C, 1, n): (C, 1, n)."""
        for i, (matrix, bias) in enumerate(zip(self.matrices, self.biases, strict=True)):
            v = F.softplus(matrix) @ v + bias
            if i < len(self.factors):
                v = v + torch.tanh(self.factors[i]) * torch.tanh(v)
        return v

    @torch.no_grad()
    def fit_tails(self) -> None:
        """Set the lower and upper quantiles, by bisection, to where the logits are `target`.

        Medians stay as they are, since the layers behind the prior have learnt with them.
        """
        for column in (0, 2):
            aim = self.target[column]
            reach = torch.ones_like(self.quantiles[:, :1, :1])
            while (outside := self.logits(reach * aim.sign()).abs() < aim.abs()).any():
                reach = torch.where(outside, 2 * reach, reach)
            low, high = -reach, reach
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                below = self.logits(middle) < aim
                low, high = torch.where(below, middle, low), torch.where(below, high, middle)
            self.quantiles[:, :, column] = high[..., 0]

    def likelihood(self, z: Tensor) -> Tensor:
        """Probability of the unit interval around z (B, H, W, C), elementwise."""
        v = z.reshape(-1, 1, z.shape[-1]).permute(2, 1, 0)
        p = torch.sigmoid(self.logits(v + 0.5)) - torch.sigmoid(self.logits(v - 0.5))
        return self.likelihood_lower_bound(p).permute(2, 1, 0).reshape(z.shape)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """z (B, H, W, C) -> quantised z and its likelihoods; in training those of noisy z."""
        z_hat = self.quantise(z)
        return z_hat, self.likelihood(z + torch.rand_like(z) - 0.5 if self.training else z_hat)


class GaussianModel(_CountTables):
    """Probability of a latent's quantisation interval under a normal distribution."""

    scale_bound: Tensor
    scale_table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale_table", torch.zeros(0))
        self.register_buffer("scale_bound", torch.tensor([SCALE_MIN]))
        self.likelihood_lower_bound = LowerBound(LIKELIHOOD_MIN)
        self.lower_bound_scale = LowerBound(SCALE_MIN)

    def likelihood(self, deviation: Tensor, scale: Tensor) -> Tensor:
        """Of the unit interval around `deviation` from the mean, for raw (unbounded) scales."""
        inverse = 1 / (self.lower_bound_scale(scale) * math.sqrt(2))
        deviation = deviation.abs()
        upper = torch.erfc((deviation - 0.5) * inverse)
        lower = torch.erfc((deviation + 0.5) * inverse)
        return self.likelihood_lower_bound(0.5 * (upper - lower))
