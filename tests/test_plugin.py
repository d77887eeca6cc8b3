"""The format as users of Pillow meet it."""

import io
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, UnidentifiedImageError

import pillow_mlic
from pillow_mlic import ContainerError, DecodeError, WeightsError, packs

from .conftest import photograph

pytestmark = pytest.mark.usefixtures("small_weights")


def saved(image: Image.Image, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **options)
    buffer.seek(0)
    return buffer


def psnr(a: Image.Image, b: Image.Image) -> float:
    difference = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    return float(10 * np.log10(255**2 / (difference**2).mean()))


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_native_modes_come_back(mode: str) -> None:
    image = photograph(200, 90).convert(mode)
    if mode.endswith("A"):
        image.putalpha(photograph(200, 90, seed=5).convert("L"))
    again = Image.open(saved(image, quality=8))
    assert again.mode == mode
    assert again.size == image.size
    assert psnr(again.convert("RGB"), image.convert("RGB")) > 25
    if mode.endswith("A"):
        assert again.getchannel("A").tobytes() == image.getchannel("A").tobytes()


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB")],
)
def test_other_modes_are_converted(mode: str, expected: str) -> None:
    again = Image.open(saved(photograph(64, 64).convert(mode)))
    assert again.mode == expected
    again.load()


def test_palette_with_transparency_becomes_rgba() -> None:
    image = photograph(64, 64).convert("P")
    image.info["transparency"] = 3
    again = Image.open(saved(image))
    assert again.mode == "RGBA"
    assert again.getchannel("A").tobytes() == image.convert("RGBA").getchannel("A").tobytes()


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_wide_modes_are_refused_with_advice(mode: str) -> None:
    with pytest.raises(OSError, match="convert to 'L' first"):
        saved(Image.new(mode, (8, 8)))


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (64, 64), (65, 63), (129, 17)])
def test_any_size(size: tuple[int, int]) -> None:
    image = photograph(*size)
    again = Image.open(saved(image, quality=6))
    assert again.size == size
    again.load()


def test_tiles_do_not_show(small_weights: Path) -> None:
    image = photograph(300, 200)
    whole = np.asarray(Image.open(saved(image, quality=5)), dtype=int)
    tiled = np.asarray(Image.open(saved(image, quality=5, tile=64)), dtype=int)
    assert np.abs(whole - tiled).mean() < 1


def test_size_rises_with_quality() -> None:
    image = photograph(192, 128)
    sizes = [len(saved(image, quality=q).getvalue()) for q in (1, 2.5, 4, 6, 8)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("quality", [0, 0.99, 8.01, 75, float("nan"), "high", True])
def test_bad_quality_is_a_value_error(quality: object) -> None:
    with pytest.raises(ValueError, match="from 1 to 8"):
        saved(photograph(8, 8), quality=quality)


def test_quality_comes_back_in_info() -> None:
    image = Image.open(saved(photograph(40, 30), quality=3.7))
    assert image.info["quality"] == pytest.approx(3.7, abs=1e-3)
    assert image.info["model"] == "mlicv2-lite"
    assert image.info["bpp"] > 0


def test_unknown_model_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="mlicv2-lite"):
        saved(photograph(8, 8), model="mlic-17")


def test_paths_file_objects_and_names(tmp_path: Path) -> None:
    image = photograph(32, 32)
    path = tmp_path / "a.mlic"
    image.save(path)
    image.save(str(tmp_path / "b.mlic"))
    with open(tmp_path / "c.mlic", "wb") as file:
        image.save(file, format="MLIC")
    assert path.read_bytes() == (tmp_path / "b.mlic").read_bytes()
    assert path.read_bytes() == (tmp_path / "c.mlic").read_bytes()
    with Image.open(path) as again:
        assert again.format == "MLIC"
        assert again.get_format_mimetype() == "image/x-mlic"
        again.load()
    path.unlink()


