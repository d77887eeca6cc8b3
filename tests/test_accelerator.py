"""Every model on an emulated GPU, NVIDIA's and Apple's: the files and pixels are the CPU's."""

import functools
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pillow_mlic
from pillow_mlic import packs
from pillow_mlic.coding.coding import Coding
from pillow_mlic.coding.encoder import Encoder
from pillow_mlic.diagnostics import bits, skipping
from pillow_mlic.diagnostics.portability import Setting, decode_all
from pillow_mlic.distortion.costs import MIN_CROPS
from pillow_mlic.engines import Needs, arithmetic, devices, engine_for
from pillow_mlic.engines.arithmetic import memory_errors
from pillow_mlic.engines.base import LatentArrays, RoundingArrays
from pillow_mlic.errors import DeviceMemoryError
from pillow_mlic.models.base import ZeroCoder
from pillow_mlic.models.layers.bi_wkv import bi_wkv
from pillow_mlic.training.export import write_half
from pillow_mlic.training.loop import Settings, Trainer

from .accelerator import Accelerator, Counts, OnDevice
from .conftest import GOLDEN, WITH_INTEGERS, make_small_model, photograph
from .family import VARIANTS, make, write_pack
from .test_portability import jobs_of

pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")

DEVICES = ("cuda", "mps")
SLOW = pytest.mark.slow
FLOATS, INTEGERS = "mlicv2-lite in floats", "mlicv2-lite"
ALL = (INTEGERS, FLOATS, *VARIANTS)
DIFFERENT = (INTEGERS, FLOATS, "lalic", "mlicv2 selective")
"""Models that have between them nearly all that the others are made of."""


def cases(*ways: Any, quick: Callable[[str, str, Any], bool], models: Any = ALL) -> list[Any]:
    """Every (device, model, way); those that are not `quick` are slow."""
    return [
        pytest.param(device, model, way, marks=[] if quick(device, model, way) else SLOW)
        for device in DEVICES
        for model in models
        for way in ways
    ]


def is_quick(device: str, model: str, way: str) -> bool:
    """Every model is coded once on each device; other ways have fewer models, fewer with MPS."""
    if way == "optimize" or model in DIFFERENT:
        return True
    return device == "cuda" and model in MORE.get(way, ALL)


MORE = {
    "plain": (),
    "refine": ("mlic",),  # whose local context is made of convolutions
    "train": ("mlic", "mlic+", "mlic-ex", "mlic++"),
}
"""By what is done, the models that do it quickly enough on one device, besides `DIFFERENT`."""
PAIRS = [pytest.param(*case.values[:2], marks=case.marks) for case in cases("read", quick=is_quick)]


@pytest.fixture(params=DEVICES)
def gpu(request: pytest.FixtureRequest) -> Iterator[Accelerator]:
    with Accelerator(request.param) as accelerator:
        yield accelerator


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A pack of every model."""
    folder = tmp_path_factory.mktemp("packs")
    found = {INTEGERS: WITH_INTEGERS, FLOATS: GOLDEN / "small.safetensors"}
    for variant in VARIANTS:
        found[variant] = folder / f"{variant}.safetensors"
        write_pack(make(variant), variant.split()[0], found[variant])
    return found


@pytest.fixture(params=ALL)
def model(request: pytest.FixtureRequest, only: Callable[[str], str]) -> str:
    """The name of a model whose pack is the one that is found."""
    return only(str(request.param))


@pytest.fixture
def only(weights: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes the pack of a model the one that is found; nobody has loaded it before."""
    monkeypatch.setattr(packs.store, "_packs", {})
    monkeypatch.setattr(packs.store, "_latest", None)

    def choose(name: str) -> str:
        monkeypatch.setenv("MLIC_WEIGHTS", str(weights[name]))
        return name

    return choose


def saved(model: str, device: str, width: int = 100, tile: int = 64, **options: Any) -> bytes:
    buffer = io.BytesIO()
    name = model.split()[0]
    photograph(width, 64).save(buffer, "MLIC", model=name, device=device, tile=tile, **options)
    return buffer.getvalue()


