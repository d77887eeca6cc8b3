"""MLIC++ against results of the published code, with stand-in weights (see `recipe`).

`data/mlicpp_seed0.npz` holds results of the published code in float64 for seed 0 and the picture
`make_image(128, 192, 0)`, thinned out by `thin` and stored in float32; `FLOAT32` says what each
array is. Results of the 2023 variant are in `*_2023`; its y and z are the same.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from pillow_mlic.models.base import Latents
from pillow_mlic.models.layers.checkerboard import ANCHOR, NON_ANCHOR, put
from pillow_mlic.models.mlicpp import MlicPlusPlus, MlicPlusPlusConfig, config_from_state_dict

from . import recipe
from .coders import PlaybackCoder, SymbolCoder, in_stream_order, indexes

Array = npt.NDArray[np.float64]

FLOAT32 = {
    "y": 8.4e-05,  # output of g_a
    "z": 0.00014,  # output of h_a
    "hyper_params": 3.3e-05,  # output of h_s
    "z_hat": 4.8e-06,  # input of h_s
    # Outputs of the networks of slices 0, 1, 5 and 9; see HALVES.
    "s0_params_anchor": 5e-05,
    "s0_lrp_anchor": 2.6e-06,
    "s0_local": 3.8e-05,
    "s0_params_nonanchor": 6.1e-05,
    "s0_lrp_nonanchor": 3e-06,
    "s1_inter": 6.2e-05,
    "s1_channel": 3.1e-05,
    "s1_params_anchor": 0.00012,
    "s1_lrp_anchor": 3.4e-06,
    "s1_intra": 2.1e-05,
    "s1_local": 4.1e-05,
    "s1_params_nonanchor": 8.2e-05,
    "s1_lrp_nonanchor": 3.9e-06,
    "s5_inter": 7.8e-05,
    "s5_channel": 3.4e-05,
    "s5_params_anchor": 8.1e-05,
    "s5_lrp_anchor": 4.9e-06,
    "s5_intra": 4.1e-05,
    "s5_local": 3.7e-05,
    "s5_params_nonanchor": 0.00013,
    "s5_lrp_nonanchor": 4.2e-06,
    "s9_inter": 7.2e-05,
    "s9_channel": 3.8e-05,
    "s9_params_anchor": 8.7e-05,
    "s9_lrp_anchor": 4.6e-06,
    "s9_intra": 3.2e-05,
    "s9_local": 3.5e-05,
    "s9_params_nonanchor": 9.2e-05,
    "s9_lrp_nonanchor": 5.6e-06,
    "y_hat": 5.8e-05,  # input of g_s
    "x_hat": 4.4e-06,  # output of g_s
    "y_likelihoods": 1.5e-05,
    "y_bits": 0.16,  # sum of -log2 of all likelihoods, before thinning out
    "z_likelihoods": 1.2e-06,
    "z_bits": 0.0059,
}
"""Absolute tolerance in float32: ten times the published code's own deviation from float64."""

FLOAT64 = 1e-6
"""Tolerance in float64, relative to an array's largest magnitude."""

MODULES = {
    "params_anchor": "entropy_parameters_anchor",
    "params_nonanchor": "entropy_parameters_nonanchor",
    "lrp_anchor": "lrp_anchor",
    "lrp_nonanchor": "lrp_nonanchor",
    "local": "local_context",
    "inter": "global_inter_context",
    "intra": "global_intra_context",
    "channel": "channel_context",
}
"""Part of an array's name, after the slice -> module that it is the output of."""

HALVES = {"params_anchor": ANCHOR, "params_nonanchor": NON_ANCHOR, "local": NON_ANCHOR}
"""Parts that the published code computes for all positions and this one for those of one half."""

SMALL = MlicPlusPlusConfig(width=8, latents=24, slices=3, slice_channels=8)


def thin(name: str, array: Array) -> Array:
    """What the data file keeps: every fourth channel (eighth of the longest), or fewer pixels."""
    if name == "x_hat":
        return array[:, ::4, ::2]
    if name in ("z", "z_hat", "z_likelihoods") or name.endswith("_bits"):
        return array
    return array[:: 8 if len(array) > 128 else 4]