def test_metadata_round_trip() -> None:
    image = photograph(16, 16)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    again = Image.open(saved(image, exif=exif, icc_profile=icc, xmp="<x:xmpmeta/>"))
    assert again.getexif()[0x0112] == 6
    assert again.getexif()[0x010F] == "maker"
    assert again.info["icc_profile"] == icc
    assert again.info["xmp"] == b"<x:xmpmeta/>"
    copied = Image.open(saved(again))
    assert copied.info["icc_profile"] == icc
    assert copied.getexif()[0x0112] == 6
    bare = Image.open(saved(again, exif=None, icc_profile=None, xmp=None))
    assert not {"exif", "icc_profile", "xmp"} & set(bare.info)


@pytest.mark.parametrize(
    ("mode", "value", "expected"), [("L", 7, "LA"), ("RGB", (1, 2, 3), "RGBA")]
)
def test_transparent_colour_becomes_alpha(mode: str, value: object, expected: str) -> None:
    image = photograph(16, 16).convert(mode)
    image.putpixel((0, 0), value)
    image.info["transparency"] = value
    again = Image.open(saved(image))
    assert again.mode == expected
    assert again.getchannel("A").getpixel((0, 0)) == 0


def test_metadata_of_a_wrong_kind() -> None:
    with pytest.raises(ValueError, match="icc_profile must be bytes"):
        saved(photograph(8, 8), icc_profile=17)


def test_progress_and_cancellation() -> None:
    seen: list[float] = []
    buffer = saved(photograph(100, 100), progress=seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)

    def stop(_: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        saved(photograph(100, 100), progress=stop)
    image = Image.open(buffer)
    with pytest.raises(InterruptedError):
        image.decode(progress=stop)
    assert image.decode().size == (100, 100)


def test_same_bytes_and_pixels_from_several_threads() -> None:
    image = photograph(120, 80)
    reference = saved(image).getvalue()
    pixels = Image.open(io.BytesIO(reference)).tobytes()
    failures: list[str] = []

    def work() -> None:
        data = saved(image).getvalue()
        if data != reference:
            failures.append("bytes")
        if Image.open(io.BytesIO(data)).tobytes() != pixels:
            failures.append("pixels")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_opened_images_copy_pickle_and_close() -> None:
    image = Image.open(saved(photograph(40, 30)))
    copy = image.copy()
    assert copy.size == (40, 30)
    assert pickle.loads(pickle.dumps(image)).tobytes() == copy.tobytes()
    image.close()


# ---- bad files -----------------------------------------------------------------------------------


def test_not_a_mlic_file() -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"not a picture at all, and long enough"))


def test_every_truncation_is_an_error_with_a_sentence() -> None:
    data = saved(photograph(64, 64)).getvalue()
    for length in range(len(data)):
        with pytest.raises(OSError, match=r"\w+ \w+ \w+"):
            Image.open(io.BytesIO(data[:length])).load()


@pytest.mark.filterwarnings("ignore:this .mlic file has format version")
def test_every_flipped_byte_is_an_error() -> None:
    data = saved(photograph(64, 64)).getvalue()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x41
        with pytest.raises(OSError, match=r"\w+ \w+ \w+"):
            Image.open(io.BytesIO(bytes(damaged))).load()


def test_flipped_payload_with_a_matching_chunk_checksum_is_still_found() -> None:
    """The symbols' own checksum tells what the container's cannot."""
    from pillow_mlic.format import container

    data = saved(photograph(96, 96)).getvalue()
    stream = io.BytesIO(data)
    header = container.read_header(stream)
    (place,) = container.scan(stream, header, len(data))
    tile = container.read_chunk(stream, place)
    random = np.random.default_rng(0)
    for _ in range(40):
        damaged = bytearray(tile)
        damaged[random.integers(len(tile))] ^= 1 << random.integers(8)
        out = io.BytesIO()
        container.write(out, header, [container.Chunk(container.ChunkType.TILE, bytes(damaged))])
        with pytest.raises(DecodeError, match="do not decode"):
            Image.open(io.BytesIO(out.getvalue())).load()


