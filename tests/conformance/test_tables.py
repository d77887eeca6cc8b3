"""Integer tables: counts as CompressAI computes them for the published models.

Ours are made in arithmetic that is the same everywhere. In a few rows CompressAI's float32 rounds
the other way, and a count differs by one or two.
"""

import math

import numpy as np
import pytest
import torch

from pillow_mlic.entropy import everywhere
from pillow_mlic.entropy.published import published_tables
from pillow_mlic.models.layers.factorised import FactorisedPrior, GaussianModel

from . import recipe

MOST_COUNTS, MOST_ROWS = 2, 0.05

REFERENCE = np.load(recipe.DATA / "tables.npz")


def prior_of(family: str) -> FactorisedPrior:
    """The prior with the recipe's weights, without the network around it."""
    state = recipe.make_state_dict(recipe.load_manifest(family), 0)
    start = (
        "entropy_bottleneck." if family == "mlicpp" else "latent_codec.hyper.entropy_bottleneck."
    )
    own = {k.removeprefix(start): v for k, v in state.items() if k.startswith(start)}
    prior = FactorisedPrior(len(own["quantiles"]))
    prior.load_state_dict(own)
    return prior.eval()


@pytest.mark.parametrize("family", ["mlicpp", "lalic"])
def test_counts(family: str) -> None:
    tables = published_tables(prior_of(family), GaussianModel())
    gaussian, factorised = tables.cdfs[: tables.first_fixed], tables.cdfs[tables.first_fixed :]
    for rows, offsets, prefix in (
        (gaussian, tables.offsets[: tables.first_fixed], "gc"),
        (factorised, tables.offsets[tables.first_fixed :], f"{family}_eb"),
    ):
        lengths = REFERENCE[find(prefix, "length")]
        assert [len(row) for row in rows] == lengths.tolist()
        assert np.array_equal(offsets, REFERENCE[find(prefix, "offset")])
        counts = REFERENCE[find(prefix, "cdf", not_="length")]
        differences = [
            np.abs(row - reference[:length]).max()
            for row, reference, length in zip(rows, counts, lengths, strict=True)
        ]
        print(prefix, len(rows), sum(map(bool, differences)), max(differences))
        assert max(differences) <= MOST_COUNTS
        assert sum(map(bool, differences)) <= MOST_ROWS * len(rows)


def test_a_checkpoint_s_own_tables_are_kept() -> None:
    """Those that CompressAI's `update()` made, whatever we would make of the same weights."""
    prior, conditional = prior_of("mlicpp"), GaussianModel()
    made = published_tables(prior, conditional)
    conditional.scale_table = torch.from_numpy(np.append(made.thresholds, 256.0)).float()
    first = made.first_fixed
    for module, rows, offsets in (
        (conditional, made.cdfs[:first], made.offsets[:first]),
        (prior, made.cdfs[first:], made.offsets[first:]),
    ):
        counts = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int32)
        for place, row in zip(counts, rows, strict=True):
            place[: len(row)] = torch.from_numpy(row)
        counts[0, 1] += 1  # their own, not ours
        module._quantized_cdf = counts
        module._cdf_length = torch.tensor([len(row) for row in rows], dtype=torch.int32)
        module._offset = torch.from_numpy(offsets.copy())
    kept = published_tables(prior, conditional)
    assert np.array_equal(kept.thresholds, made.thresholds)
    assert np.array_equal(kept.offsets, made.offsets)
    for number, (row, own) in enumerate(zip(made.cdfs, kept.cdfs, strict=True)):
        assert (own - row).sum() == (number in (0, first))
    prior._cdf_length = prior._cdf_length[:-1]
    with pytest.raises(ValueError, match="do not fit together"):
        published_tables(prior, conditional)


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erfc", "softplus", "sigmoid"])
def test_functions_that_are_the_same_everywhere(name: str) -> None:
    x = np.concatenate([np.linspace(-6, 20, 3001), [1e-9, -1e-9, 5e-3]])
    peers = {
        "softplus": lambda v: max(v, 0) + math.log1p(math.exp(-abs(v))),
        "sigmoid": lambda v: 1 / (1 + math.exp(-v)),
    }
    x = np.abs(x) + 1e-9 if name == "log" else x
    found = getattr(everywhere, name)(x)
    expected = np.array([peers.get(name, getattr(math, name, None))(v) for v in x])
    assert np.allclose(found, expected, rtol=1e-10 if name == "erfc" else 1e-12, atol=1e-15)


def find(prefix: str, what: str, not_: str = "nothing") -> str:
    """The array's name in the reference file."""
    (name,) = (k for k in REFERENCE.files if k.startswith(prefix) and what in k and not_ not in k)
    return name


def test_levels() -> None:
    tables = published_tables(prior_of("mlicpp"), GaussianModel())
    levels = torch.from_numpy(tables.thresholds).float().numpy()
    assert np.array_equal(levels, REFERENCE["scale_table"][:-1])
