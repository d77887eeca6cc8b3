"""Training of the networks for one lambda: every model, both distortions, all stages."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic import cli, packs
from pillow_mlic.distortion.ms_ssim import ms_ssim
from pillow_mlic.evaluation import metrics
from pillow_mlic.models.base import Latents
from pillow_mlic.models.lambdas import LAMBDAS, MS_SSIM_LAMBDAS, quality_of
from pillow_mlic.models.layers.factorised import FactorisedPrior
from pillow_mlic.training import session
from pillow_mlic.training.data import Crops
from pillow_mlic.training.export import export
from pillow_mlic.training.loop import Settings, Trainer, load_state, settings_from
from pillow_mlic.training.objective import SelectionCoder
from pillow_mlic.training.recipes import RECIPES, Schedule
from pillow_mlic.training.session import TrainingRequest, train

from .accelerator import Accelerator
from .coders import coding_of, encode
from .conftest import photograph
from .family import CONFIGS, make, write_pack
from .test_portability import MATRIX, check, jobs_of

CPU = torch.device("cpu")
PICTURES = [np.asarray(photograph(200, 210, seed=s)) for s in range(3)]
QUICK = Settings(batch=2, crop=64, rate=3e-3, warm_up=2, bf16=False, quality=3.0)

pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")


def silent(_: object) -> None:
    pass


def trainer(variant: str, run: Path, settings: Settings = QUICK) -> Trainer:
    return Trainer(make(variant).train(), PICTURES, run, settings, CPU)


def losses(run: Trainer, times: int = 3, steps: int = 4) -> list[float]:
    found: list[float] = []
    for _ in range(times):
        run.train(steps, None, False, lambda r: found.append(r.loss), report_seconds=1e9)
    return found


@pytest.mark.parametrize("name", CONFIGS)
def test_every_model_trains_and_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Loss falls, the pack's files are what the network says, and its streams are portable."""
    run = trainer(name, tmp_path)
    found = losses(run)
    assert run.skipped == 0
    assert found[-1] < 0.9 * found[0]
    card = export(run, name, tmp_path / "a.safetensors", averaged=False)
    assert (card["quality"], card["lambda"], card["distortion"]) == (3, 0.0067, "psnr")
    monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path / "a.safetensors"))
    pack = packs.load(packs.find(name))
    assert pack.file.quality == 3
    image = photograph(64, 64)
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", model=name)
    with Image.open(buffer) as coded:
        decoded = np.asarray(coded, dtype=float)
    x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].double() / 255
    with torch.inference_mode():
        out = run.model.double().eval()(x)["x_hat"]
    expected = out[0].permute(1, 2, 0).mul(255).round().clamp(0, 255).numpy()
    assert np.abs(decoded - expected).max() <= 1
    check(pack, jobs_of(pack, image, (3.0,)), [MATRIX[-1]])


@pytest.mark.parametrize("name", ["mlic++", "lalic"])
def test_half_precision_where_it_may_be(tmp_path: Path, name: str) -> None:
    found = losses(trainer(name, tmp_path, replace(QUICK, bf16=True)), times=2)
    assert found[-1] < found[0]


