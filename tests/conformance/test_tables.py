"""Integer tables: every count as CompressAI computes it for the published models."""

import numpy as np
import pytest
import torch

from pillow_mlic.entropy.published import published_tables
from pillow_mlic.models.layers.factorised import FactorisedPrior

from . import recipe

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
    tables = published_tables(prior_of(family))
    gaussian, factorised = tables.cdfs[: tables.first_fixed], tables.cdfs[tables.first_fixed :]
    for rows, offsets, prefix in (
        (gaussian, tables.offsets[: tables.first_fixed], "gc"),
        (factorised, tables.offsets[tables.first_fixed :], f"{family}_eb"),
    ):
        lengths = REFERENCE[find(prefix, "length")]
        assert [len(row) for row in rows] == lengths.tolist()
        assert np.array_equal(offsets, REFERENCE[find(prefix, "offset")])
        counts = REFERENCE[find(prefix, "cdf", not_="length")]
        for row, reference, length in zip(rows, counts, lengths, strict=True):
            assert np.array_equal(row, reference[:length])


def find(prefix: str, what: str, not_: str = "nothing") -> str:
    """The array's name in the reference file."""
    (name,) = (k for k in REFERENCE.files if k.startswith(prefix) and what in k and not_ not in k)
    return name


def test_levels() -> None:
    tables = published_tables(prior_of("mlicpp"))
    levels = torch.from_numpy(tables.thresholds).float().numpy()
    assert np.array_equal(levels, REFERENCE["scale_table"][:-1])
