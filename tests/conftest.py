"""Shared fixtures: a small model, so that most tests cost milliseconds."""

import importlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import pillow_mlic  # noqa: F401
from pillow_mlic import packs
from pillow_mlic.engines import devices, onnx_graphs
from pillow_mlic.models.lite_config import LiteConfig

if TYPE_CHECKING:
    from pillow_mlic.models.mlicv2_lite import MlicV2Lite

GOLDEN = Path(__file__).parent / "data"
"""Written by scripts/make_golden.py: a small untrained pack, files and what they decode to."""

WITH_INTEGERS = GOLDEN / "whole.safetensors"
"""What the fixture `integer_pack_file` makes, for environments without torch."""

SMALL = LiteConfig(
    width4=48,
    width8=64,
    width16=96,
    depth8=1,
    depth16=1,
    latents=48,
    hyper_latents=8,
    hyper_width=32,
    context_width=32,
    slices=(8, 16, 24),
)


FAST = {
    "test_actions",
    "test_attention",
    "test_bits",
    "test_container",
    "test_docs",
    "test_docs_python",
    "test_entropy",
    "test_evaluation",
    "test_golden",
    "test_hostile",
    "test_import",
    "test_metadata",
    "test_opening",
    "test_plugin",
    "test_range_coder",
    "test_state",
}
"""Modules whose tests are marked `fast`, for scripts/check: no training, no network at full width,
few processes. CONTRIBUTING.md says how quick they must be."""


READERS = {
    "test_actions",
    "test_as_pillow",
    "test_bulk",
    "test_cli",
    "test_container",
    "test_engines",
    "test_golden",
    "test_lossless",
    "test_metadata",
    "test_mixed",
    "test_plugin",
    "test_preview",
    "test_qt_without_torch",
    "test_range_coder",
    "test_state",
}
"""Modules with tests for readers and writers without torch; where it is missing, others are not
collected, and of these the tests marked `torch` are skipped."""

collect_ignore: list[str] = []
if not devices.has_torch():
    here = Path(__file__).parent
    modules = [*here.glob("*/test_*.py"), *here.glob("test_*.py")]
    collect_ignore += [str(file) for file in modules if file.stem not in READERS]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("torch") and not devices.has_torch():
            item.add_marker(pytest.mark.skip(reason="torch is not installed"))
        if item.path.stem in FAST:
            item.add_marker(pytest.mark.fast)


os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# One thread a process: several workers with several threads each are slower than none.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The small pack has a configuration of its own.
onnx_graphs.folders.append(GOLDEN / "graphs")


def qt_works() -> bool:
    """Whether there is PySide6, the libraries of the system that it needs, and pytest-qt."""
    try:
        importlib.import_module("PySide6.QtWidgets")
        importlib.import_module("pytestqt")
    except ImportError:
        return False
    return True


pytest_plugins = ["pytestqt.plugin"] if qt_works() else []

if devices.has_torch():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No surprises from the caller's settings, nor from weights that the caller has installed."""
    for name in ("WEIGHTS", "DEVICE", "ENGINE", "ONNX_PROVIDERS", "RANGE_CODER"):
        monkeypatch.delenv(f"MLIC_{name}", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(GOLDEN / "nothing"))
    monkeypatch.setenv("MLIC_BF16", "0")  # encoders look at the same pixels on every processor


def photograph(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth colourful picture with edges and some texture, the same on every machine."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / 40
    planes = [
        128 + 60 * np.sin(x * a + b) + 40 * np.cos(y * c) + 20 * (np.sin(x * y / 9) > 0.3)
        for a, b, c in random.uniform(0.3, 1.5, (3, 3))
    ]
    noisy = np.stack(planes, -1) + random.normal(0, 4, (height, width, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def make_small_model(seed: int = 0) -> "MlicV2Lite":
    """A small model fitted to the pictures of `photograph`, with some life in every layer."""
    from pillow_mlic.models.mlicv2_lite import MlicV2Lite

    torch.manual_seed(seed)
    model = MlicV2Lite(SMALL)
    pixels = np.asarray(photograph(512, 512, seed=1)).reshape(32, 16, 32, 16, 3)
    patches = torch.from_numpy(pixels.transpose(0, 2, 1, 3, 4).reshape(-1, 16, 16, 3).copy())
    model.start_from_data(patches.float() / 255)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("spatial_out.weight", "gate_out.weight", "around.weight")):
                parameter.normal_(std=0.02)
    return model


@pytest.fixture(scope="session")
def small_model() -> "MlicV2Lite":
    return make_small_model().eval()


@pytest.fixture(scope="session")
def small_pack_file() -> Path:
    """A small pack; without torch one with integers."""
    return GOLDEN / "small.safetensors" if devices.has_torch() else WITH_INTEGERS


@pytest.fixture
def small_weights(monkeypatch: pytest.MonkeyPatch, small_pack_file: Path) -> Path:
    """Make the small pack the one that saving uses and opening finds."""
    monkeypatch.setenv("MLIC_WEIGHTS", str(small_pack_file))
    return small_pack_file


@pytest.fixture(scope="session")
def small_pack(small_pack_file: Path) -> packs.Pack:
    return packs.load(packs.inspect(small_pack_file))


@pytest.fixture(scope="session")
def integer_pack_file(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    """A pack of the small model that carries integers."""
    if not devices.has_torch():
        return WITH_INTEGERS
    from pillow_mlic.training.export import examples, write_half

    small_model = request.getfixturevalue("small_model")
    path = tmp_path_factory.mktemp("packs") / "whole.safetensors"
    pictures = [np.asarray(photograph(192, 128, seed=seed)) for seed in (1, 2)]
    measured = examples(small_model, pictures, (1.0, 4.0, 8.0))
    write_half(path, "mlicv2-lite", small_model, {"distortion": "psnr"}, measured)
    return path
