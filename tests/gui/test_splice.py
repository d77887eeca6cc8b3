"""Metadata in finished files: all of it is read back, and the pixels are those from before."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import pillow_mlic  # noqa: F401
from pillow_mlic_gui import boxes
from pillow_mlic_gui.splice import splice

from ..conftest import photograph

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>words</x:xmpmeta>"


def exif() -> bytes:
    made = Image.Exif()
    made[0x010E] = "a description"
    return made.tobytes()


KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("MLIC", "RGB", {}),
    ("MLIC", "RGBA", {}),
    ("MLIC", "L", {}),
    ("MLIC", "RGB", {"lossless": True}),
    ("JPEG", "RGB", {"quality": 40}),
    ("JPEG", "L", {}),
    ("WEBP", "RGB", {"quality": 40}),
    ("WEBP", "RGBA", {"quality": 40}),
    ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("AVIF", "RGB", {"quality": 40, "subsampling": "4:4:4"}),
    ("AVIF", "RGBA", {"quality": 40}),
    ("AVIF", "L", {}),
]
ENTRIES = {"exif": exif(), "xmp": XMP, "icc_profile": ICC}


@pytest.mark.parametrize(("format_", "mode", "options"), KINDS)
@pytest.mark.parametrize("names", [("icc_profile", "exif", "xmp"), ("exif",), ("xmp",), ()])
def test_what_is_put_in_is_read(
    small_weights: object, format_: str, mode: str, options: dict[str, Any], names: tuple[str, ...]
) -> None:
    image = photograph(72, 56).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    buffer = io.BytesIO()
    image.save(buffer, format=format_, **options)
    profile = None if mode == "L" and format_ == "MLIC" else ICC  # it is none of grey
    values = {"icc_profile": profile, "exif": exif(), "xmp": XMP}
    entries = {name: values[name] for name in names if values[name]}
    data = splice(buffer.getvalue(), format_, entries)
    before = Image.open(io.BytesIO(buffer.getvalue()))
    after = Image.open(io.BytesIO(data))
    assert (np.asarray(before) == np.asarray(after)).all()
    assert before.mode == after.mode
    assert after.info.get("icc_profile") == entries.get("icc_profile")
    assert after.getexif().get(0x010E) == ("a description" if "exif" in names else None)
    assert after.info.get("xmp") == entries.get("xmp")
    if format_ != "AVIF" or not names:
        assert splice(data, format_, entries) == data


def test_kinds_that_take_none() -> None:
    assert splice(b"file", "AVIF", {"exif": exif()}) is None
    assert splice(b"file", "AVIF", {}) == b"file"
    assert splice(b"file", "PNG", {"exif": exif()}) is None


def avif(**options: Any) -> bytes:
    buffer = io.BytesIO()
    photograph(72, 56).save(buffer, format="AVIF", **options)
    return buffer.getvalue()


def test_an_avif_file_is_as_if_it_had_been_encoded_with_them() -> None:
    for names in (("exif", "xmp"), ("exif", "xmp", "icc_profile")):
        entries = {name: ENTRIES[name] for name in names}
        spliced, encoded = splice(avif(), "AVIF", entries), avif(**entries)
        assert spliced is not None
        infos = [Image.open(io.BytesIO(data)).info for data in (spliced, encoded)]
        assert infos[0] == infos[1]
        kinds, sizes = zip(*[(b.kind, b.size) for b in boxes.read(spliced)[:2]], strict=True)
        assert (kinds, sizes) == tuple(
            zip(*[(b.kind, b.size) for b in boxes.read(encoded)[:2]], strict=True)
        )


def test_an_avif_file_of_another_form_is_left_alone() -> None:
    assert splice(avif(exif=exif()), "AVIF", {"xmp": XMP}) is None
    assert splice(avif(icc_profile=ICC), "AVIF", {"icc_profile": ICC}) is None
    frames = [photograph(72, 56).rotate(angle) for angle in (90, 180)]
    assert splice(avif(save_all=True, append_images=frames), "AVIF", ENTRIES) is None
    plain = avif()
    assert splice(plain + b"\0\0\0\x08free", "AVIF", ENTRIES) is None
    assert splice(plain[:-3], "AVIF", ENTRIES) is None
    assert splice(plain, "AVIF", {"exif": b"Exif\0\0neither II nor MM"}) is None


def test_no_damage_of_an_avif_file_ends_in_a_broken_one() -> None:
    plain = avif()
    end = plain.index(b"mdat")
    for at in range(end):
        for value in (0, 1, 127, 255, plain[at] ^ 1):
            damaged = plain[:at] + bytes([value]) + plain[at + 1 :]
            made = splice(damaged, "AVIF", ENTRIES)
            if made is not None:
                with Image.open(io.BytesIO(made)) as image:
                    assert image.size == (72, 56) or damaged != plain
                    assert image.info["xmp"] == XMP


class TestJpegXl:
    @pytest.fixture
    def plain(self) -> bytes:
        pytest.importorskip("pillow_jxl")
        buffer = io.BytesIO()
        photograph(96, 64).save(buffer, format="JXL", quality=60)
        return buffer.getvalue()

    def test_exif_and_xmp_are_boxes_before_the_picture(self, plain: bytes) -> None:
        data = splice(plain, "JXL", {"exif": exif(), "xmp": XMP})
        assert data is not None
        found = dict(boxes.read(data))
        assert list(found) == [b"JXL ", b"ftyp", b"Exif", b"xml ", b"jxlc"]
        assert found[b"Exif"] == bytes(4) + exif().removeprefix(b"Exif\0\0")
        assert found[b"xml "] == XMP
        assert found[b"jxlc"] == plain
        with Image.open(io.BytesIO(data)) as image:
            assert image.getexif()[0x010E] == "a description"
            assert np.array_equal(image, Image.open(io.BytesIO(plain)))

    def test_a_profile_lies_within_the_code(self, plain: bytes) -> None:
        assert splice(plain, "JXL", {"icc_profile": ICC}) is None
        in_boxes = splice(plain, "JXL", {"xmp": XMP})
        assert in_boxes is not None
        assert splice(in_boxes, "JXL", {"xmp": XMP}) is None
