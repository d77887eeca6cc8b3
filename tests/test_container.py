"""The container: bytes <-> header and chunks, and what it does with hostile bytes."""

import binascii
import io
import re
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pillow_mlic.format import container, leb128
from pillow_mlic.format.container import (
    Chunk,
    ChunkType,
    ContainerError,
    DamagedError,
    Header,
    TruncatedError,
    UnsupportedError,
)
from pillow_mlic.format.layout import VERSIONS
from pillow_mlic.format.tiles import LosslessTile, TileKind, chunk_of, tile_of

PACK = bytes(range(8))
# Version 1, whose chunks are made by hand below; what version 2 has more is tested at the end.
PHOTO = Header("RGB", 768, 512, 0, PACK, container.quality_code(3.0), version=1)
TWO_BY_TWO = Header("RGBA", 100, 70, 1, PACK, 0, guard_code=4, tile_code=0, version=1)
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
HOSTILE = settings(PATIENT, max_examples=300)
FORMAT_PAGE = Path(__file__).parents[1] / "docs" / "format.md"

headers = st.builds(
    Header,
    mode=st.sampled_from(container.MODES),
    width=st.integers(1, container.MAX_SIDE),
    height=st.integers(1, container.MAX_SIDE),
    model=st.integers(0, 255),
    pack=st.binary(min_size=8, max_size=8),
    quality_code=st.integers(0, container.MAX_QUALITY_CODE),
    guard_code=st.integers(0, len(container.GUARD_BANDS) - 1),
    tile_code=st.integers(0, container.MAX_TILE_CODE),
    version=st.sampled_from(VERSIONS),
)
metadata_types = st.sampled_from([ChunkType.ICC, ChunkType.EXIF, ChunkType.XMP, ChunkType.PREVIEW])


@st.composite
def files(draw: st.DrawFn) -> tuple[Header, list[Chunk]]:
    """Draw a header with few tiles and chunks that fit it."""
    header = draw(headers)
    side = header.tile_size
    width = draw(st.integers(1, min(3 * side, container.MAX_SIDE)))
    height = draw(st.integers(1, min(3 * side, container.MAX_SIDE)))
    header = replace(header, width=width, height=height)
    data = st.binary(max_size=200)
    chunks = [Chunk(kind, draw(data)) for kind in draw(st.lists(metadata_types, unique=True))]
    if header.has_alpha:
        chunks.append(Chunk(ChunkType.ALPHA, draw(data)))
    chunks += [Chunk(ChunkType.TILE, draw(data)) for _ in range(header.grid.count)]
    for _ in range(draw(st.integers(0, 2))):
        unknown = Chunk(draw(st.integers(8, 63)), draw(data))
        chunks.insert(draw(st.integers(0, len(chunks))), unknown)
    return header, chunks


def to_file(header: Header, chunks: list[Chunk]) -> bytes:
    fp = io.BytesIO()
    size = container.write(fp, header, chunks)
    assert size == len(fp.getvalue())
    return fp.getvalue()


def read_all(data: bytes) -> tuple[Header, list[Chunk]]:
    """Read a whole file with every checksum, skippable chunks included."""
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    places = container.scan(fp, header, len(data))
    return header, [Chunk(place.type, container.read_chunk(fp, place)) for place in places]


def chunk_bytes(type_byte: int, data: bytes = b"", length: bytes | None = None) -> bytes:
    """Build a chunk by hand, wrong ones too."""
    if length is None:
        length = leb128.encode(len(data))
    crc = zlib.crc32(bytes([type_byte]) + data)
    return bytes([type_byte]) + length + data + crc.to_bytes(4, "big")


def with_crc(body: bytes) -> bytes:
    return body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "big")


def small_file() -> bytes:
    """Return a file with four tiles and every type of chunk that can be in it."""
    kinds = [ChunkType.ICC, ChunkType.EXIF, ChunkType.XMP, ChunkType.PREVIEW, 40, ChunkType.ALPHA]
    chunks = [Chunk(kind, bytes([kind]) * 5) for kind in kinds]
    chunks += [Chunk(ChunkType.TILE, bytes([index]) * index) for index in range(4)]
    return to_file(TWO_BY_TWO, chunks)


TILE = 0x41
LAST_TILE = 0xC1


# Header