def test_resuming_is_exact(tmp_path: Path) -> None:
    through = trainer("mlicv2", tmp_path)
    through.train(4, None, False, silent)
    trainer("mlicv2", tmp_path).train(2, None, False, silent)
    state = load_state(tmp_path / "state.pt")
    second = trainer("mlicv2", tmp_path, settings_from(state))
    second.load(state)
    second.train(2, None, False, silent)
    for a, b in zip(through.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


# ---- MS-SSIM and looks ---------------------------------------------------------------------------


def test_ms_ssim_is_that_of_evaluation() -> None:
    random = np.random.default_rng(0)
    first = np.asarray(photograph(192, 208))
    for strength in (2, 20):
        noisy = (first + random.normal(0, strength, first.shape)).clip(0, 255).astype(np.uint8)
        a, b = (torch.from_numpy(p.copy())[None].double() / 255 for p in (first, noisy))
        assert float(ms_ssim(a, b)) == pytest.approx(metrics.ms_ssim(first, noisy), abs=1e-9)
    assert float(ms_ssim(a, a)) == pytest.approx(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert ms_ssim(a.float(), b.float()) == pytest.approx(ms_ssim(a, b).float(), abs=1e-4)


def test_ms_ssim_of_the_bundled_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_pack_file: Path
) -> None:
    """The pack has a name of its own, by which `save` finds it, and rounds to the nearest."""
    (tmp_path / "photos").mkdir()
    photograph(256, 256).save(tmp_path / "photos" / "a.png")
    changes = {"distortion": "ms-ssim", "crop": 192, "batch": 1}
    photos, run = tmp_path / "photos", tmp_path / "run"
    pack = train(
        TrainingRequest(photos, run, steps=1, start=small_pack_file, changes=changes), silent
    )
    assert pack.name == "mlicv2-lite-msssim.safetensors"
    monkeypatch.setenv("MLIC_WEIGHTS", str(run))
    files = [io.BytesIO(), io.BytesIO()]
    photograph(64, 64).save(files[0], "MLIC", model="mlicv2-lite-msssim")
    photograph(64, 64).save(files[1], "MLIC", model="mlicv2-lite-msssim", optimize=False)
    assert files[0].getvalue() == files[1].getvalue()


@pytest.mark.parametrize(("distortion", "crop"), [("ms-ssim", 192), ("visual", 128)])
def test_other_distortions_train(tmp_path: Path, distortion: str, crop: int) -> None:
    settings = replace(QUICK, distortion=distortion, crop=crop, batch=1)
    found = losses(trainer("mlic", tmp_path, settings), times=2, steps=4)
    assert np.isfinite(found).all()
    assert found[-1] < found[0]
    with pytest.raises(ValueError, match=f"{distortion} needs crops of {crop}"):
        trainer("mlic", tmp_path, replace(settings, crop=64))


def test_a_state_of_version_0_1_names_squared_error_otherwise(tmp_path: Path) -> None:
    state = trainer("mlic", tmp_path, QUICK).state()
    state["settings"]["distortion"] = "mse"
    assert settings_from(state).distortion == "psnr"


# ---- stages --------------------------------------------------------------------------------------


def test_the_recipe_of_mlicv2(tmp_path: Path) -> None:
    """Hyperprior alone, everything, and what decides which symbols are coded."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(photos / f"{number}.png")
    small = tmp_path / "small.safetensors"
    write_pack(make("mlicv2"), "mlicv2", small)
    quick = {"batch": 2, "crop": 64, "rate": 2e-3, "quality": 3.0}

    def stage(run: str, start: Path, **changes: Any) -> Path:
        folder = tmp_path / run
        request = TrainingRequest(
            photos, folder, "mlicv2", steps=3, start=start, changes={**quick, **changes}
        )
        return train(request, silent)

    assert stage("first", small, stage="hyperprior") == tmp_path / "first" / "state.pt"
    second = stage("second", tmp_path / "first")
    assert second == tmp_path / "second" / "mlicv2-3.safetensors"
    third = stage("third", tmp_path / "second", stage="selection")
    before, after = (packs.load(packs.inspect(p)).model(CPU).state_dict() for p in (second, third))
    assert packs.inspect(third).config["selective"]
    assert packs.inspect(third).card["stage"] == "selection"
    for name, tensor in after.items():
        if name.startswith("selection."):
            assert name not in before
        elif "quantiles" not in name:
            assert torch.equal(tensor, before[name]), name
    # It goes on by itself, as what it was.
    again = train(TrainingRequest(photos, tmp_path / "third", "mlicv2", steps=1), silent)
    assert packs.inspect(again).card["steps"] == 4
    # Only the hyperprior and the transforms learnt in the first stage.
    start, end = load_state(tmp_path / "first" / "state.pt")["model"], make("mlicv2").state_dict()
    changed = {k.split(".")[0] for k in start if not torch.equal(start[k], end[k])}
    assert changed == {"g_a", "g_s", "h_a", "h_s", "entropy_bottleneck"}


def test_selection_learns(tmp_path: Path) -> None:
    run = trainer("mlicv2 selective", tmp_path, replace(QUICK, stage="selection", rate=1e-2))
    for name, parameter in run.model.named_parameters():
        parameter.requires_grad_(name.startswith("selection."))
    found = losses(run)
    assert found[-1] < found[0]


def test_the_loss_of_decisions() -> None:
    """(|symbol| + 1) times half the cross entropy, mean over latents."""
    y = torch.tensor([0.2, 3.1, -0.4, -1.2]).view(1, 1, 4, 1)
    coder = SelectionCoder(Latents(y, y))
    odds = torch.tensor([0.5, 4.0, 2.0, 0.25]).view(1, 1, 4, 1)
    coded = coder.decide(odds)
    zero, one = torch.zeros_like(y), torch.ones_like(y)
    symbols = coder(zero, one, torch.ones(1), lambda latents: latents.y, coded)
    assert symbols.flatten().tolist() == [0, 3, 0, 0]
    p = odds.flatten() / (1 + odds.flatten())
    terms = torch.stack([-(1 - p[0]).log(), -4 * p[1].log(), -(1 - p[2]).log(), -2 * p[3].log()])
    assert torch.isclose(coder.loss, terms.sum() / 2 / 4)


SHORT = Schedule(((0, 3e-3), (2, 1e-3), (5, 1e-4)), ((0, 64), (3, 128)), 6)


@pytest.fixture
def short_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "mlicv2", {"all": SHORT})


def test_the_published_recipe() -> None:
    """MLICv2, section 4.1.2."""
    rates = {0: 1e-4, 1_499_999: 1e-4, 1_500_000: 3e-5, 1_800_000: 1e-5, 1_900_000: 3e-6}
    rates |= {1_899_999: 1e-5, 1_949_999: 3e-6, 1_950_000: 1e-6, 1_999_999: 1e-6}
    schedule = replace(QUICK, recipe="mlicv2").schedule()
    assert {step: schedule.rate(step) for step in rates} == rates
    assert [schedule.crop(step) for step in (0, 1_199_999, 1_200_000)] == [256, 256, 512]
    assert schedule.steps == 2_000_000
    first, last = (RECIPES["mlicv2"][stage] for stage in ("hyperprior", "selection"))
    assert (first.rate(10**6), first.crop(10**6), first.steps) == (1e-4, 256, 2_000_000)
    assert (last.rate(0), last.crop(0), last.steps) == (1e-3, 256, 20_000)
    older = RECIPES["mlic"]["all"]  # MLIC, section 4.1
    assert (older.rates, older.steps) == (schedule.rates, 2_000_000)
    assert [older.crop(step) for step in (0, 1_199_999, 1_200_000)] == [256, 256, 448]


@pytest.mark.usefixtures("short_recipe")
@pytest.mark.parametrize("stops", [(), (1, 2, 4), (3, 5)])
def test_a_recipe_of_a_few_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: tuple[int, ...]
) -> None:
    """Every step has its rate and its crops, wherever the run was stopped in between."""
    sides, batch = [], Crops.batch

    def noted(crops: Crops, step: int, count: int) -> torch.Tensor:
        sides.append(crops.size)
        return batch(crops, step, count)

    monkeypatch.setattr(Crops, "batch", noted)
    settings = replace(QUICK, recipe="mlicv2", warm_up=1)
    through = trainer("mlicv2", tmp_path, settings)
    rates: list[float] = []
    through.train(6, None, False, lambda r: rates.append(r.rate), report_seconds=0)
    assert rates == [3e-3, 3e-3, 1e-3, 1e-3, 1e-3, 1e-4]
    assert sides == [64, 64, 64, 128, 128, 128]
    part = trainer("mlicv2", tmp_path, settings)
    for stop in (*stops, 6):
        part.train(stop - part.step, None, False, silent)
        state = load_state(tmp_path / "state.pt")
        part = trainer("mlicv2", tmp_path, settings_from(state))
        part.load(state)
    assert sides[6:] == sides[:6]
    for a, b in zip(through.model.parameters(), part.model.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.usefixtures("short_recipe")
def test_a_recipe_ends_by_itself(tmp_path: Path) -> None:
    photos, run, start = tmp_path / "photos", tmp_path / "run", tmp_path / "a.safetensors"
    photos.mkdir()
    photograph(80, 80).save(photos / "a.png")  # enough for the first crops
    write_pack(make("mlicv2"), "mlicv2", start)
    changes = {"quality": 3.0, "batch": 1, "recipe": "mlicv2"}
    request = TrainingRequest(photos, run, "mlicv2", start=start, changes=changes)
    with pytest.raises(ValueError, match="no picture has sides of 128 pixels"):
        train(request, silent)
    photograph(140, 140).save(photos / "b.png")
    train(replace(request, steps=2), silent)
    resumed = TrainingRequest(photos, run, "mlicv2")  # the run knows its recipe
    card = packs.inspect(train(replace(resumed, minutes=60.0), silent)).card
    assert (card["steps"], card["recipe"], card["crop"], card["rate"]) == (6, "mlicv2", 128, 1e-4)
    for impossible, message in (
        (resumed, "has had the 6 steps of the recipe mlicv2"),
        (replace(resumed, changes={"rate": 1e-3}), "leave out --rate"),
        (replace(resumed, changes={"crop": 64}), "leave out --crop"),
        (replace(resumed, changes={"stage": "selection"}), "no stage 'selection'; it has all"),
        (replace(resumed, changes={"recipe": "mlicv3"}), "there is no recipe 'mlicv3'"),
        (replace(resumed, cooldown=True), "say how long"),
    ):
        with pytest.raises(ValueError, match=message):
            train(impossible, silent)


def test_requests_that_cannot_be(tmp_path: Path) -> None:
    for model, changes, message in (
        ("mlic", {}, "--quality or --lambda"),
        ("mlic", {"quality": 9.0}, "from 1 to 8"),
        ("mlicv2-lite", {"quality": 3.0}, "all qualities"),
        ("lalic", {"quality": 3.0, "stage": "hyperprior"}, "no stage"),
        ("mlic", {"quality": 3.0, "stage": "selection"}, "no selective"),
        ("mlicv2", {"quality": 3.0, "stage": "selection"}, "--from"),
        ("mlicv3", {"quality": 3.0}, "no model"),
    ):
        with pytest.raises(ValueError, match=message):
            train(
                TrainingRequest(tmp_path, tmp_path / "run", model, steps=1, changes=changes), silent
            )
    write_pack(make("mlic"), "mlic", tmp_path / "a.safetensors")
    request = TrainingRequest(
        tmp_path,
        tmp_path / "run",
        "mlic+",
        steps=1,
        start=tmp_path / "a.safetensors",
        changes={"quality": 3.0},
    )
    photograph(260, 260).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="those of mlic, not"):
        train(request, silent)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph(80, 80).save(tmp_path / "a.png")
    write_pack(make("mlic-ex"), "mlic-ex", tmp_path / "a.safetensors")
    words = f"train {tmp_path} {tmp_path / 'run'} --model mlic-ex --lambda 0.08 --steps 2"
    more = f"--batch 1 --crop 64 --from {tmp_path / 'a.safetensors'}"
    assert cli.main(f"{words} {more}".split()) == 0
    assert "mlic-ex-6.768.safetensors" in capsys.readouterr().err


def test_lambdas_and_qualities() -> None:
    for place, (mse, similarity) in enumerate(zip(LAMBDAS, MS_SSIM_LAMBDAS, strict=True), start=1):
        assert quality_of(mse) == quality_of(similarity, "ms-ssim") == place
    assert 6 < quality_of(0.08) < 7
    with pytest.raises(ValueError, match=r"0\.0018"):
        quality_of(1.0)


def test_tails_of_the_prior() -> None:
    torch.manual_seed(0)
    prior = FactorisedPrior(3)
    with torch.no_grad():
        for bias in prior.biases:
            bias.mul_(20)
    prior.fit_tails()
    reached = prior.logits(prior.quantiles)[:, 0]
    torch.testing.assert_close(reached[:, 0], prior.target[0].expand(3), atol=1e-2, rtol=0)
    torch.testing.assert_close(reached[:, 2], prior.target[2].expand(3), atol=1e-2, rtol=0)
    assert prior.medians().abs().max() == 0


def test_packs_of_trained_networks_fit_the_codec(tmp_path: Path) -> None:
    run = trainer("mlicv2", tmp_path)
    run.train(1, None, False, silent)
    export(run, "mlicv2", tmp_path / "a.safetensors", averaged=True)
    pack = packs.load(packs.inspect(tmp_path / "a.safetensors"))
    pixels = np.asarray(photograph(64, 64))
    coded = encode(pixels, coding_of(pack, 3.0, 64), estimate=True)
    assert coded.estimated_bits is not None
    assert 8 * len(coded.tiles[0]) < 1.1 * coded.estimated_bits + 600


def test_a_published_checkpoint_is_trained_on(tmp_path: Path) -> None:
    photograph(128, 128).save(tmp_path / "a.png")
    state = make("mlic++").state_dict()
    torch.save({"net": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "a.pth.tar")
    changes = {"batch": 1, "crop": 64, "rate": 1e-9, "quality": 3.0}
    start = tmp_path / "a.pth.tar"
    request = TrainingRequest(
        tmp_path, tmp_path / "run", "mlic++", steps=1, start=start, changes=changes
    )
    after = packs.load(packs.inspect(train(request, silent))).model(CPU).state_dict()
    for name, tensor in after.items():
        if "quantiles" not in name:
            torch.testing.assert_close(tensor, state[name], atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=r"those of mlic\+\+, not of lalic"):
        train(replace(request, model="lalic", run=tmp_path / "other"), silent)


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    with Accelerator("cuda"):
        assert str(session._local("cuda")) == "cuda:3"
        assert str(session._local("cuda:0")) == "cuda:0"
    assert str(session._local("cpu")) == "cpu"
