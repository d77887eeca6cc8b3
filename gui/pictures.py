"""Opens what Pillow reads: gives upright 8-bit pixels, colour profile and metadata."""

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms

import pillow_mlic  # noqa: F401  (registers the format)
from pillow_mlic.conversion import frames_of, upright
from pillow_mlic.files import refuse_pipe
from pillow_mlic.format.metadata import exif_of, profile_for, xmp_of

from . import raster
from .raster import Raster


@dataclass(frozen=True)
class Picture:
    """An opened picture.

    `name` is for people, `path` where it lies if it is a file, `file_bytes` that file's size.
    `icc`, `exif` and `xmp` are what a saved file may keep.
    """

    name: str
    path: Path | None
    format: str
    raster: Raster
    file_bytes: int | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = field(default=())
    facts: str = ""
    """How a .mlic file was made: quality 3, mlicv2-lite."""

    @property
    def coded(self) -> bool:
        """Whether it is a .mlic file, which is shown before anything is encoded."""
        return self.format == MLIC

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.raster.pixels

    def metadata(self, keep: bool) -> dict[str, bytes]:
        """Options of `Image.save`: the colour profile always, EXIF and XMP if kept."""
        entries = {"icc_profile": self.icc}
        if keep:
            entries |= {"exif": self.exif, "xmp": self.xmp}
        return {name: data for name, data in entries.items() if data}

    def metadata_bytes(self, keep: bool) -> int:
        """About how many bytes `metadata` adds to a file."""
        return sum(len(data) + 32 for data in self.metadata(keep).values())


EIGHT_BITS = "shown and compared with 8 bits a channel"
LOST = {EIGHT_BITS: "only 8 bits a channel"}
"""What `to_plain` changes, as it is said of a file that is written."""
MLIC = "MLIC"
"""Pillow's name for .mlic files."""


def load(source: Path | bytes) -> tuple[Image.Image, str]:
    """Open a file, or its bytes, and decode it: the picture upright, and its format's name."""
    image, name, _ = load_noting(source)
    return image, name


def load_noting(source: Path | bytes) -> tuple[Image.Image, str, tuple[str, ...]]:
    """`load`, and what of the file is left out, in words."""
    if isinstance(source, Path):
        refuse_pipe(source)
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as opened:
        name, frames = opened.format or "", frames_of(opened)
        opened.load()
        notes = (f"only the first of {frames} frames",) if frames > 1 else ()
        return upright(opened), name, notes


def open_picture(source: Path | bytes, name: str, target: Path) -> Picture:
    """`load`, and write the pixels to `target`."""
    image, format_, left_out = load_noting(source)
    if 0 in image.size:
        msg = "this picture has no pixels"
        raise ValueError(msg)
    plain, icc, notes = to_plain(image)
    exif, xmp = exif_and_xmp(image)
    return Picture(
        name=name,
        path=source if isinstance(source, Path) else None,
        format=format_,
        raster=raster.write(plain, target),
        file_bytes=len(source) if isinstance(source, bytes) else source.stat().st_size,
        icc=icc,
        exif=exif,
        xmp=xmp,
        notes=left_out + notes,
        facts=_facts(image.info) if format_ == MLIC else "",
    )


def _facts(info: dict[Any, Any]) -> str:
    if info.get("lossless"):
        return "without loss"
    quality, model = info.get("quality"), info.get("model")
    known = [f"quality {quality:g}" if quality is not None else "", str(model or "")]
    return ", ".join(fact for fact in known if fact)


def exif_and_xmp(image: Image.Image) -> tuple[bytes | None, bytes | None]:
    """EXIF and XMP of an upright picture."""
    return exif_of(image), xmp_of(image)


def to_plain(image: Image.Image) -> tuple[Image.Image, bytes | None, tuple[str, ...]]:
    """-> L, RGB or RGBA, the profile if it is still valid, and the changes in words."""
    icc = image.info.get("icc_profile")
    if image.mode in ("I", "F", "I;16", "I;16B", "I;16L", "I;16N"):
        return _eight_bits(image), None, (EIGHT_BITS,)
    if image.mode == "CMYK":
        return _from_inks(image, icc), None, ("converted from CMYK",)
    if image.has_transparency_data:
        plain = image.convert("RGBA")
        if plain.getchannel("A").getextrema() == (255, 255):
            plain = plain.convert("RGB")
    else:
        plain = image.convert("L" if image.mode in ("1", "L") else "RGB")
    return plain, profile_for(icc, plain.mode), ()


def _eight_bits(image: Image.Image) -> Image.Image:
    """8 bits from whole numbers up to 65535, or from fractions if no value is above 1."""
    values = np.asarray(image, dtype=np.float32)
    top = float(np.nanmax(values))
    scale = 255.0 if top <= 1 else 1.0 if top <= 255 and image.mode == "F" else 255 / 65535
    return Image.fromarray(np.nan_to_num(values * scale).clip(0, 255).round().astype(np.uint8))


def _from_inks(image: Image.Image, icc: bytes | None) -> Image.Image:
    """RGB from CMYK, by the colour profile if there is one that works."""
    if icc:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError):
            pass
    return image.convert("RGB")
