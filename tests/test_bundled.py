"""The weights that come with the package, on a piece of a real photograph."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic import packs
from pillow_mlic.entropy.payload import CHECKSUM_BYTES
from pillow_mlic.evaluation.metrics import psnr
from pillow_mlic.format import container

from .coders import coding_of, encode

PHOTOGRAPH = Path(__file__).parent / "data" / "photograph.png"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    with Image.open(PHOTOGRAPH) as image:
        return image.convert("RGB")


@pytest.fixture(scope="module")
def pack() -> packs.Pack:
    return packs.load(packs.find())


def test_bytes_and_fidelity_rise_with_quality(photograph: Image.Image) -> None:
    sizes, fidelity = [], []
    for quality in np.arange(1, 8.1, 0.5):
        buffer = io.BytesIO()
        photograph.save(buffer, "MLIC", quality=float(quality))
        sizes.append(buffer.tell())
        fidelity.append(psnr(photograph, Image.open(buffer)))
    assert sizes == sorted(set(sizes))
    assert fidelity == sorted(set(fidelity))


def test_better_than_jpeg_by_a_third(photograph: Image.Image) -> None:
    """At the size of a JPEG of quality 50, well over a decibel more."""
    buffer = io.BytesIO()
    photograph.save(buffer, "JPEG", quality=50, optimize=True, progressive=True)
    jpeg, jpeg_psnr = buffer.tell(), psnr(photograph, Image.open(buffer).convert("RGB"))
    best = 0.0
    for quality in np.arange(1, 8.1, 0.5):
        buffer = io.BytesIO()
        photograph.save(buffer, "MLIC", quality=float(quality))
        if buffer.tell() <= jpeg * 2 / 3:
            best = psnr(photograph, Image.open(buffer))
    assert best > jpeg_psnr


@pytest.mark.parametrize("quality", [1.0, 4.0, 8.0])
def test_real_bytes_are_within_one_percent_of_the_estimate(
    photograph: Image.Image, pack: packs.Pack, quality: float
) -> None:
    pixels = np.asarray(photograph)
    encoded = encode(pixels, coding_of(pack, quality), estimate=True)
    assert encoded.estimated_bits is not None
    fixed = 8 * (4 + 1 + 8)  # checksum, number of corrections, state of the coder
    assert 8 * len(encoded.tiles[0]) - fixed == pytest.approx(encoded.estimated_bits, rel=0.01)


def test_container_costs_forty_bytes_at_most(photograph: Image.Image) -> None:
    """Everything in the file but the range-coded stream."""
    buffer = io.BytesIO()
    photograph.resize((768, 512)).save(buffer, "MLIC")
    header = container.read_header(buffer.seek(0) or buffer)
    (tile,) = container.scan(buffer, header, len(buffer.getvalue()))
    stream = len(container.read_chunk(buffer, tile)) - CHECKSUM_BYTES
    assert len(buffer.getvalue()) - stream <= 40


def test_the_pack_is_small_and_says_where_it_comes_from(pack: packs.Pack) -> None:
    assert pack.file.path.stat().st_size <= 25_000_000
    assert {"steps", "hours", "pictures"} <= set(pack.file.card)


@pytest.mark.parametrize("quality", [1.0, 8.0])
def test_training_in_bfloat16_shows_pixels_as_they_are_to_a_fifth_of_a_level(
    photograph: Image.Image, pack: packs.Pack, quality: float
) -> None:
    """Sums and the layers between stages are float32: all in bfloat16 is half of a level off."""
    pixels = torch.from_numpy(np.array(photograph.crop((0, 0, 128, 128))))[None].float() / 255
    wanted = torch.tensor([quality])
    network = pack.model(CPU)

    def shown(half: bool) -> torch.Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            y = network.latents(pixels, wanted).y
            return 255 * network.synthesis(y, wanted)

    error = float((shown(True) - shown(False)).square().mean().sqrt())
    assert 0 < error < 0.2
