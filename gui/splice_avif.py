"""Metadata put into a finished AVIF file, as ISO/IEC 23008-12 (HEIF) has them.

EXIF and XMP are items: an entry in `iinf` (what it is), one in `iloc` (where it lies) and one in
`iref` (of which picture it is); their bytes follow those of the picture in `mdat`. The profile is a
property: a `colr` box in `ipco`, which `ipma` gives to the picture. Only files of the form that
libavif writes are changed; any other is a ValueError.
"""

import struct
from typing import NamedTuple

from pillow_mlic.format.metadata import JPEG_PREFIX, is_exif

from . import boxes
from .boxes import FileBox

PARTS = [b"hdlr", b"pitm", b"iloc", b"iinf", b"iref", b"iprp"]
"""What `meta` holds, in order; `iref` may be missing."""
MOST_PROPERTIES = 127
"""Numbers of properties have seven bits in the short form of `ipma`."""
UNSPECIFIED = b"\x00\x02\x00\x02"
"""Primaries and transfer function that are told by a profile."""
FULL = bytes(4)
"""Version 0, no flags."""


class AvifItem(NamedTuple):
    """A new item: type, name (and what `mime` adds to it), bytes."""

    type: bytes
    name: bytes
    data: bytes


def splice(data: bytes, entries: dict[str, bytes]) -> bytes:
    """The file with these entries (options of `Image.save`); ValueError where it has another form
    than libavif gives it, or has such entries."""
    outer = boxes.read(data)
    _demand([box.kind for box in outer] == [b"ftyp", b"meta", b"mdat"], "boxes of the file")
    head, meta, media = outer
    _demand(meta.content[:4] == FULL, "version of meta")
    parts = boxes.read(meta.content[4:])
    _demand([p.kind for p in parts] == [k for k in PARTS if k in {p.kind for p in parts}], "meta")
    held = {part.kind: part.content for part in parts}
    items = _items(entries)
    picture = _number(held[b"pitm"])
    numbers = _add_names(held, items)
    _add_references(held, numbers, picture)
    if "icc_profile" in entries:
        _add_profile(held, picture, entries["icc_profile"])
    begin = head.size + meta.size + boxes.HEAD
    places = _places(held[b"iloc"], begin, begin + len(media.content))
    _demand({number for number, _ in places}.isdisjoint(numbers), "numbers of items")
    end = begin + len(media.content)
    for number, item in zip(numbers, items, strict=True):
        places.append((number, [(end, len(item.data))]))
        end += len(item.data)
    held[b"iloc"] = _locations(places, 0)
    # Everything in `mdat` moves by as much as `meta` grows.
    grown = len(_meta(held)) - len(meta.content)
    held[b"iloc"] = _locations(places, grown)
    body = media.content + b"".join(item.data for item in items)
    return boxes.write([head, FileBox(b"meta", _meta(held)), FileBox(b"mdat", body)])


def _demand(true: bool, what: str) -> None:
    if not true:
        msg = f"this AVIF file is not as libavif writes them: {what}"
        raise ValueError(msg)


def _items(entries: dict[str, bytes]) -> list[AvifItem]:
    items = []
    if "exif" in entries:
        block = entries["exif"].removeprefix(JPEG_PREFIX)
        _demand(is_exif(block), "EXIF")
        begins = struct.pack(">I", len(JPEG_PREFIX))
        items.append(AvifItem(b"Exif", b"Exif\0", begins + JPEG_PREFIX + block))
    if "xmp" in entries:
        items.append(AvifItem(b"mime", b"XMP\0application/rdf+xml\0", entries["xmp"]))
    return items


def _number(pitm: bytes) -> int:
    """The number of the picture's own item."""
    _demand(len(pitm) == 6 and pitm[:4] == FULL, "pitm")
    return int(struct.unpack_from(">H", pitm, 4)[0])