def test_wrong_weights_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data = saved(photograph(32, 32))
    monkeypatch.delenv("MLIC_WEIGHTS")
    monkeypatch.setattr("pillow_mlic.packs.store.folders", lambda: [tmp_path])
    image = Image.open(data)
    with pytest.raises(WeightsError, match="written with the weights"):
        image.load()


@pytest.mark.torch
def test_mlic_weights_goes_before_what_is_bundled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_weights: Path
) -> None:
    """A pack of any name, chosen by the user, beats one that is called like the model."""
    bundled = tmp_path / "mlicv2-lite.safetensors"
    bundled.write_bytes(small_weights.read_bytes())
    monkeypatch.setattr("pillow_mlic.packs.store.folders", lambda: [tmp_path])
    assert packs.find("mlicv2-lite").path == small_weights
    assert packs.find("small").path == small_weights
    monkeypatch.delenv("MLIC_WEIGHTS")
    assert packs.find("mlicv2-lite").path == bundled
    monkeypatch.setenv("MLIC_WEIGHTS", str(tmp_path / "misspelt"))
    with pytest.raises(WeightsError, match="misspelt"):
        packs.find()


def test_verify_checks_every_checksum() -> None:
    data = bytearray(saved(photograph(64, 64), exif=b"II*\0\x08\0\0\0\0\0\0\0\0\0").getvalue())
    Image.open(io.BytesIO(bytes(data))).verify()
    data[-10] ^= 1
    with pytest.raises(ContainerError):
        Image.open(io.BytesIO(bytes(data))).verify()


def test_loaded_pixels_may_be_changed(tmp_path: Path) -> None:
    """... and the file is closed, so it may be written over."""
    path = tmp_path / "x.mlic"
    for mode, colour in (("RGB", (1, 2, 3)), ("L", 7)):
        photograph(32, 16).convert(mode).save(path)
        image = Image.open(path)
        access = image.load()
        assert access is not None
        access[0, 0] = colour
        assert image.getpixel((0, 0)) == colour
        image.save(path)


def test_thumbnail() -> None:
    image = Image.open(saved(photograph(200, 100)))
    image.thumbnail((50, 50))
    assert image.size == (50, 25)


def test_damaged_metadata_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(saved(photograph(16, 16), xmp=b"some text").getvalue())
    data[data.index(b"some text")] ^= 1
    with pytest.raises(ContainerError, match="XMP"):
        Image.open(io.BytesIO(bytes(data)))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    image = Image.open(io.BytesIO(bytes(data)))
    image.load()
    assert "xmp" not in image.info


@pytest.mark.torch
def test_device_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLIC_DEVICE", "abacus")
    with pytest.raises(ValueError, match="abacus"):
        saved(photograph(8, 8))
    saved(photograph(8, 8), device="cpu")
    pillow_mlic.set_device("cpu")
    try:
        saved(photograph(8, 8))
    finally:
        pillow_mlic.set_device(None)


def test_truncated_files_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photograph(128, 64)
    data = saved(image, quality=6, tile=64).getvalue()
    with pytest.raises(ContainerError):
        Image.open(io.BytesIO(data[:-20])).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    half = Image.open(io.BytesIO(data[:-20]))
    left = (0, 0, 48, 64)
    assert psnr(half.crop(left), image.crop(left)) > 20


def test_newer_version_says_update() -> None:
    data = bytearray(saved(photograph(8, 8)).getvalue())
    data[8] = 0x90 | data[8] & 0x0F
    with (
        pytest.warns(UserWarning, match="update pillow-mlic"),
        pytest.raises(UnidentifiedImageError),
    ):
        Image.open(io.BytesIO(bytes(data)))
