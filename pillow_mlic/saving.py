"""What `Image.save` does for `.mlic`: options -> a picture that is ready to be coded -> a file."""

import os
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, cast

from PIL import Image

from . import models, process
from .coding import lossless
from .coding.goals import CodedFile, OutOfReachError, Target, find
from .coding.picture import PixelSource, native_mode, to_mode
from .engines import devices
from .format import alpha, container, metadata, preview
from .format.container import Chunk, ChunkType, Header
from .format.tiles import AnyTile
from .save_settings import SaveSettings, checked_tile, is_lossless

if TYPE_CHECKING:
    from .coding.coding import Coding
    from .coding.content import DrawnParts
    from .coding.goals import Put
    from .coding.work import Progress

TEXTURE_SHARE = 0.005
"""Of a file's bytes: the most that saying where texture is weaker may take."""


@dataclass(frozen=True)
class Prepared:
    """A picture that is ready to be coded; made by `prepare`."""

    native: Image.Image
    chunks: list[Chunk]
    """Metadata and the alpha plane."""
    settings: SaveSettings
    coding: "Coding"
    content: "DrawnParts | None"
    """Where it is drawn, if so much of it is that lossless tiles may cost less."""

    def textured(self, coded: CodedFile) -> CodedFile:
        """The file with the texture that was asked for, or that suits the picture."""
        header, strength = coded.header, self.settings.texture
        if not header.model:
            return coded  # every tile has its own pixels
        if strength is not None:
            code = round(container.MAX_TEXTURE * strength)
            return coded._replace(header=replace(header, texture=code))
        from .coding import texture

        target = self.settings.target
        most = TEXTURE_SHARE * coded.size if target is None else 0.0  # sizes stay as they are
        coding = replace(self.coding, quality=header.quality, tile=header.tile_size)
        found = texture.choose(PixelSource(self.native), coding, coded.tiles)
        code, data = texture.fitted(found, most)
        chunk = [] if data is None else [Chunk(ChunkType.TEXTURE, data)]
        return coded._replace(header=replace(header, texture=code), before=[*chunk, *coded.before])

    def header(self, coding: "Coding", tiles: list[AnyTile]) -> Header:
        """The header of a file of this picture with this coding and these tiles."""
        quality = container.quality_code(coding.quality)
        if not any(isinstance(tile, bytes) for tile in tiles):
            code = lossless.storable_code(self.native, coding.tile, tiles, quality)
            return lossless.header_of(self.native, coding.tile, code)
        integers = coding.guard is None
        return Header(
            mode=self.native.mode,
            width=self.native.width,
            height=self.native.height,
            model=models.number_of(coding.pack.file.model),
            pack=coding.pack.hash,
            quality_code=quality,
            guard_code=0 if coding.guard is None else container.GUARD_BANDS.index(coding.guard),
            tile_code=container.tile_code(coding.tile),
            arithmetic=container.ARITHMETIC_INTEGER if integers else container.ARITHMETIC_FLOAT64,
        )

    def with_preview(self, file_bytes: float) -> list[Chunk]:
        """The chunks, and before them a preview that suits a file of so many bytes."""
        data = preview.to_bytes(self.native, file_bytes) if self.settings.preview else None
        return self.chunks if data is None else [Chunk(ChunkType.PREVIEW, data), *self.chunks]

    def file(
        self, coding: "Coding", tiles: list[AnyTile], chunks: list[Chunk] | None = None
    ) -> CodedFile:
        """Header and all chunks; `chunks` are those before the tiles, by default with a preview."""
        plain = CodedFile(self.header(coding, tiles), self.chunks, tiles)
        if chunks is None:
            chunks = self.with_preview(plain.size)
        found = plain._replace(before=chunks)
        if not plain.header.model and plain.header.has_alpha:
            # Colours and alpha together may take less than alpha in a chunk of its own.
            exact = self.exact()
            return exact if exact.size <= found.size else found
        return found

    def exact(self) -> CodedFile:
        """The file that has every pixel, as `lossless=True` writes it."""
        metadata = [chunk for chunk in self.chunks if chunk.type != ChunkType.ALPHA]
        tile = lossless.tile_for(self.native.size)
        return _without_loss(self.native, metadata, tile, self.settings.preview)

    def encode(
        self, coding: "Coding", progress: "Progress | None" = None, refined: bool = True
    ) -> "tuple[Coding, list[AnyTile]]":
        """The tiles, and the coding with their side; without `refined` (a draft) the steps of
        refinement are left out."""
        from .coding.encoder import Encoder
        from .coding.mixed import best_side, sides_for

        settings, content, picture = self.settings, self.content, PixelSource(self.native)
        show = partial(to_mode, mode=self.native.mode)
        refine = settings.refine if refined else 0
        if content is not None and not settings.fixed_tile:
            sided = best_side(
                sides_for(coding.tile, content),
                lambda side, tell: Encoder(replace(coding, tile=side), settings.optimize).encode(
                    picture, tell, content
                ),
                None if refine else progress,
            )
            coding = replace(coding, tile=sided.side)
            if not refine:
                return coding, sided.encoded.tiles
        encoder = Encoder(coding, settings.optimize, refine, show)
        return coding, encoder.encode(picture, progress, content).tiles


