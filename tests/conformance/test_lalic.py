"""LALIC against results of the published code, with stand-in weights (see `recipe`).

`data/lalic_seed0.npz` holds results of the published code in float64 (its CUDA operator emulated
step by step) for seed 0 and the picture `make_image(128, 192, 0)`, thinned out by `thin` and
stored in float32; `FLOAT32` says what each array is. Layout (C, H, W).
"""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn

from pillow_mlic.models.base import Latents
from pillow_mlic.models.lalic import ANCHOR, NON_ANCHOR, Lalic, LalicConfig, config_from_state_dict
from pillow_mlic.models.layers.checkerboard import put
from pillow_mlic.models.layers.rwkv import OmniShift

from . import recipe
from .coders import PlaybackCoder, SymbolCoder, in_stream_order, indexes

Array = npt.NDArray[np.float64]

FLOAT32 = {
    "ga0": 3.6e-05,  # first convolution of g_a
    "ga1_att_omni": 1.6e-05,  # Omni-Shift of the first block's spatial mixing
    "ga1_att": 4.9e-05,  # spatial mixing, channel mixing, and whole of the first block
    "ga1_ffn": 1.5e-05,
    "ga1_block": 4.5e-05,
    "ga8": 9.3e-05,
    "ga9_att": 4.1e-05,
    "ga9_block": 9.3e-05,
    "y": 6.8e-05,  # output of g_a
    "ha0": 3.2e-05,
    "ha1_block": 4.3e-05,
    "z": 7.8e-05,  # output of h_a
    "hyper_params": 0.00018,  # output of h_s
    "z_hat": 4.5e-06,  # input of h_s
    # Of each group: parameter network for anchors and non-anchors (zero at the other half), spatial
    # context, channel context.
    "g0_params_anchor": 0.00013,
    "g0_spatial_nonanchor": 3.5e-05,
    "g0_params_nonanchor": 0.0001,
    "g1_channel": 3.7e-05,
    "g1_params_anchor": 0.00011,
    "g1_spatial_nonanchor": 3.6e-05,
    "g1_params_nonanchor": 0.0001,
    "g2_channel": 2.7e-05,
    "g2_params_anchor": 0.00014,
    "g2_spatial_nonanchor": 4.1e-05,
    "g2_params_nonanchor": 9.8e-05,
    "g3_channel": 3.2e-05,
    "g3_params_anchor": 0.00012,
    "g3_spatial_nonanchor": 3.1e-05,
    "g3_params_nonanchor": 0.00015,
    "g4_channel": 3.3e-05,
    "g4_params_anchor": 0.00014,
    "g4_spatial_nonanchor": 3.3e-05,
    "g4_params_nonanchor": 0.00013,
    "y_hat": 5.6e-05,  # input of g_s
    "x_hat": 6.7e-06,  # output of g_s
    "y_likelihoods": 1.4e-05,
    "y_bits": 0.059,  # sum of -log2 of all likelihoods, before thinning out
    "z_likelihoods": 1.1e-06,
    "z_bits": 0.0037,
}
"""Absolute tolerance in float32: ten times the published code's own deviation from float64."""

FLOAT64 = 1e-6
"""Tolerance in float64, relative to an array's largest magnitude."""

WATCHED = {
    "ga0": "g_a.0",
    "ga1_att_omni": "g_a.1.att.omni_shift",
    "ga1_att": "g_a.1.att",
    "ga1_ffn": "g_a.1.ffn",
    "ga1_block": "g_a.1",
    "ga8": "g_a.8",
    "ga9_att": "g_a.9.att",
    "ga9_block": "g_a.9",
    "y": "g_a",
    "ha0": "h_a.0",
    "ha1_block": "h_a.1",
    "z": "h_a",
    "hyper_params": "h_s",
}
"""Array -> module that it is the output of."""

PLAIN_ONLY = ("ga1_att_omni", "ga1_att", "ga1_ffn", "ga9_att")
"""Arrays that never exist as a whole where blocks work in bands."""

SMALL = LalicConfig(
    width=8, latents=24, dims=(8, 8, 16, 24, 16, 8), depths=(1, 1, 2, 1), groups=(4, 4, 16)
)


