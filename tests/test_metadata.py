"""What is written of EXIF, XMP and colour profiles: what the picture has now, and nothing else."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps

from pillow_mlic.conversion import upright

from .conftest import photograph

pytestmark = pytest.mark.usefixtures("small_weights")

GPS, SUB, ORIENTATION = ExifTags.IFD.GPSInfo, ExifTags.IFD.Exif, ExifTags.Base.Orientation
TURNED = b'<x:xmpmeta xmlns:tiff="t" tiff:Orientation="6" a="b"/>'


def stored(image: Image.Image, **options: object) -> Image.Image:
    """The picture as it is opened again."""
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", lossless=True, **options)
    return Image.open(buffer)


def exif_with_gps() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "maker"
    exif.get_ifd(SUB)[ExifTags.Base.LensModel] = "lens"
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0)})
    read = Image.Exif()
    read.load(exif.tobytes())  # TIFF's writer wants it so
    return read


def opened(format_: str, **options: object) -> Image.Image:
    buffer = io.BytesIO()
    photograph(24, 16).save(buffer, format_, **options)
    return Image.open(buffer)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "MLIC"])
@pytest.mark.parametrize("looked", [False, True])
def test_a_place_that_was_deleted_stays_deleted(format_: str, looked: bool) -> None:
    image = opened(format_, exif=exif_with_gps())
    whole = stored(image).getexif()
    assert dict(whole.get_ifd(GPS)) == {1: "N", 2: (52.0, 31.0, 12.0)}
    assert whole.get_ifd(SUB)[ExifTags.Base.LensModel] == "lens"
    if looked:
        assert image.getexif().get_ifd(GPS)
    del image.getexif()[GPS]
    again = stored(image)
    assert GPS not in again.getexif()
    assert again.getexif()[ExifTags.Base.Make] == "maker"
    assert again.getexif().get_ifd(SUB)[ExifTags.Base.LensModel] == "lens"


def test_untouched_exif_keeps_its_bytes() -> None:
    image = opened("JPEG", exif=exif_with_gps())
    assert stored(image).info["exif"] == image.info["exif"].removeprefix(b"Exif\0\0")
    dict(image.getexif())
    assert stored(image).info["exif"] == image.info["exif"].removeprefix(b"Exif\0\0")


def test_a_value_put_on_a_new_image_is_written() -> None:
    image = photograph(16, 16)
    image.getexif()[ExifTags.Base.Make] = "me"
    assert stored(image).getexif()[ExifTags.Base.Make] == "me"
    image = photograph(16, 16)
    image.getexif().get_ifd(GPS)[1] = "S"
    assert stored(image).getexif().get_ifd(GPS)[1] == "S"
    assert "exif" not in stored(photograph(16, 16)).info


def test_exif_deleted_from_info_is_not_written() -> None:
    image = opened("JPEG", exif=exif_with_gps())
    assert image.getexif()
    del image.info["exif"]
    assert "exif" not in stored(image).info


def test_options_win() -> None:
    image = opened("PNG", exif=exif_with_gps())
    image.info["xmp"] = TURNED
    other = Image.Exif()
    other[ExifTags.Base.Make] = "other"
    assert dict(stored(image, exif=other).getexif()) == {ExifTags.Base.Make: "other"}
    assert stored(image, xmp="<a/>").info["xmp"] == b"<a/>"
    for nothing in (None, b""):
        bare = stored(image, exif=nothing, xmp=nothing)
        assert not {"exif", "xmp"} & set(bare.info)


def test_a_tiff_file_keeps_its_exif_but_not_its_structure() -> None:
    again = stored(opened("TIFF", exif=exif_with_gps()))
    assert set(again.getexif()) == {ExifTags.Base.Make, SUB, GPS}


def test_the_command_keeps_the_exif_of_tiff_files(tmp_path: Path) -> None:
    from pillow_mlic.cli import main

    photograph(24, 16).save(tmp_path / "a.tif", exif=exif_with_gps())
    assert main(["encode", str(tmp_path / "a.tif"), "--lossless", "--quiet"]) == 0
    with Image.open(tmp_path / "a.mlic") as image:
        assert image.getexif()[ExifTags.Base.Make] == "maker"


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_xmp_is_inherited(format_: str) -> None:
    if format_ == "PNG":
        from PIL.PngImagePlugin import PngInfo

        notes = PngInfo()
        notes.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
        image = opened("PNG", pnginfo=notes)
    elif format_ == "TIFF":
        image = opened("TIFF", tiffinfo={700: b"<x:xmpmeta/>"})
    else:
        image = opened(format_, xmp=b"<x:xmpmeta/>")
    assert stored(image).info["xmp"] == b"<x:xmpmeta/>"


@pytest.mark.parametrize("format_", ["JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turn", [ImageOps.exif_transpose, upright])
def test_nothing_turns_twice(format_: str, turn: object) -> None:
    exif = exif_with_gps()
    exif[ORIENTATION] = 6
    image = opened(format_, exif=exif)
    image.info["xmp"] = TURNED
    shown = ImageOps.exif_transpose(image)
    assert shown.size == (16, 24)
    for each in (image, turn(image)):
        again = stored(each)
        assert np.array_equal(ImageOps.exif_transpose(again), shown)


def test_upright_tiff_files_keep_their_exif() -> None:
    exif = exif_with_gps()
    exif[ORIENTATION] = 6
    again = stored(upright(opened("TIFF", exif=exif)))
    assert again.size == (16, 24)
    assert again.getexif()[ExifTags.Base.Make] == "maker"


def test_an_edited_orientation_rules_over_xmp() -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = opened("JPEG", exif=exif, xmp=TURNED)
    turned = image.transpose(Image.Transpose.ROTATE_270)
    del turned.getexif()[ORIENTATION]
    again = stored(turned)
    assert ORIENTATION not in again.getexif()
    assert again.info["xmp"] == b'<x:xmpmeta xmlns:tiff="t"  a="b"/>'
    assert stored(image).info["xmp"] == TURNED


def profile(space: bytes) -> bytes:
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[16:20] = space
    return bytes(data)


@pytest.mark.parametrize(
    ("mode", "space", "kept"),
    [
        ("RGB", b"RGB ", True),
        ("RGBA", b"RGB ", True),
        ("P", b"RGB ", True),
        ("L", b"GRAY", True),
        ("1", b"GRAY", True),
        ("RGB", b"GRAY", False),
        ("RGB", b"Lab ", False),
        ("LAB", b"Lab ", False),
        ("RGB", b"CMYK", False),
        ("CMYK", b"CMYK", False),
        ("L", b"RGB ", False),
    ],
)
def test_profiles_of_other_colours_are_left_out(mode: str, space: bytes, kept: bool) -> None:
    image = photograph(16, 16)
    image = Image.new("LAB", (16, 16)) if mode == "LAB" else image.convert(mode)
    image.info["icc_profile"] = icc = profile(space)
    assert stored(image).info.get("icc_profile") == (icc if kept else None)
    given = stored(image, icc_profile=icc)
    assert given.info.get("icc_profile") == (icc if kept else None)
    assert "icc_profile" not in stored(image, icc_profile=None).info


def test_no_exif_is_no_error() -> None:
    """Neither on the way in nor on the way out."""
    image = photograph(16, 16)
    image.info["exif"] = b"not EXIF at all"
    assert "exif" not in stored(image).info
    again = stored(image, exif=b"not EXIF at all")
    assert "exif" not in again.info
    assert not again.getexif()
    assert not again.copy().getexif()


def test_xmp_that_is_none_is_no_error() -> None:
    image = photograph(16, 16)
    image.info["Raw profile type xmp"] = "\nxmp\n  3\nno hexadecimal number"
    assert "xmp" not in stored(image).info


def test_exif_that_cannot_be_written_is_said() -> None:
    image = photograph(16, 16)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageWidth] = "wide"
    with pytest.raises(ValueError, match=r"cannot be written .* exif=None"):
        stored(image, exif=exif)


def test_stripped_pictures_of_a_batch_lie_upright(tmp_path: Path) -> None:
    from pillow_mlic.bulk.order import Item, Order
    from pillow_mlic.bulk.places import Place
    from pillow_mlic.bulk.work import BatchWorker

    exif = exif_with_gps()
    exif[ORIENTATION] = 6
    source, target = tmp_path / "a.mlic", tmp_path / "a.png"
    photograph(24, 16).save(source, lossless=True, exif=exif)
    order = Order("png", {}, 1, strip=True)
    item = Item(Place(str(source)), Place(str(target)), source.stat().st_size, "")
    (record,) = BatchWorker(order)([item])
    assert "error" not in record
    with Image.open(target) as image:
        assert image.size == (16, 24)
        assert not image.getexif()
