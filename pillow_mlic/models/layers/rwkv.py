"""Bi-RWKV blocks: attention over all positions of a picture at linear cost.

    x -> LN -> Omni-Shift -> k, v, r;  output(sigmoid(r) * WKV(k, v)) * gamma1 -> + x
      -> LN -> Omni-Shift -> k, r;     sigmoid(r) * value(relu(k)^2)  * gamma2 -> + x

The blocks of LALIC (Feng et al., arXiv 2502.05741), whose operator comes from Vision-RWKV and whose
Omni-Shift comes from Restore-RWKV. Positions are tokens in raster order. Tensors between layers
are channels-last, (B, H, W, C); inside the operator tokens come last, so that both a linear layer's
result and the operator's matrix products need no copies.
"""

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RUNS = 32
"""The published kernel cuts the tokens into at most this many runs of ceil(T / RUNS) tokens."""

CHUNK = 32
"""Tokens that one matrix product covers; a matter of speed only."""

_EMPTY = -1e30
"""Exponent of an empty sum. Finite, so that differences of exponents are never NaN."""

_LARGEST = 50.0
"""Largest exponent of what comes from outside a chunk, relative to the chunk itself."""


def bi_wkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Bidirectional WKV as the published kernel computes it.

    Per-token decay `w` (C,) of either sign, bonus `u` (C,), keys `k` and values `v` (B, C, T)
    -> (B, C, T): for token t the mean of v under weights e^{k_i} times

        e^{-w |t - i|}                        for i > t and for i < s
        e^{-w (t - i - 1)}                    for s <= i < t
        e^{u}                                 for i = t
        (1 - e^{w}) e^{w (t - i)} in addition for s < i <= t

    where s is the first token of t's run of S = ceil(T / 32) tokens. The documented formula has
    |t - i| - 1 everywhere, no last row and no runs; the published kernel differs from it to first
    order in w. Its 1e-6 in the denominator is left out.

    Linear in T. Any T and any keys (below 1e29): sums carry their own exponents. Decays may differ
    from zero by |w| T <= 100; published ones do by 1 to 4, and for w T above 15 the kernel's own
    denominator may vanish. Computed in float32 for the half types and returned in the type of `v`.
    """
    dtype = torch.promote_types(torch.promote_types(k.dtype, v.dtype), torch.float32)
    with torch.autocast(k.device.type, enabled=False):
        return _bi_wkv(*(t.to(dtype) for t in (w, u, k, v))).to(v.dtype)


def _bi_wkv(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """`bi_wkv` in the type of its arguments."""
    batch, channels, tokens = k.shape
    size = -(-tokens // RUNS)  # S
    runs = -(-tokens // size)
    count = -(-size // CHUNK)  # chunks a run
    length = -(-size // count)  # tokens a chunk
    # (C, B * runs * count, length)
    k = _cut(k, runs, size, count, length, _EMPTY)
    v = _cut(v, runs, size, count, length, 0.0)
    shape = (channels, batch, runs, count)

    # Within chunks: everything relative to the largest key of the chunk.
    peak = k.detach().amax(-1)
    weight = (k - peak[..., None]).exp_()
    weighted = weight * v
    t = torch.arange(length, dtype=k.dtype, device=k.device)
    rate = w[:, None]
    sum_weights = torch.stack(
        [(-rate * (length - t)).exp(), (rate * (length - t)).exp(), (-rate * (t + 1)).exp()], -1
    )
    sums = torch.stack([weighted @ sum_weights, weight @ sum_weights])
    sums = sums.reshape(2, *shape, 3).permute(0, 5, 1, 2, 3, 4)  # (2, 3, C, B, runs, count)
    first = k.reshape(*shape, length)[:, :, :, :1, 0], v.reshape(*shape, length)[:, :, :, :1, 0]
    past, growing, future = _carries(w, sums, peak.reshape(shape), first, size, length)

    # Relative to the chunk's own largest key, too, but never so much larger that numbers overflow:
    # beyond e^50 nothing of the chunk itself is left in the result.
    place = peak.reshape(shape)
    top = torch.stack([place, past[1], growing[1], future[1]]).amax(0).detach()
    lift = (top - place).clamp(max=_LARGEST).exp()
    carry = torch.stack(
        [
            past[0] * ((past[1] - top).exp() * lift),
            growing[0] * ((growing[1] - top).exp() * lift * -torch.expm1(w)[:, None, None, None]),
            future[0] * ((future[1] - top).exp() * lift),
        ],
        -1,
    ).reshape(2, channels, -1, 3)
    spread = torch.stack([(-rate * t).exp(), (rate * t).exp(), (-rate * (length - 1 - t)).exp()], 1)
    inside = _weights_within(w, u, t)
    top_sum = (carry[0] @ spread).baddbmm_(weighted, inside)
    bottom_sum = (carry[1] @ spread).baddbmm_(weight, inside)
    out = (top_sum / bottom_sum).reshape(channels, batch, runs, count * length)
    out = out[..., :size].reshape(channels, batch, runs * size)[..., :tokens]
    return out.transpose(0, 1)


def _cut(x: Tensor, runs: int, size: int, count: int, length: int, fill: float) -> Tensor:
    """(B, C, T) -> (C, B * runs * count, length); `fill` where runs and chunks are not full."""
    x = x.transpose(0, 1)
    if runs * size > x.shape[-1]:
        x = F.pad(x, (0, runs * size - x.shape[-1]), value=fill)
    x = x.reshape(*x.shape[:2], runs, size)
    if count * length > size:
        x = F.pad(x, (0, count * length - size), value=fill)
    return x.reshape(x.shape[0], -1, length)


def _weights_within(w: Tensor, u: Tensor, t: Tensor) -> Tensor:
    """Weights (C, L, L) of source i (row) for target t (column) of one chunk.

    As in `bi_wkv`, with i > s taken for granted: `_carries` takes the first token out again.
    """
    distance = t[None, :] - t[:, None]
    rate = w[:, None, None]
    decayed = (-rate * distance.abs()).exp()
    remainder = torch.expm1(rate) * (decayed - (rate * distance).exp())
    past = torch.where(distance > 0, decayed + remainder, decayed)
    own = (u.exp() - torch.expm1(w))[:, None, None]
    return torch.where(distance == 0, own, past)


_Sum = tuple[Tensor, Tensor]
"""Two sums, of e^k v and of e^k, as (value (2, ...), exponent (...)): value * e^exponent."""


def _carries(
    w: Tensor, sums: Tensor, peak: Tensor, first: _Sum, size: int, length: int
) -> tuple[_Sum, _Sum, _Sum]:
    """What reaches each chunk from outside: (2, C, B, runs, count) with their exponents, three.

    past     sum over i < c of e^{-w (c - i)}, times e^{w} for those of the own run;
    growing  sum over s < i < c of e^{w (c - i)}, minus the same for i = s where s >= c;
    future   sum over i > d of e^{-w (i - d)};

    with c the first and d the last token of the chunk. `sums` (2, 3, C, B, runs, count) are the
    same three of each chunk alone, relative to `peak`, and as seen from just outside the chunk;
    `first` are key and value (C, B, runs, 1) of each run's first token.
    """
    count = peak.shape[-1]
    rate = w[:, None, None, None]
    first_key, first_value = first
    nothing = torch.zeros_like(first_value)
    zero = torch.stack([nothing, nothing])
    empty = torch.full_like(first_key, _EMPTY).detach()
    minus_first = torch.stack(
        [
            -first_value * (first_key - first_key.detach()).exp(),
            -(first_key - first_key.detach()).exp(),
        ]
    )
    value, exponent = _scan(
        torch.stack(
            [
                torch.cat([zero, sums[:, 0]], -1),
                torch.cat([minus_first, sums[:, 1]], -1),
                torch.cat([zero, sums[:, 2].flip(-1)], -1),
            ],
            1,
        ),
        torch.stack(
            [
                torch.cat([empty, peak], -1),
                torch.cat([first_key.detach(), peak], -1),
                torch.cat([empty, peak.flip(-1)], -1),
            ]
        ),
        torch.stack([rate, -rate, rate]) * length,
    )
    # Runs: the forward sum was taken at the end of the last chunk, which may reach beyond the run.
    excess = (rate * (count * length - size)).exp()
    total = torch.stack(
        [(value[:, 0, ..., -1:] * excess)[..., 0], value[:, 2, ..., -1].flip(-1)], 1
    )
    total_exponent = torch.stack([exponent[0, ..., -1], exponent[2, ..., -1].flip(-1)])
    run_value, run_exponent = _scan(
        torch.cat([torch.zeros_like(total[..., :1]), total[..., :-1]], -1),
        torch.cat([torch.full_like(total_exponent[..., :1], _EMPTY), total_exponent[..., :-1]], -1),
        (w * size)[None, :, None, None].expand(2, -1, -1, -1),
    )
    place = torch.arange(count, dtype=w.dtype, device=w.device) * length
    past = _add(
        (value[:, 0, ..., :-1], exponent[0, ..., :-1] + rate),
        (run_value[:, 0, ..., None], run_exponent[0, ..., None] - rate * place),
    )
    future = _add(
        (value[:, 2, ..., :-1].flip(-1), exponent[2, ..., :-1].flip(-1)),
        (
            run_value[:, 1].flip(-1)[..., None],
            run_exponent[1].flip(-1)[..., None] - rate * (size - length - place),
        ),
    )
    return past, (value[:, 1, ..., :-1], exponent[1, ..., :-1]), future


def _scan(value: Tensor, exponent: Tensor, decay: Tensor) -> _Sum:
    """Running sums over the last axis: linear work in a logarithmic number of steps.

    out_j = sum over i <= j of e^{-decay (j - i)} value_i e^{exponent_i}; value (2, ..., K),
    exponent (..., K), decay broadcasts to (..., 1). Exponents only normalise: they carry no
    gradient.
    """
    if exponent.shape[-1] == 1:
        return value, exponent
    even, even_exponent = value[..., 0::2], exponent[..., 0::2]
    odd, odd_exponent = value[..., 1::2], exponent[..., 1::2]
    pairs = odd.shape[-1]
    pair = _add((odd, odd_exponent), (even[..., :pairs], even_exponent[..., :pairs] - decay))
    odd, odd_exponent = _scan(*pair, 2 * decay)
    rest = even.shape[-1] - 1
    later, later_exponent = _add(
        (even[..., 1:], even_exponent[..., 1:]),
        (odd[..., :rest], odd_exponent[..., :rest] - decay),
    )
    even = torch.cat([even[..., :1], later], -1)
    even_exponent = torch.cat([even_exponent[..., :1], later_exponent], -1)
    return _interleave(even, odd), _interleave(even_exponent, odd_exponent)


def _interleave(even: Tensor, odd: Tensor) -> Tensor:
    """(..., n + 1) or (..., n), and (..., n) -> elements of both in turn."""
    pairs = odd.shape[-1]
    both = torch.stack([even[..., :pairs], odd], -1).flatten(-2)
    return both if even.shape[-1] == pairs else torch.cat([both, even[..., pairs:]], -1)


def _add(a: _Sum, b: _Sum) -> _Sum:
    """Sum of two sums under the larger of their exponents."""
    top = torch.maximum(a[1], b[1]).detach()
    return a[0] * (a[1] - top).exp() + b[0] * (b[1] - top).exp(), top


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
        if x.dtype == torch.float64 and x.device.type == "cpu":
            return _depthwise(x, self.kernel())
        x = F.conv2d(x.permute(0, 3, 1, 2), self.kernel(), padding=2, groups=x.shape[-1])
        return x.permute(0, 2, 3, 1)


def _depthwise(x: Tensor, kernel: Tensor) -> Tensor:
    """Depthwise 5x5 convolution of (B, H, W, C) with (C, 1, 5, 5), tap by tap.

    Five times as fast as conv2d in float64, for which PyTorch has no depthwise one on CPUs.
    """
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 2, 2, 2, 2))
    taps = kernel[:, 0].permute(1, 2, 0).contiguous()
    out = torch.zeros_like(x)
    for i, j in product(range(5), repeat=2):
        out.addcmul_(padded[:, i : i + height, j : j + width], taps[i, j])
    return out


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
        self.omni_shift = OmniShift(width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        _, height, width, _ = x.shape
        tokens = height * width
        x = self.omni_shift(x).flatten(1, 2).transpose(1, 2)  # (B, C, T)
        k, v, gate = (layer.weight @ x for layer in (self.key, self.value, self.receptance))
        mixed = bi_wkv(self.decay / tokens, self.boost / tokens, k, v)
        mixed = (torch.sigmoid(gate) * mixed).transpose(1, 2)  # (B, T, C)
        return self.output(mixed).unflatten(1, (height, width))


def _squared_relu(x: Tensor) -> Tensor:
    """relu(x)^2, by a product: pow costs twice the time."""
    x = F.relu(x)
    return x * x


class ChannelMixing(nn.Module):
    """sigmoid(r) * value(relu(k)^2) of the shifted input: (B, H, W, C) -> (B, H, W, C)."""

    def __init__(self, width: int, rate: int) -> None:
        super().__init__()
        self.omni_shift = OmniShift(width)
        self.key = nn.Linear(width, rate * width, bias=False)
        self.receptance = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(rate * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.omni_shift(x)
        return torch.sigmoid(self.receptance(x)) * self.value(_squared_relu(self.key(x)))


class BiRwkvBlock(nn.Module):
    """Spatial and channel mixing, both normalised, scaled and residual.

    (B, C, H, W) -> (B, C, H, W): it stands between convolutions.
    """

    def __init__(self, width: int, rate: int = 4) -> None:
        super().__init__()
        self.gamma1 = nn.Parameter(torch.ones(width))
        self.gamma2 = nn.Parameter(torch.ones(width))
        self.ln1 = nn.LayerNorm(width)
        self.ln2 = nn.LayerNorm(width)
        self.att = SpatialMixing(width)
        self.ffn = ChannelMixing(width, rate)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = x + self.gamma1 * self.att(self.ln1(x))
        x = x + self.gamma2 * self.ffn(self.ln2(x))
        return x.permute(0, 3, 1, 2)


class PointwiseMixing(nn.Module):
    """Channel mixing of single positions after a change of width: (..., C_in) -> (..., C_out).

    e = mix(x), n = LN(e); e + sigmoid(receptance n) * value(relu(key n)^2).
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width_in, width_out, 1)
        self.norm = nn.LayerNorm(width_out)
        self.key = nn.Linear(width_out, 2 * width_out, bias=False)
        self.value = nn.Linear(2 * width_out, width_out, bias=False)
        self.receptance = nn.Linear(width_out, width_out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.mix.weight.flatten(1), self.mix.bias)
        n = self.norm(x)
        return x + torch.sigmoid(self.receptance(n)) * self.value(_squared_relu(self.key(n)))
