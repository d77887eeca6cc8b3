"""Pillow's side of the format: what `Image.open` and `Image.save` do with `.mlic`.

Opening reads the header and the metadata; torch is imported when pixels are first asked for.
"""

import numbers
import os
from functools import partial
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image, ImageFile

from . import alpha, container, models
from .container import Chunk, ChunkType, Header
from .exceptions import DecodeError
from .targets import Coded, Target, find

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from .packs import Pack, PackFile
    from .targets import Progress, Put

FORMAT = "MLIC"
MIME = "image/x-mlic"
DEFAULT_QUALITY = 3.0
MOST_STEPS = 100_000
"""Of refinement: beyond any use, so that a slip of a finger is told."""
DEFAULT_TILE = 1024
"""So small that a region costs little, so large that tiles cost less than 0.1 % of the bytes."""
METADATA = {ChunkType.ICC: "icc_profile", ChunkType.EXIF: "exif", ChunkType.XMP: "xmp"}
NATIVE_MODES = ("L", "LA", "RGB", "RGBA")
WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


class MlicImageFile(ImageFile.ImageFile):
    """A `.mlic` file opened by Pillow.

    `info` has `model`, `weights` (the pack's hash), `quality` (1..8), `bpp` (bits of the whole
    file per pixel) and, where the file has them, `icc_profile`, `exif` and `xmp`.
    """

    format = FORMAT
    format_description = "MLIC learned image compression"

    def _open(self) -> None:
        fp = self._stream()
        start = fp.tell()
        self._header = header = container.read_header(fp)
        self._after_header = fp.tell()
        fp.seek(0, os.SEEK_END)
        self._end = fp.tell()
        fp.seek(self._after_header)
        self._read_metadata(fp)
        self._size = (header.width, header.height)
        self._mode = header.mode
        self.info["model"] = models.name_of(header.model) or f"number {header.model}"
        self.info["weights"] = header.pack.hex()
        self.info["quality"] = round(header.quality, 4)
        self.info["bpp"] = 8 * (self._end - start) / (header.width * header.height)
        self._pending = True

    def _read_metadata(self, fp: BinaryIO) -> None:
        """Fill `info`; with LOAD_TRUNCATED_IMAGES damaged metadata are left out."""
        try:
            for place in container.scan_metadata(fp, self._header, self._end):
                if place.type in METADATA:
                    self.info[METADATA[ChunkType(place.type)]] = container.read_chunk(fp, place)
        except container.ContainerError:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise

    def verify(self) -> None:
        """Check every checksum of the file without decoding it; ContainerError if one is wrong."""
        fp = self._stream()
        fp.seek(self._after_header)
        for place in container.scan(fp, self._header, self._end):
            container.check_chunk(fp, place)
        super().verify()

    def load(self) -> Any:
        """Decode the pixels, once."""
        if getattr(self, "_pending", False):
            self._decode(None)
        return super().load()

    def decode(
        self, device: str | None = None, progress: "Callable[[float], object] | None" = None
    ) -> "MlicImageFile":
        """Like `load()`, on a chosen device and with progress (called with 0..1); returns self.

        An exception raised by `progress` cancels the work and passes through.
        """
        if getattr(self, "_pending", False):
            self._decode(device, progress)
        super().load()
        return self

    def _stream(self) -> BinaryIO:
        if self.fp is None:
            msg = "the file is closed"
            raise ValueError(msg)
        return cast(BinaryIO, self.fp)

    def _decode(
        self, device: str | None, progress: "Callable[[float], object] | None" = None
    ) -> None:
        picture = self._decode_box(None, device, progress)
        self._im = picture.im
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
    ) -> Image.Image:
        """The pixels of `box` (left, top, right, bottom) alone, as `crop(box)` gives them.

        Only the tiles that these pixels depend on are decoded; of `slices` see `decode_slices`.
        Raises ValueError where the box is empty or reaches beyond the picture, or where there are
        not so many slices, DecompressionBombError by Pillow's rule for pictures.
        """
        left, top, right, bottom = box
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
        if slices is None and not getattr(self, "_pending", False):
            return self.crop(box)
        return self._decode_box((left, top, right, bottom), device, progress, slices)

    def _decode_box(
        self,
        box: tuple[int, int, int, int] | None,
        device: str | None,
        progress: "Callable[[float], object] | None",
        slices: int | None = None,
    ) -> Image.Image:
        from . import codec, devices

        fp, header = self._stream(), self._header
        where = devices.resolve(device)
        pack = _pack_of(header)
        if slices is not None:
            _check_slices(slices, pack)
        needed = None
        if box is not None:
            needed = set(codec.tiles_needed(box, self._size, pack, header.tile_size, where))
        fp.seek(self._after_header)
        truncated = ImageFile.LOAD_TRUNCATED_IMAGES
        places = container.scan(fp, header, self._end, allow_truncated=truncated, tiles=needed)
        tiles: dict[int, bytes] = {}
        coded = None
        for place in places:
            try:
                if place.type == ChunkType.TILE:
                    tiles[place.index] = container.read_chunk(fp, place)
                elif place.type == ChunkType.ALPHA:
                    coded = container.read_chunk(fp, place)
            except container.ContainerError:
                if not truncated:
                    raise
        if not tiles:
            msg = "not one tile of this .mlic file is whole; fetch it again"
            raise container.TruncatedError(msg)
        left, top, right, bottom = box = box or (0, 0, *self._size)
        picture = Image.new(header.mode, (right - left, bottom - top))

        def put(region: tuple[int, int, int, int], pixels: "NDArray[np.uint8]") -> None:
            part = Image.fromarray(_to_mode(pixels, header.mode))
            picture.paste(part, (region[0] - left, region[1] - top))

        codec.decode_into(
            put,
            tiles,
            self._size,
            pack,
            header.quality,
            header.tile_size,
            header.guard,
            where,
            progress,
            box,
            slices,
        )
        if header.has_alpha:
            picture.putalpha(self._read_alpha(coded, box))
        return picture

    def _read_alpha(self, coded: bytes | None, box: container.Box) -> Image.Image:
        """A box of the alpha plane; with LOAD_TRUNCATED_IMAGES opaque where it is damaged."""
        try:
            if coded is None:
                msg = "the transparency of this .mlic file is missing; fetch the file again"
                raise container.DamagedError(msg)
            return alpha.from_bytes(coded, self._size, box)
        except container.DamagedError:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise
            return Image.new("L", (box[2] - box[0], box[3] - box[1]), 255)


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

    Latents are coded in slices, the bundled model's from the ones that tell most to those that
    tell least; what is not read is taken to be what the model expects. 0 reads the hyper latents
    alone, all slices give the picture itself. Raises ValueError where there are not so many,
    ContainerError or DecodeError for a broken file.
    """
    with MlicImageFile(fp) as image:
        return image.decode_region((0, 0, *image.size), device, progress, slices)


def _check_slices(slices: object, pack: "Pack") -> None:
    """ValueError unless the weights code latents in so many slices, or in more."""
    import torch

    from .entropy.slices import slices_of

    most = slices_of(pack.canonical(torch.device("cpu")))
    if isinstance(slices, bool) or not isinstance(slices, int) or not 0 <= slices <= most:
        msg = f"slices is {slices!r}, but {pack.file.model} has {most}: give 0 to {most}"
        raise ValueError(msg)


def _pack_of(header: Header) -> "Pack":
    """The weights that a file was written with; DecodeError, WeightsError where there are none."""
    from . import packs

    model = models.name_of(header.model)
    if model is None:
        msg = (
            f"this .mlic file needs model number {header.model}, which this version does not "
            "know: update pillow-mlic"
        )
        raise DecodeError(msg)
    file = packs.find_hash(header.pack)
    if file.model != model:
        msg = (
            f"this .mlic file says that its model is {model}, but its weights ({file.name}) "
            f"are those of {file.model}: it was written by a broken program, or forged"
        )
        raise DecodeError(msg)
    return packs.load(file)


def _to_mode(pixels: "NDArray[np.uint8]", mode: str) -> "NDArray[np.uint8]":
    """(H, W, 3) -> what `mode` has besides alpha: (H, W, 3), or the mean of the planes (H, W)."""
    if mode.startswith("RGB"):
        return pixels
    import numpy as np

    return np.asarray((pixels.astype(np.uint16).sum(-1) + 1) // 3, dtype=np.uint8)


# ---- saving --------------------------------------------------------------------------------------


def _native(image: Image.Image) -> Image.Image:
    """`image` in one of the modes that the format has; OSError where that would lose a lot."""
    if image.mode in NATIVE_MODES and not (
        image.mode in ("L", "RGB") and "transparency" in image.info
    ):
        return image
    if image.mode in WIDE_MODES:
        msg = (
            f"cannot write mode {image.mode} as MLIC, which holds 8 bits a channel; scale the "
            "values to 0..255 and convert to 'L' first"
        )
        raise OSError(msg)
    if image.mode in ("1", "L"):
        return image.convert("LA" if "transparency" in image.info else "L")
    if image.mode in ("La", "LA"):
        return image.convert("LA")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _metadata(image: Image.Image, options: dict[str, Any]) -> list[Chunk]:
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
        if len(data) > container.MAX_METADATA_BYTES:
            msg = (
                f"{name} has {len(data)} bytes, but MLIC files hold {container.MAX_METADATA_BYTES}"
                f"; shorten it, or leave it out with {name}=None"
            )
            raise ValueError(msg)
        chunks.append(Chunk(type_, bytes(data)))
    return chunks


def _quality(value: object) -> float:
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not 1 <= float(value) <= 8:  # type: ignore[arg-type]
        hint = " (not 0 to 100 as for JPEG)" if number else ""
        msg = f"quality is {value!r}, but must be a number from 1 to 8{hint}; 3 is the default"
        raise ValueError(msg)
    return float(value)  # type: ignore[arg-type]


def _steps(value: object, pack: "PackFile") -> int:
    """The steps of refinement asked for; ValueError for what is no number of steps."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_STEPS:
        msg = f"refine is {value!r}, but must be a whole number of steps from 0 to {MOST_STEPS}"
        raise ValueError(msg)
    lam = pack.card.get("lambda")
    if value and isinstance(lam, int | float) and lam > 1:  # lambdas for the squared error are less
        msg = (
            f"refine lowers the squared error, but the weights {pack.name} were trained for "
            "MS-SSIM; save without refine"
        )
        raise ValueError(msg)
    return value