def prepare(image: Image.Image, options: dict[str, Any]) -> Prepared:
    """Check the options of `save` and bring the picture into the form that is coded."""
    process.load_numpy()  # before a module below does
    from .coding.content import look

    settings = SaveSettings.of(options)
    native, chunks = _native(image, options)
    if native.mode.endswith("A"):
        chunks.append(Chunk(ChunkType.ALPHA, alpha.to_bytes(native.getchannel("A"))))
    content = look(native)
    drawn = content if content.worth_trying else None
    coding = settings.coding()
    if settings.texture != 0 and coding.guard is not None:
        msg = f"the weights {settings.file.name} cannot have texture; save without texture="
        raise ValueError(msg)
    return Prepared(native, chunks, settings, coding, drawn)


def _native(image: Image.Image, options: dict[str, Any]) -> tuple[Image.Image, list[Chunk]]:
    """The picture in a mode of the format, and its metadata."""
    if 0 in image.size:
        msg = "cannot write an image without pixels as MLIC"
        raise ValueError(msg)
    if max(image.size) > container.MAX_SIDE:
        msg = f"MLIC pictures have sides of at most {container.MAX_SIDE} pixels"
        raise ValueError(msg)
    native = native_mode(image)
    return native, metadata.chunks_of(image, native.mode, options)


def save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """Encode and write.

    Options: quality or one of target_bpp, max_bytes, target_psnr, or lossless; model, device,
    optimize, refine, texture, preview, progress, exif, icc_profile, xmp, tile.

    `refine` is a number of steps, 0 by default, in which the encoder searches better latents for
    this picture (`coding.refinement`); each takes about as long as plain encoding. A tile keeps its
    refined latents only if its real bytes and pixels get better. With a target, the quality is
    first searched without refinement. Two or three refined trials around it follow, since
    refinement changes size and fidelity at the same quality.

    Interrupted by Ctrl-C, it leaves no file where there was none. A file that was there is emptied
    by Pillow before a plugin is asked.

    Several threads may save one picture, each with its own options.
    """
    _save(image, fp, filename, _what_pillow_knows())


