"""ICC profile, Exif and XMP: from what Pillow knows of a picture to chunks."""

from typing import Any

from PIL import Image

from .container import MAX_METADATA_BYTES, Chunk
from .layout import ChunkType


def chunks_of(image: Image.Image, options: dict[str, Any]) -> list[Chunk]:
    """ICC, EXIF and XMP chunks. Options win over `image.info`; None or b"" drops an entry."""
    icc = options.get("icc_profile", image.info.get("icc_profile"))
    exif = options.get("exif", image.info.get("exif"))
    xmp = options.get("xmp", image.info.get("xmp"))
    if isinstance(exif, Image.Exif):
        exif = exif.tobytes() if len(exif) else None
    if isinstance(exif, bytes):
        exif = exif.removeprefix(b"Exif\x00\x00")  # JPEG's prefix; the chunk is the TIFF block
    if isinstance(xmp, str):
        xmp = xmp.encode("utf-8")
    if image.mode == "CMYK" and isinstance(icc, bytes) and icc[16:20] == b"CMYK":
        icc = None  # describes inks; the file will hold RGB
    chunks = []
    for type_, name, data in (
        (ChunkType.ICC, "icc_profile", icc),
        (ChunkType.EXIF, "exif", exif),
        (ChunkType.XMP, "xmp", xmp),
    ):
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
