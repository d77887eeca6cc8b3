"""Bi-RWKV blocks: attention over all positions of a picture at linear cost.

    x -> LN -> Omni-Shift -> k, v, r;  output(sigmoid(r) * WKV(k, v)) * gamma1 -> + x
      -> LN -> Omni-Shift -> k, r;     sigmoid(r) * value(relu(k)^2)  * gamma2 -> + x

The blocks of LALIC (Feng et al., arXiv 2502.05741), whose operator comes from Vision-RWKV and whose
Omni-Shift comes from Restore-RWKV. Positions are tokens in raster order. Tensors are channels-last,
(B, H, W, C), those of the operator (B, C, T).

All parts but the operator need only a few rows at a time. For inference on CPUs they work in bands
that stay in the cache.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bi_wkv import bi_wkv
from .conv import Conv2d, LayerNorm, Linear, convolve

BAND = 6144
"""About how many tokens a band has."""

HIDDEN = 1 << 19
"""About how many hidden values of the channel mixing exist at a time."""


class OmniShift(nn.Module):
    """alpha_0 x + alpha_1 dw1x1(x) + alpha_2 dw3x3(x) + alpha_3 dw5x5(x): (B, H, W, C) -> same.

    Depthwise, zero padding, no biases; run as the one 5x5 convolution that it amounts to. The
    published state dict also holds this merged kernel, `conv5x5_reparam`, but computes it anew
    before using it. Here it is always computed from its parts; the stored copy is brought up to
    date after loading and before saving, takes no gradient and is never used.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor([1.0, 0.5, 0.5, 0.5]))
        self.conv1x1 = nn.Conv2d(width, width, 1, groups=width, bias=False)
        self.conv3x3 = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.conv5x5 = nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False)
        self.conv5x5_reparam = nn.Conv2d(width, width, 5, padding=2, groups=width, bias=False)
        self.conv5x5_reparam.requires_grad_(False)
        self.register_load_state_dict_post_hook(_store_kernel)
        self.register_state_dict_pre_hook(_store_kernel)

    def kernel(self) -> Tensor:
        """The merged kernel (C, 1, 5, 5)."""
        centre = self.alpha[0] + self.alpha[1] * self.conv1x1.weight
        inner = self.alpha[2] * self.conv3x3.weight
        outer = self.alpha[3] * self.conv5x5.weight
        return F.pad(centre, (2, 2, 2, 2)) + F.pad(inner, (1, 1, 1, 1)) + outer

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.kernel(), None, groups=x.shape[-1])


def _store_kernel(module: nn.Module, *_: object) -> None:
    """Hook: bring the stored copy of the merged kernel up to date."""
    assert isinstance(module, OmniShift)
    with torch.no_grad():
        module.conv5x5_reparam.weight.data = module.kernel()  # what was loaded may be shared


