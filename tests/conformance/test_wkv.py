"""The Bi-WKV operator against two quadratic twins and the published kernel's numbers.

`data/lalic_wkv.npz` holds inputs w, u (8,), k, v (1, T, 8) for some T, and results of three
computations in float64: `kernel`, a step-by-step emulation of the published CUDA kernel; `closed`,
a closed form of the kernel's weights; `formula`, the documented one. Results are stored in float32.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from pillow_mlic.models.layers import bi_wkv as operator
from pillow_mlic.models.layers.bi_wkv import bi_wkv

from . import recipe

SIZES = [24, 96, 100, 384]


def log_weights(w: Tensor, u: Tensor, t: Tensor, i: Tensor) -> Tensor:
    """Logarithms of the documented weights (C, targets, T), own key not included."""
    distance = (t[:, None] - i[None, :]).abs()
    decayed = -(distance - 1) * w[:, None, None]
    return torch.where(distance == 0, u[:, None, None], decayed)


def formula_twin(w: Tensor, u: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The documented formula, term by term: (B, C, T)."""
    i = torch.arange(k.shape[-1])
    weight = (log_weights(w, u, i, i) + k[:, :, None, :]).softmax(-1)
    return (weight @ v[..., None])[..., 0]


def kernel_twin(
    w: Tensor, u: Tensor, k: Tensor, v: Tensor, targets: Tensor | None = None
) -> Tensor:
    """The published kernel's weights, term by term, for all or some tokens: (B, C, targets)."""
    count = k.shape[-1]
    i = torch.arange(count)
    t = i if targets is None else targets
    size = -(-count // 32)
    start = (t // size * size)[:, None]
    past, own = i[None, :] < start, i[None, :] == t[:, None]
    distance = t[:, None] - i[None, :]
    later_than_first = (i[None, :] > start) & (distance >= 0)
    rate = w[:, None, None]
    log = log_weights(w, u, t, i) - torch.where(past | (distance < 0), rate, 0.0)
    log = torch.where(own, u[:, None, None], log) + k[:, :, None, :]
    top = log.amax(-1, keepdim=True)
    weight = (log - top).exp()
    remainder = -torch.expm1(rate) * (rate * distance + k[:, :, None, :] - top).exp()
    weight = weight + torch.where(later_than_first, remainder, 0.0)
    return (weight * v[:, :, None, :]).sum(-1) / weight.sum(-1)


def inputs(
    tokens: int, batch: int = 2, channels: int = 3, spread: float = 2.0, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Random w, u, k, v with decays of both signs, in float64 but exact in float32."""
    random = torch.Generator().manual_seed(seed + tokens)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random).double()

    w = torch.linspace(-3, 3, channels).double() / tokens
    u = normal(channels) / tokens
    w, u = w.float().double(), u.float().double()
    k = (spread * normal(batch, channels, tokens)).float().double()
    return w, u, k, normal(batch, channels, tokens)


@pytest.fixture(scope="module")
def reference() -> dict[str, Tensor]:
    """Arrays "k_24" and so on, tokens last."""
    with np.load(recipe.DATA / "lalic_wkv.npz") as data:
        return {
            name: torch.from_numpy(data[name]).double().mT for name in data if name[0] in "kvcf"
        } | {name: torch.from_numpy(data[name]) for name in data if name[0] in "wu"}


@pytest.mark.parametrize("tokens", SIZES)
def test_agrees_with_published_kernel(reference: dict[str, Tensor], tokens: int) -> None:
    w, u, k, v = (reference[f"{name}_{tokens}"] for name in "wukv")
    found = bi_wkv(w, u, k, v)
    closed, kernel = reference[f"closed_{tokens}"], reference[f"kernel_{tokens}"]
    torch.testing.assert_close(found, closed, rtol=0, atol=1e-6 * float(closed.abs().max()))
    # The kernel adds 1e-6 to a denominator relative to its largest term.
    torch.testing.assert_close(found, kernel, rtol=0, atol=2e-6)
    single = bi_wkv(*(x.float() for x in (w, u, k, v)))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), kernel, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tokens", SIZES)
def test_twins_agree_with_reference(reference: dict[str, Tensor], tokens: int) -> None:
    w, u, k, v = (reference[f"{name}_{tokens}"] for name in "wukv")
    for twin, name in ((kernel_twin, "closed"), (formula_twin, "formula")):
        expected = reference[f"{name}_{tokens}"]
        tolerance = 1e-6 * float(expected.abs().max())
        torch.testing.assert_close(twin(w, u, k, v), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "tokens", [1, 2, 5, 31, 32, 33, 63, 64, 65, 100, 991, 992, 993, 1024, 1025, 1100, 1569]
)
def test_any_number_of_tokens(tokens: int) -> None:
    """Runs and chunks, full and not: the same as the quadratic twin."""
    w, u, k, v = inputs(tokens, batch=2 if tokens < 200 else 1)
    expected = kernel_twin(w, u, k, v)
    torch.testing.assert_close(bi_wkv(w, u, k, v), expected, rtol=0, atol=1e-12)
    single = bi_wkv(*(x.float() for x in (w, u, k, v))).double()
    torch.testing.assert_close(single, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("chunk", [1, 2, 7, 16, 64])
def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    args = inputs(1301)
    expected = bi_wkv(*args)
    monkeypatch.setattr(operator, "CHUNK", chunk)
    torch.testing.assert_close(bi_wkv(*args), expected, rtol=0, atol=1e-12)


def test_nears_the_formula_as_tokens_grow() -> None:
    """The kernel's deviation from the formula is of first order in w."""
    deviations = [
        float((bi_wkv(*args) - formula_twin(*args)).abs().max())
        for args in (inputs(tokens, batch=1) for tokens in (64, 512, 2048))
    ]
    assert deviations[0] > 3 * deviations[1] > 9 * deviations[2] > 0


@pytest.mark.parametrize("tokens", [30, 700])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_keys(tokens: int, dtype: torch.dtype) -> None:
    """Keys over thousands, where e^k does not fit in a number."""
    w, u, k, v = inputs(tokens, spread=1000.0)
    k[:, 0] += 20000
    k[:, 1] -= 20000
    k[:, 2, tokens // 2 :] -= 30000
    k = k.float().double()
    found = bi_wkv(*(x.to(dtype) for x in (w, u, k, v))).double()
    torch.testing.assert_close(found, kernel_twin(w, u, k, v), rtol=0, atol=2e-3)
    if dtype == torch.float64:
        torch.testing.assert_close(found, kernel_twin(w, u, k, v), rtol=0, atol=1e-9)


@pytest.mark.parametrize("tokens", [32, 300, 2000])
@pytest.mark.parametrize("decay", [-100.0, 30.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_decays(tokens: int, decay: float, dtype: torch.dtype) -> None:
    """Weights that differ by more than a number can hold across the picture.

    Not for large positive decays and many tokens: the kernel's own denominator vanishes there.
    """
    if decay == 100 and tokens > 32:
        return
    _, u, k, v = inputs(tokens, batch=1)
    w = torch.full((3,), decay / tokens).double()
    found = bi_wkv(*(x.to(dtype) for x in (w, u, k, v))).double()
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(found, kernel_twin(w, u, k, v), rtol=0, atol=tolerance)


def test_many_tokens() -> None:
    """More than a million: against the twin at some places."""
    w, u, k, v = inputs(1_100_000, batch=1, channels=1)
    w = w.abs() + 2e-6
    places = torch.tensor([0, 1, 34_374, 34_375, 34_376, 555_555, 1_099_998, 1_099_999])
    expected = kernel_twin(w, u, k, v, places)
    torch.testing.assert_close(bi_wkv(w, u, k, v)[..., places], expected, rtol=0, atol=1e-11)
    single = bi_wkv(*(x.float() for x in (w, u, k, v)))[..., places].double()
    torch.testing.assert_close(single, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tokens", [5, 70, 200])
def test_gradients(monkeypatch: pytest.MonkeyPatch, tokens: int) -> None:
    """The same as those of the twin, with respect to all four inputs."""
    monkeypatch.setattr(operator, "CHUNK", 2)
    args = [x.requires_grad_() for x in inputs(tokens)]
    direction = torch.linspace(-1, 1, 2 * 3 * tokens).double().reshape(2, 3, tokens)
    expected = torch.autograd.grad((kernel_twin(*args) * direction).sum(), args)
    found = torch.autograd.grad((bi_wkv(*args) * direction).sum(), args)
    for name, a, b in zip("wukv", found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_types_are_computed_in_float32(dtype: torch.dtype) -> None:
    w, u, k, v = inputs(300)
    k, v = k.to(dtype), v.to(dtype)
    found = bi_wkv(w.float(), u.float(), k, v)
    assert found.dtype == dtype
    assert torch.equal(found, bi_wkv(w.float(), u.float(), k.float(), v.float()).to(dtype))


def test_autocast_does_not_reach_inside() -> None:
    args = [x.float() for x in inputs(300)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = bi_wkv(*args)
    assert torch.equal(found, bi_wkv(*args))