def opened(file: bytes, device: str) -> Any:
    with pillow_mlic.MlicImageFile(io.BytesIO(file)) as image:
        return np.asarray(image.decode(device=device), dtype=int)


@functools.cache
def on_the_cpu(model: str, **options: Any) -> tuple[bytes, Any]:
    """A file that the CPU writes, and the pixels that it decodes to; nobody may change them."""
    file = saved(model, "cpu", **options)
    return file, opened(file, "cpu")


WAYS = {"plain": {"optimize": False}, "optimize": {"optimize": True}, "refine": {"refine": 1}}


@pytest.mark.parametrize(
    ("gpu", "model", "way"), cases(*WAYS, quick=is_quick), indirect=["gpu", "model"]
)
def test_files_are_those_of_the_cpu(gpu: Accelerator, model: str, way: str) -> None:
    device, width = str(gpu.device), 64 if way == "refine" else 100
    expected, pixels = on_the_cpu(model, width=width, **WAYS[way])
    gpu.reset()
    file = saved(model, device, width=width, **WAYS[way])
    assert min(gpu.counts()[:2]) > 0, "then nothing has run there"
    assert file == expected
    assert np.abs(opened(file, device) - pixels).max() <= 1


@pytest.mark.parametrize(("gpu", "model"), PAIRS, indirect=True)
def test_parts_of_files(gpu: Accelerator, model: str) -> None:
    """A region, and the first slices."""
    device = str(gpu.device)
    file, _ = on_the_cpu(model, width=100, optimize=True)
    for read in (
        partial(pillow_mlic.decode_region, box=(30, 10, 90, 60)),
        partial(pillow_mlic.decode_slices, slices=1),
    ):
        gpu.reset()
        here, there = (
            np.asarray(read(io.BytesIO(file), device=name), dtype=int) for name in (device, "cpu")
        )
        assert gpu.downloads
        assert np.abs(here - there).max() <= 1


@pytest.mark.parametrize(("gpu", "model"), PAIRS, indirect=True)
def test_batches(gpu: Accelerator, model: str) -> None:
    """Several pictures at once, in encoder and decoder, with both guard bands."""
    pack = packs.load(packs.find(model.split()[0]))
    pictures = np.stack([np.asarray(photograph(64, 64, seed)) for seed in (1, 2, 3)])
    for guard in (1e-9, pack.file.guard):
        both = []
        for device in (str(gpu.device), "cpu"):
            engine = engine_for(pack, device, Needs(gradients=True, floats=True))
            coding = Coding(pack, 3.0, 64, guard, engine)
            streams = [tile for (tile,) in Encoder(coding, optimize=True).encode_batch(pictures)]
            both.append((streams, engine.decode(streams, (1, 1), 3.0, guard)))
        assert both[0][0] == both[1][0]
        # Decoders of float32 give the same symbols; their means differ in the last digits.
        np.testing.assert_allclose(both[0][1], both[1][1], atol=1e-3)


TRAINED = [
    *cases("all", quick=lambda device, model, _: is_quick(device, model, "train")),
    *cases("selection", quick=lambda *_: True, models=["mlicv2 selective"]),
    *cases(
        "ms-ssim", "visual", "texture", quick=lambda device, *_: device == "mps", models=[INTEGERS]
    ),
]
TRAINED = [case for case in TRAINED if case.values[1] != FLOATS]  # the same as the other


@pytest.mark.parametrize(("gpu", "model", "stage"), TRAINED, indirect=["gpu"])
def test_a_training_step(gpu: Accelerator, tmp_path: Path, model: str, stage: str) -> None:
    """The step of the CPU, but for the last digits; random numbers are those of the device."""
    expected = trained(model, stage, "cpu", tmp_path / "cpu")
    gpu.reset()
    found = trained(model, stage, str(gpu.device), tmp_path / "gpu")
    assert gpu.counts().uploads > 0
    assert found[0] == pytest.approx(expected[0], rel=1e-4)
    assert found[1] == pytest.approx(expected[1], abs=1e-4)
    assert max(found[1]) > 0


