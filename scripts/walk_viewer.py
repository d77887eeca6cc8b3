"""Work the real window on a virtual screen, as a person would, and take the pictures of the pages.

    python scripts/walk_viewer.py PHOTO [--out docs/images] [--only 4 12]
    python scripts/walk_viewer.py --keys        # only the table of keys in docs/viewer.md

Needs Linux with Xvfb. Take a Kodak picture as PHOTO: for these the chart has published curves; up
to eleven of its neighbours are converted, too. The window is worked by events of mouse, keyboard
and drag and drop alone (viewer_hand.py). Twelve walks, a line each of what the viewer promises
(viewer_looks.py, viewer_files.py), stop with an error where something is not as it should be.
"""

import argparse
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from PIL import Image, PngImagePlugin
from virtual_screen import virtual_screen

import pillow_mlic  # noqa: F401  (registers the format)

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "viewer.md"
MEGAPIXELS = 24
MOST = 1_500_000
"""Bytes of all pictures together."""
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a walk</x:xmpmeta>"


class Photos(NamedTuple):
    """The pictures that are worked with."""

    photo: Path
    """A PNG file with EXIF and XMP."""
    large: Path
    """The same with 24 megapixels, as JPEG."""
    squeezed: Path
    """The same as a very small JPEG file."""
    album: Path
    """A folder: three pictures, and a broken file between them."""
    many: Path
    """A folder of pictures to convert, with one that is broken."""
    clear: Path
    """A picture with transparency."""


def write_keys() -> None:
    """Fill the region of docs/viewer.md that comes from the table of actions."""
    from pillow_mlic_gui import actions

    text = PAGE.read_text(encoding="utf-8")
    region = r"(<!-- begin actions -->\n).*?(<!-- end actions -->)"
    table = actions.markdown().strip()
    text = re.sub(region, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.S)
    PAGE.write_text(text, encoding="utf-8")


def prepare(source: Path, folder: Path) -> Photos:
    """Make what is worked with, in a folder that may be seen in a file dialog."""
    exif = Image.Exif()
    exif[0x010E] = "a walk"
    entries = {"exif": exif.tobytes(), "xmp": XMP}
    image = Image.open(source).convert("RGB")
    photos = Photos(
        *(folder / name for name in ("photo.png", "large.jpg", "squeezed.jpg")),
        *(folder / name for name in ("album", "holiday", "clear.png")),
    )
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    image.save(photos.photo, exif=entries["exif"], pnginfo=text)
    image.save(photos.squeezed, quality=4)
    scale = (1e6 * MEGAPIXELS / (image.width * image.height)) ** 0.5
    size = (round(image.width * scale), round(image.height * scale))
    image.resize(size, Image.Resampling.LANCZOS).save(photos.large, quality=95, **entries)
    beside = sorted(source.parent.glob(f"*{source.suffix}"))[:12]
    photos.album.mkdir()
    for name, file in zip("acd", beside, strict=False):
        shutil.copyfile(file, photos.album / f"{name}{file.suffix}")
    (photos.album / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    photos.many.mkdir()
    for file in beside:
        shutil.copyfile(file, photos.many / file.name)
    (photos.many / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut short")
    clear = image.reduce(2).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(clear.size))
    clear.save(photos.clear)
    return photos


def walk(photo: Path, out: Path, only: list[int]) -> None:
    """Go through the lines, in a folder of their own."""
    server = virtual_screen()
    try:
        with tempfile.TemporaryDirectory(prefix="photos-") as name:
            home = Path(name) / "home"
            home.mkdir()
            os.environ |= {"HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
            photos = prepare(photo, home)
            import viewer_files
            import viewer_looks
            from viewer_hand import Hand, must

            lines = {**viewer_looks.LINES, **viewer_files.LINES}
            hand = Hand(Path(name), out)
            for number in only or sorted(lines):
                title, go = lines[number]
                print(f"{number:2}. {title}", flush=True)
                start = time.monotonic()
                go(hand, photos)
                print(f"    so it is, {time.monotonic() - start:.0f} s", flush=True)
            hand.window.close()
            together = sum(path.stat().st_size for path in hand.shots)
            print(f"{len(hand.shots)} pictures, {together} bytes")
            must(together <= MOST, "the pictures together are small enough")
    finally:
        server.terminate()


def main() -> None:
    """Walk, or write the table of keys."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("photo", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", type=int, nargs="+", default=[], help="these lines alone")
    parser.add_argument("--keys", action="store_true", help="only update docs/viewer.md")
    args = parser.parse_args()
    if not args.keys:
        if args.photo is None:
            parser.error("which photo?")
        walk(args.photo.resolve(), args.out.resolve(), args.only)
    write_keys()


if __name__ == "__main__":
    main()
