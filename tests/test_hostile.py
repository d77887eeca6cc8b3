"""Files with false claims are refused with a sentence, and before memory is taken."""

import io
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

import pillow_mlic
from pillow_mlic import DecodeError, packs
from pillow_mlic.engines.arithmetic import plain_arithmetic
from pillow_mlic.entropy.payload import Payload, PayloadError
from pillow_mlic.entropy.range_coder import available_backends
from pillow_mlic.entropy.walk import EncodingCoder
from pillow_mlic.format import alpha, container, leb128
from pillow_mlic.format.container import Chunk, ChunkType, ContainerError, DamagedError, Header
from pillow_mlic.format.tiles import chunk_of
from pillow_mlic.models.base import Latents

from .conftest import GOLDEN, photograph

pytestmark = pytest.mark.usefixtures("small_weights")


def parts(data: bytes) -> tuple[Header, list[Chunk]]:
    """Header and chunks of a whole file."""
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    places = container.scan(fp, header, len(data))
    return header, [Chunk(place.type, container.read_chunk(fp, place)) for place in places]


def whole(header: Header, chunks: list[Chunk]) -> io.BytesIO:
    fp = io.BytesIO()
    container.write(fp, header, chunks)
    return io.BytesIO(fp.getvalue())


@pytest.fixture(scope="module")
def rgb() -> tuple[Header, list[Chunk]]:
    return parts((GOLDEN / "v2" / "rgb.mlic").read_bytes())


@pytest.fixture(scope="module")
def la() -> tuple[Header, list[Chunk]]:
    return parts((GOLDEN / "v2" / "la.mlic").read_bytes())


# Header


def test_weights_of_another_model(rgb: tuple[Header, list[Chunk]]) -> None:
    header, chunks = rgb
    with (
        Image.open(whole(replace(header, model=2), chunks)) as image,
        pytest.raises(DecodeError, match=r"its model is mlic\+\+, but its weights \(small\)"),
    ):
        image.load()


def test_a_model_that_nobody_knows(rgb: tuple[Header, list[Chunk]]) -> None:
    header, chunks = rgb
    with (
        Image.open(whole(replace(header, model=200), chunks)) as image,
        pytest.raises(DecodeError, match="model number 200"),
    ):
        image.load()