class SpatialMixing(nn.Module):
    """Attention over all positions by `bi_wkv`, gated: (B, H, W, C) -> (B, H, W, C).

    Decay and boost are stored for the whole picture: the operator gets them divided by T.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.decay = nn.Parameter(torch.randn(width))
        self.boost = nn.Parameter(torch.randn(width))
        self._known_reach: tuple[Tensor, int | None, float] | None = None
        self.omni_shift = OmniShift(width)
        self.key = Linear(width, width, bias=False)
        self.value = Linear(width, width, bias=False)
        self.receptance = Linear(width, width, bias=False)
        self.output = Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        tokens = height * width
        x = self.omni_shift(x).flatten(1, 2).transpose(1, 2)  # (B, C, T)
        k, v, gate = (
            layer.weight.to(x.dtype) @ x for layer in (self.key, self.value, self.receptance)
        )
        decay, boost = self.decay.to(x.dtype) / tokens, self.boost.to(x.dtype) / tokens
        mixed = bi_wkv(decay, boost, k, v, self._reach())
        mixed = (torch.sigmoid(gate) * mixed).transpose(1, 2)  # (B, T, C)
        return self.output(mixed).unflatten(1, (height, width))

    def _reach(self) -> float:
        """The largest decay by its size, over the whole picture; read once, as a GPU must wait."""
        version = None if self.decay.is_inference() else self.decay._version
        known = self._known_reach
        if known is None or known[0] is not self.decay or known[1] != version:
            known = self.decay, version, float(self.decay.detach().abs().max())
            self._known_reach = known
        return known[2]

    def residual(self, x: Tensor, norm: nn.Module, gain: Tensor) -> Tensor:
        """x + gain * self(norm(x)); all but the operator itself works in bands of rows."""
        batch, height, width, channels = x.shape
        tokens = height * width
        k, v, gate = projections = [x.new_empty(batch, channels, tokens) for _ in range(3)]
        weights = [layer.weight.to(x.dtype) for layer in (self.key, self.value, self.receptance)]
        for rows, shifted in _shifted(x, norm, self.omni_shift):
            at = slice(rows.start * width, rows.stop * width)
            for weight, projection in zip(weights, projections, strict=True):
                for part, out in zip(shifted.flatten(1, 2), projection[..., at], strict=True):
                    torch.mm(weight, part.T, out=out)
        decay, boost = self.decay.to(x.dtype) / tokens, self.boost.to(x.dtype) / tokens
        mixed = bi_wkv(decay, boost, k, v, self._reach(), overwrite=True)
        weight = (gain[:, None] * self.output.weight).to(x.dtype).T
        result = k.view(x.shape)  # keys have done their work; fresh memory costs time
        for rows in _bands(height, width):
            at = slice(rows.start * width, rows.stop * width)
            gated = gate[..., at].sigmoid().mul_(mixed[..., at])
            old, new = (tensor[:, rows].flatten(1, 2) for tensor in (x, result))
            for part, before, after in zip(gated, old, new, strict=True):
                torch.addmm(before, part.T, weight, out=after)
        return result


def _squared_relu(x: Tensor) -> Tensor:
    """relu(x)^2, by a product: pow costs twice the time."""
    x = F.relu(x)
    return x * x


class ChannelMixing(nn.Module):
    """sigmoid(r) * value(relu(k)^2) of the shifted input: (B, H, W, C) -> (B, H, W, C)."""

    def __init__(self, width: int, rate: int) -> None:
        super().__init__()
        self.omni_shift = OmniShift(width)
        self.key = Linear(width, rate * width, bias=False)
        self.receptance = Linear(width, width, bias=False)
        self.value = Linear(rate * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.omni_shift(x)
        return torch.sigmoid(self.receptance(x)) * self.value(_squared_relu(self.key(x)))

    def residual(self, x: Tensor, norm: nn.Module, gain: Tensor) -> Tensor:
        """x + gain * self(norm(x)) in the place of x, in bands of rows and chunks of tokens."""
        key, receptance = self.key.weight.to(x.dtype), self.receptance.weight.to(x.dtype)
        value = (gain[:, None] * self.value.weight).to(x.dtype)
        size = max(HIDDEN // len(key), 1)
        for rows, shifted in _shifted(x, norm, self.omni_shift):
            for sample, place in zip(shifted, x[:, rows], strict=True):
                parts = (tensor.flatten(0, 1).split(size) for tensor in (sample, place))
                for part, result in zip(*parts, strict=True):
                    hidden = F.linear(part, key).relu_()
                    mixed = F.linear(hidden.mul_(hidden), value)
                    result.addcmul_(mixed, F.linear(part, receptance).sigmoid_())
        return x


def _bands(height: int, width: int) -> list[slice]:
    """Rows of a map in bands of about BAND tokens."""
    rows = max(BAND // width, 1)
    return [slice(start, min(start + rows, height)) for start in range(0, height, rows)]


def _shifted(x: Tensor, norm: nn.Module, shift: OmniShift) -> Iterator[tuple[slice, Tensor]]:
    """Bands of rows of x (B, H, W, C), and those rows of shift(norm(x)).

    Rows of x that were given before may be overwritten.
    """
    ahead = None
    for rows in _bands(*x.shape[1:3]):
        low, high = max(rows.start - 2, 0), min(rows.stop + 2, x.shape[1])
        near = shift(norm(x[:, low:high]))
        if ahead is not None:
            yield ahead
        ahead = rows, near[:, rows.start - low : rows.stop - low]
    if ahead is not None:
        yield ahead


class BiRwkvBlock(nn.Module):
    """Spatial and channel mixing, both normalised, scaled and residual.

    (B, H, W, C) -> (B, H, W, C).
    """

    def __init__(self, width: int, rate: int = 4) -> None:
        super().__init__()
        self.gamma1 = nn.Parameter(torch.ones(width))
        self.gamma2 = nn.Parameter(torch.ones(width))
        self.ln1 = LayerNorm(width)
        self.ln2 = LayerNorm(width)
        self.att = SpatialMixing(width)
        self.ffn = ChannelMixing(width, rate)

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            x = self.att.residual(x, self.ln1, self.gamma1)
            return self.ffn.residual(x, self.ln2, self.gamma2)
        x = x + self.gamma1 * self.att(self.ln1(x))
        return x + self.gamma2 * self.ffn(self.ln2(x))


class PointwiseMixing(nn.Module):
    """Channel mixing of single positions after a change of width: (..., C_in) -> (..., C_out).

    e = mix(x), n = LN(e); e + sigmoid(receptance n) * value(relu(key n)^2).
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.mix = Conv2d(width_in, width_out, 1)
        self.norm = LayerNorm(width_out)
        self.key = Linear(width_out, 2 * width_out, bias=False)
        self.value = Linear(2 * width_out, width_out, bias=False)
        self.receptance = Linear(width_out, width_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mix(x)
        n = self.norm(x)
        return x + torch.sigmoid(self.receptance(n)) * self.value(_squared_relu(self.key(n)))