def run(model: MlicPlusPlus, x: Tensor, plain: bool = False) -> dict[str, Array]:
    """All arrays of `FLOAT32` for one picture, and symbols and indexes of a second walk.

    `plain`: with gradients, for which nothing is done in bands, in place or by other algorithms.
    """
    found: dict[str, Tensor] = {}
    handles = []

    def watch(name: str, module: nn.Module, inputs: bool = False) -> None:
        def hook(_: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
            value = args[0] if inputs else out
            half = HALVES.get(name.partition("_")[2])
            value = value if half is None else put(value, half)
            found[name] = value[0].permute(2, 0, 1)

        handles.append(module.register_forward_hook(hook))

    watch("y", model.g_a)
    watch("z", model.h_a)
    watch("hyper_params", model.h_s)
    watch("z_hat", model.h_s, inputs=True)
    watch("y_hat", model.g_s, inputs=True)
    for name in FLOAT32:
        if name.startswith("s") and name[1].isdigit():
            number, _, part = name[1:].partition("_")
            watch(name, model.get_submodule(f"{MODULES[part]}.{number}"))
    with torch.set_grad_enabled(plain):
        out = model(x)
        for handle in handles:
            handle.remove()
        latents = Latents(*(found[k].permute(1, 2, 0)[None] for k in ("y", "z")))
        coder = SymbolCoder(latents)
        y_hat = model.code_y(found["hyper_params"][None].permute(0, 2, 3, 1), coder)
    torch.testing.assert_close(y_hat[0].permute(2, 0, 1), found["y_hat"], rtol=0, atol=0)
    found["x_hat"] = out["x_hat"][0]
    for name in ("y", "z"):
        likelihoods = out["likelihoods"][name][0]
        found[f"{name}_likelihoods"] = likelihoods
        found[f"{name}_bits"] = -likelihoods.log2().sum()
    medians = model.entropy_bottleneck.medians()
    found["z_symbols"] = (found["z_hat"] - medians[:, None, None]).round()
    found["stream_symbols"] = in_stream_order(coder.symbols)
    found["stream_indexes"] = indexes(in_stream_order(coder.scales))
    return {name: value.detach().numpy() for name, value in found.items()}


def compare(found: dict[str, Array], expected: dict[str, Array], exact: bool) -> None:
    """Every array within its tolerance: of float64 if `exact`, else of float32."""
    wrong = []
    for name, value in expected.items():
        difference = thin(name, found[name]).astype(np.float64) - value
        if (half := HALVES.get(name.partition("_")[2])) is not None:
            row, column = np.indices(difference.shape[1:])
            difference = difference[:, (row + column) % 2 == half]
        deviation = np.abs(difference).max()
        allowed = FLOAT64 * np.abs(value).max() if exact else FLOAT32[name]
        print(f"{name}: {deviation:.2g}, allowed {allowed:.2g}")
        if not deviation <= allowed:
            wrong.append(name)
    assert not wrong


@pytest.fixture(scope="module")
def reference() -> dict[str, Array]:
    with np.load(recipe.DATA / "mlicpp_seed0.npz") as data:
        return {name: data[name] for name in data}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return recipe.make_state_dict(recipe.load_manifest("mlicpp"), 0)


@pytest.fixture(scope="module")
def model(weights: dict[str, Tensor]) -> MlicPlusPlus:
    return loaded(weights)


def loaded(weights: dict[str, Tensor]) -> MlicPlusPlus:
    """`MlicPlusPlus.from_state_dict`, in evaluation mode, without the time for a random start."""
    with torch.device("meta"):
        model = MlicPlusPlus(config_from_state_dict(weights))
    model.load_state_dict(weights, assign=True)
    return model.eval()


def test_recipe_is_unchanged(weights: dict[str, Tensor]) -> None:
    assert recipe.checksum(weights) == recipe.CHECKSUMS["mlicpp"]


@pytest.mark.parametrize(
    ("name", "config", "parameters"),
    [
        ("mlicpp", MlicPlusPlusConfig(), 83_501_408),
        ("mlicpp_2023", MlicPlusPlusConfig(variant_2023=True), 116_716_928),
    ],
)
def test_published_state_dict(name: str, config: MlicPlusPlusConfig, parameters: int) -> None:
    expected = recipe.load_manifest(name)
    with torch.device("meta"):
        model = MlicPlusPlus(config)
        state = {entry.key: torch.empty(entry.shape) for entry in expected}
    assert recipe.manifest_of(model) == expected
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert config_from_state_dict(state) == config


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "fast"])
@pytest.mark.parametrize("exact", [True, False], ids=["float64", "float32"])
def test_agrees_with_published_code(
    model: MlicPlusPlus, reference: dict[str, Array], exact: bool, plain: bool
) -> None:
    dtype = torch.float64 if exact else torch.float32
    found = run(model.to(dtype), recipe.make_image(128, 192, 0).to(dtype), plain)
    compare(found, {name: reference[name] for name in FLOAT32}, exact)
    for name in ("z_symbols", "stream_symbols", "stream_indexes"):
        np.testing.assert_array_equal(found[name], reference[name], err_msg=name)