def save_all(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
    """`save` of a picture that is the only one; ValueError where there are several."""
    known = _what_pillow_knows()
    more = known.get("params", image.encoderinfo).get("append_images") or ()
    frames = getattr(image, "n_frames", 1) + len(tuple(more))
    if frames > 1:
        msg = (
            f"MLIC files hold one picture, but these are {frames}: save each by itself, without "
            "save_all and append_images"
        )
        raise ValueError(msg)
    _save(image, fp, filename, known)


def _save(image: Image.Image, fp: IO[bytes], filename: str | bytes, known: dict[str, Any]) -> None:
    try:
        # `encoderinfo` is an attribute of the picture: other threads that save it change it.
        coded = _coded(image, known.get("params", image.encoderinfo))
        container.write(cast(BinaryIO, fp), coded.header, coded.chunks)
    except Exception:
        raise  # Pillow removes the file that it made
    except BaseException:
        if known.get("open_fp"):
            fp.close()
            if known.get("created"):
                Path(os.fsdecode(filename)).unlink(missing_ok=True)
        raise


def _what_pillow_knows() -> dict[str, Any]:
    """The variables of `Image.save` that called `save`: only they say who made the file, and which
    options belong to this call."""
    frame = sys._getframe(2)
    return frame.f_locals if frame.f_code is Image.Image.save.__code__ else {}


def _coded(image: Image.Image, options: dict[str, Any]) -> CodedFile:
    """The file that these options of `save` ask for."""
    progress = options.get("progress")
    if is_lossless(options):
        native, chunks = _native(image, options)
        asked = options.get("tile") or lossless.tile_for(native.size)
        tile = checked_tile(asked, container.MAX_LOSSLESS_TILE_CODE)
        return _without_loss(native, chunks, tile, bool(options.get("preview")), progress)
    ready = prepare(image, options)
    target = ready.settings.target
    with devices.chosen_threads():
        if target is None:
            coded = ready.file(*ready.encode(ready.coding, progress))
        else:
            coded = _met(target, ready, progress)
        return ready.textured(coded)


def _without_loss(
    native: Image.Image,
    metadata: list[Chunk],
    tile: int,
    previewed: bool,
    progress: "Progress | None" = None,
) -> CodedFile:
    """The file that has every pixel; needs no network."""
    in_tiles = [Chunk(ChunkType.ALPHA, alpha.IN_TILES)] if native.mode.endswith("A") else []
    chunks = [*metadata, *in_tiles]
    header = lossless.header_of(native, tile)
    coded = CodedFile(header, chunks, lossless.encode(native, tile, progress))
    small = preview.to_bytes(native, coded.size) if previewed else None
    if small is not None:
        coded = coded._replace(before=[Chunk(ChunkType.PREVIEW, small), *chunks])
    return coded


def _met(target: Target, ready: "Prepared", progress: "Progress | None") -> CodedFile:
    """The file that meets the target; without loss where there is room for that, or where no other
    has the PSNR."""
    # The preview counts towards a wanted size, so it is made for a slightly smaller file.
    size = target.expected_bytes(ready.native.width * ready.native.height)
    chunks = None if size is None else ready.with_preview(0.95 * size)
    maker = _Maker(ready, chunks)
    try:
        found = find(target, maker, progress)
    except OutOfReachError as error:
        if size is None and not error.too_low:
            return ready.exact()
        # Some quality may fit with learned tiles alone.
        if ready.content is None or not maker.dearer_than(size):
            raise
        found = find(target, maker.learned_only(), progress)
    if target.kind == "max_bytes" and found.header.quality == 8:
        exact = ready.exact()
        if exact.size <= target.value:
            return exact
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
        self._mixed = [0]
        """Sizes of files with lossless tiles."""

    def dearer_than(self, size: float | None) -> bool:
        """Whether there was a file with lossless tiles, one larger than `size` if that is given."""
        return max(self._mixed) > (size or 0)

    def learned_only(self) -> "_Maker":
        """The same without lossless tiles."""
        return _Maker(replace(self._ready, content=None), self._chunks)

    def code(self, quality: float, progress: "Progress", draft: bool = False) -> CodedFile:
        """The file of a quality; a draft is not refined."""
        coding, tiles = self._ready.encode(self._at(quality), progress, refined=not draft)
        coded = self._ready.file(coding, tiles, self._chunks)
        if coded.mixed:
            self._mixed.append(coded.size)
        return coded

    def show(self, coded: CodedFile, put: "Put", progress: "Progress") -> None:
        """Give the decoded picture to `put`."""
        from .coding.decoder import Decoder

        header = coded.header
        coding = replace(self._at(header.quality), tile=header.tile_size)
        Decoder(coding, self.image.size).decode_into(
            lambda box, pixels: put(box, to_mode(pixels, header.mode)),
            dict(enumerate(coded.tiles)),
            progress=progress,
        )

    def _at(self, quality: float) -> "Coding":
        return replace(self._ready.coding, quality=container.storable(quality))