@PATIENT
@given(headers)
def test_header_round_trip(header: Header) -> None:
    fp = io.BytesIO(b"before" + header.to_bytes() + b"behind")
    fp.seek(6)
    assert container.read_header(fp) == header
    assert fp.read() == b"behind"
    longer = 2 * (header.version - 1)
    assert 25 + longer <= header.byte_length == len(header.to_bytes()) <= 31 + longer


@PATIENT
@given(st.floats(1, 8))
def test_quality_is_kept_to_half_a_step(quality: float) -> None:
    header = replace(PHOTO, quality_code=container.quality_code(quality))
    assert abs(header.quality - quality) <= 0.5 / 8192


@pytest.mark.parametrize("quality", [0.999, 8.001, -3, float("nan"), float("inf")])
def test_quality_outside_its_range_is_refused(quality: float) -> None:
    with pytest.raises(ValueError, match=r"quality is .* from 1 .* to 8"):
        container.quality_code(quality)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "CMYK"),
        ("width", 0),
        ("width", container.MAX_SIDE + 1),
        ("width", 7.5),
        ("height", -1),
        ("model", 256),
        ("pack", b"1234567"),
        ("pack", "12345678"),
        ("quality_code", container.MAX_QUALITY_CODE + 1),
        ("guard_code", len(container.GUARD_BANDS)),
        ("tile_code", container.MAX_TILE_CODE + 1),
        ("tile_code", 16),
    ],
)
def test_header_refuses_bad_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=field):
        replace(PHOTO, **{field: value})


def test_header_properties() -> None:
    assert (PHOTO.quality, PHOTO.guard, PHOTO.tile_size, PHOTO.grid.count) == (3.0, 1e-9, 1024, 1)
    assert not PHOTO.has_alpha
    header = TWO_BY_TWO
    assert (header.grid.across, header.grid.down, header.guard) == (2, 2, 1e-5)
    assert list(header.grid.boxes()) == [
        (0, 0, 64, 64),
        (64, 0, 128, 64),
        (0, 64, 64, 128),
        (64, 64, 128, 128),
    ]
    for index in (-1, 4):
        with pytest.raises(IndexError, match="tiles 0 to 3"):
            header.grid.box(index)


@PATIENT
@given(st.integers(1, 700), st.integers(1, 700))
def test_tile_boxes_cover_the_picture_once(width: int, height: int) -> None:
    header = replace(TWO_BY_TWO, width=width, height=height)
    boxes = list(header.grid.boxes())
    assert len(boxes) == header.grid.count
    area = sum((right - left) * (bottom - top) for left, top, right, bottom in boxes)
    _, _, padded_width, padded_height = header.grid.padded
    assert width <= padded_width < width + 64
    assert height <= padded_height < height + 64
    assert area == padded_width * padded_height
    assert all(
        left < right <= padded_width and top < bottom <= padded_height
        for left, top, right, bottom in boxes
    )
    assert boxes == sorted(boxes, key=lambda box: (box[1], box[0]))


def test_prefix_functions() -> None:
    prefix = PHOTO.to_bytes()[:16]
    newer = prefix[:8] + b"\x32" + prefix[9:]
    assert container.is_mlic(prefix)
    assert container.is_mlic(newer)
    assert not container.is_mlic(prefix[:7])
    assert not container.is_mlic(b"\x89PNG\r\n\x1a\n")
    assert container.prefix_problem(prefix) is None
    assert container.prefix_problem(prefix[:8]) is None
    assert container.prefix_problem(b"\x89PNG\r\n\x1a\n") is None
    assert "version 3" in str(container.prefix_problem(newer))
    with pytest.raises(UnsupportedError, match="update pillow-mlic"):
        container.read_header(io.BytesIO(newer))


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"", TruncatedError, "ends in its header"),
        (container.SIGNATURE[:5], TruncatedError, "ends in its header"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), DamagedError, "not a .mlic file"),
        (PHOTO.to_bytes().replace(b"\r\n", b"\n"), DamagedError, "text mode"),
    ],
)
def test_wrong_signature(data: bytes, error: type[ContainerError], message: str) -> None:
    with pytest.raises(error, match=message):
        container.read_header(io.BytesIO(data))


