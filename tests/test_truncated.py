"""LOAD_TRUNCATED_IMAGES: what is there of a file that ends early, and nothing that is damaged."""

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFile

import pillow_mlic
from pillow_mlic.coding.transforms import Transforms
from pillow_mlic.entropy import range_coder
from pillow_mlic.format import container, leb128
from pillow_mlic.format.container import Chunk, ChunkType, ContainerError

from .conftest import photograph

pytestmark = pytest.mark.usefixtures("small_weights")


@pytest.fixture
def truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **{"optimize": False, "quality": 6, **options})
    return buffer.getvalue()


def pixels(data: bytes) -> "np.ndarray":
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"), float)


def gap(data: bytes, whole: "np.ndarray") -> float:
    return float(np.abs(pixels(data) - whole).mean())


@pytest.mark.parametrize("file", ["integer_pack_file", "small_pack_file"])
@pytest.mark.parametrize("backend", range_coder.available_backends())
def test_the_first_slices_of_one_tile(
    file: str,
    backend: str,
    truncated: None,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In integers and in floating point; the more is there, the nearer it comes."""
    monkeypatch.setenv("MLIC_WEIGHTS", str(request.getfixturevalue(file)))
    monkeypatch.setenv("MLIC_RANGE_CODER", backend)
    data = saved(photograph(200, 120))
    whole = pixels(data)
    blank = float(np.abs(128 - whole).mean())
    size = len(data)
    gaps = [gap(data[: size - lost], whole) for lost in (1, 4, size // 10, size // 3)]
    assert gaps[0] == 0  # the checksum alone is missing
    assert gaps[1] < 1
    assert max(gaps) < blank
    slices = [pillow_mlic.decode_slices(io.BytesIO(data), k).tobytes() for k in range(4)]
    cut = [pixels(data[:end]).astype(np.uint8).tobytes() for end in range(60, size, 97)]
    assert any(each in slices[:-1] for each in cut)


def test_a_wrong_checksum_is_not_an_early_end(truncated: None) -> None:
    data = bytearray(saved(photograph(200, 120)))
    data[-30] ^= 1
    with pytest.raises(ContainerError, match="not one tile"):
        pixels(bytes(data))


def test_a_file_that_ends_in_its_second_tile(truncated: None) -> None:
    data = saved(photograph(256, 64), tile=128)
    whole = pixels(data)
    header = container.read_header(fp := io.BytesIO(data))
    _first, second = container.scan(fp, header, len(data))
    half = pixels(data[: second.offset + second.length // 2])
    lost = pixels(data[: second.offset - 1])
    assert np.abs(half[:, :96] - whole[:, :96]).max() <= 1
    right = slice(160, None)
    error = [np.abs(each[:, right] - whole[:, right]).mean() for each in (half, lost)]
    assert 0 < error[0] < error[1]


def test_without_the_option_nothing_changed() -> None:
    data = saved(photograph(200, 120))
    for end in (len(data) - 1, len(data) // 2):
        with pytest.raises(container.TruncatedError):
            pixels(data[:end])


@pytest.mark.parametrize("end", range(0, 200, 7))
def test_any_end(end: int, truncated: None) -> None:
    """A picture or an error that is permitted."""
    data = saved(photograph(72, 70), tile=64, xmp=b"text")
    with contextlib.suppress(OSError, pillow_mlic.DecodeError):
        assert pixels(data[:end]).shape == (70, 72, 3)


def test_missing_tiles_cost_no_network(truncated: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that claims 13000 x 13000 pixels, of which one tile is there, or its start."""
    small = saved(photograph(64, 64), tile=64)
    real = container.read_header(fp := io.BytesIO(small))
    tile = container.read_chunk(fp, container.scan(fp, real, len(small))[-1])
    claim = replace(real, width=13_000, height=13_000)
    buffer = io.BytesIO()
    container.write(buffer, claim, [Chunk(ChunkType.TILE, tile)] * claim.grid.count)
    end = claim.byte_length + 1 + len(leb128.encode(len(tile))) + len(tile) + 4
    regions: list[object] = []
    synthesise = Transforms.synthesise

    def count(self: Transforms, latents: object, box: object) -> object:
        regions.append(box)
        return synthesise(self, latents, box)

    monkeypatch.setattr(Transforms, "synthesise", count)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    for size in (end, end - 40):
        data = buffer.getvalue()[:size]
        assert len(data) < 2000
        with Image.open(io.BytesIO(data)) as image:
            assert image.getpixel((12_999, 12_999)) == (128, 128, 128)
        assert len(regions) == 1
        regions.clear()
