"""What the worker processes do, called directly."""

import dataclasses
import io
import math
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from pillow_mlic_gui import boxes, file_jobs, jobs, pictures
from pillow_mlic_gui import raster as rasters
from pillow_mlic_gui.file_jobs import Conversion
from pillow_mlic_gui.progress import LOADING
from pillow_mlic_gui.raster import Raster
from pillow_mlic_gui.state import Goal, GoalKind
from pillow_mlic_gui.worker import CancelledError

from ..conftest import photograph
from .test_view import profile_with_swapped_primaries


def silent(*_: object) -> None:
    """Nobody looks."""


def quality(value: float) -> Goal:
    return Goal(GoalKind.QUALITY, value)


@pytest.mark.parametrize("codec", ["mlic", "jpeg", "webp", "avif"])
def test_encoding_measures_the_file(
    small_weights: Path, raster: Raster, tmp_path: Path, codec: str
) -> None:
    goal = quality(3 if codec == "mlic" else 50)
    coded = jobs.encode(silent, raster, codec, goal, "cpu", tmp_path / "out")
    with Image.open(io.BytesIO(coded.data)) as image:
        decoded = image.convert("RGB")
    assert np.array_equal(coded.raster.level(0), np.asarray(decoded))
    error = np.mean((raster.level(0).astype(float) - np.asarray(decoded)) ** 2)
    assert coded.psnr == pytest.approx(10 * math.log10(255**2 / error))
    assert coded.size == len(coded.data)
    assert coded.bpp == 8 * coded.size / (96 * 64)
    assert coded.encode_seconds > 0 < coded.decode_seconds


@pytest.mark.parametrize("codec", ["mlic", "jpeg", "webp"])
def test_goals_are_met(small_weights: Path, raster: Raster, tmp_path: Path, codec: str) -> None:
    middle = quality(4 if codec == "mlic" else 55)
    model = jobs.encode(silent, raster, codec, middle, "cpu", tmp_path / "a")
    near = Goal(GoalKind.NEAR_BYTES, model.size)
    assert jobs.encode(silent, raster, codec, near, "cpu", tmp_path / "b").size == pytest.approx(
        model.size, rel=0.02
    )
    below = Goal(GoalKind.MAX_BYTES, model.size - 1)
    assert jobs.encode(silent, raster, codec, below, "cpu", tmp_path / "c").size < model.size
    same = Goal(GoalKind.PSNR, model.psnr)
    found = jobs.encode(silent, raster, codec, same, "cpu", tmp_path / "d")
    assert found.psnr == pytest.approx(model.psnr, abs=0.3)


def test_refined_files(small_weights: Path, raster: Raster, tmp_path: Path) -> None:
    """Other files of the same quality; a size is met by the refined file."""
    once = jobs.Effort(refine=1)
    plain = jobs.encode(silent, raster, "mlic", quality(4), "cpu", tmp_path / "a")
    refined = jobs.encode(
        silent, raster, "mlic", quality(4), "cpu", tmp_path / "b", effort=jobs.Effort(1)
    )
    assert refined.quality == plain.quality
    assert refined.data != plain.data
    most = Goal(GoalKind.MAX_BYTES, plain.size)
    found = jobs.encode(silent, raster, "mlic", most, "cpu", tmp_path / "c", effort=once)
    assert found.size <= plain.size


@pytest.mark.parametrize(
    ("goal", "steps", "phases"),
    [
        (quality(3), 0, ["encoding", "decoding"]),
        (quality(3), 2, ["refining 1 of 2", "refining 2 of 2", "decoding"]),
        (Goal(GoalKind.NEAR_BYTES, 700), 0, ["searching a size", "decoding"]),
    ],
)
def test_what_is_done_is_told(
    small_weights: Path, raster: Raster, tmp_path: Path, goal: Goal, steps: int, phases: list[str]
) -> None:
    heard: list[tuple[float, str]] = []
    effort = jobs.Effort(refine=steps)
    jobs._warmed.clear()
    jobs.encode(
        lambda share, phase="": heard.append((share, phase)),
        raster, "mlic", goal, "cpu", tmp_path / "a", effort,
    )  # fmt: skip
    told = list(dict.fromkeys(phase for _, phase in heard if phase))
    assert told == [LOADING, *phases]
    shares = [share for share, _ in heard]
    assert shares == sorted(shares)
    assert 0.85 < shares[-1] <= 1 or goal.kind != GoalKind.QUALITY


