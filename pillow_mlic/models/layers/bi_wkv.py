"""Bi-WKV: attention over all positions of a picture at linear cost.

The operator of LALIC (Feng et al., arXiv 2502.05741), which comes from Vision-RWKV (Duan et al.,
arXiv 2403.02308). Matrix products throughout: within chunks of tokens, from chunk to chunk within
the runs that the published kernel cuts the tokens into, and from run to run. Tokens come last.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

RUNS = 32
"""The published kernel cuts the tokens into at most this many runs of ceil(T / RUNS) tokens."""

CHUNK = 64
"""Most tokens that one matrix product covers; a matter of speed only."""

GROUP = 1 << 18
"""About how many keys are worked on together on CPUs, so that they fit into a core's cache."""

NEGLIGIBLE = {torch.float32: 40.0, torch.float64: 60.0}
"""e^-NEGLIGIBLE of the largest weight is negligible even for a million tokens."""

FLOAT32_REACH = 12.0
"""Largest |w| T whose weights float32 can hold all at once."""


def bi_wkv(
    w: Tensor,
    u: Tensor,
    k: Tensor,
    v: Tensor,
    reach: float | None = None,
    overwrite: bool = False,
) -> Tensor:
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

    Linear in T. Any T and any keys. Decays may differ from zero by |w| T <= 100; published ones do
    by 1 to 4, and for w T above 15 the kernel's own denominator may vanish. Computed in float32
    for the half types (in float64 for |w| T above 12, on the CPU where the device has none) and
    returned in the type of `v`. `reach` is the largest |w| T; without it a GPU is waited for. With
    `overwrite` the result may take the place of `v`.
    """
    dtype = torch.promote_types(torch.promote_types(k.dtype, v.dtype), torch.float32)
    if reach is None:
        reach = float(w.detach().abs().max()) * k.shape[-1]
    if reach > FLOAT32_REACH:
        dtype = torch.float64
        if k.device.type == "mps":
            return bi_wkv(w.cpu(), u.cpu(), k.cpu(), v.cpu(), reach).to(k.device)
    with torch.autocast(k.device.type, enabled=False):
        tables = _tables(w.to(dtype), u.to(dtype), Cut.of(k.shape[-1]))
        # All weights are relative to e^(largest key): every token sees that one with e^-reach or
        # more, so that much smaller ones count for nothing anywhere.
        least = -reach - NEGLIGIBLE[dtype]
        if torch.is_grad_enabled() or k.device.type != "cpu":
            top, bottom = _sums(k.to(dtype), v.to(dtype), tables, least)
            return (top / bottom).to(v.dtype)
        out = v if overwrite else torch.empty_like(v)
        size = max(GROUP // (k.shape[0] * k.shape[2]), 1)
        for start in range(0, k.shape[1], size):
            at = slice(start, start + size)
            some = Tables(*(table[at] for table in tables))
            top, bottom = _sums(k[:, at].to(dtype), v[:, at].to(dtype), some, least)
            torch.div(top, bottom, out=out[:, at])
        return out


class Cut(NamedTuple):
    """How tokens are cut into runs of `size`, and runs into `chunks` of `length` tokens."""

    runs: int
    size: int
    chunks: int
    length: int

    @classmethod
    def of(cls, tokens: int) -> "Cut":
        """The published runs, and chunks of equal length."""
        size = -(-tokens // RUNS)
        count = -(-size // CHUNK)
        return cls(-(-tokens // size), size, count, -(-size // count))

    def apply(self, x: Tensor, fill: float) -> Tensor:
        """(B, C, T) -> (C, B, runs, count, length); `fill` where runs and chunks are not full."""
        x = x.transpose(0, 1)
        if self.runs * self.size > x.shape[-1]:  # padding by nothing would copy
            x = F.pad(x, (0, self.runs * self.size - x.shape[-1]), value=fill)
        x = x.unflatten(-1, (self.runs, self.size))
        if self.chunks * self.length > self.size:
            x = F.pad(x, (0, self.chunks * self.length - self.size), value=fill)
        return x.unflatten(-1, (self.chunks, self.length))

    def undo(self, x: Tensor, tokens: int) -> Tensor:
        """(C, B, runs, count, length) -> (B, C, T)."""
        x = x.flatten(3)[..., : self.size].flatten(2)
        return x[..., :tokens].transpose(0, 1)


class Tables(NamedTuple):
    """Weights of each channel, for each step of `_sums`; the channel is the first dimension.

    In brackets what they apply to, and what they give.
    """

    leaving: Tensor  # (L, 3) tokens -> sums of their chunk, as seen from just outside of it
    past: Tensor  # (count, count + 1) sums -> past of each chunk, and of the next run
    growing: Tensor  # (count, count) sums -> growing part of each chunk's past
    first: Tensor  # (count,) the run's first token -> what of it is to be taken out of that
    future: Tensor  # (count, 1 + count) sums -> future of the run before, and of each chunk
    runs: Tensor  # (runs, runs) past of the next run -> past of each run
    runs_future: Tensor  # (runs, runs)
    late: Tensor  # (count,) past of a run -> of each of its chunks
    early: Tensor  # (count,) future of a run -> of each of its chunks
    mean: Tensor  # (L + 3, L) tokens and the three from outside -> what each token sees


def _tables(w: Tensor, u: Tensor, cut: Cut) -> Tables:
    """From decay and bonus (C,)."""

    def count(n: int) -> Tensor:
        return torch.arange(n, dtype=w.dtype, device=w.device)

    def before(rate: Tensor, n: int) -> Tensor:
        """e^{-rate (j - 1 - i)} from i < n to j <= n where i < j: (C, n, n + 1)."""
        return _toeplitz(F.pad((-rate * count(n)).exp(), (n, 0)), n + 1)

    rate = w[:, None]
    t, place = count(cut.length), cut.length * count(cut.chunks)
    chunks = before(rate * cut.length, cut.chunks)
    runs = before(rate * cut.size, cut.runs)
    # The own run's past lacks one step. The sum for later runs is taken behind the last chunk,
    # which may reach beyond the run.
    excess = (rate * (cut.chunks * cut.length - cut.size)).exp()
    steps = torch.cat([rate.exp().expand(-1, cut.chunks), excess], -1)
    left = cut.length - t
    leaving = [(-rate * left).exp(), (rate * left).exp(), (-rate * (t + 1)).exp()]
    arriving = [(-rate * t).exp(), -torch.expm1(rate) * (rate * t).exp(), (rate * (1 - left)).exp()]
    return Tables(
        leaving=torch.stack(leaving, 2),
        past=chunks * steps[:, None],
        growing=before(-rate * cut.length, cut.chunks)[..., :-1],
        first=-(rate * place).exp(),
        future=chunks.flip(1, 2),
        runs=runs[..., :-1],
        runs_future=runs.flip(1, 2)[..., 1:],
        late=(-rate * place).exp(),
        early=(-rate * (cut.size - cut.length - place)).exp(),
        mean=torch.cat([_weights_within(w, u, cut.length), torch.stack(arriving, 1)], 1),
    )


def _toeplitz(values: Tensor, columns: int) -> Tensor:
    """(C, rows + columns - 1) -> (C, rows, columns) of values[j - i + rows - 1]."""
    return values.unfold(1, columns, 1).flip(1)


def _weights_within(w: Tensor, u: Tensor, length: int) -> Tensor:
    """Weights (C, L, L) of source i (row) for target t (column) of one chunk.

    As in `bi_wkv`, but as if i > s always held: `Tables.first` takes the first token out again.
    """
    rate = w[:, None]
    distance = torch.arange(1, length, dtype=w.dtype, device=w.device)
    future = (-rate * distance).exp()
    past = future + torch.expm1(rate) * (future - (rate * distance).exp())
    own = u[:, None].exp() - torch.expm1(rate)
    return _toeplitz(torch.cat([future.flip(1), own, past], 1), length)


def _sums(k: Tensor, v: Tensor, tables: Tables, least: float) -> tuple[Tensor, Tensor]:
    """Numerator and denominator of `bi_wkv` for keys and values (B, C, T).

    Smaller keys than the largest plus `least` count as that value.

    Three sums reach each chunk from outside, with c its first and d its last token:

        past     over i < c of e^{-w (c - i)}, times e^{w} for those of the own run
        growing  over s < i < c of e^{w (c - i)}, minus the same for i = s where s >= c
        future   over i > d of e^{-w (i - d)}
    """
    cut = Cut.of(k.shape[2])
    keys = cut.apply((k - k.detach().amax(-1, keepdim=True)).clamp(min=least), -torch.inf)
    values = cut.apply(v, 0.0)
    # Of e^k v and of e^k: (C, 2, B, runs, count, L), with room for the three from outside.
    shape = (keys.shape[0], 2, *keys.shape[1:-1])
    if torch.is_grad_enabled():
        weights = keys.exp()
        chunks = torch.stack([weights * values, weights], 1)
    else:
        everything = keys.new_empty(*shape, cut.length + 3)
        chunks = everything[..., : cut.length]
        torch.exp(keys, out=chunks[:, 1])
        torch.mul(chunks[:, 1], values, out=chunks[:, 0])

    sums = (chunks.flatten(1, 4) @ tables.leaving).view(*shape, 3).flatten(1, 3)
    past, growing, future = sums.unbind(-1)  # (C, 2 B runs, count)
    past, future = past @ tables.past, future @ tables.future
    of_runs = (-1, 2 * keys.shape[1], cut.runs)
    earlier = past[..., -1].reshape(of_runs) @ tables.runs
    later = future[..., 0].reshape(of_runs) @ tables.runs_future
    first = chunks[..., 0, 0].flatten(1)
    outside = torch.stack(
        [
            past[..., :-1] + earlier.flatten(1)[..., None] * tables.late[:, None],
            growing @ tables.growing + first[..., None] * tables.first[:, None],
            future[..., 1:] + later.flatten(1)[..., None] * tables.early[:, None],
        ],
        -1,
    ).view(*shape, 3)
    if torch.is_grad_enabled():
        everything = torch.cat([chunks, outside], -1)
    else:
        everything[..., cut.length :] = outside
    seen = (everything.flatten(1, 4) @ tables.mean).view(chunks.shape)
    return cut.undo(seen[:, 0], k.shape[2]), cut.undo(seen[:, 1], k.shape[2])
