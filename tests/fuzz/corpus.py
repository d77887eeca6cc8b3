"""The files that are mutated: all modes, tiles, metadata, guard bands, integers, rare symbols."""

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

import pillow_mlic  # noqa: F401
from pillow_mlic import packs
from pillow_mlic.format import container
from pillow_mlic.format.container import Chunk, ChunkType, Header
from pillow_mlic.format.tiles import chunk_of, tile_of

from ..coders import coding_of, encode
from ..conftest import GOLDEN, photograph

FAST = container.GUARD_BANDS.index(1e-5)


@dataclass(frozen=True, eq=False)
class Seed:
    """A genuine file and what it decodes to."""

    name: str
    data: bytes
    header: Header
    chunks: tuple[tuple[int, bytes], ...]
    """Type byte and data of each chunk."""
    picture: Image.Image

    @property
    def lossless(self) -> bool:
        """Whether a tile is lossless, whose pixels no checksum but the chunk's own protects."""
        return any(
            kind & 0x3F == ChunkType.TILE and not isinstance(tile_of(self.header, data), bytes)
            for kind, data in self.chunks
        )

    @property
    def tiles(self) -> list[bytes]:
        """The payloads of learned tiles."""
        tiles = [
            tile_of(self.header, d) for kind, d in self.chunks if kind & 0x3F == ChunkType.TILE
        ]
        return [tile for tile in tiles if isinstance(tile, bytes)]


@cache
def seeds() -> tuple[Seed, ...]:
    """All seeds; MLIC_WEIGHTS must name the small pack."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    metadata = {"exif": b"II*\0\x08\0\0\0\0\0\0\0\0\0", "xmp": b"<x/>", "icc_profile": bytes(200)}
    made = {
        "tiny": saved(photograph(64, 64), quality=5),
        "gray": saved(photograph(40, 50).convert("L"), quality=2),
        "flat": saved(Image.new("RGB", (64, 64), "teal"), quality=1),
        "tiles": saved(photograph(130, 70), quality=4, tile=64),
        "metadata": with_unknown_chunk(saved(photograph(60, 64), quality=3, **metadata)),
        "noise": saved(Image.fromarray(noise), quality=8),
        "fast": with_guard_band(photograph(64, 64)),
        "writing": saved(writing(), lossless=True),
        "icon": saved(photograph(70, 40).convert("RGBA"), lossless=True, tile=64),
        "one bit": saved(photograph(70, 40).convert("1"), lossless=True),
        "both kinds": saved(both_kinds(), quality=5, tile=64),
        "preview": with_preview(saved(photograph(64, 48), quality=1), photograph(64, 48)),
    }
    made |= {
        f"{path.parent.name} {path.stem}": path.read_bytes()
        for path in sorted(GOLDEN.glob("v*/[ilr]*.mlic"))
    }
    return tuple(seed(name, data) for name, data in made.items())


def seed(name: str, data: bytes) -> Seed:
    """Take a genuine file apart."""
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    chunks = []
    for place in container.scan(fp, header, len(data)):
        kind = place.type | 0x40 * place.critical | 0x80 * place.last
        chunks.append((kind, container.read_chunk(fp, place)))
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return Seed(name, data, header, tuple(chunks), image.copy())


def saved(image: Image.Image, **options: object) -> bytes:
    """The bytes of a .mlic file."""
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", optimize=False, **options)  # the same bytes on every machine
    return buffer.getvalue()


def writing() -> Image.Image:
    """A tile of few colours."""
    return photograph(70, 40).quantize(5)


def both_kinds() -> Image.Image:
    """Tiles that are learned and tiles that are not."""
    image = photograph(256, 128)
    image.paste((90, 120, 60), (64, 0, 256, 128))
    image.paste(writing().convert("RGB"), (64, 0))
    return image


def with_unknown_chunk(data: bytes) -> bytes:
    """The same file with a chunk that readers skip."""
    return with_chunk(data, Chunk(40, b"who knows"))


def with_preview(data: bytes, image: Image.Image) -> bytes:
    """The same file with a preview, though it is too small for one to be written."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=40)
    return with_chunk(data, Chunk(ChunkType.PREVIEW, buffer.getvalue()))


def with_chunk(data: bytes, chunk: Chunk) -> bytes:
    """The same file with one chunk more, in front."""
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    chunks = [
        Chunk(place.type, container.read_chunk(fp, place))
        for place in container.scan(fp, header, len(data))
    ]
    out = io.BytesIO()
    container.write(out, header, [chunk, *chunks])
    return out.getvalue()


def with_guard_band(image: Image.Image) -> bytes:
    """A file with corrections, whose decoder works in float32."""
    pack = packs.load(packs.find())
    guard = container.GUARD_BANDS[FAST]
    encoded = encode(np.asarray(image), coding_of(pack, 6.0, guard=guard))
    quality = container.quality_code(6.0)
    header = Header("RGB", *image.size, 1, pack.hash, quality, guard_code=FAST)
    out = io.BytesIO()
    container.write(out, header, [chunk_of(header, tile) for tile in encoded.tiles])
    return out.getvalue()
