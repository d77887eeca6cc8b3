"""Pillow's side of the format: what `Image.open` does with `.mlic`; `saving` is the other half.

Opening reads the header and the metadata; torch is imported when pixels are first asked for.
"""

import os
import threading
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image, ImageFile

from . import models, saving, settings
from .coding.lossless import is_exact
from .format import container, metadata, preview
from .format.container import ChunkPlace, ChunkType
from .format.geometry import Box
from .format.tiles import TileKind, read_kind
from .reading import Reading, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable

FORMAT = "MLIC"
MIME = "image/x-mlic"


class MlicImageFile(ImageFile.ImageFile):
    """A `.mlic` file opened by Pillow.

    `info` has `version` (of the format), `lossless` (whether it has every pixel of the picture that
    was saved), `model` ("none" where no tile is learned), `weights` (the start of the pack's hash),
    `quality` (1..8), `bpp` (bits of the whole file per pixel) and, where the file has them,
    `texture` (its strength where it is strongest, 0..1), `icc_profile`, `exif` and `xmp`.

    Several threads may use one: who comes first decodes, the others wait.
    """

    format = FORMAT
    format_description = "MLIC learned image compression"
    n_frames = 1
    is_animated = False
    _pending = False
    """Whether the pixels are still to be decoded. They never are in a copy made by pickle."""
    _picture: "str | BinaryIO | None" = None
    """Where the whole picture is, after `draft` gave the preview."""
    _lock: AbstractContextManager[object] = nullcontext()
    """Held by who uses the file, or replaces the pixels. Copies made by pickle do neither."""

    def _open(self) -> None:
        self._lock = threading.RLock()
        fp = self._stream()
        self._start = start = fp.tell()
        self._header = header = container.read_header(fp)
        self._after_header = fp.tell()
        fp.seek(0, os.SEEK_END)
        self._end = fp.tell()
        fp.seek(self._after_header)
        self._read_metadata(fp)
        self._size = (header.width, header.height)
        self._mode = header.mode
        settings.check_size(self._size)
        self.info["version"] = header.version
        self.info["lossless"] = is_exact(header)
        self.info["model"] = models.name_of(header.model) or f"number {header.model}"
        if not header.model:
            self.info["model"] = "none"
        self.info["weights"] = header.pack.hex()
        self.info["quality"] = round(header.quality, 4)
        if header.texture:
            self.info["texture"] = header.texture / container.MAX_TEXTURE
        self.info["bpp"] = 8 * (self._end - start) / (header.width * header.height)
        self._pending = True

    def _read_metadata(self, fp: BinaryIO) -> None:
        """Fill `info`; with LOAD_TRUNCATED_IMAGES damaged metadata are left out."""
        self._preview: ChunkPlace | None = None
        try:
            for place in container.scan_metadata(fp, self._header, self._end):
                if place.type == ChunkType.PREVIEW:
                    self._preview = place
                if place.type in metadata.NAMES:
                    data = container.read_chunk(fp, place)
                    if place.type != ChunkType.EXIF or metadata.is_exif(data):
                        self.info[metadata.NAMES[ChunkType(place.type)]] = data
        except container.ContainerError:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise

    def tile_kinds(self) -> list[TileKind]:
        """The kind of each tile in raster order, from one byte of each: nothing is checked.

        ContainerError where a tile is missing or of no kind; ValueError after the pixels were
        loaded, as Pillow has closed the file by then.
        """
        with self._lock:
            fp = self._stream()
            fp.seek(self._after_header)
            places = container.scan(fp, self._header, self._end)
            return [read_kind(fp, self._header, p) for p in places if p.type == ChunkType.TILE]

    def verify(self) -> None:
        """Check every checksum of the file without decoding it; ContainerError if one is wrong."""
        with self._lock:
            if self.fp is None:
                msg = "verify must be called directly after open"  # as PNG says it
                raise RuntimeError(msg)
            fp = self._stream()
            fp.seek(self._after_header)
            for place in container.scan(fp, self._header, self._end):
                container.check_chunk(fp, place)
            super().verify()

    def load(self) -> Any:
        """Decode the pixels, once."""
        with self._lock:
            if self._pending:
                self._become(self._read(Wanted()).picture(None))
            return super().load()

    def getexif(self) -> Image.Exif:
        """As Pillow's; whoever asks while another thread has it parsed waits for all of it."""
        with self._lock:
            exif = super().getexif()
            # Pillow takes a value apart when it is first asked for, and two threads that ask for
            # the same one find it half moved. A value that cannot be read stays where it is.
            for tag in list(exif):
                with suppress(Exception):
                    exif[tag]
            return exif

    def decode(
        self,
        device: str | None = None,
        progress: "Callable[[float], object] | None" = None,
        texture: float | None = None,
    ) -> "MlicImageFile":
        """Like `load()`, on a chosen device and with progress (called with 0..1); returns self.

        `texture`: its strength, 0 (the most faithful picture) to 1, in place of the stored one. An
        exception raised by `progress` cancels the work and passes through.
        """
        with self._lock:
            if self._pending:
                reading = self._read(Wanted(device=device, texture=texture))
                self._become(reading.picture(progress))
            super().load()
        return self

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Become the preview, if the file has one that is as large as the picture fitted into
        `size`.

        `Image.thumbnail` asks for twice the size that it makes. Needs no torch. Returns None and
        changes nothing if there is no such preview, if it is damaged, or if `mode` is not that of
        the file. `decode_region` gives pixels of the whole picture afterwards, too.
        """
        with self._lock:
            if not self._pending or mode not in (None, self.mode) or size is None:
                return None
            small = self._read_preview()
            if small is None or not any(
                have >= want for have, want in zip(small.size, size, strict=True)
            ):
                return None
            self._picture = self._source()
            self._become(small)
            return self.mode, (0, 0, *small.size)

    def _read_preview(self) -> Image.Image | None:
        """The preview, if there is a whole one."""
        place = self._preview
        if place is None or place.length > preview.MAX_BYTES:
            return None
        try:
            data = container.read_chunk(self._stream(), place)
        except container.ContainerError:
            return None
        return preview.from_bytes(data, self._size, self.mode)

    def _stream(self) -> BinaryIO:
        if self.fp is None:
            msg = "the file is closed"
            raise ValueError(msg)
        return cast(BinaryIO, self.fp)

    def _source(self) -> "str | BinaryIO":
        """What to open again after the pixels were replaced: the file's name, if it has one."""
        if self._exclusive_fp and self.filename:
            return str(Path(os.fsdecode(self.filename)).absolute())
        self._close_exclusive_fp_after_loading = False
        return self._stream()

    def _become(self, picture: Image.Image) -> None:
        """Have the pixels of `picture`; the file is not needed any more."""
        self._im = picture.im
        self._size = picture.size
        self.readonly = 0
        self._pending = False
        if self._exclusive_fp and self._close_exclusive_fp_after_loading:
            self._stream().close()
        self.fp = None

    def decode_region(
        self,
        box: tuple[int, int, int, int],
        device: str | None = None,
        progress: "Callable[[float], object] | None" = None,
        slices: int | None = None,
        texture: float | None = None,
    ) -> Image.Image:
        """The pixels of `box` (left, top, right, bottom) alone, as `crop(box)` gives them.

        Only the tiles that these pixels depend on are decoded. `slices`: see `decode_slices`;
        `texture`: see `decode`.
        Raises ValueError if the box is empty or reaches beyond the picture, or if there are fewer
        slices; DecompressionBombError by Pillow's rule for pictures.
        """
        with self._lock:
            if self._picture is None:
                box = self._checked(box)
                if slices is None and not self._pending:
                    return self.crop(box)
                reading = self._read(Wanted(box, device, slices, texture))
            else:
                if not isinstance(self._picture, str):
                    self._picture.seek(self._start)
                with MlicImageFile(self._picture) as whole:
                    box = whole._checked(box)
                    reading = whole._read(Wanted(box, device, slices, texture))
        return reading.picture(progress)

    def _checked(self, box: Box) -> Box:
        """The box in plain numbers; errors as of `decode_region`."""
        sides = [settings.whole(side) for side in box]
        left, top, right, bottom = (-1 if side is None else side for side in sides)
        if not (0 <= left < right <= self.width and 0 <= top < bottom <= self.height):
            msg = (
                f"the box {tuple(box)} is empty or reaches beyond the picture; left, top, right, "
                f"bottom must lie within (0, 0, {self.width}, {self.height})"
            )
            raise ValueError(msg)
        limit = Image.MAX_IMAGE_PIXELS
        pixels = (right - left) * (bottom - top)
        if limit is not None and pixels > 2 * limit:
            msg = (
                f"the box has {pixels} pixels, more than Pillow's limit of {2 * limit} for files "
                "that are not trusted; raise PIL.Image.MAX_IMAGE_PIXELS where they are"
            )
            raise Image.DecompressionBombError(msg)
        return left, top, right, bottom

    def _read(self, wanted: Wanted) -> Reading:
        """What the wanted pixels are made of, read."""
        reading = Reading(self._header, wanted)
        fp = self._stream()
        fp.seek(self._after_header)
        reading.read(fp, self._end)
        return reading


