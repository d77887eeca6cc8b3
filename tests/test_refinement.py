"""Refinement: never worse, cheaper as a rule, for every model and picture, and stoppable."""

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic import cli, models, packs, plugin
from pillow_mlic.bulk.order import Item, Order
from pillow_mlic.bulk.places import Place
from pillow_mlic.bulk.work import BatchWorker
from pillow_mlic.coding import refinement
from pillow_mlic.coding.encoder import Encoded, Encoder
from pillow_mlic.distortion import costs
from pillow_mlic.engines import engine_for
from pillow_mlic.engines.base import LatentArrays
from pillow_mlic.engines.torch_descent import GentleDescent
from pillow_mlic.entropy.annealing import AnnealedCoder, StepSizes, temperature
from pillow_mlic.entropy.walk import table_bits
from pillow_mlic.evaluation import codecs
from pillow_mlic.models.base import Latents
from pillow_mlic.models.layers.quality import lambda_of
from pillow_mlic.models.layers.quantise import gaussian_bits
from pillow_mlic.packs import Pack
from pillow_mlic.packs.checkpoints import import_checkpoint
from pillow_mlic.save_settings import SaveSettings
from pillow_mlic.training.export import write_half

from .coders import coding_of, decode, encode
from .conftest import photograph
from .family import make, write_pack
from .test_published import small

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bundled() -> Pack:
    return packs.load(packs.find("mlicv2-lite"))


def crop(side: int = 128) -> np.ndarray:
    with Image.open(Path(__file__).parent / "data" / "photograph.png") as image:
        return np.asarray(image.convert("RGB").crop((0, 0, side, side)))