def training_of(stage: str, **others: Any) -> Settings:
    """Small settings for a stage, or for all of a network and the distortion of this name."""
    distortion = {"texture": "visual"}.get(stage, stage if stage in MIN_CROPS else "psnr")
    settings = Settings(
        batch=2,
        crop=MIN_CROPS[distortion],
        warm_up=2,
        bf16=False,
        rate=1e-3,
        distortion=distortion,
        stage="all" if stage in MIN_CROPS else stage,
    )
    return replace(settings, **others)


def trained(model: str, stage: str, device: str, run: Path) -> tuple[list[float], list[float]]:
    """Losses of two steps, and by how much each parameter has changed."""
    quality = None if model == INTEGERS else 3.0
    settings = training_of(stage, quality=quality)
    network = (make_small_model() if quality is None else make(model)).train()
    before = [p.detach().clone() for p in network.parameters()]
    run.mkdir()
    trainer = Trainer(
        network, [np.asarray(photograph(224, 192))], run, settings, torch.device(device)
    )
    losses: list[float] = []
    trainer.train(2, None, False, lambda r: losses.append(r.loss))
    after = [p.detach().cpu() for p in trainer.model.parameters()]
    assert isinstance(next(trainer.model.parameters()), OnDevice) == (device != "cpu")
    return losses, [float((b - a).abs().max()) for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("stage", ["psnr", "ms-ssim", "visual", "texture"])
def test_round_trips_of_training(tmp_path: Path, stage: str) -> None:
    """A step uploads its crops and how far training is; what measures are made of is there."""
    with Accelerator("cuda") as gpu:
        trainer = Trainer(
            make_small_model().train(),
            [np.asarray(photograph(224, 192))],
            tmp_path,
            training_of(stage),
            gpu.device,
        )
        for _ in range(2):  # the first time constants are made
            gpu.reset()
            trainer.train(1, None, True, lambda _: None)
        assert gpu.counts().uploads == 2
        assert gpu.counts().scalar_reads == 1  # whether gradients are finite


# ---- round trips ---------------------------------------------------------------------------------


class Counting(ZeroCoder):
    """Counts the steps of a walk, decisions and hyper latents included."""

    steps = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.steps += 1
        return super().__call__(*args, **kwargs)

    def decide(self, odds: Any) -> Any:
        self.steps += 1
        return super().decide(odds)

    def fixed(self, *args: Any) -> Any:
        self.steps += 1
        return super().fixed(*args)


@pytest.mark.parametrize("optimize", [False, True], ids=["nearest", "optimised"])
@pytest.mark.parametrize("name", [FLOATS, *VARIANTS])
def test_round_trips(only: Callable[[str], str], name: str, optimize: bool) -> None:
    """A walk copies once a step in each direction at most, and reads no single numbers.

    The encoder's walk also uploads y, z and the gradient; both download what they return. All that
    saving a picture of one tile does reads no single numbers, either.
    """
    pack = packs.load(packs.find(only(name).split()[0]))
    counting = Counting()
    with torch.inference_mode():
        pack.model(torch.device("cpu")).entropy(torch.full((1,), 3.0), (1, 1), counting)
    with Accelerator("cuda") as gpu:
        engine = engine_for(pack, "cuda", Needs(gradients=True, floats=True))
        picture = np.asarray(photograph(64, 64))[None]
        for _ in range(2):  # the first time constants are made
            y = engine.analysis(picture, 3.0)
            latents = LatentArrays(y, engine.hyper_analysis(y))
            rounding = None
            if optimize:
                first = engine.first_pass(latents, 3.0)
                errors = engine.errors(picture, first.y_hat, 3.0, differentiate=True)
                rounding = RoundingArrays(first, errors.gradient)
            gpu.reset()
            (tile,) = engine.encode(latents, 3.0, 1e-9, rounding, estimate=False)
            encoding = gpu.counts()
            gpu.reset()
            engine.decode([tile.stream.payload], (1, 1), 3.0, 1e-9)
            decoding = gpu.counts()
            gpu.reset()
            engine.synthesis(y, 3.0)
            showing = gpu.counts()
        for _ in range(2):
            gpu.reset()
            saved(name, "cuda", width=64, optimize=optimize)
            saving = gpu.counts()
    steps = counting.steps
    assert encoding == Counts(2 + optimize, steps + 1, 0, 0)
    hyper = name != FLOATS  # a factorised prior has no rows to choose: nothing to download
    assert decoding == Counts(steps, steps + 1 - hyper, 0, 0)
    assert showing == Counts(1, 1, 0, 0)
    # Analysis and hyper analysis; the first walk of y and z, and two gradients of pixels and y.
    others = (8, 7) if optimize else (2, 2)
    assert saving == Counts(encoding.uploads + others[0], encoding.downloads + others[1], 0, 0)


def test_a_first_walk_is_downloaded_once(only: Callable[[str], str]) -> None:
    pack = packs.load(packs.find(only("mlic++")))
    with Accelerator("cuda") as gpu:
        engine = engine_for(pack, "cuda", Needs(gradients=True, floats=True))
        y = engine.analysis(np.asarray(photograph(64, 64))[None], 3.0)
        first = engine.first_pass(LatentArrays(y, engine.hyper_analysis(y)), 3.0)
        gpu.reset()
        assert first.y_hat is first.y_hat
        assert gpu.counts() == (0, 1, 0, 0)


def test_integers_need_no_round_trips(only: Callable[[str], str]) -> None:
    pack = packs.load(packs.find(only(INTEGERS)))
    with Accelerator("cuda") as gpu:
        engine = engine_for(pack, "cuda")
        y = engine.analysis(np.asarray(photograph(64, 64))[None], 3.0)
        latents = LatentArrays(y, engine.hyper_analysis(y))
        assert gpu.counts()[1:] == (2, 0, 0)
        gpu.reset()
        (tile,) = engine.encode(latents, 3.0, None)
        engine.decode([tile.stream.payload], (1, 1), 3.0, None)
        assert gpu.counts() == (0, 0, 0, 0)


@pytest.mark.parametrize("distortion", ["ms-ssim", "visual"])
def test_refinement_of_weights_for_looks(
    gpu: Accelerator,
    only: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    distortion: str,
) -> None:
    """Symbols are relaxed with noise, which is drawn on the CPU; no single numbers are read."""
    path = tmp_path / "looks.safetensors"
    only(INTEGERS)  # no pack is loaded yet
    write_half(path, "mlicv2-lite", make_small_model(), {"distortion": distortion})
    monkeypatch.setenv("MLIC_WEIGHTS", str(path))
    save = functools.partial(saved, "mlicv2-lite", width=128, tile=128, refine=1)
    assert save(str(gpu.device)) == save("cpu")
    assert gpu.counts().scalar_reads == 0


# ---- devices -------------------------------------------------------------------------------------


def test_a_device_has_one_name(only: Callable[[str], str]) -> None:
    """Weights lie once on a GPU, whatever it is called."""
    pack = packs.load(packs.find(only(INTEGERS)))
    for device, names in (("cuda", ("cuda", "cuda:0")), ("mps", ("mps", "mps:0"))):
        with Accelerator(device):
            assert {str(devices.resolve(name)) for name in names} == {f"{device}:0"}
            for place in (pack.model, pack.canonical, partial(pack.half, whole=False)):
                if (device, place) != ("mps", pack.canonical):
                    first, second = (place(torch.device(name)) for name in names)
                    assert first is second
    assert str(devices.resolve("cpu:0")) == "cpu"
    assert pack.model(torch.device("cpu:0")) is pack.model(torch.device("cpu"))


def test_gradients_can_be_taken_whoever_asks_first(only: Callable[[str], str]) -> None:
    """A decoder, for one, which wants none."""
    pack = packs.load(packs.find(only("lalic")))
    with Accelerator("cuda"), torch.inference_mode():
        for place in (pack.model, pack.canonical):
            network: Any = place(torch.device("cuda"))
            assert not any(p.is_inference() for p in network.parameters())


@pytest.mark.parametrize("what", ["weights", "pixels"])
def test_the_cpu_does_what_does_not_fit(
    gpu: Accelerator, only: Callable[[str], str], what: str
) -> None:
    """MPS has no error of its own for want of memory."""
    name, device = only("lalic"), str(gpu.device)
    save = partial(saved, name, width=256, tile=256, optimize=True)
    file = save("cpu")
    expected = opened(file, "cpu")
    largest = max(p.numel() for p in make(name).parameters())
    assert largest < 256 * 64
    gpu.most_numbers = largest if what == "pixels" else largest - 1
    with pytest.warns(RuntimeWarning, match=f"the memory of {device} does not suffice"):
        assert save(device) == file
    with pytest.warns(RuntimeWarning, match="the CPU does the work"):
        assert np.array_equal(opened(file, device), expected)


@pytest.mark.parametrize(
    ("said", "device", "expected"),
    [
        ("CUDA error: out of memory", "cuda", DeviceMemoryError),
        ("CUDNN_STATUS_ALLOC_FAILED", "cuda", DeviceMemoryError),
        ("MPS backend out of memory (MPS allocated: 9 GB)", "mps", DeviceMemoryError),
        ("Invalid buffer size: 31.64 GB", "mps", DeviceMemoryError),
        ("DefaultCPUAllocator: not enough memory: you tried", "mps", MemoryError),
        ("shapes cannot be multiplied", "mps", RuntimeError),
    ],
)
def test_want_of_memory(said: str, device: str, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught, memory_errors(torch.device(device)):
        raise RuntimeError(said)
    assert type(caught.value) is expected


def test_apples_gpu_is_used_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with Accelerator("mps"):
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        assert str(devices.resolve()) == "cpu"
        assert str(devices.resolve("mps")) == "mps:0"


def test_large_decays(gpu: Accelerator) -> None:
    """They need float64, which MPS has not."""
    generator = torch.Generator().manual_seed(1)
    k, v = torch.randn(2, 1, 4, 96, generator=generator)
    w, u = torch.tensor([20.0, -3.0, 14.0, 0.1]) / 96, torch.zeros(4)
    with torch.inference_mode():
        found = bi_wkv(*(x.to(gpu.device) for x in (w, u, k, v)))
        torch.testing.assert_close(found.cpu(), bi_wkv(w, u, k, v))


def test_pixels_are_made_in_whole_float32(only: Callable[[str], str]) -> None:
    """Not of TF32 products, which would cost levels; what the caller has set comes back."""
    pack = packs.load(packs.find(only("mlic++")))
    cudnn, seen = torch.backends.cudnn, []
    before = (cudnn.enabled, cudnn.allow_tf32)

    def look(*_: Any) -> None:
        seen.append((cudnn.enabled, cudnn.allow_tf32, torch.get_float32_matmul_precision()))

    with Accelerator("cuda"):
        network: Any = pack.model(torch.device("cuda"))
        for part in (network.g_a, network.g_s):
            part.register_forward_hook(look)
        engine = engine_for(pack, "cuda", Needs(floats=True))
        torch.set_float32_matmul_precision("medium")
        try:
            engine.synthesis(engine.analysis(np.zeros((1, 64, 64, 3), np.uint8), 3.0), 3.0)
            assert torch.get_float32_matmul_precision() == "medium"
        finally:
            torch.set_float32_matmul_precision("highest")
    assert seen == [(before[0], False, "highest")] * 2
    assert (cudnn.enabled, cudnn.allow_tf32) == before


# ---- the rig itself ------------------------------------------------------------------------------


def test_the_rig_refuses_what_a_gpu_refuses(gpu: Accelerator) -> None:
    here, there = torch.ones(3), torch.ones(3, device=gpu.device)
    assert (there.device, there.is_cpu) == (gpu.device, False)
    with pytest.raises(RuntimeError, match="same device"):
        there + here
    with pytest.raises(RuntimeError, match="same device"):
        here.add_(there)
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    with pytest.raises(RuntimeError, match="there is no"):
        here.to("cuda:1")
    missing = "histogram" if gpu.device.type == "cuda" else "linalg_eigh"
    with pytest.raises(NotImplementedError, match="not currently implemented"):
        torch.histogram(there, 2) if missing == "histogram" else torch.linalg.eigh(there.diag())
    gpu.forbidden = {"erfc"}
    with pytest.raises(NotImplementedError, match="erfc"):
        torch.erfc(there)
    if gpu.device.type == "mps":
        for make in (there.double, lambda: torch.zeros(2, dtype=torch.float64, device="mps")):
            with pytest.raises(TypeError, match="float64"):
                make()


@pytest.mark.parametrize("inference", [False, True])
def test_the_rig_counts_numbers_that_are_read(gpu: Accelerator, inference: bool) -> None:
    with torch.inference_mode(inference):
        x = torch.arange(6.0).to(gpu.device)
        for read in (float, bool, int, Tensor.item):
            gpu.reset()
            read(x.sum())
            assert gpu.counts() == (0, 0, 1, 0), read


def test_the_rig_counts(gpu: Accelerator) -> None:
    x = torch.arange(6.0).view(2, 3).to(gpu.device)
    assert gpu.counts() == (1, 0, 0, 0)
    assert x.to(gpu.device) is x
    assert x.cpu().tolist() == x.to("cpu", torch.int32).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert gpu.counts() == (1, 2, 0, 0)
    assert float(x.sum()) == 15
    assert bool(x.any())
    assert gpu.counts() == (1, 2, 2, 0)
    assert x[x > 3].shape == (2,)
    assert x.nonzero().shape == (5, 2)
    assert gpu.counts() == (1, 2, 2, 2)
    x[0].copy_(torch.ones(3))  # a view: the whole changes
    torch.tensor([1, 2], device=gpu.device)
    assert gpu.counts() == (3, 2, 2, 2)
    assert float(x.sum()) == 15


def test_the_rig_differentiates(gpu: Accelerator) -> None:
    """Through copies, too."""
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    there = x.to(gpu.device)
    (3 * there.square()).sum().cpu().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [6, 12]


def test_diagnostics(gpu: Accelerator, only: Callable[[str], str], tmp_path: Path) -> None:
    """Where bits went, what contexts look at, and what is skipped."""
    path, device = tmp_path / "a.mlic", str(gpu.device)
    path.write_bytes(saved(only("mlicv2 selective"), "cpu", optimize=False))
    np.testing.assert_allclose(bits.bit_map(path, device), bits.bit_map(path, "cpu"), rtol=1e-5)
    (_, here), (_, there) = (bits.context_maps(path, (20, 20), name) for name in (device, "cpu"))
    for name, values in here.items():
        np.testing.assert_allclose(values, there[name], rtol=1e-3, atol=1e-5)
    photograph(64, 64).save(tmp_path / "a.png")
    (row,) = skipping.measure([tmp_path / "a.png"], "mlicv2", gpu.device)
    assert row.selective.coded < row.plain.coded


def test_the_check_of_portability(gpu: Accelerator, only: Callable[[str], str]) -> None:
    """All settings of a decoder, and how far its scales are from the true ones."""
    pack = packs.load(packs.find(only("mlicv2 selective").split()[0]))
    jobs = jobs_of(pack, photograph(64, 64), (3.0,))
    settings = [Setting("", noise=0.5, device=name) for name in (str(gpu.device), "cpu")]
    gpu.reset()
    here, there = (decode_all(setting, pack, jobs) for setting in settings)
    if gpu.device.type == "cuda":  # with MPS it is the CPU that walks
        assert gpu.downloads > 0
    assert not any(here.failures.values())
    assert 0 < here.drift < 2 * there.drift


@pytest.mark.parametrize("quality", [3, 6])
def test_trials_in_bfloat16(
    gpu: Accelerator, only: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, quality: int
) -> None:
    """What an encoder only compares it makes so where the device is fast at it, as a CPU does."""
    monkeypatch.delenv("MLIC_BF16")
    monkeypatch.setattr(arithmetic, "_multiplies_bf16", lambda kind: True)
    name = only(INTEGERS)
    gpu.reset()
    file = saved(name, str(gpu.device), quality=quality)
    assert gpu.uploads > 0
    assert file == saved(name, "cpu", quality=quality)
