"""Metadata in finished files: all of it is read back, and the pixels are those from before."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

import pillow_mlic  # noqa: F401
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
]


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
    once_more = splice(data, format_, entries)
    assert once_more == data


def test_kinds_that_take_none() -> None:
    assert splice(b"file", "AVIF", {"exif": exif()}) is None
    assert splice(b"file", "AVIF", {}) == b"file"