def mean_of_planes(pixels: np.ndarray) -> np.ndarray:
    return np.asarray((pixels.astype(np.uint16).sum(-1) + 1) // 3, dtype=np.uint8)


def cost(
    picture: np.ndarray, pack: Pack, quality: float, tile: int = 1024, **options: Any
) -> float:
    """R + lambda D of a coded picture, in bits, from the real bytes and the real pixels."""
    height, width = picture.shape[:2]
    show = options.get("show", lambda pixels: pixels)
    coding = coding_of(pack, quality, tile)
    coded = encode(picture, coding, **options)
    pixels = decode(coded.tiles, (width, height), coding)
    error = ((show(picture).astype(float) - show(pixels)) ** 2).mean() * width * height
    lam = float(lambda_of(torch.tensor([quality])))
    return 8 * sum(map(len, coded.tiles)) + lam * float(error)


@pytest.mark.parametrize(("quality", "tile", "gain"), [(1.0, 1024, 0), (5.5, 64, 0.002)])
def test_it_never_raises_the_cost(bundled: Pack, quality: float, tile: int, gain: float) -> None:
    """And lowers it as a rule: by `gain` at least."""
    picture = crop()
    before = cost(picture, bundled, quality, tile, optimize=True)
    after = cost(picture, bundled, quality, tile, optimize=True, refine=2)
    assert after <= (1 - gain) * before


def test_what_refinement_makes_worse_is_not_kept(
    bundled: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, coding = crop(), coding_of(bundled, 3.0, 64)
    plain, optimised = (
        encode(picture, coding, optimize=optimize).tiles for optimize in (False, True)
    )

    def spoilt(self: object, latents: LatentArrays, *_: object) -> LatentArrays:
        return LatentArrays(latents.y * 3 + 1, latents.z)

    monkeypatch.setattr(refinement.Refiner, "refined", spoilt)
    monkeypatch.setattr(refinement, "ROUNDS", 0)
    again = encode(picture, coding, optimize=True, refine=1).tiles
    assert all(tile in choice for tile, *choice in zip(again, plain, optimised, strict=True))


def test_annealing_lowers_the_cost_by_itself(
    bundled: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the rounds of optimised rounding that end it."""
    monkeypatch.setattr(refinement, "ROUNDS", 0)
    picture = crop()
    assert cost(picture, bundled, 5.0, refine=40) < 0.99 * cost(picture, bundled, 5.0)


def test_grey_is_measured_as_grey(bundled: Pack) -> None:
    picture = np.repeat(crop(64).mean(-1, keepdims=True), 3, axis=-1).astype(np.uint8)
    before = cost(picture, bundled, 3.0, optimize=True, show=mean_of_planes)
    assert cost(picture, bundled, 3.0, optimize=True, show=mean_of_planes, refine=3) <= before


def test_windows_of_a_large_tile(bundled: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = crop()
    before = cost(picture, bundled, 3.0, optimize=True)
    monkeypatch.setattr(refinement, "WINDOW", 64)
    assert cost(picture, bundled, 3.0, optimize=True, refine=2) <= before


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_saving(small_weights: Path, mode: str) -> None:
    """Any size and mode; the same bytes every time; transparency stays lossless."""
    image = photograph(90, 30).convert(mode)
    if mode.endswith("A"):
        image.putalpha(photograph(90, 30, seed=3).convert("L"))
    files = []
    for _ in range(2):
        buffer = io.BytesIO()
        image.save(buffer, plugin.FORMAT, quality=4, refine=1, tile=64)
        files.append(buffer.getvalue())
    assert files[0] == files[1]
    with Image.open(buffer) as coded:
        assert (coded.mode, coded.size) == (mode, image.size)
        if mode.endswith("A"):
            assert coded.getchannel("A").tobytes() == image.getchannel("A").tobytes()


@pytest.mark.parametrize("name", ["mlic++", "lalic"])
def test_published_networks(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillow_mlic.packs.store.folders", lambda: [tmp_path / "packs"])
    torch.save(small(name).state_dict(), tmp_path / "a.pth")
    pack = packs.load(packs.inspect(import_checkpoint(tmp_path / "a.pth", 0.0067)))
    picture = np.asarray(photograph(64, 64))
    before = cost(picture, pack, 3.0)
    assert cost(picture, pack, 3.0, refine=2) <= before


def test_progress_and_cancellation(small_weights: Path) -> None:
    image = photograph(96, 60)
    shares: list[float] = []
    image.save(io.BytesIO(), plugin.FORMAT, refine=3, tile=64, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == pytest.approx(1)
    assert len(shares) > 2 * 3  # every step of every tile

    def stop(share: float) -> None:
        if share > 0.5:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        image.save(io.BytesIO(), plugin.FORMAT, refine=3, tile=64, progress=stop)


@pytest.mark.parametrize("target", ["max_bytes", "target_psnr"])
def test_targets(target: str) -> None:
    """Met by the refined file, whose size and fidelity at a quality are others."""
    image = Image.fromarray(crop(64))
    plain = io.BytesIO()
    image.save(plain, plugin.FORMAT, quality=6)
    value = len(plain.getvalue()) if target == "max_bytes" else psnr(image, plain)
    shares: list[float] = []
    buffer = io.BytesIO()
    image.save(buffer, plugin.FORMAT, refine=1, progress=shares.append, **{target: value})
    assert shares == sorted(shares)
    if target == "max_bytes":
        assert 0.9 * value <= len(buffer.getvalue()) <= value
    else:
        assert psnr(image, buffer) == pytest.approx(value, abs=0.2)


def psnr(image: Image.Image, file: io.BytesIO) -> float:
    with Image.open(file) as coded:
        error = (np.asarray(coded, float) - np.asarray(image)) ** 2
    return 10 * math.log10(255**2 / error.mean())


def test_searching_drafts_without_refinement(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    plain = Encoder.encode

    def watching(self: Encoder, *args: Any) -> Encoded:
        asked.append(self._refine)
        self._refine = 0
        return plain(self, *args)

    monkeypatch.setattr(Encoder, "encode", watching)
    photograph(64, 64).save(io.BytesIO(), plugin.FORMAT, refine=50, max_bytes=900)
    drafts = asked.count(0)
    assert asked == [0] * drafts + [50]  # the draft's quality is tried first, and here it fits


@pytest.mark.parametrize("steps", [-1, 2.5, True, "many", 10**9])
def test_wrong_steps(small_weights: Path, steps: object) -> None:
    with pytest.raises(ValueError, match="whole number of steps"):
        photograph(64, 64).save(io.BytesIO(), plugin.FORMAT, refine=steps)


def test_weights_for_ms_ssim_are_refined_for_it_but_not_rounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pillow_mlic.packs.store.folders", lambda: [tmp_path / "packs"])
    torch.save(small("lalic").state_dict(), tmp_path / "a.pth")
    import_checkpoint(tmp_path / "a.pth", 8.73)
    with pytest.raises(ValueError, match=r"optimize lowers the squared error.*MS-SSIM"):
        photograph(64, 64).save(io.BytesIO(), plugin.FORMAT, model="lalic", optimize=True)
    photograph(64, 64).save(io.BytesIO(), plugin.FORMAT, model="lalic", refine=2)


@pytest.mark.parametrize("distortion", ["visual", "ms-ssim"])
def test_refinement_for_what_the_weights_were_trained_for(
    distortion: str, bundled: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bits and what the picture costs by the pack's own measure: never more, and less by it."""
    card = {"distortion": distortion}
    write_half(tmp_path / "a.safetensors", "mlicv2-lite", bundled.model(CPU), card)
    pack = packs.load(packs.inspect(tmp_path / "a.safetensors"))
    picture = crop(192)
    found = []
    for refine in (0, 12):
        coding = coding_of(pack, 4.0)
        (tile,) = encode(picture, coding, refine=refine).tiles
        shown = decode([tile], (192, 192), coding)
        found.append(8 * len(tile) + coding.engine.cost(picture[None], shown[None], 4.0))
    assert found[1] < found[0]


def test_the_gradient_of_the_cost_is_that_of_the_cost(bundled: Pack, tmp_path: Path) -> None:
    """By finite differences, for the visual measure."""
    write_half(
        tmp_path / "a.safetensors", "mlicv2-lite", bundled.model(CPU), {"distortion": "visual"}
    )
    pack = packs.load(packs.inspect(tmp_path / "a.safetensors"))
    engine = engine_for(pack, "cpu")
    picture = crop(128)[None]
    y = engine.analysis(picture, 5.0)
    gradient = engine.cost_gradient(picture, y, 5.0)
    step = 0.05 * gradient / np.linalg.norm(gradient)
    model, q = pack.model(CPU), torch.tensor([5.0])
    x = torch.from_numpy(picture.copy()).float() / 255

    def cost(latents: np.ndarray) -> float:
        with torch.no_grad():
            shown = model.synthesis(torch.from_numpy(latents), q)
            return 128 * 128 * float(costs.cost("visual", shown, x, q))

    assert cost(y + step) - cost(y - step) == pytest.approx(2 * (gradient * step).sum(), rel=0.02)


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_latents_do_not_wander_under_measures_that_bend(
    small_pack: Pack, tmp_path: Path, steps: int
) -> None:
    """However many steps there are, and whatever the gradient says."""
    model = small_pack.model(CPU)
    write_half(tmp_path / "a.safetensors", "mlicv2-lite", model, {"distortion": "visual"})
    engine = engine_for(packs.load(packs.inspect(tmp_path / "a.safetensors")), "cpu")
    y = engine.analysis(crop(64)[None], 3.0)
    before = LatentArrays(y, engine.hyper_analysis(y))
    descent = engine.descent(before, 3.0, steps, 0)
    for step in range(steps):
        descent.move(np.full_like(descent.relaxed(step), 1e6))
    sizes = model.entropy.gain(torch.tensor([3.0])).detach().numpy()
    moved = np.abs(descent.latents().y - y) * sizes
    assert moved.max() == pytest.approx(GentleDescent.reach, rel=0.05)


def test_weights_for_how_pictures_look_are_rounded_plainly(
    small_pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding by the squared error makes them worse, so it is off, and refused."""
    model, sizes = small_pack.model(CPU), {}
    for distortion in ("psnr", "visual"):
        path = tmp_path / distortion / "a.safetensors"
        path.parent.mkdir()
        write_half(path, "mlicv2-lite", model, {"distortion": distortion})
        monkeypatch.setenv("MLIC_WEIGHTS", str(path))
        for optimize in (None, False):
            file = io.BytesIO()
            photograph(64, 64).save(file, plugin.FORMAT, quality=6, optimize=optimize)
            sizes[distortion, optimize] = file.tell()
    assert sizes["visual", None] == sizes["visual", False] == sizes["psnr", False]
    assert sizes["psnr", None] != sizes["psnr", False]  # so that this can fail
    with pytest.raises(ValueError, match=r"optimize lowers the squared error.*pictures look"):
        photograph(64, 64).save(io.BytesIO(), plugin.FORMAT, optimize=True)


def test_on_the_command_line(
    small_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photograph(64, 64).save(tmp_path / "a.png")
    assert cli.main(["encode", str(tmp_path / "a.png"), "--refine", "2", "--quiet"]) == 0
    with pytest.raises(SystemExit):
        cli.main(["encode", str(tmp_path / "a.png"), "--refine", "-2"])
    assert "whole number" in capsys.readouterr().err


def test_codecs_under_test() -> None:
    assert codecs.create("mlic@30").options == {"refine": 30}
    assert codecs.create("mlic:lalic@30").options == {"model": "lalic", "refine": 30}
    assert all(map(codecs.is_mlic, ("mlic", "mlic@30", "mlic:lalic@30", "mlic:lalic")))
    assert codecs.create("mlic~0").options == {"texture": 0.0}
    textured = {"model": "a", "refine": 3, "texture": 0.25}
    assert codecs.create("mlic:a@3~.25").options == textured
    assert not codecs.is_mlic("avif")
    for name in ("mlic~", "mlic~2", "mlic@", "mlic@x", "mlic:@3", "mlic:lalic@x", "avif@3"):
        with pytest.raises(ValueError, match="mlic@STEPS"):
            codecs.create(name)


def test_a_refined_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MLICv2+ is MLICv2, refined unless told otherwise: in `save`, commands and batches."""
    write_pack(make("mlicv2"), "mlicv2", tmp_path / "mine.safetensors")
    monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path / "mine.safetensors"))
    assert SaveSettings.of({"model": "mlicv2+"}).refine == 3000  # as published
    monkeypatch.setitem(models.REFINED, "mlicv2+", models.Refined("mlicv2", 2))

    def saved(name: str, **options: Any) -> bytes:
        file = io.BytesIO()
        photograph(64, 64).save(file, plugin.FORMAT, model=name, **options)
        return file.getvalue()

    refined, plain = saved("mlicv2", refine=2), saved("mlicv2")
    assert refined != plain
    assert saved("mlicv2+") == refined
    assert saved("mlicv2+", refine=0) == plain
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in "ab":
        photograph(64, 64).save(pictures / f"{name}.png")
    command = ["encode", str(pictures / "a.png"), "--model", "mlicv2+", "--quiet", "--force"]
    for extra, expected in ([], refined), (["--refine", "0"], plain):
        assert cli.main([*command, *extra]) == 0
        assert (pictures / "a.mlic").read_bytes() == expected
    out = tmp_path / "c.mlic"
    sources = [Place(str(pictures / name)) for name in ("a.png", "b.png")]
    pair = [Item(source, Place(str(out)), 1, "", ours=True) for source in sources]
    for record in BatchWorker(Order(options={"model": "mlicv2+"}))(pair):
        assert "error" not in record
        assert out.read_bytes() == refined
    for command, hint in (
        (["train", str(pictures), str(tmp_path / "run"), "--steps", "1"], "here say mlicv2"),
        (["bench", "speed", str(pictures / "a.png")], "here say mlicv2"),
    ):
        assert cli.main([*command, "--model", "mlicv2+"]) == 2
        assert hint in capsys.readouterr().err


# ---- the parts -----------------------------------------------------------------------------------


def test_the_temperature_falls_as_published() -> None:
    published = [min(0.5, math.exp(-0.001 * step)) for step in range(3000)]
    assert [temperature(step, 3000) for step in range(3000)] == pytest.approx(published)
    for steps in (1, 10, 100):
        values = [temperature(step, steps) for step in range(steps)]
        assert values == sorted(values, reverse=True)
        assert values[0] == 0.5


def annealed(y: torch.Tensor, warmth: float, scale: float, pack: Pack) -> tuple[Any, AnnealedCoder]:
    latents = Latents(y, torch.zeros(1, 1, 1, 1))
    coder = AnnealedCoder(latents, pack.tables, warmth, torch.Generator().manual_seed(1))
    one = torch.ones(1)
    return coder(torch.zeros_like(y), torch.full_like(y, scale), one, lambda v: v.y), coder


def test_cold_symbols_are_integers_and_the_nearest_as_a_rule(small_pack: Pack) -> None:
    y = torch.linspace(-3, 3, 16 * 16 * 8).view(1, 16, 16, 8)
    cold, coder = annealed(y, 0.02, 2.0, small_pack)
    assert (cold - cold.round()).abs().mean() < 0.01
    assert (cold.round() == y.round()).float().mean() > 0.97
    assert (cold - y).abs().max() <= 1
    bits = gaussian_bits(cold, torch.full_like(y, 2.0)).sum()
    assert coder.bits == pytest.approx(float(bits))
    hot, _ = annealed(y, 0.5, 2.0, small_pack)
    assert (hot - hot.round()).abs().mean() > 0.05


def test_symbols_that_are_not_coded_stay_zero(small_pack: Pack) -> None:
    symbols, coder = annealed(torch.full((1, 4, 4, 2), 1.4), 0.3, 0.05, small_pack)
    assert not symbols.any()
    assert float(coder.bits) < 0.01


def test_gradients_reach_the_latents(small_pack: Pack) -> None:
    y = torch.full((1, 4, 4, 2), 1.4).requires_grad_(True)
    _, coder = annealed(y, 0.5, 1.0, small_pack)
    coder.bits.backward()
    assert y.grad is not None
    assert (y.grad > 0).all()


def test_step_sizes(small_pack: Pack) -> None:
    """A latent moved by its step size moves its symbol by one."""
    model = small_pack.model(CPU)
    q = torch.tensor([3.0])
    with torch.no_grad():
        latents = model.latents(torch.rand(1, 64, 64, 3), q)
        measure = StepSizes(latents)
        model.entropy(q, (1, 1), measure)
        gain = model.entropy.gain(q)
    assert torch.allclose(measure.sizes.y * gain, torch.ones(()), atol=1e-6)
    assert torch.allclose(measure.sizes.z * model.entropy.hyper_gain(q), torch.ones(()))


def test_bits_of_a_factorised_prior(tmp_path: Path) -> None:
    """At integers, and outside of the tables too, those of the tables."""
    torch.save(small("lalic").state_dict(), tmp_path / "a.pth")
    path = import_checkpoint(tmp_path / "a.pth", 0.0067, tmp_path)
    tables = packs.load(packs.inspect(path)).tables
    z = torch.arange(-40.0, 40.0).view(1, 1, 80, 1).expand(-1, -1, -1, tables.fixed)
    coder = AnnealedCoder(Latents(z, z + 1e-4), tables, 1e-3, torch.Generator().manual_seed(1))
    symbols = coder.fixed(torch.zeros_like(z), lambda v: v.z)
    assert torch.equal(symbols.round(), z)
    rows = np.tile(np.arange(tables.first_fixed, tables.first_fixed + tables.fixed), 80)
    expected = table_bits(
        z.flatten(1).numpy().astype(np.int32), rows.astype(np.int32), tables
    ).sum()
    assert float(coder.bits) == pytest.approx(expected, rel=1e-3)


def test_annealing_leaves_selective_compression_out(small_pack: packs.Pack) -> None:
    """MLICv2, section 3.5: which symbols are coded is decided afterwards."""
    y = torch.linspace(-3, 3, 32).view(1, 4, 4, 2)
    mean, scale = torch.zeros_like(y), torch.ones_like(y)
    found = []
    for coded in (None, torch.zeros_like(y, dtype=torch.bool)):
        coder = AnnealedCoder(Latents(y, y), small_pack.tables, 0.1, torch.Generator())
        symbols = coder(mean, scale, torch.ones(1), lambda latents: latents.y, coded)
        found.append((symbols, coder.bits))
    assert torch.equal(found[0][0], found[1][0])
    assert float(found[0][1]) == float(found[1][1]) > 0