@pytest.mark.parametrize(
    ("at", "new", "message"),
    [
        (8, b"\x14", "mode 4"),
        (9, b"\x80\x00", "shortest form"),
        (9, b"\x00", "width"),
        (9, b"\x80\x80\x80\x08", "width"),
        (9, b"\xff\xff\xff\xff\x7f", "width"),
        (9, b"\xff\xff\xff\xff\xff\x01", "more than 5 bytes"),
        (20, b"\xe0\x01", "quality_code"),
        (22, b"\x5b", "guard_code"),
        (22, b"\x70", "tile_code is 7, but must be an integer from 0 to 6"),
        (22, b"\x80", "tile_code is 8, but must be an integer from 0 to 6"),
        (22, b"\xf0", "tile_code"),
    ],
)
def test_bad_header_field_with_good_checksum(at: int, new: bytes, message: str) -> None:
    body = replace(PHOTO, width=5, height=6).to_bytes()[:-2]
    old_size = 1 if at == 9 else len(new)
    data = with_crc(body[:at] + new + body[at + old_size :])
    with pytest.raises(DamagedError, match=message):
        container.read_header(io.BytesIO(data + bytes(20)))


def test_crc_16_is_the_documented_one() -> None:
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1


# Whole files


@PATIENT
@given(files())
def test_file_round_trip(file: tuple[Header, list[Chunk]]) -> None:
    header, chunks = file
    data = to_file(header, chunks)
    assert read_all(data) == (header, chunks)
    assert read_all(data + b"trailing bytes are ignored") == (header, chunks)


@pytest.mark.parametrize(("size", "overhead"), [(16_383, 34), (16_384, 35), (2**21 - 1, 35)])
def test_overhead_of_a_plain_photo(size: int, overhead: int) -> None:
    assert PHOTO.byte_length == 27
    assert len(to_file(PHOTO, [Chunk(ChunkType.TILE, bytes(size))])) == size + overhead


def test_scan_puts_the_file_back_and_reads_no_data() -> None:
    data = small_file()
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    start = fp.tell()
    places = container.scan(fp, header, len(data))
    assert fp.tell() == start == header.byte_length
    tiles = [place for place in places if place.type == ChunkType.TILE]
    assert [place.index for place in tiles] == [0, 1, 2, 3]
    assert [place.last for place in places] == [False] * 9 + [True]
    assert [place.length for place in tiles] == [0, 1, 2, 3]


def test_metadata_is_read_without_the_tiles() -> None:
    data = small_file()
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    places = container.scan_metadata(fp, header, len(data))
    assert fp.tell() == header.byte_length
    assert [place.type for place in places] == [3, 4, 5, 6, 40]
    first_critical = places[-1].offset + places[-1].length + 4
    cut = io.BytesIO(data[: first_critical + 1])
    cut.seek(header.byte_length)
    assert container.scan_metadata(cut, header, first_critical + 1) == places
    assert [container.read_chunk(cut, place)[:1] for place in places[:3]] == [
        b"\x03",
        b"\x04",
        b"\x05",
    ]


def test_every_flipped_bit_is_found() -> None:
    """No place in a file can be ignored: all bits are under a checksum or move one."""
    data = small_file()
    read_all(data)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ContainerError):
            read_all(bytes(flipped))


def test_every_truncation_is_found() -> None:
    data = small_file()
    for size in range(len(data)):
        with pytest.raises(TruncatedError, match="cut short; fetch it again"):
            read_all(data[:size])


def test_truncated_file_gives_its_whole_chunks() -> None:
    data = small_file()
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    places = container.scan(fp, header, len(data))
    for size in range(header.byte_length, len(data) + 1):
        fp = io.BytesIO(data[:size])
        fp.seek(header.byte_length)
        found = container.scan(fp, header, size, allow_truncated=True)
        whole = [place for place in places if place.offset + place.length + 4 <= size]
        assert found[: len(whole)] == whole
        assert len(found) <= len(whole) + 1
        for place in found[len(whole) :]:
            assert place == places[len(whole)]
            assert container.read_start(fp, place) == data[place.offset : size][: place.length]
            with pytest.raises(TruncatedError):
                container.read_chunk(fp, place)


def test_truncation_message_names_the_tile() -> None:
    header = replace(PHOTO, width=5 * 64, height=64, tile_code=0)
    data = to_file(header, [Chunk(ChunkType.TILE, bytes(50))] * 5)
    with pytest.raises(TruncatedError, match="ends in the middle of tile 3 of 5: the download"):
        read_all(data[: 28 + 2 * 56 + 20])
    with pytest.raises(TruncatedError, match="ends before tile 4 of 5: the download"):
        read_all(data[: header.byte_length + 3 * 56])