def test_impossible_sizes_are_refused(raster: Raster, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot make this picture smaller than"):
        jobs.encode(silent, raster, "jpeg", Goal(GoalKind.MAX_BYTES, 10), None, tmp_path / "x")


def test_transparency(small_weights: Path, tmp_path: Path) -> None:
    image = photograph(80, 64).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    source = rasters.write(image, tmp_path / "p")
    for codec in ("mlic", "webp"):
        goal = quality(3 if codec == "mlic" else 70)
        coded = jobs.encode(silent, source, codec, goal, "cpu", tmp_path / codec)
        assert coded.raster.mode == "RGBA"
        assert 15 < coded.psnr < 60
    with pytest.raises(ValueError, match="JPEG cannot hold transparency"):
        jobs.encode(silent, source, "jpeg", quality(70), None, tmp_path / "j")


def test_grey_pictures_stay_grey(small_weights: Path, tmp_path: Path) -> None:
    source = rasters.write(photograph(80, 64).convert("L"), tmp_path / "p")
    coded = jobs.encode(silent, source, "mlic", quality(3), "cpu", tmp_path / "c")
    assert coded.raster.mode == "L"


def test_being_unwanted_stops_an_encode(
    small_weights: Path, raster: Raster, tmp_path: Path
) -> None:
    def unwanted(share: float, _: str = "") -> None:
        if share > 0.2:
            raise CancelledError

    with pytest.raises(CancelledError):
        jobs.encode(unwanted, raster, "mlic", quality(3), "cpu", tmp_path / "x")


def test_similarity(tmp_path: Path) -> None:
    a = rasters.write(photograph(192, 168), tmp_path / "a")
    assert jobs.similarity(silent, a, a) == pytest.approx(1)
    small = rasters.write(photograph(100, 168), tmp_path / "b")
    assert jobs.similarity(silent, small, small) is None


def test_points_and_bit_maps(small_weights: Path, raster: Raster, tmp_path: Path) -> None:
    coded = jobs.encode(silent, raster, "mlic", quality(3), "cpu", tmp_path / "x")
    assert jobs.point(silent, raster, "mlic", 3.0, "cpu") == (coded.size, coded.psnr)
    found = jobs.bit_map(silent, coded.data, "cpu")
    assert found.bits.shape == found.lossless.shape == (4, 6)
    assert not found.lossless.any()
    exact = io.BytesIO()
    raster.image().save(exact, format="MLIC", lossless=True)
    assert jobs.bit_map(silent, exact.getvalue(), "cpu").lossless.all()


def test_files_of_the_same_picture(raster: Raster, tmp_path: Path) -> None:
    photograph(96, 64).save(tmp_path / "v.webp", quality=40)
    coded = jobs.load_version(silent, raster, tmp_path / "v.webp", tmp_path / "x")
    assert coded.encode_seconds is None
    assert coded.size == (tmp_path / "v.webp").stat().st_size
    assert 20 < coded.psnr < 45
    photograph(90, 64).save(tmp_path / "w.webp")
    with pytest.raises(ValueError, match="only pictures of one size"):
        jobs.load_version(silent, raster, tmp_path / "w.webp", tmp_path / "y")


def made(raster: Raster, codec: str, data: bytes = b"") -> jobs.CodedPicture:
    return jobs.CodedPicture(codec, 50, data, 30.0, 0.1, 0.1, raster)


class TestSaving:
    def test_metadata_are_written_or_not(
        self, small_weights: Path, raster: Raster, tmp_path: Path
    ) -> None:
        coded = jobs.encode(silent, raster, "mlic", quality(3), "cpu", tmp_path / "c")
        exif = Image.Exif()
        exif[0x010F] = "maker"
        kept = {"exif": exif.tobytes()}
        for metadata in ({}, kept):
            size, _ = file_jobs.save(silent, raster, coded, "cpu", metadata, tmp_path / "o.mlic")
            with Image.open(tmp_path / "o.mlic") as image:
                assert bool(image.getexif()) == bool(metadata)
                image.load()
            assert (size == coded.size) == (not metadata)

    def test_a_folder_that_is_not_there_is_made(self, raster: Raster, tmp_path: Path) -> None:
        target = tmp_path / "new" / "x.jpg"
        file_jobs.save(silent, raster, made(raster, "jpeg", b"bytes"), None, {}, target)
        assert target.read_bytes() == b"bytes"

    def test_colour_profiles_are_not_lost(self, raster: Raster, tmp_path: Path) -> None:
        pytest.importorskip("pillow_jxl")
        target = tmp_path / "x.jxl"
        wide = {"icc_profile": profile_with_swapped_primaries()}
        with pytest.raises(ValueError, match="cannot write this picture's colour profile"):
            file_jobs.save(silent, raster, made(raster, "jxl"), None, wide, target)
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        coded = made(raster, "jxl", b"file")
        assert file_jobs.save(silent, raster, coded, None, {"icc_profile": srgb}, target).size == 4

    @pytest.mark.parametrize("codec", ["avif", "jxl"])
    def test_nothing_is_encoded_again_for_metadata(
        self, raster: Raster, tmp_path: Path, codec: str
    ) -> None:
        if codec == "jxl":
            pytest.importorskip("pillow_jxl")
        coded = jobs.encode(silent, raster, codec, quality(40), None, tmp_path / "c")
        heard: list[str] = []
        size, note = file_jobs.save(
            lambda _, phase="": heard.append(phase),
            raster, coded, None, {"exif": a_maker()}, tmp_path / "o",
        )  # fmt: skip
        assert not note
        assert "encoding again, with metadata" not in heard
        assert coded.size < size < coded.size + 400
        with Image.open(tmp_path / "o") as image:
            assert image.getexif()[0x010F] == "maker"
            assert np.array_equal(np.asarray(image.convert("RGB")), coded.raster.level(0))

    def test_what_is_encoded_again_has_the_pixels_of_the_screen(
        self, raster: Raster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        coded = jobs.encode(silent, raster, "avif", quality(40), None, tmp_path / "c")
        kept = {"exif": a_maker()}
        # Whatever cannot be put in, or comes back with other pixels.
        wrong = jobs.encode(silent, raster, "avif", quality(10), None, tmp_path / "w")
        for made in (None, wrong.data, b"no picture"):
            monkeypatch.setattr(file_jobs, "splice", lambda *_, made=made: made)
            heard: list[str] = []
            written = file_jobs.save(
                lambda _, phase="", heard=heard: heard.append(phase),
                raster, coded, None, kept, tmp_path / "o.avif",
            )  # fmt: skip
            assert "encoding again, with metadata" in heard
            assert "encoded again" in written.note
            with Image.open(tmp_path / "o.avif") as image:
                assert np.array_equal(np.asarray(image.convert("RGB")), coded.raster.level(0))
                assert image.getexif()[0x010F] == "maker"
        other = dataclasses.replace(coded, quality=70)
        with pytest.raises(ValueError, match="makes other pixels"):
            file_jobs.save(silent, raster, other, None, kept, tmp_path / "p.avif")
        assert not (tmp_path / "p.avif").exists()

    def test_a_batch_writes_exif_of_jpeg_xl_where_others_look_for_it(self, raster: Raster) -> None:
        pytest.importorskip("pillow_jxl")
        kept = {"exif": a_maker()}
        coder = jobs.PictureCoder(raster.image(), "jxl", None, silent, metadata=kept)
        assert dict(boxes.read(coder.encode(50)))[b"Exif"][:4] == bytes(4)


def a_maker() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "maker"
    return exif.tobytes()


class TestConverting:
    def test_one_file(self, small_weights: Path, small_photo: Path, tmp_path: Path) -> None:
        how = Conversion("mlic", quality(3), "cpu")
        found = file_jobs.convert(silent, small_photo, how, tmp_path / "o.mlic")
        assert found.before == small_photo.stat().st_size
        assert found.after == (tmp_path / "o.mlic").stat().st_size
        assert found.notes == ()

    def test_limits_hold_with_metadata(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x010E] = "words " * 80
        source = tmp_path / "s.jpg"
        photograph(96, 64).save(source, quality=95, exif=exif)
        limit = Goal(GoalKind.MAX_BYTES, 2500)
        how = Conversion("webp", limit)
        found = file_jobs.convert(silent, source, how, tmp_path / "o.webp")
        assert 1200 < found.after <= 2500
        with Image.open(tmp_path / "o.webp") as image:
            assert image.getexif()[0x010E].startswith("words")
        bare = Conversion("webp", limit, keep_metadata=False)
        file_jobs.convert(silent, source, bare, tmp_path / "bare.webp")
        with Image.open(tmp_path / "bare.webp") as image:
            assert not image.getexif()


class TestOpening:
    def opened(self, path: Path | bytes, tmp_path: Path) -> pictures.Picture:
        return jobs.open_picture(silent, path, "name", tmp_path / "pixels")

    def test_tiff_files_keep_exif(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        exif[0x010F] = "maker"
        photograph(40, 30).save(tmp_path / "x.tif", exif=exif)
        picture = self.opened(tmp_path / "x.tif", tmp_path)
        assert picture.raster.size == (30, 40)
        kept = Image.Exif()
        kept.load(picture.exif or b"")
        assert dict(kept) == {0x010F: "maker"}

    def test_profiles_of_other_colours_are_dropped(self, tmp_path: Path) -> None:
        icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
        icc[16:20] = b"GRAY"
        photograph(40, 30).save(tmp_path / "x.png", icc_profile=bytes(icc))
        assert self.opened(tmp_path / "x.png", tmp_path).icc is None
        photograph(40, 30).convert("L").save(tmp_path / "y.png", icc_profile=bytes(icc))
        assert self.opened(tmp_path / "y.png", tmp_path).icc == icc

    def test_turned_upright_with_metadata(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        exif[0x010F] = "maker"
        icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        photograph(40, 30).save(tmp_path / "x.jpg", exif=exif, icc_profile=icc)
        picture = self.opened(tmp_path / "x.jpg", tmp_path)
        assert picture.raster.size == (30, 40)
        assert picture.format == "JPEG"
        assert picture.icc == icc
        assert set(picture.metadata(True)) == {"icc_profile", "exif"}
        assert set(picture.metadata(False)) == {"icc_profile"}
        assert picture.metadata_bytes(True) > len(icc)
        kept = Image.Exif()
        kept.load(picture.exif)
        assert kept[0x010F] == "maker"
        assert kept.get(0x0112, 1) == 1

    @pytest.mark.parametrize(
        ("mode", "becomes"), [("1", "L"), ("L", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("LA", "RGBA")]
    )
    def test_modes(self, tmp_path: Path, mode: str, becomes: str) -> None:
        image = photograph(40, 30).convert(mode)
        if mode == "LA":
            image.putalpha(Image.linear_gradient("L").resize((40, 30)))
        image.save(tmp_path / "x.tif")
        assert self.opened(tmp_path / "x.tif", tmp_path).raster.mode == becomes

    def test_opaque_transparency_is_left_out(self, tmp_path: Path) -> None:
        photograph(40, 30).convert("RGBA").save(tmp_path / "x.png")
        assert self.opened(tmp_path / "x.png", tmp_path).raster.mode == "RGB"

    def test_sixteen_bits(self, tmp_path: Path) -> None:
        ramp = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
        Image.fromarray(ramp).save(tmp_path / "x.png")
        picture = self.opened(tmp_path / "x.png", tmp_path)
        assert picture.raster.level(0).max() == 255
        assert picture.raster.level(0).mean() == pytest.approx(127.5, abs=1)
        assert picture.notes
        floats = (ramp / 65535).astype(np.float32)
        Image.fromarray(floats).save(tmp_path / "f.tif")
        assert self.opened(tmp_path / "f.tif", tmp_path).raster.level(0).max() == 255

    def test_bytes_and_mlic(self, small_weights: Path, tmp_path: Path) -> None:
        buffer = io.BytesIO()
        photograph(40, 30).save(buffer, "MLIC", quality=2)
        picture = self.opened(buffer.getvalue(), tmp_path)
        assert (picture.path, picture.format) == (None, "MLIC")
        assert picture.file_bytes == len(buffer.getvalue())

    def test_broken_profiles_of_inks(self, tmp_path: Path) -> None:
        image = photograph(40, 30).convert("CMYK")
        image.info["icc_profile"] = b"broken"
        plain, icc, _ = pictures.to_plain(image)
        assert (plain.mode, icc) == ("RGB", None)


@pytest.mark.skipif(os.name != "posix", reason="a pipe as POSIX has it")
def test_pipes_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    signal.alarm(20)  # ends the tests rather than let them wait for ever
    try:
        with pytest.raises(ValueError, match="is a pipe or a device, not a file"):
            pictures.load(tmp_path / "x.png")
    finally:
        signal.alarm(0)
