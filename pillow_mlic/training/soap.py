"""SOAP: Adam in the eigenbases of what the gradients of each matrix have in common.

    C_rows = mean of G G^T,  C_columns = mean of G^T G;  Q_rows, Q_columns: their eigenvectors
    G' = Q_rows^T G Q_columns;  U' = Adam(G');  weights -= rate * Q_rows U' Q_columns^T

N. Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam" (arXiv 2409.11321, algorithm
3); Y. Zhang and F. Zhu (arXiv 2601.20769) train codecs with it. Here, to save time, the means take
every fourth gradient, bases are brought up to date in turn, a twentieth of them at a step, by one
power iteration, and products with bases are bfloat16 where that is fast.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..engines.arithmetic import has_fast_bf16

LARGEST = 1280
"""A side of a matrix that is longer keeps its own axes: the basis would cost too much."""

SEEN_EVERY, TURNED_EVERY = 4, 20
"""Steps from one gradient to the next in the means, and from one new basis to the next."""

FIRST = (1, 2, 4, 8, 16, 32)
"""Steps with new bases of everything at the beginning, when every gradient tells something new."""

FROM_NOTHING = 4
"""The last step at which a basis is made of the mean alone: few gradients say little of most axes,
and nothing is lost yet with the old ones."""

MEMORY = 0.98
"""What remains of the means at each gradient that they take."""

Moments = dict[str, Any]


class Soap(torch.optim.Optimizer):
    """Groups with `rotate` hold weights of two or more dimensions, (rows, columns...), and are
    trained by SOAP; all others by Adam."""

    def __init__(
        self,
        params: Iterable[dict[str, Any]],
        lr: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "rotate": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step of everything that has a gradient."""
        assert closure is None  # as everywhere in this project
        for group in self.param_groups:
            for place, parameter in enumerate(group["params"]):
                if parameter.grad is None:
                    continue
                state, gradient = self.state[parameter], parameter.grad
                state["step"] = state.get("step", 0) + 1
                if group["rotate"]:
                    gradient = gradient.flatten(1)
                    _see(state, gradient, place)
                    update = _back(state, _adam(state, _turned(state, gradient), group))
                else:
                    update = _adam(state, gradient, group)
                parameter.add_(update.view_as(parameter), alpha=-group["lr"])


def _adam(state: Moments, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """What Adam would subtract at a rate of 1."""
    if "first" not in state:
        state["first"], state["second"] = torch.zeros_like(gradient), torch.zeros_like(gradient)
    (beta1, beta2), step = group["betas"], state["step"]
    first = state["first"].lerp_(gradient, 1 - beta1)
    second = state["second"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    return (first / (1 - beta1**step)) / (second / (1 - beta2**step)).sqrt_().add_(group["eps"])


def _see(state: Moments, gradient: Tensor, place: int) -> None:
    """Take a gradient into the means, and turn the bases, where it is time for that."""
    step = state["step"]
    early = step <= FIRST[-1]
    if early or (step + place) % SEEN_EVERY == 0:
        state["seen"] = state.get("seen", 0) + 1
        weight = max(1 - MEMORY, 1 / state["seen"])
        _follow(state, "rows", gradient, weight)
        _follow(state, "columns", gradient.T, weight)
    if step in FIRST or (not early and (step + place) % TURNED_EVERY == 0):
        _turn_bases(state)


def _follow(state: Moments, side: str, gradient: Tensor, weight: float) -> None:
    """Move the mean of a side, which is that of the gradient's first dimension."""
    if len(gradient) > LARGEST:
        return
    found = gradient @ gradient.T
    if side not in state:
        state[side] = torch.zeros_like(found)
    state[side].lerp_(found, weight)


def _turn_bases(state: Moments) -> None:
    """New bases; Adam's means go with them: the first exactly, squares with their axes."""
    first = _back(state, state["first"]) if "first" in state else None
    for dim, side in enumerate(("rows", "columns")):
        if side not in state:
            continue
        name = f"{side} basis"
        # On the CPU: not every accelerator has these decompositions, and none is fast at them.
        mean = state[side].cpu()
        mean = mean / mean.diagonal().mean().clamp(min=torch.finfo(mean.dtype).tiny)
        if state["step"] <= FROM_NOTHING:
            basis = torch.linalg.eigh(mean.double()).eigenvectors.flip(1).to(mean.dtype)
        else:
            old = state[name].cpu()
            turned = mean @ old
            order = (old * turned).sum(0).argsort(descending=True)
            basis = torch.linalg.qr(turned[:, order]).Q
            if "second" in state:
                state["second"] = state["second"].index_select(dim, order.to(state[side].device))
        state[name] = basis.contiguous().to(state[side].device)
    if first is not None:
        state["first"] = _turned(state, first)


def _turned(state: Moments, matrix: Tensor) -> Tensor:
    """In the bases, from the matrix's own axes."""
    if "rows basis" in state:
        matrix = _product(state["rows basis"].T, matrix)
    if "columns basis" in state:
        matrix = _product(matrix, state["columns basis"])
    return matrix


def _back(state: Moments, matrix: Tensor) -> Tensor:
    """In the matrix's own axes, from the bases."""
    if "rows basis" in state:
        matrix = _product(state["rows basis"], matrix)
    if "columns basis" in state:
        matrix = _product(matrix, state["columns basis"].T)
    return matrix


def _product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b, to three digits where that is faster."""
    if has_fast_bf16(str(a.device)):
        return (a.bfloat16() @ b.bfloat16()).to(a.dtype)
    return a @ b