def test_damage_message_names_the_chunk() -> None:
    data = bytearray(small_file())
    data[-1] ^= 1
    with pytest.raises(DamagedError, match="checksum of tile 4 does not match"):
        read_all(bytes(data))


def test_read_chunk_where_the_file_is_shorter_than_was_said() -> None:
    data = small_file()
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    place = container.scan(fp, header, len(data))[-1]
    with pytest.raises(TruncatedError, match="tile 4"):
        container.read_chunk(io.BytesIO(data[:-1]), place)


# Rules of chunks


def photo(*chunks: bytes) -> bytes:
    return PHOTO.to_bytes() + b"".join(chunks)


def test_unknown_chunks_are_skipped_or_refused() -> None:
    data = photo(chunk_bytes(0x3F, b"?"), chunk_bytes(TILE, b"t"), chunk_bytes(0x87, b""))
    _, chunks = read_all(data)
    assert [chunk.type for chunk in chunks] == [63, 1, 7]
    critical = photo(chunk_bytes(0x7F, b"?"), chunk_bytes(LAST_TILE, b"t"))
    with pytest.raises(UnsupportedError, match=r"chunk type 63.*update pillow-mlic"):
        read_all(critical)
    fp = io.BytesIO(critical)
    with pytest.raises(UnsupportedError, match="chunk type 63"):
        container.scan_metadata(fp, container.read_header(fp), len(critical))


@pytest.mark.parametrize("kind", [3, 4, 5, 6])
def test_duplicates_are_refused(kind: int) -> None:
    name = ChunkType(kind).name
    data = photo(chunk_bytes(kind), chunk_bytes(kind), chunk_bytes(LAST_TILE))
    with pytest.raises(DamagedError, match=f"more than one {name}"):
        read_all(data)
    chunk = Chunk(kind, b"")
    with pytest.raises(ValueError, match=f"more than one {name}"):
        to_file(PHOTO, [chunk, chunk, Chunk(ChunkType.TILE, b"")])


@pytest.mark.parametrize(
    ("mode", "types", "message"),
    [
        ("RGB", [0x41, 0xC1], "more tiles"),
        ("RGB", [0x42, 0xC1], "mode RGB has no alpha"),
        ("RGB", [0x41, 0x83], "ICC chunk comes too late"),
        ("RGBA", [0xC1], "needs an ALPHA"),
        ("RGBA", [0x42, 0x42, 0xC1], "more than one ALPHA"),
        ("RGBA", [0x42, 0x04, 0xC1], "EXIF chunk comes too late"),
        ("RGBA", [0x41, 0xC2], "needs an ALPHA"),
        ("L", [0x81], "critical flag of TILE"),
        ("L", [0x43, 0xC1], "critical flag of ICC"),
        ("L", [0x00, 0xC1], "type 0"),
        ("L", [0x40, 0xC1], "type 0"),
        ("L", [0x3F] * 256 + [0xC1], "more than 255"),
    ],
)
def test_misplaced_chunks_are_damage(mode: str, types: list[int], message: str) -> None:
    head = replace(PHOTO, mode=mode).to_bytes()
    data = head + b"".join(chunk_bytes(kind) for kind in types)
    with pytest.raises(DamagedError, match=message):
        read_all(data)


@pytest.mark.parametrize("types", [[0x83], [0x03, 0x87]])
def test_too_few_tiles(types: list[int]) -> None:
    data = photo(*(chunk_bytes(kind) for kind in types))
    with pytest.raises(TruncatedError, match="before tile 1 of 1"):
        read_all(data)


def test_missing_last_flag() -> None:
    with pytest.raises(TruncatedError, match="before its last chunk"):
        read_all(photo(chunk_bytes(TILE, b"t")))


@pytest.mark.parametrize(
    ("mode", "kinds", "message"),
    [
        ("L", [], "0 of the picture's 1 tiles"),
        ("L", [1, 1], "more tiles"),
        ("L", [2, 1], "no alpha"),
        ("LA", [1], "needs an ALPHA"),
        ("LA", [2, 3, 1], "too late"),
    ],
)
def test_write_refuses_misplaced_chunks(mode: str, kinds: list[int], message: str) -> None:
    fp = io.BytesIO()
    with pytest.raises(ValueError, match=message):
        container.write(fp, replace(PHOTO, mode=mode), [Chunk(kind, b"") for kind in kinds])
    assert not fp.getvalue()


