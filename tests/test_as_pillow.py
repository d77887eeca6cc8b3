"""What Pillow's own tests of AVIF and WebP ask, function by function, asked of this format.

Facts only: the tests are our own. Where a test is elsewhere, its name is enough to find it.

Before the colon what is asked (names of tests of avif and webp), behind it where it is asked here.

- unsupported, unsupported_open: test_opening: torch is missing; test_plugin:
  newer_version_says_update
- version, codec_version: `mlic --version`; there is no library whose version matters
- read, read_rgb, write_rgb: test_plugin: native_modes_come_back; test_golden; test_kind_and_frame
- *Encoder/*Decoder_with_invalid_args, encoder_finish_none_error: no: nothing in C takes options
- invalid_dimensions: test_plugin: any_size; test_no_pixels_and_too_many
- write_encoding_error_bad_dimension, _message: test_no_pixels_and_too_many; the format has no
  limit near theirs
- no_resource_warning, file_pointer_could_be_reused: test_files_are_left_as_they_were
- accept_ftyp_brands, heif_raises_unidentified: test_plugin: not_a_mlic_file
- invalid_file: test_an_invalid_file: an OSError with a sentence, not a SyntaxError
- background_from_gif, save_single_frame, p_mode_transparency: test_gifs_and_palettes
- roundtrip_rgba_palette, write_unsupported_mode_L, _P: test_gifs_and_palettes; test_plugin:
  native and other modes
- unsupported_image_mode: test_plugin: wide_modes_are_refused_with_advice
- load_transparent_rgb, save_transparent, read_rgba, write_rgba, alpha_premultiplied:
  test_transparency; no premultiplied colours: they would lose
- write_rgba_keep_transparent, write_rgba_with_exact: test_transparency; README says which colours
  are kept
- write_lossless_rgb (both), alpha_quality: test_lossless: every_pixel_comes_back; alpha is exact
  at all qualities
- icc_profile, save_, discard_, roundtrip_, roundtrip_no_icc_profile: test_plugin:
  metadata_round_trip; test_metadata: options_win, profiles_of_other_colours
- exif, exif_save, exif_without_orientation, rot_mir_exif: test_exif_of_every_orientation; the
  picture itself is never turned
- exif_invalid: test_metadata: no_exif_is_no_error. AVIF raises SyntaxError, WebP and HEIF write
  it; so do we, and do not show it
- xmp, xmp_save, getxmp: test_metadata: xmp_is_inherited; test_xmp_as_text
- read_icc_profile: test_metadata
- read_exif_metadata (both), write_exif_metadata, write_icc_metadata, read_no_exif: test_metadata.
  read_no_exif is otherwise: EXIF is inherited, as HEIF does it and AVIF for XMP
- write_animated_metadata, save_all, n_frames, write_animation_*, sequence_dimension_mismatch,
  timestamp_and_duration, seeking, duration, invalid_background, and all of webp_animated:
  test_inputs: saving_several_frames_is_refused. There is no animation
- tell, seek, seek_errors: test_kind_and_frame
- encoder_subsampling*, encoding_subsampling_400, encoder_range*, *_codec_*, advanced_*,
  *_optimizations, write_method: no such options; what is not known is left alone, as Pillow's
  formats do
- encoder_quality_valueerror: test_plugin: bad_quality_is_a_value_error
- decoder_strict_flags: test_container: unknown chunks that are not critical
- leak_load: test_loading_leaks_nothing
"""

import gc
import io
import warnings
from pathlib import Path

import pytest
from PIL import ExifTags, Image

import pillow_mlic
from pillow_mlic.format import container

from .conftest import photograph

pytestmark = pytest.mark.usefixtures("small_weights")


def saved(image: Image.Image, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **{"optimize": False, **options})
    return buffer


def test_kind_and_frame() -> None:
    with Image.open(saved(photograph(24, 16))) as image:
        assert (image.format, image.get_format_mimetype()) == ("MLIC", "image/x-mlic")
        assert image.tell() == 0
        assert (image.n_frames, image.is_animated) == (1, False)
        image.seek(0)
        for frame in (-1, 1, 42):
            with pytest.raises(EOFError):
                image.seek(frame)
        image.load()


