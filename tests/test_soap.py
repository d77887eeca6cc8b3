"""SOAP: Adam in the eigenbases of gradients."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pillow_mlic.training import soap
from pillow_mlic.training.optimiser import make_optimiser
from pillow_mlic.training.session import TrainingRequest, train
from pillow_mlic.training.soap import Soap

from .conftest import make_small_model, photograph


@pytest.fixture(autouse=True)
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products in float32 whatever the processor is fast at."""
    monkeypatch.setenv("MLIC_BF16", "0")


def skewed(weights: Tensor) -> Tensor:
    """A bowl far longer than wide, along axes that are not the matrix's own."""
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.linalg.qr(torch.randn(n, n, generator=generator)).Q for n in weights.shape)
    turned = left.T @ (weights - 1) @ right
    steep = torch.logspace(-2, 2, turned.numel()).view_as(turned)
    return (steep * turned**2).sum()


def descend(optimiser: torch.optim.Optimizer, weights: nn.Parameter, steps: int) -> float:
    for _ in range(steps):
        optimiser.zero_grad()
        skewed(weights).backward()
        optimiser.step()
    return float(skewed(weights).detach())


def test_a_turned_bowl_takes_fewer_steps_than_adam() -> None:
    reached = {}
    for rotate in (True, False):
        weights = nn.Parameter(torch.zeros(12, 8))
        optimiser = Soap([{"params": [weights], "rotate": rotate}], lr=0.05)
        reached[rotate] = descend(optimiser, weights, 150)
    assert reached[True] < 0.1 * reached[False]


def test_without_bases_it_is_adam() -> None:
    ours, theirs = (nn.Parameter(torch.zeros(12, 8)) for _ in range(2))
    descend(Soap([{"params": [ours]}], lr=0.02), ours, 20)
    descend(torch.optim.Adam([theirs], lr=0.02, betas=(0.9, 0.99)), theirs, 20)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_bases_are_turns() -> None:
    """After all kinds of steps: orthonormal, and there and back is where it was."""
    weights = nn.Parameter(torch.randn(12, 4, 2))
    optimiser = Soap([{"params": [weights], "rotate": True}], lr=1e-3)
    for step in range(1, 62):
        gradient = weights.grad = torch.randn(12, 4, 2)
        optimiser.step()
        state = optimiser.state[weights]
        for side, length in (("rows", 12), ("columns", 8)):
            basis = state[f"{side} basis"]
            assert torch.allclose(basis @ basis.T, torch.eye(length), atol=1e-5), step
    found = soap._back(state, soap._turned(state, gradient.flatten(1)))
    assert torch.allclose(found, gradient.flatten(1), atol=1e-5)


def test_axes_are_those_of_the_gradients() -> None:
    """Gradients along one direction alone: the first axis is that direction."""
    direction = torch.nn.functional.normalize(torch.arange(1.0, 7), dim=0)
    weights = nn.Parameter(torch.zeros(6, 3))
    optimiser = Soap([{"params": [weights], "rotate": True}], lr=1e-3)
    for _ in range(40):
        weights.grad = direction[:, None] * torch.randn(3) + 1e-3 * torch.randn(6, 3)
        optimiser.step()
    first = optimiser.state[weights]["rows basis"][:, 0]
    assert abs(float(first @ direction)) > 0.999


def test_long_sides_keep_their_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soap, "LARGEST", 8)
    weights = nn.Parameter(torch.zeros(12, 8))
    optimiser = Soap([{"params": [weights], "rotate": True}], lr=0.02)
    before = float(skewed(weights).detach())
    assert descend(optimiser, weights, 100) < before / 2
    state = optimiser.state[weights]
    assert "rows basis" not in state
    assert "columns basis" in state


def test_products_are_bfloat16_where_that_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = torch.randn(40, 30), torch.randn(30, 20)
    found = {}
    for half in (False, True):
        monkeypatch.setattr(soap, "has_fast_bf16", lambda _, half=half: half)
        found[half] = soap._product(a, b)
    assert torch.equal(found[False], a @ b)
    assert found[True].dtype == torch.float32
    assert 0 < float((found[True] - a @ b).norm() / (a @ b).norm()) < 0.01


def test_a_state_goes_on_where_it_was() -> None:
    one, other = (nn.Parameter(torch.zeros(12, 8)) for _ in range(2))
    through = Soap([{"params": [one], "rotate": True}], lr=0.02)
    descend(through, one, 37)
    first = Soap([{"params": [other], "rotate": True}], lr=0.02)
    descend(first, other, 18)
    second = Soap([{"params": [other], "rotate": True}], lr=0.02)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    descend(second, other, 19)
    assert torch.equal(one, other)


def test_matrices_of_a_network_are_turned_and_nothing_else() -> None:
    model = make_small_model()
    optimiser = make_optimiser("soap", model, torch.device("cpu"))
    names = {parameter: name for name, parameter in model.named_parameters()}
    turned = {names[p] for g in optimiser.param_groups if g["rotate"] for p in g["params"]}
    assert "synthesis.stem.weight" in turned
    assert not any(word in name for name in turned for word in ("bias", "norm", "depthwise", "log"))
    assert sum(len(g["params"]) for g in optimiser.param_groups) == len(names)


def test_no_such_optimiser() -> None:
    with pytest.raises(ValueError, match="there are adam, soap"):
        make_optimiser("sgd", make_small_model(), torch.device("cpu"))


def test_a_run_keeps_its_optimiser(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    photograph(128, 128).save(data / "a.png")
    run = tmp_path / "run"
    begun = {"batch": 1, "crop": 64, "optimiser": "soap"}
    train(TrainingRequest(data, run, steps=1, threads=1, changes=begun), lambda _: None)
    other = TrainingRequest(data, run, steps=1, changes={"optimiser": "adam"})
    with pytest.raises(ValueError, match="begun with soap"):
        train(other, lambda _: None)
    train(TrainingRequest(data, run, steps=1, threads=1), lambda _: None)
