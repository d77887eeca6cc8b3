"""Adam, or SOAP, with the rates that each kind of parameter wants."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .soap import Soap

VECTOR_RATE = 2.0
"""Biases, norms, depthwise kernels and gain tables learn at twice the rate of matrices."""

PRIOR_RATE = 5.0
"""The prior of the hyper latents is a handful of numbers that every bit depends on."""


OPTIMISERS = ("adam", "soap")


def make_optimiser(name: str, model: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Adam, or SOAP for matrices and Adam for all else; each group has a `factor`, by which the
    schedule's rate is multiplied. ValueError for any other name."""
    if name not in OPTIMISERS:
        msg = f"there is no optimiser {name!r}; there are {', '.join(OPTIMISERS)}"
        raise ValueError(msg)
    groups: dict[float, list[nn.Parameter]] = {1.0: [], VECTOR_RATE: [], PRIOR_RATE: []}
    for label, parameter in model.named_parameters():
        if label.startswith("entropy.hyper_scale"):
            groups[PRIOR_RATE].append(parameter)
        elif parameter.dim() < 2 or "depthwise" in label or label.endswith(".log"):
            groups[VECTOR_RATE].append(parameter)
        else:
            groups[1.0].append(parameter)
    made = [
        {"params": p, "factor": factor, "rotate": factor == 1.0}
        for factor, p in groups.items()
        if p
    ]
    betas = (0.9, 0.99)
    if name == "soap":
        return Soap(made, betas=betas)
    return torch.optim.Adam(made, lr=0.0, betas=betas, fused=device.type in ("cpu", "cuda"))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of `rate`."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]


class Average:
    """Exponential moving average of parameters: a cheap substitute for a cooldown."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.parameters = [p.detach().clone() for p in model.parameters()]

    def update(self, model: nn.Module, steps: int) -> None:
        """Move towards the model's weights as far as `steps` steps would."""
        self.steps += steps
        # A new average covers only the last tenth of its steps, so that it soon forgets the start.
        decay = min(self.decay, 1 - 10 / (self.steps + 10))
        weight = 1 - decay**steps
        torch._foreach_lerp_(self.parameters, [p.detach() for p in model.parameters()], weight)

    def swap(self, model: nn.Module) -> None:
        """Exchange the model's weights with the average (call twice to undo)."""
        with torch.no_grad():
            for mine, theirs in zip(self.parameters, model.parameters(), strict=True):
                copy = theirs.clone()
                theirs.copy_(mine)
                mine.copy_(copy)


def gradients(model: nn.Module) -> Iterator[Tensor]:
    """Gradients of all parameters that have one."""
    return (p.grad for p in model.parameters() if p.grad is not None)
