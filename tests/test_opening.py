"""Opening: with options, files of later versions, without torch, and by readers that use Pillow."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

import pillow_mlic
from pillow_mlic import packs, plugin, settings
from pillow_mlic.coding.decoder import Decoder
from pillow_mlic.engines import torch_engine
from pillow_mlic.models.layers import half

from .conftest import GOLDEN, photograph

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    pillow_mlic.register_mlic_opener()


@pytest.mark.usefixtures("small_weights")
def test_threads_are_those_chosen_while_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    decode = Decoder.decode_into

    def spy(*args: object, **options: object) -> None:
        seen.append(torch.get_num_threads())
        decode(*args, **options)

    monkeypatch.setattr(Decoder, "decode_into", spy)
    pillow_mlic.register_mlic_opener(threads=2)
    for _ in range(2):
        with Image.open(GOLDEN / "v2" / "rgb.mlic") as image:
            image.load()
        assert torch.get_num_threads() == 1
        pillow_mlic.register_mlic_opener()
    assert seen == [2, 1]


def test_a_folder_of_weights(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes((GOLDEN / "small.safetensors").read_bytes())
    with Image.open(GOLDEN / "v2" / "rgb.mlic") as image, pytest.raises(pillow_mlic.WeightsError):
        image.load()
    pillow_mlic.register_mlic_opener(weights_dir=tmp_path)
    assert packs.folders()[0] == tmp_path
    with Image.open(GOLDEN / "v2" / "rgb.mlic") as image:
        image.load()


def test_most_pixels() -> None:
    with Image.open(GOLDEN / "v2" / "rgb.mlic") as image:
        pixels = image.width * image.height
    pillow_mlic.register_mlic_opener(max_pixels=pixels)
    Image.open(GOLDEN / "v2" / "rgb.mlic").close()
    pillow_mlic.register_mlic_opener(max_pixels=pixels - 1)
    with pytest.raises(Image.DecompressionBombError, match=f"{pixels} pixels, more than"):
        Image.open(GOLDEN / "v2" / "rgb.mlic")


@pytest.mark.usefixtures("small_weights")
def test_a_device() -> None:
    pillow_mlic.register_mlic_opener(device="cpu")
    with Image.open(GOLDEN / "v2" / "rgb.mlic") as image:
        image.load()


@pytest.mark.parametrize("quality", [1, 4, 8])
def test_bf16_costs_next_to_nothing(quality: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less than 0.02 dB, with the bundled weights; on every processor, slow as it may be."""
    monkeypatch.setattr(torch_engine, "has_fast_bf16", lambda _: True)
    original = photograph(192, 160)
    file = io.BytesIO()
    original.save(file, "MLIC", quality=quality, model="mlicv2-lite")

    def error(precision: str) -> float:
        pillow_mlic.register_mlic_opener(precision=precision)
        with Image.open(file) as image:
            shown[precision] = np.asarray(image.convert("RGB"), np.float64)
        return float(np.square(shown[precision] - np.asarray(original)).mean())

    shown: dict[str, NDArray[np.float64]] = {}
    whole, halved = error("float32"), error("bf16")
    assert 0 < np.abs(shown["float32"] - shown["bf16"]).mean() < 0.2
    assert abs(10 * np.log10(halved / whole)) < 0.02


def test_bf16_is_not_used_where_it_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_engine, "has_fast_bf16", lambda _: False)
    monkeypatch.setattr(half, "HalfTokenMixing", None)
    pillow_mlic.register_mlic_opener(precision="bf16")
    monkeypatch.setenv("MLIC_WEIGHTS", str(GOLDEN))
    with Image.open(GOLDEN / "v2" / "rgb.mlic") as image:
        image.load()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"threads": True}, "threads is True"),
        ({"max_pixels": "many"}, "max_pixels is 'many'"),
        ({"weights_dir": "nowhere"}, "no folder"),
        ({"device": "abacus"}, "abacus"),
        ({"precision": "half"}, "precision is 'half'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], sentence: str) -> None:
    before = settings._chosen
    with pytest.raises(ValueError, match=sentence):
        pillow_mlic.register_mlic_opener(**options)
    assert settings._chosen == before


def test_a_version_of_the_future_is_named() -> None:
    """By `_accept`, so that Pillow says why it cannot identify the file."""
    data = bytearray((GOLDEN / "v2" / "rgb.mlic").read_bytes())
    data[8] = 0x30 | data[8] & 0x0F
    reason = plugin._accept(bytes(data[:16]))
    assert reason == (
        "this .mlic file has format version 3, but this program reads versions 1 and 2: "
        "update pillow-mlic"
    )
    with (
        pytest.warns(UserWarning, match="format version 3"),
        pytest.raises(Image.UnidentifiedImageError),
    ):
        Image.open(io.BytesIO(bytes(data)))


WITHOUT_TORCH = """
import sys
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Nowhere())
import pillow_mlic
from PIL import Image
image = Image.open(sys.argv[1])
print(image.size, image.info["quality"])
for work in (image.load, lambda: Image.new("RGB", (9, 9)).save(sys.argv[2], refine=1)):
    try:
        work()
    except ImportError as error:
        print(error)
"""


def test_without_torch_a_header_can_be_read_and_a_sentence_says_what_to_install(
    tmp_path: Path,
) -> None:
    command = [
        sys.executable,
        "-c",
        WITHOUT_TORCH,
        GOLDEN / "v2" / "rgb.mlic",
        tmp_path / "new.mlic",
    ]
    environment = {**os.environ, "MLIC_WEIGHTS": str(GOLDEN / "small.safetensors")}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment
    )
    first, *sentences = done.stdout.splitlines()
    assert first == "(150, 100) 5.0"
    assert len(sentences) == 2
    assert all("pip install 'pillow-mlic[torch]'" in sentence for sentence in sentences)
    assert not (tmp_path / "new.mlic").exists()


@pytest.mark.usefixtures("small_weights")
def test_imageio(tmp_path: Path) -> None:
    """imageio goes through Pillow for extensions that it does not know."""
    iio = pytest.importorskip("imageio.v3")
    pixels = iio.imread(GOLDEN / "v2" / "rgb.mlic", plugin="pillow")
    with Image.open(GOLDEN / "v2" / "rgb.mlic") as image:
        assert np.array_equal(pixels, np.asarray(image))
    assert np.array_equal(iio.imread(GOLDEN / "v2" / "rgb.mlic"), pixels)
    iio.imwrite(tmp_path / "x.mlic", pixels, quality=5)
    assert iio.improps(tmp_path / "x.mlic").shape == pixels.shape


@pytest.mark.usefixtures("small_weights")
def test_loaders_as_torchvision_has_them() -> None:
    """`pil_loader`: open a file, hand it to Image.open, convert."""
    with open(GOLDEN / "v2" / "rgb.mlic", "rb") as file:
        image = Image.open(file).convert("RGB")
    assert image.size == (150, 100)