def test_pillows_rules_for_decompression_bombs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applied by `Image.open` to what the header claims, and by decode_region to the box."""
    tile = Chunk(ChunkType.TILE, bytes(5))

    def bomb(width: int, height: int) -> io.BytesIO:
        header = Header("RGB", width, height, 1, bytes(8), 0, tile_code=container.MAX_TILE_CODE)
        return whole(header, [tile] * header.grid.count)

    with pytest.raises(Image.DecompressionBombError):
        Image.open(bomb(20_000, 20_000))
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(bomb(10_000, 10_000))
    with pytest.raises(Image.DecompressionBombError, match="MAX_IMAGE_PIXELS"):
        pillow_mlic.decode_region(bomb(20_000, 20_000), (0, 0, 20_000, 20_000))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    Image.open(bomb(20_000, 20_000))


def test_a_picture_of_sixteen_million_pixels_a_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """2^36 tiles claimed in a file of 40 bytes; asked for a corner, also in part."""
    header = Header("RGB", container.MAX_SIDE, container.MAX_SIDE, 1, bytes(8), 0, tile_code=0)
    data = header.to_bytes() + b"\x41\x05" + bytes(9)
    with pytest.raises(ContainerError, match="too few for the 68719476736 tiles"):
        pillow_mlic.decode_region(io.BytesIO(small_hash(data)), (0, 0, 9, 9))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with pytest.raises(ContainerError, match="not one tile"):
        pillow_mlic.decode_region(io.BytesIO(small_hash(data)), (0, 0, 9, 9))


def small_hash(data: bytes) -> bytes:
    """The same file with the hash of the small pack in its header."""
    header = container.read_header(io.BytesIO(data))
    pack = parts((GOLDEN / "v2" / "rgb.mlic").read_bytes())[0].pack
    return replace(header, pack=pack).to_bytes() + data[header.byte_length :]


# Metadata


def test_metadata_are_bounded(tmp_path: Path) -> None:
    """What `Image.open` reads is at most 16 MiB a chunk, whatever a file claims or has."""
    long = bytes(container.MAX_METADATA_BYTES + 1)
    for name in ("exif", "icc_profile", "xmp"):
        with pytest.raises(ValueError, match=f"{name} has 16777217 bytes, but MLIC files hold"):
            photograph(8, 8).save(tmp_path / "x.mlic", **{name: long})
    assert not (tmp_path / "x.mlic").exists()
    header = Header("RGB", 8, 8, 1, bytes(8), 0)
    head = header.to_bytes() + bytes([ChunkType.EXIF]) + leb128.encode(4 << 30)
    path = tmp_path / "sparse.mlic"
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(5 << 30)  # a hole: it takes no room on the disk
    with pytest.raises(DamagedError, match="its EXIF chunk claims to have 4294967296 bytes"):
        Image.open(path)


# Alpha


def bombs(la: tuple[Header, list[Chunk]]) -> dict[str, bytes]:
    width, height = la[0].width, la[0].height
    size = width * height
    buffer = io.BytesIO()
    Image.new("RGB", (width, height + 1)).save(buffer, "WEBP", lossless=True)
    lossy = io.BytesIO()
    Image.new("RGB", (width, height)).save(lossy, "WEBP", quality=50)
    good = next(chunk.data for chunk in la[1] if chunk.type == ChunkType.ALPHA)
    webp = alpha.to_bytes(photograph(width, height).convert("L"))
    assert webp[:1] == b"W"
    large = bytearray(webp)
    large[22:26] = b"\xff\xff\xff\x0f"  # 16384 x 16384
    return {
        "nothing": b"",
        "unknown": b"X" + good[1:],
        "zlib bomb": b"Z" + zlib.compress(bytes(200 << 20))[: 2 * size],
        "zlib, one too many": b"Z" + zlib.compress(bytes(size + 1)),
        "zlib, one too few": b"Z" + zlib.compress(bytes(size - 1)),
        "zlib, cut": b"Z" + zlib.compress(bytes(size))[:-1],
        "zlib, wrong sum": b"Z" + zlib.compress(bytes(size))[:-1] + b"?",
        "webp of another size": b"W" + buffer.getvalue(),
        "webp that claims to be huge": bytes(large),
        "webp with losses": b"W" + lossy.getvalue(),
        "webp, cut": webp[:-9],
        "webp, only a head": webp[:20],
        "png": b"W\x89PNG\r\n\x1a\n" + bytes(40),
    }


def test_alpha_of_every_wrong_kind(
    la: tuple[Header, list[Chunk]], monkeypatch: pytest.MonkeyPatch
) -> None:
    header, chunks = la
    for name, data in bombs(la).items():
        forged = [replace(c, data=data) if c.type == ChunkType.ALPHA else c for c in chunks]
        fp = whole(header, forged)
        with pytest.raises(ContainerError, match="transparency"), Image.open(fp) as image:
            image.load()
        with monkeypatch.context() as patch:
            patch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
            with Image.open(fp) as image:
                assert image.getchannel("A").getextrema() == (255, 255), name


@given(st.data())
@settings(deadline=None, max_examples=60)
def test_any_box_of_an_alpha_plane(data: st.DataObject) -> None:
    width, height = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    right, bottom = data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))
    plane = photograph(width, height).convert("L")
    for coded in (alpha.to_bytes(plane), b"Z" + zlib.compress(plane.tobytes())):
        part = alpha.from_bytes(coded, plane.size, (left, top, right, bottom))
        assert part.tobytes() == plane.crop((left, top, right, bottom)).tobytes()


# What limits are worth is seen where memory is short.

BOMB = """
import io, resource, zlib
from PIL import Image
from pillow_mlic.format import alpha
from pillow_mlic.format.container import DamagedError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

side = 1 << 16
coded = b"Z" + zlib.compress(bytes(1 << 28))
before = peak()
box = (side - 10, 0, side, 4000)
assert alpha.from_bytes(coded, (side, side), box).getextrema() == (0, 0)
try:
    alpha.from_bytes(coded, (side, side), (0, side - 5, side, side))
except DamagedError:
    print(peak() - before)