@pytest.mark.parametrize("kind", [0, 64, -1])
def test_chunk_refuses_bad_type(kind: int) -> None:
    with pytest.raises(ValueError, match="chunk type"):
        Chunk(kind, b"")


def test_chunk_knows_whether_it_is_critical() -> None:
    assert [kind for kind in range(1, 64) if Chunk(kind, b"").critical] == [1, 2]


@pytest.mark.parametrize("number", [b"\x80\x00", b"\x80\x80\x80\x80\x80\x01"])
def test_length_in_a_form_that_is_not_allowed(number: bytes) -> None:
    data = photo(chunk_bytes(LAST_TILE, bytes(9), length=number))
    with pytest.raises(DamagedError, match="in tile 1 of 1, a LEB128 number"):
        read_all(data)


# Hostile bytes


def read_leniently(data: bytes) -> None:
    """Call every reader; anything but a ContainerError is a fault."""
    fp = io.BytesIO(data)
    try:
        header = container.read_header(fp)
    except ContainerError:
        return
    for scan in (container.scan_metadata, container.scan):
        try:
            fp.seek(header.byte_length)
            for place in scan(fp, header, len(data)):
                container.read_chunk(fp, place)
        except ContainerError:
            pass
    try:
        fp.seek(header.byte_length)
        container.scan(fp, header, len(data), allow_truncated=True)
    except ContainerError:
        pass


@HOSTILE
@given(st.binary(max_size=200))
def test_random_bytes_behind_the_signature(data: bytes) -> None:
    read_leniently(container.SIGNATURE + data)
    read_leniently(container.SIGNATURE + b"\x12" + data)


@HOSTILE
@given(st.binary(min_size=14, max_size=22))
def test_random_header_with_good_checksum(data: bytes) -> None:
    read_leniently(with_crc(container.SIGNATURE + b"\x12" + data))


@HOSTILE
@given(headers, st.binary(max_size=300))
def test_random_bytes_behind_the_header(header: Header, data: bytes) -> None:
    read_leniently(header.to_bytes() + data)


@HOSTILE
@given(headers, st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=9)), max_size=12))
def test_random_chunks_with_good_checksums(header: Header, chunks: list[tuple[int, bytes]]) -> None:
    body = b"".join(chunk_bytes(kind, data) for kind, data in chunks)
    read_leniently(header.to_bytes() + body)


def peak_memory(data: bytes) -> int:
    tracemalloc.start()
    try:
        read_leniently(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_huge_claims_allocate_nothing() -> None:
    side = container.MAX_SIDE
    header = replace(PHOTO, width=side, height=side, tile_code=0)
    assert header.grid.count == 2**36
    assert next(header.grid.boxes()) == (0, 0, 64, 64)
    assert header.grid.box(2**36 - 1) == (side - 63, side - 63, side + 1, side + 1)
    tile = chunk_bytes(TILE, b"12345")
    with pytest.raises(TruncatedError, match="too few for the 68719476736 tiles"):
        read_all(header.to_bytes() + tile)
    assert peak_memory(header.to_bytes() + tile) < 100_000
    long = b"\xff\xff\xff\xff\x7f"
    for kind in (LAST_TILE, 0x03, 0x3F):
        data = photo(chunk_bytes(kind, b"12345", length=long))
        assert peak_memory(data) < 100_000
        known = kind != 0x3F
        with pytest.raises(
            DamagedError if known else TruncatedError,
            match="claims to have 34359738367 bytes" if known else "ends in the middle of",
        ):
            read_all(data)


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6])
def test_how_long_a_chunk_may_be(kind: int) -> None:
    """A longer one is refused before it is read, and never written."""
    header = replace(PHOTO, mode="RGBA", width=65, height=3)
    longest = header.longest(kind, 0)
    assert longest == {1: 16 * 128 * 64, 2: 2 * 65 * 3 + 1024}.get(kind, 1 << 24)
    alpha, tile = Chunk(ChunkType.ALPHA, b""), Chunk(ChunkType.TILE, b"")
    others = [chunk for chunk in (alpha, tile) if chunk.type != kind]

    def chunks(size: int) -> list[Chunk]:
        return sorted([Chunk(kind, bytes(size)), *others], key=lambda c: (c.type < 3, -c.type))

    data = to_file(header, chunks(longest))
    assert read_all(data) == (header, chunks(longest))
    with pytest.raises(ValueError, match=f"has {longest + 1} bytes, but may have {longest}"):
        to_file(header, chunks(longest + 1))
    length, longer = leb128.encode(longest), leb128.encode(longest + 1)
    forged = data.replace(length, longer, 1) + b"\0"
    with pytest.raises(DamagedError, match=f"claims to have {longest + 1} bytes"):
        read_all(forged)


