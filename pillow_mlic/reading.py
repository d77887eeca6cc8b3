"""From the chunks of an open file to pixels: what `plugin` does when they are asked for.

header, what is wanted -> which tiles -> their bytes -> picture
"""

from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from PIL import Image, ImageFile

from . import process, settings
from .coding.lossless import LosslessDecoder
from .coding.picture import to_mode
from .engines import Needs, devices, engine_for
from .format import alpha, container
from .format.container import ChunkType
from .format.geometry import Box
from .format.tiles import ReadTile, cut_tile_of, tile_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .coding.coding import Coding
    from .coding.work import Progress

MISSING: dict[str, int | tuple[int, ...]] = {
    "L": 128,
    "LA": (128, 255),
    "RGB": (128, 128, 128),
    "RGBA": (128, 128, 128, 255),
}
"""The colour of lossless tiles that are missing, by mode."""


class Wanted(NamedTuple):
    """What is asked for; see `MlicImageFile.decode_region`."""

    box: Box | None = None
    """None: the whole picture."""
    device: str | None = None
    slices: int | None = None
    texture: float | None = None


class Reading:
    """How a file with this header becomes the pixels that are wanted.

    `read`, which alone uses the file, comes first, then `picture`. Raises ValueError for impossible
    wishes, WeightsError where the weights are not here.
    """

    def __init__(self, header: container.Header, wanted: Wanted) -> None:
        self._header = header
        self._size = header.width, header.height
        self._box = wanted.box or (0, 0, *self._size)
        self._slices: int | None = None
        self._texture = settings.strength(wanted.texture)
        self._coding: Coding | None = None
        self._needed: set[int] | None = None
        if not header.model:
            if wanted.box is not None:
                self._needed = set(header.grid.touched(self._box))
        else:
            self._coding = _coding(header, wanted.device)
            from .coding.coding import checked_slices
            from .coding.decoder import Decoder

            if wanted.slices is not None:
                self._slices = checked_slices(wanted.slices, self._coding)
            if wanted.box is not None:
                decoder = Decoder(self._coding, self._size, self._slices)
                self._needed = decoder.tiles_needed(self._box)
        self._tiles: dict[int, ReadTile] = {}
        self._alpha: bytes | None = None
        self._cells: bytes | None = None

    def read(self, fp: BinaryIO, end: int) -> None:
        """Read what is needed; `fp` stands behind the header of a file that ends at `end`.

        With LOAD_TRUNCATED_IMAGES without what is damaged or missing, and with the beginning of a
        learned tile in whose middle the file ends; else ContainerError.
        """
        truncated = ImageFile.LOAD_TRUNCATED_IMAGES
        header, needed = self._header, self._needed
        for place in container.scan(fp, header, end, allow_truncated=truncated, tiles=needed):
            try:
                if place.type == ChunkType.TILE:
                    self._tiles[place.index] = tile_of(header, container.read_chunk(fp, place))
                elif place.type == ChunkType.ALPHA:
                    self._alpha = container.read_chunk(fp, place)
                elif place.type == ChunkType.TEXTURE:
                    self._cells = container.read_chunk(fp, place)
            except container.ContainerError as error:
                if not truncated:
                    raise
                ends_here = isinstance(error, container.TruncatedError)
                if ends_here and place.type == ChunkType.TILE and header.model:
                    start = cut_tile_of(header, container.read_start(fp, place))
                    self._tiles |= {} if start is None else {place.index: start}
        if not self._tiles:
            msg = "not one tile of this .mlic file is there; fetch it again"
            raise container.TruncatedError(msg)

    def picture(self, progress: "Progress | None") -> Image.Image:
        """The pixels of the box. DecodeError or ContainerError where tiles are none."""
        if self._coding is None:
            return self._without_loss(progress)
        from .coding.decoder import Decoder
        from .format.texture import wanted

        header, (left, top, right, bottom) = self._header, self._box
        picture = Image.new(header.mode, (right - left, bottom - top))

        def put(region: Box, pixels: "NDArray[np.uint8]") -> None:
            part = Image.fromarray(to_mode(pixels, header.mode))
            picture.paste(part, (region[0] - left, region[1] - top))

        texture = wanted(header, self._cells, self._texture)
        decoder = Decoder(self._coding, self._size, self._slices, texture)
        with devices.chosen_threads():
            decoder.decode_into(put, self._tiles, self._box, progress)
        if header.has_alpha:
            picture.putalpha(self._read_alpha())
        return picture

    def _without_loss(self, progress: "Progress | None") -> Image.Image:
        """`picture` of a file whose tiles all are lossless: needs no network."""
        header, (left, top, right, bottom) = self._header, self._box
        in_tiles = self._alpha == alpha.IN_TILES
        mode = header.mode if in_tiles else header.mode.removesuffix("A")
        picture = Image.new(mode, (right - left, bottom - top), MISSING[mode])
        LosslessDecoder(header.grid, mode).decode_into(
            lambda region, part: picture.paste(part, (region[0] - left, region[1] - top)),
            self._tiles,
            self._box,
            progress,
        )
        if header.has_alpha and not in_tiles:
            picture.putalpha(self._read_alpha())
        return picture

    def _read_alpha(self) -> Image.Image:
        """The alpha plane; with LOAD_TRUNCATED_IMAGES opaque where it is damaged."""
        left, top, right, bottom = self._box
        try:
            if self._alpha is None:
                msg = "the transparency of this .mlic file is missing; fetch the file again"
                raise container.DamagedError(msg)
            return alpha.from_bytes(self._alpha, self._size, self._box)
        except container.DamagedError:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise
            return Image.new("L", (right - left, bottom - top), 255)


def _coding(header: container.Header, device: str | None) -> "Coding":
    """How a file with this header is coded, with the weights that it names.

    UnsupportedError where it has something that this version cannot decode.
    """
    process.load_numpy()  # before a module below does
    from . import packs
    from .coding.coding import Coding

    devices.check(device)  # a wrong device is told before a missing pack
    pack = packs.load(packs.find_header(header))
    floats = header.arithmetic != container.ARITHMETIC_INTEGER
    needs = Needs(floats=floats, half=settings.precision() == "bf16")
    return Coding.of_header(header, pack, engine_for(pack, device, needs))
