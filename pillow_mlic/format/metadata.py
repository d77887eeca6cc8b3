"""ICC profile, EXIF and XMP: from what Pillow knows of a picture to chunks."""

import re
import struct
from typing import Any

from PIL import ExifTags, Image

from .container import MAX_METADATA_BYTES, Chunk
from .layout import ChunkType

NAMES = {ChunkType.ICC: "icc_profile", ChunkType.EXIF: "exif", ChunkType.XMP: "xmp"}
"""What options of `save` and entries of `info` call them."""
JPEG_PREFIX = b"Exif\x00\x00"
"""JPEG has this before the TIFF block that EXIF is."""
TIFF_HEADS = (b"II*\x00", b"MM\x00*")
SPACES = {b"RGB ", b"GRAY", b"CMYK", b"CMY ", b"Lab ", b"XYZ ", b"Luv ", b"YCbr", b"Yxy "} | {
    b"HSV ",
    b"HLS ",
    *(b"%XCLR" % colours for colours in range(2, 16)),
}
"""Colour spaces of ICC profiles, as they are written there."""
STRUCTURE = {
    *range(254, 260),  # size, bits, compression
    *(262, 263, 264, 265, 266, 273, 277, 278, 279, 280, 281, 284, 288, 289, 290, 291, 292, 293),
    *(297, 317, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334, 336, 337, 338, 339, 340, 341),
    *(342, 347, *range(512, 522), *range(529, 533), 559, 32995, 32996, 32997),
    *(700, 33723, 34377, 34675, 37724, 50255),  # XMP, IPTC, Photoshop, ICC
}
"""Tags that say how a TIFF file holds its pixels, or that are no EXIF."""
XMP_ORIENTATION = re.compile(
    rb'tiff:Orientation="([0-9])"|<tiff:Orientation>([0-9])</tiff:Orientation>'
)


def chunks_of(image: Image.Image, mode: str, options: dict[str, Any]) -> list[Chunk]:
    """ICC, EXIF and XMP chunks of a file with pixels of this mode.

    Options win over what the picture has; None or b"" drops an entry. A profile of another colour
    space is left out in any case.
    """
    exif = options["exif"] if "exif" in options else exif_of(image)
    if isinstance(exif, Image.Exif):
        exif = _bytes_of(exif)
    if isinstance(exif, bytes):
        exif = exif.removeprefix(JPEG_PREFIX)
    xmp = options["xmp"] if "xmp" in options else xmp_of(image, exif)
    if isinstance(xmp, str):
        xmp = xmp.encode("utf-8")
    icc = profile_for(options.get("icc_profile", image.info.get("icc_profile")), mode)
    chunks = []
    for (type_, name), data in zip(NAMES.items(), (icc, exif, xmp), strict=True):
        if not data:
            continue
        if not isinstance(data, bytes | bytearray):
            msg = f"{name} must be bytes, not {type(data).__name__}"
            raise ValueError(msg)
        if len(data) > MAX_METADATA_BYTES:
            msg = (
                f"{name} has {len(data)} bytes, but MLIC files hold {MAX_METADATA_BYTES}"
                f"; shorten it, or leave it out with {name}=None"
            )
            raise ValueError(msg)
        chunks.append(Chunk(type_, bytes(data)))
    return chunks


def profile_for(icc: Any, mode: str) -> Any:
    """The profile; None where it describes other colours than pixels of this mode have."""
    if not isinstance(icc, bytes | bytearray):
        return icc
    space = bytes(icc[16:20])
    fitting = b"GRAY" if mode in ("1", "L", "LA") else b"RGB "
    return None if space in SPACES and space != fitting else icc


def exif_of(image: Image.Image) -> bytes | None:
    """What `image.getexif()` holds now; the very bytes of the source where nothing was edited."""
    image.load()  # Pillow turns a TIFF picture upright while it loads
    try:
        exif = image.getexif()
    except (SyntaxError, struct.error):  # no EXIF, whatever it is
        return None
    origin = getattr(exif, "_loaded_exif", None)
    if origin and _same(exif, origin):
        # Who deletes or replaces `info["exif"]` means it, too.
        kept = origin if "Raw profile type exif" in image.info else None
        found = image.info.get("exif", kept)
        return found if isinstance(found, bytes) else None
    return _bytes_of(_without_structure(exif) if hasattr(image, "tag_v2") else exif)


def _same(exif: Image.Exif, origin: bytes) -> bool:
    """Whether it holds what these bytes do."""
    fresh = Image.Exif()
    fresh.load(origin)
    try:
        return exif.tobytes() == fresh.tobytes()
    except (TypeError, ValueError, struct.error):  # values of wrong kinds, in the source or put
        tags = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        ours, theirs = ((dict(e), [e.get_ifd(tag) for tag in tags]) for e in (exif, fresh))
        return ours == theirs


def _bytes_of(exif: Image.Exif) -> bytes | None:
    """The TIFF block; None where it is empty. ValueError where Pillow cannot write it."""
    parts = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
    if not len(exif) and not any(exif.get_ifd(part) for part in parts):
        return None
    try:
        return exif.tobytes().removeprefix(JPEG_PREFIX)
    except (struct.error, TypeError, ValueError) as error:
        msg = f"a tag of the EXIF data cannot be written ({error}); exif=None leaves them out"
        raise ValueError(msg) from error


def _without_structure(exif: Image.Exif) -> Image.Exif:
    """The EXIF of a TIFF file, without what its pixels needed."""
    kept = Image.Exif()
    kept.endian = exif.endian
    for tag in exif:
        if tag in STRUCTURE:
            continue
        part = tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        kept[tag] = dict(exif.get_ifd(tag)) if part else exif[tag]
    return kept


def xmp_of(image: Image.Image, exif: Any = None) -> bytes | None:
    """XMP from wherever Pillow's formats leave it.

    Its orientation is that of `exif` (by default of `image.getexif()`), or is left out.
    """
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    if not xmp and "Raw profile type xmp" in image.info:
        lines = str(image.info["Raw profile type xmp"]).split("\n")
        try:
            xmp = bytes.fromhex("".join(lines[3:]))
        except ValueError:
            return None  # it is no XMP
    if isinstance(xmp, tuple):  # a TIFF file's, where it has the wrong type
        xmp = bytes(xmp)
    if isinstance(xmp, str):
        xmp = xmp.encode("utf-8")
    if not isinstance(xmp, bytes):
        return None
    found = XMP_ORIENTATION.search(xmp)
    if found and int(found[1] or found[2]) != _orientation(image, exif):
        return XMP_ORIENTATION.sub(b"", xmp)
    return xmp


def _orientation(image: Image.Image, exif: Any) -> int | None:
    """Of these bytes, or else of the picture."""
    try:
        if isinstance(exif, bytes) and exif:
            held = Image.Exif()
            held.load(exif)
        else:
            held = image.getexif()
        return held.get(ExifTags.Base.Orientation)
    except (SyntaxError, struct.error):
        return None


def is_exif(data: bytes) -> bool:
    """Whether this is a TIFF block, at least at its beginning."""
    block = data.removeprefix(JPEG_PREFIX)
    return len(block) >= 8 and block.startswith(TIFF_HEADS)