def _add_names(held: dict[bytes, bytes], items: list[AvifItem]) -> list[int]:
    """Put the items into `iinf`; -> their numbers."""
    old = held[b"iinf"]
    _demand(old[:4] == FULL, "iinf")
    count = struct.unpack_from(">H", old, 4)[0]
    known = boxes.read(old[6:])
    _demand(len(known) == count and all(box.kind == b"infe" for box in known), "iinf")
    _demand(all(box.content[0] == 2 for box in known), "infe")
    types = {box.content[8:12] for box in known}
    _demand(types.isdisjoint((b"Exif", b"mime")), "it has metadata already")
    last = max(struct.unpack_from(">H", box.content, 4)[0] for box in known)
    numbers = [last + 1 + place for place in range(len(items))]
    fresh = [
        FileBox(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + item.type + item.name)
        for number, item in zip(numbers, items, strict=True)
    ]
    count = struct.pack(">H", len(known) + len(fresh))
    held[b"iinf"] = FULL + count + boxes.write([*known, *fresh])
    return numbers


def _add_references(held: dict[bytes, bytes], numbers: list[int], picture: int) -> None:
    """The new items describe the picture."""
    if numbers:
        old = held.get(b"iref", FULL)
        _demand(old[:4] == FULL, "iref")
        fresh = [FileBox(b"cdsc", struct.pack(">HHH", n, 1, picture)) for n in numbers]
        held[b"iref"] = FULL + boxes.write([*boxes.read(old[4:]), *fresh])


def _add_profile(held: dict[bytes, bytes], picture: int, profile: bytes) -> None:
    """Give the picture one more property, its colour profile."""
    parts = boxes.read(held[b"iprp"])
    _demand([part.kind for part in parts] == [b"ipco", b"ipma"], "iprp")
    properties = [_open(box) for box in boxes.read(parts[0].content)]
    properties.append(FileBox(b"colr", b"prof" + profile))
    _demand(len(properties) <= MOST_PROPERTIES, "too many properties")
    given = parts[1].content
    _demand(given[:4] == FULL, "ipma")
    count, at = struct.unpack_from(">I", given, 4)[0], 8
    found, lists = False, b""
    for _ in range(count):
        number, length = struct.unpack_from(">HB", given, at)
        listed = given[at + 3 : at + 3 + length]
        _demand(len(listed) == length, "ipma")
        at += 3 + length
        if number == picture:
            _demand(not found, "ipma")
            found, listed = True, listed + bytes([len(properties)])
        lists += struct.pack(">HB", number, len(listed)) + listed
    _demand(found and at == len(given), "ipma")
    ipco = FileBox(b"ipco", boxes.write(properties))
    ipma = FileBox(b"ipma", FULL + struct.pack(">I", count) + lists)
    held[b"iprp"] = boxes.write([ipco, ipma])


def _open(box: FileBox) -> FileBox:
    """A property beside a profile: primaries and transfer function are left to that."""
    if box.kind != b"colr":
        return box
    _demand(box.content[:4] == b"nclx" and len(box.content) == 11, "colr")
    return FileBox(b"colr", b"nclx" + UNSPECIFIED + box.content[8:])


def _places(iloc: bytes, first: int, end: int) -> list[tuple[int, list[tuple[int, int]]]]:
    """Numbers of items, and where each lies: offsets in the file and lengths."""
    _demand(iloc[:6] == FULL + b"\x44\x00", "iloc")  # four bytes an offset and a length
    count, at = struct.unpack_from(">H", iloc, 6)[0], 8
    found = []
    for _ in range(count):
        number, elsewhere, extents = struct.unpack_from(">HHH", iloc, at)
        _demand(elsewhere == 0, "iloc")
        at += 6
        lies = [struct.unpack_from(">II", iloc, at + 8 * place) for place in range(extents)]
        at += 8 * extents
        inside = all(first <= offset and offset + length <= end for offset, length in lies)
        _demand(inside, "an item lies elsewhere")
        found.append((number, [(int(offset), int(length)) for offset, length in lies]))
    _demand(at == len(iloc), "iloc")
    return found


def _locations(places: list[tuple[int, list[tuple[int, int]]]], moved: int) -> bytes:
    """`iloc` of items that lie so much further down."""
    made = FULL + b"\x44\x00" + struct.pack(">H", len(places))
    for number, lies in places:
        made += struct.pack(">HHH", number, 0, len(lies))
        made += b"".join(struct.pack(">II", offset + moved, length) for offset, length in lies)
    return made


def _meta(held: dict[bytes, bytes]) -> bytes:
    return FULL + boxes.write([(kind, held[kind]) for kind in PARTS if kind in held])