"""


def test_a_box_of_a_huge_alpha_plane_takes_little_memory() -> None:
    """A plane of 4 gigapixels, of which zlib data hold a sixteenth."""
    done = subprocess.run([sys.executable, "-c", BOMB], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64, "MiB"


# Payload


@given(st.lists(st.integers(0, 2**35 - 1), max_size=30), st.binary(max_size=9))
@settings(deadline=None, max_examples=100)
def test_corrections_are_read_as_the_numbers_that_they_are(numbers: list[int], rest: bytes) -> None:
    head = bytes(4) + leb128.encode(len(numbers))
    data = head + b"".join(leb128.encode(number) for number in numbers) + rest
    positions = np.cumsum([number >> 1 for number in numbers])
    rises = len(numbers) == len(set(positions.tolist()))
    if numbers and (not rises or positions[-1] >= 2**34):
        with pytest.raises(PayloadError, match="correction"):
            Payload.from_bytes(data, 2**34)
        return
    payload = Payload.from_bytes(data, 2**34)
    assert payload.corrections.positions.tolist() == positions.tolist()
    assert payload.corrections.sides.tolist() == [number & 1 for number in numbers]
    assert payload.stream == rest


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        (b"\x01", "than bytes"),
        (b"\x02\x80", "than bytes"),
        (b"\x02\x80\x80", "cut short"),
        (b"\x01\x80\x00", "shortest form"),
        (b"\x01\xff\xff\xff\xff\xff\x01", "too long"),
        (b"\x02\x02\x00", "two corrections"),
        (b"\x01\xc8\x01", "beyond the last"),
        (b"\x7f" + b"\x02" * 127, "more corrections than latents"),
        (b"\x80\x00", "shortest form"),
    ],
)
def test_wrong_corrections(listed: bytes, sentence: str) -> None:
    with pytest.raises(PayloadError, match=sentence):
        Payload.from_bytes(bytes(4) + listed, 100)


def test_a_long_list_of_corrections_takes_memory_like_its_bytes() -> None:
    import tracemalloc

    count = 1 << 20
    data = bytes(4) + leb128.encode(count) + b"\x02" * count
    tracemalloc.start()
    try:
        Payload.from_bytes(data, 1 << 25)
        assert tracemalloc.get_traced_memory()[1] < 100 * count
    finally:
        tracemalloc.stop()


# Streams that are in order, of symbols that no picture gives


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("size", [1e3, 1e7, 1e30])
@pytest.mark.parametrize("guard_code", [0, container.GUARD_BANDS.index(1e-5)])
def test_a_forger_who_knows_the_format(
    backend: str, size: float, guard_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Latents without bounds, every checksum right: some picture or a refusal, nothing else."""
    monkeypatch.setenv("MLIC_RANGE_CODER", backend)
    pack = packs.load(packs.find())
    cpu = torch.device("cpu")
    model = pack.canonical(cpu)
    generator = torch.Generator().manual_seed(0)
    y = size * torch.randn(1, 4, 4, model.channels[0], generator=generator)
    z = size * torch.randn(1, 1, 1, model.channels[1], generator=generator)
    header = Header("RGB", 64, 64, 1, pack.hash, 40_000, guard_code=guard_code)
    coder = EncodingCoder(Latents(y, z), pack.tables, header.guard)
    quality = torch.tensor([header.quality], dtype=torch.float64)
    with plain_arithmetic(cpu):
        model.entropy(quality, (1, 1), coder)
    (payload,) = coder.payloads()
    with Image.open(whole(header, [chunk_of(header, payload.to_bytes())])) as image:
        try:
            image.load()
        except DecodeError:
            assert guard_code, "float64 decodes what float64 encoded"


# Tiles that do not stand where they were written


def tiles_of(data: bytes) -> list[tuple[int, int]]:
    """Where each tile's chunk begins and ends."""
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    start, spans = fp.tell(), []
    for place in container.scan(fp, header, len(data)):
        end = place.offset + place.length + 4
        if place.type == ChunkType.TILE:
            spans.append((start, end))
        start = end
    return spans


@pytest.mark.parametrize("source", ["the same file", "another file"])
def test_tiles_that_were_moved_are_found(small_weights: Path, source: str) -> None:
    """By `load`, by `verify`, and by whoever decodes a region that needs one of them."""
    files = []
    for seed in (0, 1):
        buffer = io.BytesIO()
        photograph(320, 64, seed=seed).save(buffer, "MLIC", tile=64, optimize=False)
        files.append(buffer.getvalue())
    data, other = files
    assert data[:20] == other[:20]  # one header: size, quality and weights are the same
    (s1, e1), (s3, e3) = tiles_of(data)[1], tiles_of(data)[3]
    if source == "the same file":
        moved = data[:s1] + data[s3:e3] + data[e1:s3] + data[s1:e1] + data[e3:]
    else:
        start, end = tiles_of(other)[1]
        moved = data[:s1] + other[start:end] + data[e1:]
    with Image.open(io.BytesIO(moved)) as image, pytest.raises(DamagedError, match="tile 2"):
        image.load()
    with Image.open(io.BytesIO(moved)) as image, pytest.raises(DamagedError, match="tile 2"):
        image.verify()
    with pytest.raises(DamagedError, match="tile 2"):
        pillow_mlic.decode_region(io.BytesIO(moved), (70, 0, 80, 10))
