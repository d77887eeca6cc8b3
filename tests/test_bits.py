"""Where the bits went."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillow_mlic import ContainerError
from pillow_mlic.diagnostics.bits import bit_map
from pillow_mlic.errors import DecodeError

from .conftest import photograph


def saved(image: Image.Image, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **options)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("tile", [2048, 64])
def test_blocks_add_up_to_the_file(small_weights: Path, tile: int) -> None:
    file = saved(photograph(192, 128), tile=tile)
    bits = bit_map(file)
    assert bits.shape == (8, 12)
    tiles = 6 if tile == 64 else 1
    overhead = 8 * (40 + 30 * tiles)  # header; checksum, corrections and the coder's end per tile
    assert 0.97 * bits.sum() <= 8 * len(file.getvalue()) <= 1.03 * bits.sum() + overhead


def test_busy_blocks_cost_more(small_weights: Path) -> None:
    pixels = np.array(photograph(128, 128))
    pixels[:64, 64:] = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    bits = bit_map(saved(Image.fromarray(pixels)))
    assert bits[:4, 4:].min() > bits[4:, :4].max()


def test_padding_is_left_out(small_weights: Path) -> None:
    assert bit_map(saved(photograph(70, 33))).shape == (3, 5)


def test_progress_and_paths(small_weights: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.mlic"
    path.write_bytes(saved(photograph(64, 64)).getvalue())
    shares: list[float] = []
    assert bit_map(path, progress=shares.append).sum() > 0
    assert shares[-1] == 1.0


def test_files_of_other_kinds_are_refused(small_weights: Path) -> None:
    with pytest.raises(ContainerError, match="its signature is missing"):
        bit_map(io.BytesIO(b"\x89PNG" * 20))


def test_a_stream_that_lies_is_refused(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(photograph(64, 64))
    monkeypatch.setattr("pillow_mlic.entropy.payload.checksum", lambda symbols: -1)
    with pytest.raises(DecodeError, match="does not decode"):
        bit_map(file)


def test_lossless_tiles_are_even(small_weights: Path) -> None:
    """By their pixels: the blocks at the lower and right edge have fewer."""
    bits = bit_map(saved(photograph(70, 40), lossless=True))
    assert bits.shape == (3, 5)
    assert bits[0, 0] > 0
    assert bits[:2, :4] == pytest.approx(bits[0, 0])
    assert bits[2, 4] == pytest.approx(bits[0, 0] * 8 * 6 / 256)
    file = saved(photograph(70, 40), lossless=True, tile=64)
    assert 0.7 < bit_map(file).sum() / (8 * len(file.getvalue())) < 1
