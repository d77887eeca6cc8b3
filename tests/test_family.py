"""The networks of the family at small width: causal, exact, portable, through the plugin."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pillow_mlic import cli, models, packs
from pillow_mlic.diagnostics import skipping
from pillow_mlic.diagnostics.bits import bit_map
from pillow_mlic.engines.torch_walk import EXACT_GUARD, symbols_of, walk
from pillow_mlic.entropy.walk import DecodingCoder, EncodingCoder
from pillow_mlic.errors import WeightsError
from pillow_mlic.models.base import Latents, Select
from pillow_mlic.models.layers import masked_attention
from pillow_mlic.models.layers.checkerboard import ANCHOR, NON_ANCHOR, keep, put, take
from pillow_mlic.models.layers.checkerboard_conv import StackedCheckerboard
from pillow_mlic.models.layers.reweighted import GuidedContext, Reweighting
from pillow_mlic.models.layers.rotary import Rotary
from pillow_mlic.models.layers.rwkv import BiRwkvBlock

from .coders import coding_of, encode
from .conftest import photograph
from .family import CONFIGS, VARIANTS, make, write_pack
from .test_portability import MATRIX, check, jobs_of

pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_network_is_here() -> None:
    assert {*CONFIGS, "mlicv2-lite"} == set(models.names())


def test_through_the_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    """The decoder's picture is the network's own, cut to 8 bits."""
    name = variant.split()[0]
    model = make(variant)
    write_pack(model, name, tmp_path / "a.safetensors")
    monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path / "a.safetensors"))
    image = photograph(128, 64)
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", model=name, quality=4.4)
    with Image.open(buffer) as coded:
        assert (coded.info["model"], coded.info["quality"]) == (name, 3)
        decoded = np.asarray(coded, dtype=float)
    x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].double() / 255
    with torch.inference_mode():
        out = model.double()(x)
    expected = out["x_hat"][0].permute(1, 2, 0).mul(255).round().clamp(0, 255).numpy()
    assert np.abs(decoded - expected).max() <= 1
    # The estimate, and a little for what surrounds the streams; escapes may cost less than it says.
    bits = sum(float(-part.log2().sum()) for part in out["likelihoods"].values())
    assert 8 * len(buffer.getvalue()) < 1.1 * bits + 1000


def test_streams_are_portable(tmp_path: Path, variant: str) -> None:
    model = make(variant)
    pack = packs.load(write_pack(model, variant.split()[0], tmp_path / "a.safetensors"))
    check(pack, jobs_of(pack, photograph(128, 64), (3.0,)), MATRIX[::9])


class Recorder:
    """A coder that rounds, and keeps what each step saw."""

    def __init__(self, latents: Latents) -> None:
        self.latents = latents
        self.seen: list[Tensor] = []
        self.selects: list[Select] = []

    def __call__(
        self,
        mean: Tensor,
        scale: Tensor,
        gain: Tensor,
        select: Select,
        coded: Tensor | None = None,
    ) -> Tensor:
        self.seen.append(torch.stack([mean, scale]))
        self.selects.append(select)
        symbols = (select(self.latents) * gain - mean).round()
        return symbols if coded is None else symbols * coded

    def decide(self, odds: Tensor) -> Tensor:
        return odds > 1

    def fixed(self, mean: Tensor, select: Select) -> Tensor:
        return (select(self.latents) - mean).round()


@torch.inference_mode()
def test_only_what_is_decoded_is_used(variant: str) -> None:
    """No step's distribution depends on its own latents or on those of later steps."""
    model = make(variant).double()
    y_channels, z_channels = model.channels
    generator = torch.Generator().manual_seed(1)
    y = 3 * torch.randn(1, 8, 8, y_channels, generator=generator, dtype=torch.float64)
    z = torch.randn(1, 2, 2, z_channels, generator=generator, dtype=torch.float64)
    quality = torch.tensor([3.0], dtype=torch.float64)

    def walk(y: Tensor) -> Recorder:
        recorder = Recorder(Latents(y, z))
        model.entropy(quality, (2, 2), recorder)
        return recorder

    plain = walk(y)
    changed = y.clone()
    for step in reversed(range(len(plain.selects))):
        places = torch.arange(y.numel()).view(y.shape)
        chosen = plain.selects[step](Latents(places, z)).flatten()
        changed.view(-1)[chosen] += 5
        seen = walk(changed).seen
        for earlier, same in zip(plain.seen[: step + 1], seen, strict=False):
            assert torch.equal(earlier, same)
        if step + 1 < len(seen):
            assert not torch.equal(plain.seen[-1], seen[-1])


