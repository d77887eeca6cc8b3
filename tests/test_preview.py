"""Previews: small enough, no torch, and nothing that a hostile file could use."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pillow_mlic import ContainerError
from pillow_mlic.format import container, preview
from pillow_mlic.format.container import Chunk, ChunkType

from .conftest import photograph

pytestmark = pytest.mark.usefixtures("small_weights")


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", optimize=False, **options)
    return buffer.getvalue()


def chunks_of(data: bytes) -> dict[int, bytes]:
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    return {p.type: container.read_chunk(fp, p) for p in container.scan(fp, header, len(data))}


def with_preview(data: bytes, new: bytes, **changes: object) -> bytes:
    """The file with another preview, all checksums right."""
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    places = container.scan(fp, header, len(data))
    chunks = [Chunk(p.type, container.read_chunk(fp, p)) for p in places]
    kept = [chunk for chunk in chunks if chunk.type != ChunkType.PREVIEW]
    out = io.BytesIO()
    container.write(out, header, [Chunk(ChunkType.PREVIEW, new), *kept])
    return out.getvalue()


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return photograph(900, 600)


@pytest.fixture(scope="module")
def coded(picture: Image.Image, small_pack_file: Path) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLIC_WEIGHTS", str(small_pack_file))
        patch.setenv("MLIC_BF16", "0")
        return saved(picture, preview=True)


def webp(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()


def test_a_thumbnail_comes_from_the_preview(picture: Image.Image, coded: bytes) -> None:
    data = chunks_of(coded)[ChunkType.PREVIEW]
    assert len(data) <= max(preview.SHARE * len(coded), preview.LEAST_BYTES)
    small = preview.from_bytes(data, picture.size, "RGB")
    assert small is not None
    with Image.open(io.BytesIO(coded)) as image:
        image.thumbnail((max(small.size), max(small.size)), reducing_gap=1.0)
        assert image.size == small.size
        assert image.tobytes() == small.tobytes()
        fair = picture.resize(image.size, Image.Resampling.LANCZOS)
        difference = np.asarray(image, dtype=float) - np.asarray(fair, dtype=float)
        assert np.abs(difference).mean() < 12


def test_drafts_are_never_smaller_than_asked_for(picture: Image.Image, coded: bytes) -> None:
    small = preview.from_bytes(chunks_of(coded)[ChunkType.PREVIEW], picture.size, "RGB")
    assert small is not None
    for asked, found in (
        (small.size, True),
        ((max(small.size), max(small.size)), True),
        ((small.width + 1, small.height + 1), False),
        ((2 * small.width, 2 * small.height), False),
    ):
        with Image.open(io.BytesIO(coded)) as image:
            got = image.draft(None, asked)
            assert (got is not None) == found
            assert image.size == (small.size if found else picture.size)
    with Image.open(io.BytesIO(coded)) as image:
        image.thumbnail((max(small.size) // 2, max(small.size) // 2))
        fair = small.resize(image.size, Image.Resampling.BICUBIC, reducing_gap=2.0)
        assert image.tobytes() == fair.tobytes()


@pytest.mark.parametrize("place", ["path", "name in another folder", "file", "no seeking"])
def test_regions_after_a_draft_are_of_the_picture(
    place: str, coded: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mlic").write_bytes(coded)
    monkeypatch.chdir(tmp_path)

    class Pipe(io.BytesIO):
        def seek(self, *_: object) -> int:
            raise io.UnsupportedOperation

    source = {
        "path": tmp_path / "a.mlic",
        "name in another folder": "a.mlic",
        "file": io.BytesIO(coded),
        "no seeking": Pipe(coded),
    }[place]
    box = (600, 400, 640, 430)
    with Image.open(io.BytesIO(coded)) as whole:
        expected = whole.decode_region(box).tobytes()
    with Image.open(source) as image:
        assert image.draft(None, (60, 40)) is not None
        monkeypatch.chdir(tmp_path.parent)
        for _ in range(2):
            assert image.decode_region(box).tobytes() == expected
        image.thumbnail((30, 30))
        assert image.decode_region(box).tobytes() == expected
        assert max(image.size) == 30
        with pytest.raises(ValueError, match="beyond the picture"):
            image.decode_region((0, 0, 901, 600))


def test_larger_thumbnails_come_from_the_picture(coded: bytes) -> None:
    with Image.open(io.BytesIO(coded)) as image:
        assert image.draft(None, (1200, 1200)) is None
        assert image.draft("L", (100, 100)) is None
        assert image.size == (900, 600)
        whole = image.copy()
        assert whole.size == (900, 600)
        assert image.draft(None, (100, 100)) is None  # decoded already


def test_a_grey_picture_stays_grey(picture: Image.Image) -> None:
    with Image.open(io.BytesIO(saved(picture.convert("L"), preview=True))) as image:
        image.thumbnail((64, 64))
        assert image.mode == "L"
        assert max(image.size) == 64


@pytest.mark.parametrize("options", [{}, {"preview": False}, {"preview": None}])
def test_none_unless_asked_for(picture: Image.Image, options: dict[str, object]) -> None:
    assert ChunkType.PREVIEW not in chunks_of(saved(picture, **options))


def test_none_for_small_and_transparent_pictures(picture: Image.Image) -> None:
    clear = picture.copy()
    clear.putalpha(128)
    for image in (photograph(700, 700), clear):
        assert ChunkType.PREVIEW not in chunks_of(saved(image, preview=True))


def test_the_picture_is_the_same_with_and_without(picture: Image.Image, coded: bytes) -> None:
    plain = chunks_of(saved(picture))
    assert {k: v for k, v in chunks_of(coded).items() if k != ChunkType.PREVIEW} == plain


@pytest.mark.parametrize(
    "target", [{"max_bytes": 60_000}, {"target_bpp": 1.0}, {"target_psnr": 24.75}]
)
def test_targets_count_the_preview(picture: Image.Image, target: dict[str, float]) -> None:
    data = saved(picture, preview=True, **target)
    small = chunks_of(data)[ChunkType.PREVIEW]
    assert len(small) <= max(preview.SHARE * len(data), preview.LEAST_BYTES)
    if "max_bytes" in target:
        assert len(data) <= 60_000
    if "target_bpp" in target:
        assert 8 * len(data) / (900 * 600) == pytest.approx(1.0, rel=0.011)


def test_a_flat_picture_far_below_its_target(picture: Image.Image) -> None:
    data = saved(Image.new("RGB", (900, 600), "teal"), preview=True, max_bytes=1_000_000)
    small = chunks_of(data).get(ChunkType.PREVIEW, b"")
    assert len(small) <= max(preview.SHARE * len(data), preview.LEAST_BYTES)


def hostile(picture: Image.Image) -> dict[str, bytes]:
    small = picture.resize((96, 64))
    good = webp(small, quality=40)
    huge = bytearray(good)
    huge[26:30] = b"\xff\x3f\xff\x3f"  # claims 16383 x 16383
    forged = bytearray(good)
    forged[26:30] = (90).to_bytes(2, "little") + (60).to_bytes(2, "little")
    return {
        "empty": b"",
        "noise": bytes(range(256)) * 4,
        "cut": good[: len(good) // 2],
        "lossless": webp(small, lossless=True),
        "animated": webp(small, save_all=True, append_images=[small.rotate(90)]),
        "of another shape": webp(picture.resize((64, 64))),
        "too large": webp(picture.resize((600, 400))),
        "of 268 megapixels": bytes(huge),
        "of another size than it says": bytes(forged),
        "of another format": b"\xff\xd8\xff" + bytes(2000),
        "of 100 kB": good + bytes(100_000),
    }


def test_previews_that_are_none_are_not_used(picture: Image.Image, coded: bytes) -> None:
    for what, data in hostile(picture).items():
        with Image.open(io.BytesIO(with_preview(coded, data))) as image:
            got = image.draft(None, (128, 128))
            if what == "of another size than it says":
                continue  # libwebp may or may not make a picture of it; its size is the claimed one
            assert got is None, what
            assert image.size == (900, 600)


def test_damage_to_the_preview_does_not_harm_the_picture(coded: bytes) -> None:
    damaged = bytearray(coded)
    damaged[damaged.index(b"WEBPVP8 ") + 40] ^= 0x55
    with Image.open(io.BytesIO(bytes(damaged))) as image:
        assert image.draft(None, (128, 128)) is None
        image.load()
        assert image.size == (900, 600)
    with pytest.raises(ContainerError), Image.open(io.BytesIO(bytes(damaged))) as image:
        image.verify()


def test_no_torch_for_a_thumbnail(tmp_path: Path, coded: bytes) -> None:
    (tmp_path / "x.mlic").write_bytes(coded)
    code = (
        "import sys, pillow_mlic\nfrom PIL import Image\n"
        "image = Image.open(sys.argv[1]); image.thumbnail((48, 48)); image.load()\n"
        "assert max(image.size) == 48, image.size\n"
        "print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x.mlic")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
