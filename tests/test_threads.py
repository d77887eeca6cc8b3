"""One picture in several threads: opened lazily and used by all, saved by each in its own way."""

import copy
import io
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from pillow_mlic.plugin import MlicImageFile
from pillow_mlic.reading import Reading

from .conftest import photograph

pytestmark = pytest.mark.usefixtures("small_weights")
SIZE = (200, 130)


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Threads take turns often, so that what is not protected fails."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(*work: Callable[[], object]) -> list[object]:
    """What each gives, all begun at once; an exception of one is raised here."""
    start = threading.Barrier(len(work))
    results: list[object] = [None] * len(work)

    def run(number: int, each: Callable[[], object]) -> None:
        start.wait()
        try:
            results[number] = each()
        except Exception as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


class Slow(io.BytesIO):
    """A stream in which others come between going to a place and reading there."""

    def seek(self, *place: int) -> int:
        at = super().seek(*place)
        time.sleep(1e-4)
        return at


def coded(**options: object) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "somebody"
    photograph(*SIZE).save(buffer, "MLIC", exif=exif, tile=64, optimize=False, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("lossless", [False, True])
def test_one_lazy_picture(lossless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = coded(lossless=lossless)
    want = Image.open(io.BytesIO(data)).tobytes()
    decoded = []
    picture = Reading.picture

    def count(self: Reading, progress: object) -> Image.Image:
        decoded.append(self)
        return picture(self, progress)

    monkeypatch.setattr(Reading, "picture", count)
    image = Image.open(io.BytesIO(data))
    assert together(*[image.tobytes] * 4) == [want] * 4
    assert len(decoded) == 1


@pytest.mark.parametrize("named", [False, True])
def test_everything_at_once(tmp_path: Path, named: bool) -> None:
    """Regions, checks, pixels and the preview; by name and from a stream."""
    data = coded(preview=True)
    path = tmp_path / "x.mlic"
    path.write_bytes(data)
    whole = Image.open(io.BytesIO(data))
    whole.load()
    box = (30, 10, 150, 100)
    part = whole.crop(box).tobytes()
    for last in (lambda i: i.load(), lambda i: i.draft(None, (64, 42)), lambda i: i.tile_kinds()):
        image = Image.open(path if named else Slow(data))
        assert isinstance(image, MlicImageFile)
        region = [lambda i=image: i.decode_region(box).tobytes()] * 4
        found = together(*region, lambda i=image, last=last: last(i))
        assert found[:4] == [part] * 4
        image.close()


def test_exif_is_never_seen_half() -> None:
    data = coded(lossless=True)
    for _ in range(20):
        image = Image.open(io.BytesIO(data))
        got = together(*[lambda i=image: i.getexif().get(ExifTags.Base.Artist)] * 4)
        assert got == ["somebody"] * 4


def test_exif_has_nothing_left_to_take_apart() -> None:
    """Whoever reads a value of it at the same moment as another thread finds it, too."""
    found = Image.open(io.BytesIO(coded(lossless=True))).getexif()
    assert ExifTags.Base.Artist in found._data


def test_copies_have_no_lock() -> None:
    data = coded(lossless=True)
    image = Image.open(io.BytesIO(data))
    for twin in (copy.deepcopy(image), pickle.loads(pickle.dumps(image))):
        assert isinstance(twin, MlicImageFile)
        assert twin.tobytes() == image.tobytes()
        assert twin.decode_region((0, 0, 9, 9)).size == (9, 9)


@pytest.mark.torch
def test_one_picture_saved_in_several_ways() -> None:
    """Pillow keeps the options of a call in the picture, where calls mix them up."""
    image = photograph(*SIZE)

    def saved(**options: object) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "MLIC", **options)
        return buffer.getvalue()

    ways = [
        {"quality": 1.0, "optimize": False},
        {"quality": 5.0, "tile": 64},
        {"lossless": True},
        {"quality": 8.0, "optimize": False, "xmp": b"some"},
    ]
    want = [saved(**way) for way in ways]
    for _ in range(3):
        assert together(*[lambda way=way: saved(**way) for way in ways]) == want