def test_missing_weights_say_what_to_do() -> None:
    for name in CONFIGS:
        with pytest.raises(WeightsError, match=r"mlic train .*--model " + name.replace("+", r"\+")):
            packs.find(name)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("mlic", {"slice_channels": 3, "latents": 9}, "even number of channels"),
        ("mlic+", {"latents": 25}, "are not 25 latents"),
        ("mlic-ex", {"window": 4}, "1, 3 ... 31 pixels"),
        ("mlicv2", {"channel_hidden": [4]}, "two inner widths"),
    ],
)
def test_configurations_that_cannot_be(name: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models.create(name, {**CONFIGS[name], **change})


# ---- selective compression -----------------------------------------------------------------------


def coded_symbols(model: Any, pack: packs.Pack) -> tuple[int, int, EncodingCoder]:
    """Latents, and how many of their symbols are in the stream."""
    x = torch.from_numpy(np.asarray(photograph(128, 128)).copy())[None].float() / 255
    with torch.inference_mode():
        y = model.analysis(x, torch.tensor([3.0]))
        z = model.hyper_analysis(y)
        coder = EncodingCoder(Latents(y, z), pack.tables, EXACT_GUARD)
        model.entropy(torch.tensor([3.0], dtype=torch.float64), (2, 2), coder)
    return y.numel(), coder.count() - z.numel(), coder


def test_what_is_skipped_is_not_in_the_stream(tmp_path: Path) -> None:
    counts = {}
    for variant in ("mlicv2", "mlicv2 selective"):
        model = make(variant)
        pack = packs.load(write_pack(model, "mlicv2", tmp_path / f"{variant}.safetensors"))
        latents, coded, coder = coded_symbols(pack.model(torch.device("cpu")), pack)
        counts[variant] = coded / latents
        (payload,) = coder.payloads()
        total = symbols_of(model, (2, 2))
        with torch.inference_mode():
            decoder = DecodingCoder([payload], pack.tables, total)
            model.entropy(torch.tensor([3.0], dtype=torch.float64), (2, 2), decoder)
            decoder.finish()
    assert counts["mlicv2"] == 1
    assert 0.02 < counts["mlicv2 selective"] < 0.98


def test_decisions_survive_a_decoder_that_is_off(tmp_path: Path) -> None:
    """Odds and scales moved by half the guard band; corrections make up for it."""
    model = make("mlicv2 selective")
    pack = packs.load(write_pack(model, "mlicv2", tmp_path / "a.safetensors"))
    wide = 1e-3
    x = np.asarray(photograph(128, 128))
    (tile,) = encode(x, coding_of(pack, 3.0, guard=wide)).tiles

    class Off(DecodingCoder):
        def decide(self, odds: Tensor) -> Tensor:
            sign = 1 - 2 * (torch.arange(odds.numel()) % 2).view(odds.shape)
            return super().decide(odds * (1 + 0.5 * wide * sign))

    cpu = torch.device("cpu")
    args = ([tile], pack, 3.0, (2, 2), True, cpu)
    with torch.inference_mode():
        assert torch.equal(walk(*args, Off), walk(*args))


def test_the_table_of_what_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    photograph(128, 100).save(tmp_path / "a.png")
    pack = tmp_path / "weights" / "mlicv2-1.safetensors"
    write_pack(make("mlicv2"), "mlicv2", pack, 1.0)
    command = ["bench", "skip", str(tmp_path / "a.png"), "-o", str(tmp_path / "table.md")]
    assert cli.main(command) == 2
    assert "--stage selection" in capsys.readouterr().err
    model = make("mlicv2 selective")
    write_pack(model, "mlicv2", pack, 1.0)
    write_pack(model, "mlicv2", pack.with_name("mlicv2-5.safetensors"), 5.0)
    assert cli.main(command) == 0
    header, _, *rows = (tmp_path / "table.md").read_text().splitlines()
    assert [row.split(" | ")[0] for row in rows] == ["| 1", "| 5"]
    figures = dict(zip(header.split(" | "), rows[0].split(" | "), strict=True))
    (row, _) = skipping.measure([tmp_path / "a.png"], "mlicv2", torch.device("cpu"))
    assert figures["skipped"] == f"{row.skipped:.2%}"
    assert row.plain.coded == row.plain.latents == row.selective.latents > row.selective.coded
    assert row.selective.size < row.plain.size


# ---- layers --------------------------------------------------------------------------------------


def test_stacked_checkerboard_is_three_masked_convolutions() -> None:
    torch.manual_seed(0)
    stack = StackedCheckerboard(4)
    x = keep(torch.randn(2, 6, 8, 4), ANCHOR)
    full = x
    for place, layer in enumerate(stack.layers):
        full = torch.nn.functional.gelu(full) if place else full
        full = torch.nn.functional.conv2d(
            full.permute(0, 3, 1, 2), layer.weight * layer.mask, layer.bias, padding=2
        ).permute(0, 2, 3, 1)
        # What is at the other half is of no use, and must not come back.
        full = keep(full, NON_ANCHOR if place % 2 == 0 else ANCHOR)
    torch.testing.assert_close(stack(take(x, ANCHOR)), take(full, NON_ANCHOR))


def test_maps_pass_over_the_neighbourhood() -> None:
    torch.manual_seed(0)
    (weights,) = masked_attention.IntraSliceMaps(4, 5)(torch.randn(1, 12, 12, 4))
    place = torch.zeros(1, 12, 12, 1)
    for query in range(weights.shape[1]):
        seen = put((weights[0, query] > 0).view(1, 12, 6, 1).float(), ANCHOR)[0, ..., 0]
        asked = torch.zeros(72)
        asked[query] = 1
        (row,), (column,) = put(asked.view(1, 12, 6, 1), NON_ANCHOR)[0, ..., 0].nonzero(
            as_tuple=True
        )
        expected = keep(torch.ones_like(place), ANCHOR)[0, ..., 0]
        expected[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = 0
        assert torch.equal(seen, expected)
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    # Nothing is left to see on a map as small as the neighbourhood: then all is seen.
    (small,) = masked_attention.IntraSliceMaps(4, 5)(torch.randn(1, 4, 4, 4))
    assert torch.isfinite(small).all()


def test_the_mask_is_what_stacked_convolutions_see() -> None:
    """MLIC, section 3.5.1: of the 13 x 13 around a non-anchor 76 anchors; its corners are free."""
    torch.manual_seed(0)
    side, centre = 16, (8, 8)
    stack = StackedCheckerboard(2)
    x = keep(torch.randn(1, side, side, 2), ANCHOR).requires_grad_(True)
    put(stack(take(x, ANCHOR)), NON_ANCHOR)[0][centre].sum().backward()
    assert x.grad is not None
    reached = x.grad[0].abs().sum(-1) > 0
    near = masked_attention._near(side, side, 5, 3, x.device)
    asked = torch.zeros(1, side, side, 1)
    asked[0][centre] = 1
    (row,) = near[take(asked, NON_ANCHOR).flatten() > 0]
    masked = put(row.view(1, side, side // 2, 1).float(), ANCHOR)[0, ..., 0] > 0
    assert torch.equal(masked, reached)
    assert int(masked.sum()) == 76


@pytest.mark.parametrize("name", ["mlic", "mlic-ex"])
def test_masks_of_new_networks_and_of_older_packs(name: str) -> None:
    """A pack of before does not say how far its mask reaches; its streams need the old one."""
    older = {k: v for k, v in CONFIGS[name].items() if k != "mask_depth"}
    depths = [
        [m.depth for m in network.modules() if isinstance(m, masked_attention.IntraSliceMaps)]
        for network in (models.create(name, config) for config in (older, CONFIGS[name]))
    ]
    assert (set(depths[0]), set(depths[1])) == ({1}, {3})
    assert models.class_of(name).config_type().mask_depth == 3
    assert models.create(name, older).config_dict()["mask_depth"] == 1
    for depth in (0, 4):
        with pytest.raises(ValueError, match=f"covers 1 to 3 convolutions, not {depth}"):
            models.create(name, {**older, "mask_depth": depth})


def test_large_maps_are_cut_into_patches() -> None:
    assert masked_attention.patches(32, 48) == [(slice(0, 32), slice(0, 48))]
    large = masked_attention.patches(64, 60)
    assert len(large) == 9
    assert large[-1] == (slice(56, 64), slice(56, 60))
    x = torch.randn(1, 64, 60, 4)
    maps = masked_attention.IntraSliceMaps(4, 5)(x)
    assert max(m.numel() for m in maps) == 392 * 392
    with torch.no_grad():
        out = masked_attention.IntraSliceAttention(4, 5)(maps, keep(x, ANCHOR))
    assert out.shape == (1, 64, 60, 8)


def test_rotary_products_know_distances_only() -> None:
    rotary = Rotary(8).double()
    torch.manual_seed(0)
    torch.nn.init.normal_(rotary.angles)
    q, k = torch.randn(2, 8, dtype=torch.float64)
    turned_q, turned_k = (rotary(v.expand(1, 6, 7, 8))[0] for v in (q, k))
    product = (turned_q[2, 1] * turned_k[4, 5]).sum()
    assert torch.isclose(product, (turned_q[1, 0] * turned_k[3, 4]).sum())
    assert not torch.isclose(product, (turned_q[1, 0] * turned_k[4, 4]).sum())


def test_every_head_begins_with_all_angles() -> None:
    """MLICv2, section 3.4.3: as in the original rotary embedding, which turns each head."""
    angles = Rotary(24, heads=3).angles
    assert angles.shape == (2, 12)
    for head in angles.split(4, dim=1):
        torch.testing.assert_close(head, torch.tensor([[1.0, 0.1, 0.01, 0.001]] * 2))
    assert Rotary(6, heads=2).angles.shape == (2, 3)  # heads of three channels share a pair


def test_both_ways_of_lalics_blocks_are_exact_in_float64() -> None:
    """With float32 weights, on a GPU and on the CPU."""
    torch.manual_seed(0)
    block = BiRwkvBlock(8)
    x = torch.randn(1, 6, 8, 8, dtype=torch.float64)
    plain = block(x).detach()
    with torch.no_grad():
        torch.testing.assert_close(block(x.clone()), plain, rtol=1e-12, atol=1e-13)


def test_reweighting_weighs_channels() -> None:
    torch.manual_seed(0)
    layer = Reweighting(6)
    x = torch.randn(2, 4, 5, 6)
    torch.testing.assert_close(layer.weights(x).sum(-1), torch.ones(2, 6))
    # Positions are alike to it: it commutes with moving them about.
    order = torch.randperm(20)
    moved = x.flatten(1, 2)[:, order].view(x.shape)
    expected = layer(x).flatten(1, 2)[:, order].view(x.shape)
    torch.testing.assert_close(layer(moved), expected)


def test_the_guide_says_what_is_carried_where() -> None:
    torch.manual_seed(0)
    context = GuidedContext(16, 4, heads=1)
    guide, anchors = torch.randn(1, 8, 8, 16), keep(torch.randn(1, 8, 8, 4), ANCHOR)
    out = context(guide, anchors)
    assert out.shape == (1, 8, 4, 8)
    q, k = context.similarity(guide)
    assert q.shape == k.shape == (1, 32, 16)


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "lalic"])
@torch.inference_mode()
def test_the_reach_of_transforms(name: str) -> None:
    """Pixels, or latents, matter as far away as the halo and no farther."""
    model = make(name).double()
    halo = model.halo
    for transform, step, result_step, channels in (
        (model.g_a, 1, 16, 3),
        (model.g_s, 16, 1, model.channels[0]),
    ):
        middle = 2 * halo // 64 * 64
        x = torch.rand(1, 2 * middle // step, 16, channels, dtype=torch.float64)
        other = x.clone()
        other[:, : middle // step] += 1
        differs = (transform(x) != transform(other)).flatten(2).any(-1)[0].nonzero().max()
        reached = (int(differs) + 1) * result_step - middle
        # Some of what a ReLU lets through must come from far away, some need not.
        assert halo / 2 < reached <= halo


def test_optimised_rounding_and_bit_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    """Both walk through the model with coders of their own."""
    name = variant.split()[0]
    write_pack(make(variant), name, tmp_path / "a.safetensors")
    monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path / "a.safetensors"))
    path = tmp_path / "a.mlic"
    photograph(64, 64).save(path, model=name, optimize=True)
    with Image.open(path) as image:
        image.load()
    bits = bit_map(path)
    assert bits.shape == (4, 4)
    assert 0.5 * bits.sum() - 1000 < 8 * path.stat().st_size < 1.2 * bits.sum() + 1000


@torch.inference_mode()
@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "lalic"])
def test_maps_of_contexts(name: str) -> None:
    """Weights that add up to one, for a non-anchor of anchors alone; an anchor has fewer."""
    model = make(name)
    y_hat = torch.randn(1, 64, 60, 24, generator=torch.Generator().manual_seed(2))
    anchors = keep(torch.ones(1, 64, 60, 1), ANCHOR)[0, ..., 0]
    maps = model.context_maps(y_hat, (33, 31))
    names = {"from anchors"}
    if name in ("mlic+", "mlic++", "mlicv2"):
        names.add("from slices")
    if name == "mlicv2":
        names.add("channels")
    assert set(maps) == {f"slice {i}, {what}" for i in (2, 3) for what in names}
    for key, values in maps.items():
        assert values.sum() == pytest.approx(1, abs=1e-4)
        assert values.shape == ((32,) if key.endswith("channels") else (64, 60))
        if key.endswith("from anchors"):
            assert not values[anchors == 0].any()
    assert not any(key.endswith("anchors") for key in model.context_maps(y_hat, (33, 32)))