def test_tiles_at_the_edge_may_have_less() -> None:
    header = replace(PHOTO, width=300, height=256, tile_code=2)
    assert header.longest(ChunkType.TILE, 0) == 16 * 256 * 256
    assert header.longest(ChunkType.TILE, 1) == 16 * 64 * 256


def test_chunks_of_any_length_are_checked_in_little_memory() -> None:
    data = photo(chunk_bytes(0x3F, bytes(5_000_000)), chunk_bytes(LAST_TILE, b"t"))
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    long, tile = container.scan(fp, header, len(data))
    tracemalloc.start()
    container.check_chunk(fp, long)
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()
    container.check_chunk(fp, tile)
    for damaged in (data[:3_000_000] + b"!" + data[3_000_001:], data[:4_000_000]):
        with pytest.raises(ContainerError, match="chunk of type 63"):
            container.check_chunk(io.BytesIO(damaged), long)


def test_many_empty_chunks_allocate_little() -> None:
    data = photo(chunk_bytes(0x3F) * 50_000)
    assert peak_memory(data) - len(data) < 200_000


# The page


def test_example_in_the_format_page_is_what_the_code_writes() -> None:
    example = FORMAT_PAGE.read_text(encoding="utf-8").split("## Example")[1].split("```")[1]
    rows = [re.split(r" {2,}", line)[0] for line in example.strip().splitlines()]
    header = Header("RGB", 300, 2, 0, bytes.fromhex("0011223344556677"), 16384)
    chunks = [Chunk(ChunkType.XMP, b"<x/>"), chunk_of(header, bytes(5))]
    assert bytes.fromhex("".join(rows)) == to_file(header, chunks)


# Version 2


def version_2(**fields: Any) -> Header:
    return replace(TWO_BY_TWO, guard_code=0, version=2, **fields)


def test_what_only_version_2_has() -> None:
    header = version_2(arithmetic=container.ARITHMETIC_INTEGER, texture=200)
    assert container.read_header(io.BytesIO(header.to_bytes())) == header
    for fields, word in (
        ({"arithmetic": 2}, "arithmetic"),
        ({"texture": 201}, "texture"),
        ({"arithmetic": 1, "guard_code": 4}, "guard_code with integers"),
    ):
        with pytest.raises(ValueError, match=word):
            replace(version_2(), **fields)
    for fields in ({"arithmetic": 1}, {"texture": 1}):
        with pytest.raises(ValueError, match="must be an integer from 0 to 0"):
            replace(PHOTO, **fields)
    body = bytearray(version_2().to_bytes()[:-2])
    body[-3] |= 2
    with pytest.raises(UnsupportedError, match="arithmetic 2"):
        container.read_header(io.BytesIO(with_crc(bytes(body))))


def test_kinds_of_tiles() -> None:
    header = version_2()
    assert tile_of(header, chunk_of(header, b"abc").data) == b"abc"
    assert chunk_of(PHOTO, b"abc").data == tile_of(PHOTO, b"abc") == b"abc"
    for kind in (TileKind.WEBP, TileKind.PALETTE):
        tile = LosslessTile(kind, b"abc", header.mode.removesuffix("A"))
        assert chunk_of(header, tile).data == bytes([kind]) + b"abc"
        assert tile_of(header, chunk_of(header, tile).data) == tile
    for data in (b"", b"\x03abc"):
        with pytest.raises(DamagedError):
            tile_of(header, data)


@st.composite
def files_of_version_2(draw: st.DrawFn) -> tuple[Header, list[Chunk]]:
    header, chunks = draw(files())
    return replace(header, version=2), chunks