def check_options(options: dict[str, Any]) -> None:
    """Raise what saving with these options would raise, before there is anything to save."""
    from . import devices, packs

    target = Target.of(options)
    quality = _quality(options.get("quality", DEFAULT_QUALITY))
    pack = packs.find(options.get("model") or packs.DEFAULT_MODEL, quality)
    if target is not None:
        target.check_quality_is_free(pack.name, pack.quality)
    _steps(options.get("refine", 0), pack)
    devices.resolve(options.get("device"))


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:  # noqa: ARG001
    """Encode and write.

    Options: quality or one of target_bpp, max_bytes, target_psnr; model, device, optimize, refine,
    progress, exif, icc_profile, xmp, tile.

    `refine` is a number of steps, 0 by default, in which the encoder searches better latents for
    this picture (`refinement`); each takes about as long as plain encoding. What R + lambda D,
    measured on the file, does not fall by is not kept. Together with a target the quality is first
    searched for without refinement; then the two or three trials around it are refined, as a
    refined file has another size and fidelity at the same quality.
    """
    from . import codec, devices, packs

    options: dict[str, Any] = image.encoderinfo
    target = Target.of(options)
    quality = _quality(options.get("quality", DEFAULT_QUALITY))
    tile_code = _tile_code(options.get("tile", DEFAULT_TILE))
    chunks = _metadata(image, options)
    if 0 in image.size:
        msg = "cannot write an image without pixels as MLIC"
        raise ValueError(msg)
    if max(image.size) > container.MAX_SIDE:
        msg = f"MLIC pictures have sides of at most {container.MAX_SIDE} pixels"
        raise ValueError(msg)
    native = _native(image)
    pack = packs.load(packs.find(options.get("model") or packs.DEFAULT_MODEL, quality))
    if target is not None:
        target.check_quality_is_free(pack.file.name, pack.file.quality)
    if pack.file.quality is not None:  # weights for one lambda: the nearest there are
        quality = pack.file.quality
    # Published weights are for one quality, and give what was published unless told otherwise.
    optimize = bool(options.get("optimize", pack.file.quality is None))
    refine = _steps(options.get("refine", 0), pack.file)
    if native.mode.endswith("A"):
        chunks.append(Chunk(ChunkType.ALPHA, alpha.to_bytes(native.getchannel("A"))))
    device, progress = devices.resolve(options.get("device")), options.get("progress")

    def code(quality: float, progress: "Progress | None", refine: int = refine) -> Coded:
        header = Header(
            mode=native.mode,
            width=native.width,
            height=native.height,
            model=models.number_of(pack.file.model),
            pack=pack.hash,
            quality_code=container.quality_code(quality),
            guard_code=0,
            tile_code=tile_code,
        )
        coding = (pack, header.quality, header.tile_size, header.guard, device, progress)
        tiles = codec.encode(
            _Picture(native),
            *coding,
            optimize=optimize,
            refine=refine,
            show=lambda pixels: _to_mode(pixels, native.mode),
        ).tiles
        return header, [*chunks, *(Chunk(ChunkType.TILE, tile) for tile in tiles)]

    def show(coded: Coded, put: "Put", progress: "Progress") -> None:
        header = coded[0]
        tiles = dict(enumerate(c.data for c in coded[1] if c.type == ChunkType.TILE))
        coding = (pack, header.quality, header.tile_size, header.guard, device, progress)
        codec.decode_into(
            lambda box, pixels: put(box, _to_mode(pixels, header.mode)), tiles, native.size, *coding
        )

    if target is None:
        coded = code(quality, progress)
    else:
        overhead = sum(len(chunk.data) for chunk in chunks)
        draft = partial(code, refine=0) if refine else None
        coded = find(target, native, overhead, code, show, progress, draft)
    container.write(cast(BinaryIO, fp), *coded)


class _Picture:
    """An image as `codec.encode` reads it, piece by piece: RGB pixels of some rows and columns."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.shape = (image.height, image.width, 3)

    def __getitem__(self, key: tuple[slice, slice]) -> "NDArray[np.uint8]":
        import numpy as np

        rows, columns = key
        part = self._image.crop((columns.start, rows.start, columns.stop, rows.stop))
        return np.asarray(part.convert("RGB"))


def _tile_code(size: object) -> int:
    largest = 64 << container.MAX_TILE_CODE
    for code in range(container.MAX_TILE_CODE + 1):
        if size == 64 << code:
            return code
    msg = f"tile is {size!r}, but must be 64, 128, 256 ... or {largest}; default {DEFAULT_TILE}"
    raise ValueError(msg)


def _accept(prefix: bytes) -> bool | str:
    """Whether a file that begins so is ours; a string says why it is, but cannot be read."""
    if not container.is_mlic(prefix):
        return False
    return container.prefix_problem(prefix) or True


def register() -> None:
    """Tell Pillow about the format (done when the package is imported)."""
    Image.register_open(FORMAT, MlicImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, ".mlic")
    Image.register_mime(FORMAT, MIME)