def step(name: str, channels: int) -> int:
    """Every how many of an array's channels the data file keeps."""
    if name.startswith(("ga0", "ga1")):
        return 48
    if name.startswith(("ga8", "ga9")):
        return 32
    if name in ("z", "z_hat", "z_likelihoods"):
        return 1
    return 8 if channels > 128 else 4


def thin(name: str, array: Array) -> Array:
    """What the data file keeps of an array."""
    if name.endswith("_bits"):
        return array
    return array[:, ::4, ::2] if name == "x_hat" else array[:: step(name, len(array))]


def run(model: Lalic, x: Tensor, plain: bool) -> dict[str, Array]:
    """All arrays of `FLOAT32` for one picture, and the symbols and indexes.

    `plain`: with gradients, for which nothing is done in bands, in place or by other algorithms.
    """
    found: dict[str, Tensor] = {}

    def watch(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
            found[name] = out[0].permute(2, 0, 1)

        module.register_forward_hook(hook)

    def watch_input(name: str, module: nn.Module) -> None:
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            found[name] = args[0][0].permute(2, 0, 1)

        module.register_forward_pre_hook(hook)

    def watch_spatial(group: int, module: nn.Module) -> None:
        def hook(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
            found[f"g{group}_spatial_nonanchor"] = put(out, NON_ANCHOR)[0].permute(2, 0, 1)

        module.register_forward_hook(hook)

    def watch_parameters(group: int, module: nn.Module) -> None:
        def hook(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
            second = f"g{group}_params_anchor" in found
            name = f"g{group}_params_{'non' if second else ''}anchor"
            found[name] = put(out, NON_ANCHOR if second else ANCHOR)[0].permute(2, 0, 1)

        module.register_forward_hook(hook)

    for name, path in WATCHED.items():
        watch(name, model.get_submodule(path))
    watch_input("z_hat", model.h_s)
    watch_input("y_hat", model.g_s)
    contexts = model.latent_codec.y
    for i in range(len(model.config.groups)):
        group = contexts.latent_codec[f"y{i}"]
        watch_spatial(i, group.get_submodule("context_prediction"))
        watch_parameters(i, group.get_submodule("entropy_parameters"))
        if i:
            watch(f"g{i}_channel", contexts.channel_context[f"y{i}"])
    with torch.set_grad_enabled(plain):
        out = model(x)
        coder = SymbolCoder(Latents(*(found[k].permute(1, 2, 0)[None] for k in ("y", "z"))))
        y_hat = model.code_y(found["hyper_params"][None].permute(0, 2, 3, 1), coder)
    assert torch.equal(y_hat[0].permute(2, 0, 1), found["y_hat"])
    found["x_hat"] = out["x_hat"][0]
    for name in ("y", "z"):
        likelihoods = out["likelihoods"][name][0]
        found[f"{name}_likelihoods"] = likelihoods
        found[f"{name}_bits"] = -likelihoods.log2().sum(dtype=torch.float64)
    medians = model.prior.medians()
    found["z_symbols"] = (found["z_hat"] - medians[:, None, None]).round()
    found["stream_symbols"] = in_stream_order(coder.symbols)
    found["stream_indexes"] = indexes(in_stream_order(coder.scales))
    return {name: value.detach().numpy() for name, value in found.items()}


def compare(found: dict[str, Array], expected: dict[str, Array], exact: bool) -> None:
    """Every array within its tolerance: of float64 if `exact`, else of float32."""
    wrong = []
    for name in FLOAT32.keys() & found.keys():
        value = expected[name]
        difference = thin(name, found[name]).astype(np.float64) - value
        if "spatial" in name:  # computed for non-anchors only
            row, column = np.indices(difference.shape[1:])
            difference = difference[:, (row + column) % 2 == NON_ANCHOR]
        deviation = np.abs(difference).max()
        allowed = FLOAT64 * np.abs(value).max() if exact else FLOAT32[name]
        print(f"{name}: {deviation:.2g}, allowed {allowed:.2g}")
        if not deviation <= allowed:
            wrong.append(name)
    assert not wrong


@pytest.fixture(scope="module")
def reference() -> dict[str, Array]:
    with np.load(recipe.DATA / "lalic_seed0.npz") as data:
        return {name: data[name] for name in data}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return recipe.make_state_dict(recipe.load_manifest("lalic"), 0)


def loaded(weights: dict[str, Tensor]) -> Lalic:
    """`Lalic.from_state_dict`, in evaluation mode, without the time for a random start."""
    with torch.device("meta"):
        model = Lalic(config_from_state_dict(weights))
    model.load_state_dict(weights, assign=True)
    return model.eval()


def test_recipe_is_unchanged(weights: dict[str, Tensor]) -> None:
    assert recipe.checksum(weights) == recipe.CHECKSUMS["lalic"]


def test_published_state_dict() -> None:
    expected = recipe.load_manifest("lalic")
    with torch.device("meta"):
        model = Lalic()
        state = {entry.key: torch.empty(entry.shape) for entry in expected}
    assert recipe.manifest_of(model) == expected
    assert sum(p.numel() for p in model.parameters()) == 66_133_045
    assert config_from_state_dict(state) == LalicConfig() == model.config


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "fast"])
@pytest.mark.parametrize("exact", [True, False], ids=["float64", "float32"])
def test_agrees_with_published_code(
    weights: dict[str, Tensor], reference: dict[str, Array], exact: bool, plain: bool
) -> None:
    dtype = torch.float64 if exact else torch.float32
    model = loaded(weights)
    for name, value in model.state_dict().items():  # the merged kernels to the last bit, too
        assert torch.equal(value, weights[name]), name
    found = run(model.to(dtype), recipe.make_image(128, 192, 0).to(dtype), plain)
    names = [name for name in FLOAT32 if plain or name not in PLAIN_ONLY]
    compare({name: found[name] for name in names}, reference, exact)
    for name in ("z_symbols", "stream_symbols", "stream_indexes"):
        np.testing.assert_array_equal(found[name], reference[name], err_msg=name)


# ------------------------------------------------- what needs no published results: small widths


@pytest.fixture
def small() -> Lalic:
    torch.manual_seed(0)
    return Lalic(SMALL).eval()


def test_fresh_buffers_are_the_published_ones(small: Lalic) -> None:
    expected = recipe.make_state_dict(recipe.manifest_of(small), 0)
    for name, buffer in small.named_buffers():
        torch.testing.assert_close(buffer, expected[name], rtol=1e-7, atol=0, msg=name)


def test_forward_gives_pictures_and_likelihoods(small: Lalic) -> None:
    with torch.no_grad():
        out = small(torch.rand(2, 3, 64, 128))
    assert out["x_hat"].shape == (2, 3, 64, 128)
    assert out["likelihoods"]["y"].shape == (2, 24, 4, 8)
    assert out["likelihoods"]["z"].shape == (2, 8, 1, 2)
    for part in (out["likelihoods"]["y"], out["likelihoods"]["z"]):
        assert 0 < float(part.min()) <= float(part.max()) <= 1


def test_a_batch_is_its_pictures(small: Lalic) -> None:
    x = torch.rand(3, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        together = small.double()(x)
        alone = [small(one[None]) for one in x]
    parts = torch.cat([out["x_hat"] for out in alone])
    torch.testing.assert_close(together["x_hat"], parts, rtol=1e-9, atol=1e-9)


def test_decoder_walks_like_the_encoder(small: Lalic) -> None:
    with torch.no_grad():
        x = torch.rand(2, 3, 64, 128)
        latents = Latents(10 * small.g_a(x.permute(0, 2, 3, 1)), torch.empty(0))
        hyper = torch.randn(2, 4, 8, 24)
        encoder = SymbolCoder(latents)
        encoded = small.code_y(hyper, encoder)
        decoded = small.code_y(hyper, PlaybackCoder(encoder.symbols))
    assert [step.shape for step in encoder.symbols] == [
        (2, 4, 4, channels) for channels in (4, 4, 4, 4, 16, 16)
    ]
    assert torch.equal(encoded, decoded)
    assert float((encoded - latents.y).abs().max()) <= 0.5 + 1e-5


def test_anchors_see_no_spatial_context(small: Lalic) -> None:
    """The top-left position is an anchor: its distribution needs no symbol of its group."""
    coder = SymbolCoder(Latents(torch.zeros(1, 4, 4, 24), torch.empty(0)))
    other = SymbolCoder(Latents(torch.full((1, 4, 4, 24), 9.0), torch.empty(0)))
    with torch.no_grad():
        for one in (coder, other):
            small.code_y(torch.zeros(1, 4, 4, 24), one)
    assert torch.equal(coder.scales[0], other.scales[0])
    assert not torch.equal(coder.scales[1], other.scales[1])
    packed = coder.latents.y.new_ones(1, 4, 2, 1)
    assert put(packed, ANCHOR)[0, 0, 0, 0] == 1


def test_training_reaches_every_parameter(small: Lalic) -> None:
    out = small.train()(torch.rand(2, 3, 64, 64))
    bits = sum(-part.log2().sum() for part in (out["likelihoods"]["y"], out["likelihoods"]["z"]))
    (bits + out["x_hat"].square().sum()).backward()
    trained = {name: p for name, p in small.named_parameters() if p.requires_grad}
    without = {name for name, p in trained.items() if p.grad is None}
    assert without == {"latent_codec.hyper.entropy_bottleneck.quantiles"}
    assert all(p.grad.isfinite().all() for p in trained.values() if p.grad is not None)
    frozen = {name for name, p in small.named_parameters() if not p.requires_grad}
    assert {name.split(".")[-2] for name in frozen} == {"conv5x5_reparam"}


def test_stored_merged_kernels_are_never_stale() -> None:
    """Published code may use a stale kernel of a file; here it is always computed anew."""
    torch.manual_seed(0)
    shift = OmniShift(4)
    x = torch.rand(1, 6, 7, 4)
    state = {name: value.clone() for name, value in shift.state_dict().items()}
    stale = torch.full((4, 1, 5, 5), 9.0)
    state["conv5x5_reparam.weight"] = stale
    other = OmniShift(4)
    other.load_state_dict(state)
    assert torch.equal(other.conv5x5_reparam.weight, shift.kernel())
    assert torch.equal(stale, torch.full((4, 1, 5, 5), 9.0))  # the caller's
    with torch.no_grad():
        other.alpha[0] += 1
        torch.testing.assert_close(other(x), shift(x) + x)
    merged = other.state_dict()["conv5x5_reparam.weight"]
    assert torch.equal(merged, other.kernel())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_omni_shift_is_four_convolutions(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    shift = OmniShift(4).to(dtype)
    x = torch.rand(2, 4, 6, 7, dtype=dtype)
    with torch.no_grad():
        parts = [x, shift.conv1x1(x), shift.conv3x3(x), shift.conv5x5(x)]
        expected = sum(a * part for a, part in zip(shift.alpha, parts, strict=True))
        found = shift(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(found, expected)


def test_config_survives_json(small: Lalic) -> None:
    assert small.config_dict()["groups"] == [4, 4, 16]
    assert Lalic.from_config(small.config_dict()).config == SMALL


def test_loads_old_spelling_and_filled_tables(small: Lalic) -> None:
    state = small.state_dict()
    assert torch.equal(state["latent_codec.hyper.h_a.0.weight"], state["h_a.0.weight"])
    for new, old in (("matrices.", "_matrix"), ("biases.", "_bias"), ("factors.", "_factor")):
        state = {
            key.replace(f"bottleneck.{new}", f"bottleneck.{old}"): v for key, v in state.items()
        }
    place = "latent_codec.y.latent_codec.y1.y.gaussian_conditional."
    tables = {"_quantized_cdf": (64, 3133), "_offset": (64,), "_cdf_length": (64,)}
    for name, shape in tables.items():
        state[place + name] = torch.ones(shape, dtype=torch.int32)
    state[f"{place}scale_table"] = torch.ones(64)
    model = Lalic.from_state_dict(state)
    assert model.get_buffer(f"{place}_quantized_cdf").shape == (64, 3133)
    for name, value in small.named_parameters():
        assert torch.equal(model.get_parameter(name), value), name


@pytest.mark.parametrize("missing", ["g_a.0.bias", "latent_codec.y."])
def test_refuses_other_weights(small: Lalic, missing: str) -> None:
    state = {k: v for k, v in small.state_dict().items() if not k.startswith(missing)}
    with pytest.raises(ValueError, match="not of LALIC"):
        config_from_state_dict(state)


@pytest.mark.parametrize(
    "wrong", [{"dims": (8,)}, {"latents": 16}, {"groups": (4, 4)}, {"depths": (1, 2)}]
)
def test_refuses_inconsistent_widths(small: Lalic, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"needed|not in|add up"):
        Lalic.from_config({**small.config_dict(), **wrong})