def decode_region(
    fp: str | os.PathLike[str] | IO[bytes],
    box: tuple[int, int, int, int],
    device: str | None = None,
    progress: "Callable[[float], object] | None" = None,
) -> Image.Image:
    """The pixels of a part of a .mlic file: `box` is (left, top, right, bottom).

    Costs time and memory by the size of the box, not of the picture: Pillow's limit for
    decompression bombs is applied to the box. Raises ValueError for a box that is empty or reaches
    beyond the picture, ContainerError or DecodeError for a broken file.
    """
    with MlicImageFile(fp) as image:
        return image.decode_region(box, device, progress)


def decode_slices(
    fp: str | os.PathLike[str] | IO[bytes],
    slices: int,
    device: str | None = None,
    progress: "Callable[[float], object] | None" = None,
) -> Image.Image:
    """A preview of a .mlic file from the first `slices` slices of its latents.

    Latents are coded in slices; in the bundled model the first slices say most about the picture.
    Slices that are not read are replaced by what the model predicts for them. With 0 only the
    hyper latents are read, with all slices the picture is whole. Raises ValueError if there are
    fewer slices, ContainerError or DecodeError for a broken file.
    """
    with MlicImageFile(fp) as image:
        return image.decode_region((0, 0, *image.size), device, progress, slices)


def _accept(prefix: bytes) -> bool | str:
    """Whether a file with this beginning is .mlic; a string says why it cannot be read."""
    if not container.is_mlic(prefix):
        return False
    return container.prefix_problem(prefix) or True


def register() -> None:
    """Tell Pillow about the format (done when the package is imported)."""
    Image.register_open(FORMAT, MlicImageFile, _accept)
    Image.register_save(FORMAT, saving.save)
    Image.register_save_all(FORMAT, saving.save_all)
    Image.register_extension(FORMAT, ".mlic")
    Image.register_mime(FORMAT, MIME)