@pytest.mark.slow
def test_agrees_with_published_code_2023(reference: dict[str, Array]) -> None:
    model = loaded(recipe.make_state_dict(recipe.load_manifest("mlicpp_2023"), 0)).double()
    expected = {name: reference[name] for name in ("y", "z")}
    expected |= {name: reference[f"{name}_2023"] for name in ("x_hat", "y_bits", "z_bits")}
    compare(run(model, recipe.make_image(128, 192, 0).double()), expected, exact=True)


# ------------------------------------------------- what needs no published results: small widths


@pytest.fixture(params=[False, True], ids=["2024", "2023"])
def small(request: pytest.FixtureRequest) -> MlicPlusPlus:
    torch.manual_seed(0)
    return MlicPlusPlus(replace(SMALL, variant_2023=request.param)).eval()


def test_fresh_buffers_are_the_published_ones(small: MlicPlusPlus) -> None:
    expected = recipe.make_state_dict(recipe.manifest_of(small), 0)
    for name, buffer in small.named_buffers():
        torch.testing.assert_close(buffer, expected[name], rtol=1e-7, atol=0, msg=name)


def test_decoder_walks_like_the_encoder(small: MlicPlusPlus) -> None:
    with torch.no_grad():
        x = torch.rand(2, 3, 64, 128)
        latents = Latents(10 * small.g_a(x.permute(0, 2, 3, 1)), torch.empty(0))
        hyper = torch.randn(2, 4, 8, 48)
        encoder = SymbolCoder(latents)
        encoded = small.code_y(hyper, encoder)
        decoded = small.code_y(hyper, PlaybackCoder(encoder.symbols))
    assert [step.shape for step in encoder.symbols] == [(2, 4, 4, 8)] * 6
    assert torch.equal(encoded, decoded)
    assert float((encoded - latents.y).abs().max()) <= 1 + 1e-5


def test_training_reaches_every_parameter(small: MlicPlusPlus) -> None:
    out = small.train()(torch.rand(2, 3, 64, 64))
    bits = sum(-part.log2().sum() for part in (out["likelihoods"]["y"], out["likelihoods"]["z"]))
    (bits + out["x_hat"].square().sum()).backward()
    without = {name for name, p in small.named_parameters() if p.grad is None}
    assert without == {"entropy_bottleneck.quantiles"}
    assert all(p.grad.isfinite().all() for p in small.parameters() if p.grad is not None)


def test_loads_old_spelling_and_filled_tables(small: MlicPlusPlus) -> None:
    state = small.state_dict()
    for new, old in (("matrices.", "_matrix"), ("biases.", "_bias"), ("factors.", "_factor")):
        state = {
            key.replace(f"bottleneck.{new}", f"bottleneck.{old}"): v for key, v in state.items()
        }
    tables = {"_quantized_cdf": (64, 3133), "_offset": (64,), "_cdf_length": (64,)}
    for name, shape in tables.items():
        state[f"gaussian_conditional.{name}"] = torch.ones(shape, dtype=torch.int32)
    state["gaussian_conditional.scale_table"] = torch.ones(64)
    assert "entropy_bottleneck._matrix0" in state
    model = MlicPlusPlus.from_state_dict(state)
    assert model.config == small.config
    assert model.gaussian_conditional.get_buffer("_quantized_cdf").shape == (64, 3133)
    for name, value in small.named_parameters():
        assert torch.equal(model.get_parameter(name), value), name


def test_refuses_other_weights(small: MlicPlusPlus) -> None:
    state = small.state_dict()
    del state["local_context.0.fusion.weight"]
    with pytest.raises(ValueError, match="not of MLIC\\+\\+"):
        config_from_state_dict(state)
