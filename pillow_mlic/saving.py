"""What `Image.save` does for `.mlic`: options -> a picture that is ready to be coded -> a file."""

import numbers
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image

from . import models
from .coding.goals import CodedFile, Target, find
from .engines import Needs, devices, engine_for
from .format import alpha, container, preview
from .format.container import Chunk, ChunkType, Header
from .settings import checked_texture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .coding.coding import Coding
    from .coding.goals import Put
    from .coding.work import Progress
    from .packs import PackFile

DEFAULT_QUALITY = 3.0
MOST_STEPS = 100_000
"""Most steps of refinement. More would be of no use, so a larger number is taken for a typo."""
GUARD = container.GUARD_BANDS[0]
"""The narrowest guard band: the decoder's entropy part runs in float64, as the encoder's does.
For packs without integers."""
DEFAULT_TILE = 1024
"""Small enough to decode a region cheaply; tiles of this size cost less than 0.1 % of the bytes."""
TEXTURE_SHARE = 0.005
"""Of a file's bytes: the most that saying where texture is weaker may take."""
METADATA = {ChunkType.ICC: "icc_profile", ChunkType.EXIF: "exif", ChunkType.XMP: "xmp"}
NATIVE_MODES = ("L", "LA", "RGB", "RGBA")
WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def to_mode(pixels: "NDArray[np.uint8]", mode: str) -> "NDArray[np.uint8]":
    """(H, W, 3) -> the same for RGB and RGBA; the mean of the planes (H, W) for L and LA."""
    if mode.startswith("RGB"):
        return pixels
    import numpy as np

    return np.asarray((pixels.astype(np.uint16).sum(-1) + 1) // 3, dtype=np.uint8)


def native_mode(image: Image.Image) -> Image.Image:
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


def _steps(value: object) -> int:
    """The number of steps of refinement; ValueError if it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_STEPS:
        msg = f"refine is {value!r}, but must be a whole number of steps from 0 to {MOST_STEPS}"
        raise ValueError(msg)
    return value


def _optimize(value: object, pack: "PackFile") -> bool:
    """Whether rounding is to be optimised.

    By default it is not for weights for one quality, so that they give their published results;
    nor without torch, which it needs.
    """
    if value is None:
        return pack.quality is None and pack.for_squared_error and devices.has_torch()
    if value and not pack.for_squared_error:
        aim = "MS-SSIM" if pack.distortion == "ms-ssim" else "how pictures look"
        msg = (
            f"optimize lowers the squared error, but the weights {pack.name} were trained for "
            f"{aim}; save without optimize"
        )
        raise ValueError(msg)
    return bool(value)


def _texture(value: object, pack: "PackFile", target: Target | None) -> float | None:
    """The strength of texture; None: to be chosen, for weights whose synthesis has learnt it.

    There is none where PSNR is asked for, as texture lowers it.
    """
    if value is not None:
        return checked_texture(value)
    chosen = pack.has_texture and (target is None or target.kind != "target_psnr")
    return None if chosen else 0.0


@dataclass(frozen=True)
class SaveSettings:
    """The options of saving, checked; the same for any picture."""

    file: "PackFile"
    """The weights."""
    quality: float
    """1 to 8; not used where there is a target."""
    target: Target | None
    tile: int
    optimize: bool
    refine: int
    preview: bool
    texture: float | None
    """Its strength, 0 to 1; None: as the encoder finds it right for the picture."""
    device: str | None

    @classmethod
    def of(cls, options: dict[str, Any]) -> "SaveSettings":
        """From the options of `save`; ValueError or WeightsError where they cannot be met."""
        from . import packs

        target = Target.of(options)
        quality = _quality(options.get("quality", DEFAULT_QUALITY))
        file = packs.find(options.get("model") or packs.DEFAULT_MODEL, quality)
        if target is not None:
            target.check_quality_is_free(file.name, file.quality)
        device = options.get("device")
        devices.check(device)
        return cls(
            file=file,
            # Weights for one quality: `find` gave the nearest.
            quality=quality if file.quality is None else file.quality,
            target=target,
            tile=_tile(options.get("tile", DEFAULT_TILE)),
            optimize=_optimize(options.get("optimize"), file),
            refine=_steps(options.get("refine", 0)),
            preview=bool(options.get("preview", False)),
            texture=_texture(options.get("texture"), file, target),
            device=device,
        )

    def coding(self) -> "Coding":
        """How pictures are coded by these options; loads the weights."""
        from . import packs
        from .coding.coding import Coding

        pack = packs.load(self.file)
        engine = engine_for(pack, self.device, Needs(gradients=self.optimize or self.refine > 0))
        guard = GUARD if pack.integers is None else None
        return Coding(pack, container.storable(self.quality), self.tile, guard, engine)


def check_options(options: dict[str, Any]) -> None:
    """Raise what saving with these options would raise, before there is a picture."""
    SaveSettings.of(options)


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready to be coded; made by `prepare`."""

    native: Image.Image
    chunks: list[Chunk]
    """Metadata and the alpha plane."""
    settings: SaveSettings
    coding: "Coding"

    def textured(self, coded: CodedFile) -> CodedFile:
        """The file with the texture that was asked for, or that suits the picture."""
        strength = self.settings.texture
        if strength is not None:
            code = round(container.MAX_TEXTURE * strength)
            return coded._replace(header=replace(coded.header, texture=code))
        from .coding import texture

        target = self.settings.target
        most = TEXTURE_SHARE * coded.size if target is None else 0.0  # sizes stay as they are
        coding = replace(self.coding, quality=coded.header.quality)
        found = texture.choose(_Picture(self.native), coding, coded.tiles)
        code, data = texture.fitted(found, most)
        chunk = [] if data is None else [Chunk(ChunkType.TEXTURE, data)]
        header = replace(coded.header, texture=code)
        return coded._replace(header=header, before=[*chunk, *coded.before])

    def header(self, coding: "Coding") -> Header:
        """The header of a file of this picture with this coding."""
        integers = coding.guard is None
        return Header(
            mode=self.native.mode,
            width=self.native.width,
            height=self.native.height,
            model=models.number_of(coding.pack.file.model),
            pack=coding.pack.hash,
            quality_code=container.quality_code(coding.quality),
            guard_code=0 if coding.guard is None else container.GUARD_BANDS.index(coding.guard),
            tile_code=container.tile_code(coding.tile),
            arithmetic=container.ARITHMETIC_INTEGER if integers else container.ARITHMETIC_FLOAT64,
        )

    def with_preview(self, file_bytes: float) -> list[Chunk]:
        """The chunks, and before them a preview that suits a file of so many bytes."""
        data = preview.to_bytes(self.native, file_bytes) if self.settings.preview else None
        return self.chunks if data is None else [Chunk(ChunkType.PREVIEW, data), *self.chunks]

    def file(
        self, coding: "Coding", tiles: list[bytes], chunks: list[Chunk] | None = None
    ) -> CodedFile:
        """Header and all chunks; `chunks` are those before the tiles, by default with a preview."""
        plain = CodedFile(self.header(coding), self.chunks, tiles)
        if chunks is None:
            chunks = self.with_preview(plain.size)
        return plain._replace(before=chunks)

    def encode(
        self, coding: "Coding", progress: "Progress | None" = None, refined: bool = True
    ) -> list[bytes]:
        """The payloads of the tiles; without `refined` (a draft) the steps of refinement are
        left out."""
        from .coding.encoder import Encoder

        settings, mode = self.settings, self.native.mode
        refine = settings.refine if refined else 0
        encoder = Encoder(
            coding, settings.optimize, refine, show=lambda pixels: to_mode(pixels, mode)
        )
        return encoder.encode(_Picture(self.native), progress).tiles


def prepare(image: Image.Image, options: dict[str, Any]) -> Prepared:
    """Check the options of `save` and bring the picture into the form that is coded."""
    settings = SaveSettings.of(options)
    chunks = _metadata(image, options)
    if 0 in image.size:
        msg = "cannot write an image without pixels as MLIC"
        raise ValueError(msg)
    if max(image.size) > container.MAX_SIDE:
        msg = f"MLIC pictures have sides of at most {container.MAX_SIDE} pixels"
        raise ValueError(msg)
    native = native_mode(image)
    if native.mode.endswith("A"):
        chunks.append(Chunk(ChunkType.ALPHA, alpha.to_bytes(native.getchannel("A"))))
    coding = settings.coding()
    if settings.texture and coding.guard is not None:
        msg = f"the weights {settings.file.name} cannot have texture; save without texture="
        raise ValueError(msg)
    return Prepared(native, chunks, settings, coding)


def save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:  # noqa: ARG001
    """Encode and write.

    Options: quality or one of target_bpp, max_bytes, target_psnr; model, device, optimize, refine,
    texture, preview, progress, exif, icc_profile, xmp, tile.

    `refine` is a number of steps, 0 by default, in which the encoder searches better latents for
    this picture (`coding.refinement`); each takes about as long as plain encoding. A tile keeps its
    refined latents only if its real bytes and pixels get better. With a target, the quality is
    first searched without refinement. Two or three refined trials around it follow, since
    refinement changes size and fidelity at the same quality.
    """
    options: dict[str, Any] = image.encoderinfo
    ready = prepare(image, options)
    progress = options.get("progress")
    target = ready.settings.target
    with devices.chosen_threads():
        if target is None:
            coded = ready.file(ready.coding, ready.encode(ready.coding, progress))
        else:
            coded = _met(target, ready, progress)
        coded = ready.textured(coded)
    container.write(cast(BinaryIO, fp), coded.header, coded.chunks)


def _met(target: Target, ready: "Prepared", progress: "Progress | None") -> CodedFile:
    """The file that meets the target."""
    # The preview counts towards a wanted size, so it is made for a slightly smaller file.
    size = target.expected_bytes(ready.native.width * ready.native.height)
    chunks = None if size is None else ready.with_preview(0.95 * size)
    found = find(target, _Maker(ready, chunks), progress)
    if chunks is None:
        return found
    plain = found._replace(before=ready.chunks)
    # If the picture is simpler than its target, even the best quality is far smaller than the size
    # that the preview was made for.
    previewed = sum(len(c.data) for c in chunks) - sum(len(c.data) for c in ready.chunks)
    return plain if previewed > preview.limit(plain.size) else found


class _Maker:
    """Makes the files that a search for a target tries; see goals.Maker.

    `chunks` are those before the tiles, by default as `Prepared.file` has them.
    """

    def __init__(self, ready: Prepared, chunks: list[Chunk] | None) -> None:
        self._ready = ready
        self._chunks = chunks
        self.image = ready.native
        self.overhead = sum(len(chunk.data) for chunk in chunks or ready.chunks)
        self.drafts = ready.settings.refine > 0

    def code(self, quality: float, progress: "Progress", draft: bool = False) -> CodedFile:
        """The file of a quality; a draft is not refined."""
        coding = self._at(quality)
        tiles = self._ready.encode(coding, progress, refined=not draft)
        return self._ready.file(coding, tiles, self._chunks)

    def show(self, coded: CodedFile, put: "Put", progress: "Progress") -> None:
        """Give the decoded picture to `put`."""
        from .coding.decoder import Decoder

        header = coded.header
        Decoder(self._at(header.quality), self.image.size).decode_into(
            lambda box, pixels: put(box, to_mode(pixels, header.mode)),
            dict(enumerate(coded.tiles)),
            progress=progress,
        )

    def _at(self, quality: float) -> "Coding":
        return replace(self._ready.coding, quality=container.storable(quality))


class _Picture:
    """An image that the encoder reads piece by piece: RGB pixels of some rows and columns."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.shape = (image.height, image.width, 3)

    def __getitem__(self, key: tuple[slice, slice]) -> "NDArray[np.uint8]":
        import numpy as np

        rows, columns = key
        part = self._image.crop((columns.start, rows.start, columns.stop, rows.stop))
        return np.asarray(part.convert("RGB"))


def _tile(size: object) -> int:
    """The side of a tile; ValueError for a side that a header cannot hold."""
    sides = [64 << code for code in range(container.MAX_TILE_CODE + 1)]
    if not isinstance(size, int) or size not in sides:
        msg = (
            f"tile is {size!r}, but must be 64, 128, 256 ... or {sides[-1]}; default {DEFAULT_TILE}"
        )
        raise ValueError(msg)
    return size