def test_no_pixels_and_too_many(tmp_path: Path) -> None:
    for size in ((0, 0), (0, 9), (9, 0)):
        with pytest.raises(ValueError, match="without pixels"):
            Image.new("RGB", size).save(tmp_path / "x.mlic")
    long = Image.new("L", (container.MAX_SIDE + 1, 1))
    with pytest.raises(ValueError, match="at most 16777215"):
        long.save(tmp_path / "x.mlic", lossless=True)
    assert not list(tmp_path.iterdir())


def test_files_are_left_as_they_were(tmp_path: Path) -> None:
    """No handle stays open, and a stream that is the caller's can be used again."""
    path = tmp_path / "x.mlic"
    path.write_bytes(saved(photograph(24, 16)).getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Image.open(path) as image:
            image.save(tmp_path / "y.mlic", lossless=True)
        Image.open(path).load()
        gc.collect()
    with open(path, "rb") as file:
        for _ in range(2):
            with Image.open(file) as image:
                image.load()
        assert not file.closed


def test_an_invalid_file() -> None:
    jpeg = io.BytesIO()
    photograph(24, 16).save(jpeg, "JPEG")
    jpeg.seek(0)
    with pytest.raises(OSError, match=r"not a \.mlic file"):
        pillow_mlic.MlicImageFile(jpeg)


def test_gifs_and_palettes(tmp_path: Path) -> None:
    gif = tmp_path / "x.gif"
    first = photograph(24, 16).quantize(16)
    first.save(gif, save_all=True, append_images=[first.rotate(180)], background=3)
    with Image.open(gif) as image:
        want = image.convert("RGB")
        with Image.open(saved(image, lossless=True)) as back:
            assert back.tobytes() == want.tobytes()
            back.save(gif)
    with Image.open(gif) as again:
        gap = zip(again.convert("RGB").getpixel((1, 1)), want.getpixel((1, 1)), strict=True)
        assert max(abs(a - b) for a, b in gap) <= 6
    clear = Image.new("P", (64, 64))
    clear.paste(255, (0, 0, 32, 32))
    clear.info["transparency"] = 0
    palette = Image.new("RGBA", (1, 1)).convert("P")
    assert palette.palette.mode == "RGBA"
    for image in (clear, palette):
        with Image.open(saved(image)) as back:
            assert back.mode == "RGBA"
            assert back.getchannel("A").tobytes() == image.convert("RGBA").getchannel("A").tobytes()


def test_transparency() -> None:
    flat = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    with Image.open(saved(flat)) as image:
        assert image.getcolors() == [(100, (0, 0, 0, 0))]
    image = photograph(70, 50).convert("RGBA")
    image.putalpha(photograph(70, 50, seed=4).convert("L").point(lambda v: 0 if v < 90 else v))
    for options in ({"quality": 1}, {"quality": 8}, {"lossless": True}):
        with Image.open(saved(image, **options)) as back:
            assert back.getchannel("A").tobytes() == image.getchannel("A").tobytes()
            exact = back.tobytes() == image.tobytes()
            assert exact == ("lossless" in options)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_of_every_orientation(orientation: int, plain: bool) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = exif.tobytes()
    image = photograph(24, 16)
    with Image.open(saved(image, lossless=True, exif=data if plain else exif)) as back:
        assert back.getexif()[ExifTags.Base.Orientation] == orientation
        assert back.info["exif"] == data.removeprefix(b"Exif\0\0")
        assert back.size == (24, 16)
        assert back.tobytes() == image.tobytes()
        with Image.open(saved(back, lossless=True)) as again:
            assert again.info["exif"] == back.info["exif"]


def test_xmp_as_text() -> None:
    text = '<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="tëst"></x:xmpmeta>'
    with Image.open(saved(photograph(24, 16), xmp=text)) as image:
        assert image.info["xmp"] == text.encode()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux says what is in memory")
@pytest.mark.parametrize("lossless", [True, False])
def test_loading_leaks_nothing(lossless: bool) -> None:
    """A hundred pictures of 100 kB take less than ten of them, once the first ones were loaded."""
    data = saved(photograph(200, 170), lossless=lossless).getvalue()

    def load(times: int) -> int:
        for _ in range(times):
            with Image.open(io.BytesIO(data)) as image:
                image.load()
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    before = load(30)
    assert load(100) - before < 1_000_000