def tile_spans(data: bytes) -> list[tuple[int, int]]:
    """Where each TILE chunk begins and ends, checksums included."""
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    spans = []
    start = fp.tell()
    for place in container.scan(fp, header, len(data)):
        end = place.offset + place.length + 4
        if place.type == ChunkType.TILE:
            spans.append((start, end))
        start = end
    return spans


def checked(data: bytes, index: int) -> None:
    """Read one tile alone, as decoding a region does."""
    fp = io.BytesIO(data)
    header = container.read_header(fp)
    for place in container.scan(fp, header, len(data), tiles={index}):
        if place.type == ChunkType.TILE:
            container.read_chunk(fp, place)


@PATIENT
@given(files_of_version_2(), st.data())
def test_exchanged_tiles_are_found(file: tuple[Header, list[Chunk]], draw: st.DataObject) -> None:
    """Within a file, by whoever reads either of them; also where they are equal in length."""
    data = to_file(*file)
    spans = tile_spans(data)
    if len(spans) < 2:
        return
    # The last chunk says that it is the last: what is exchanged must not move that.
    inner = [i for i, (start, _) in enumerate(spans) if not data[start] & 0x80]
    if len(inner) < 2:
        return
    pairs = st.lists(st.sampled_from(inner), min_size=2, max_size=2, unique=True)
    a, b = sorted(draw.draw(pairs))
    (s0, e0), (s1, e1) = spans[a], spans[b]
    exchanged = data[:s0] + data[s1:e1] + data[e0:s1] + data[s0:e0] + data[e1:]
    for index in (a, b):
        with pytest.raises(DamagedError, match=f"tile {index + 1}"):
            checked(exchanged, index)
    with pytest.raises(DamagedError):
        read_all(exchanged)


@PATIENT
@given(files_of_version_2(), st.binary(max_size=50), st.data())
def test_tiles_of_another_file_are_found(
    file: tuple[Header, list[Chunk]], other: bytes, draw: st.DataObject
) -> None:
    """Of a file with the same header, whose first tile differs."""
    header, chunks = file
    tiles = [i for i, chunk in enumerate(chunks) if chunk.type == ChunkType.TILE]
    if len(tiles) < 2 or chunks[tiles[0]].data == other:
        return
    changed = list(chunks)
    changed[tiles[0]] = Chunk(ChunkType.TILE, other)
    mine, theirs = to_file(header, chunks), to_file(header, changed)
    index = draw.draw(st.integers(1, len(tiles) - 1))
    (s0, e0), (s1, e1) = tile_spans(mine)[index], tile_spans(theirs)[index]
    with pytest.raises(DamagedError, match=f"tile {index + 1}"):
        checked(mine[:s0] + theirs[s1:e1] + mine[e0:], index)


def test_what_belongs_to_one_picture_fits_no_other() -> None:
    """Alpha and preview under another header; metadata may be moved."""
    for header in (version_2(), version_2(quality_code=1)):
        chunks = [
            Chunk(ChunkType.XMP, b"<x/>"),
            Chunk(ChunkType.PREVIEW, b"p"),
            Chunk(ChunkType.ALPHA, b"a"),
            *(chunk_of(header, bytes([i])) for i in range(4)),
        ]
        data = to_file(header, chunks)
        if header == version_2():
            rest = data[header.byte_length :]
            continue
        spliced = data[: header.byte_length] + rest
        fp = io.BytesIO(spliced)
        for place in container.scan(fp, container.read_header(fp), len(spliced)):
            if place.type == ChunkType.XMP:
                assert container.read_chunk(fp, place) == b"<x/>"
            elif place.type != ChunkType.TILE or place.index == 0:
                with pytest.raises(DamagedError):
                    container.read_chunk(fp, place)


def test_damage_in_one_tile_leaves_the_others() -> None:
    header = version_2()
    chunks = [Chunk(ChunkType.ALPHA, b"a"), *(chunk_of(header, bytes([i]) * 9) for i in range(4))]
    data = bytearray(to_file(header, chunks))
    start, _ = tile_spans(bytes(data))[1]
    data[start + 5] ^= 1
    for index in (0, 2, 3):
        checked(bytes(data), index)
    with pytest.raises(DamagedError, match="tile 2"):
        checked(bytes(data), 1)
