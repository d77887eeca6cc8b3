"""Details of pictures that are easy or hard: original, .mlic, AVIF of the same size.

python scripts/limits.py VALID [--quality 2] [--out docs/images/limits.webp]

VALID is the folder of the validation pictures. The model card shows the result.
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from pillow_mlic.conversion import read_rgb
from pillow_mlic.evaluation import codecs, matching
from pillow_mlic.evaluation.metrics import psnr

PLACES = {
    "face": ("v06", 300, 170),
    "saturated reds": ("v16", 330, 210),
    "flat gradient": ("v19", 220, 100),
    "night, noise": ("v24", 120, 250),
    "screen text": ("v10", 130, 190),
    "drawing": ("v27", 300, 170),
}
"""What it shows: picture, left and top of the detail."""

SIZE = 152, 112
ZOOM = 2
GAP = 8
BAND = 22


def main() -> None:
    """Encode, match, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("valid", type=Path)
    parser.add_argument("--quality", type=float, default=2.0, help="of .mlic; %(default)g")
    root = Path(__file__).resolve().parent.parent
    parser.add_argument("--out", type=Path, default=root / "docs/images/limits.webp")
    args = parser.parse_args()
    mlic, avif = codecs.create("mlic:mlicv2-lite"), codecs.create("avif")
    width, height = (ZOOM * side for side in SIZE)
    size = (GAP + 3 * (width + GAP), len(PLACES) * (BAND + height + GAP))
    out = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(out), ImageFont.load_default(15)
    for row, (what, (name, left, top)) in enumerate(PLACES.items()):
        original = read_rgb(args.valid / f"{name}.png")
        data = mlic.encode(original, args.quality)
        shown = [(f"{what}: original", original)]
        peer = matching.to_size(avif, original, len(data))[1]
        for label, codec, file in ((".mlic", mlic, data), ("AVIF", avif, peer)):
            decoded = codec.decode(file)
            note = f"{label}  {len(file) / 1000:.1f} kB  {psnr(original, decoded):.1f} dB"
            shown.append((note, decoded))
        print(what, *(note for note, _ in shown[1:]), sep="; ")
        for column, (note, picture) in enumerate(shown):
            x, y = GAP + column * (width + GAP), row * (BAND + height + GAP)
            draw.text((x, y + 2), note, fill="black", font=font)
            detail = picture.crop((left, top, left + SIZE[0], top + SIZE[1]))
            out.paste(detail.resize((width, height), Image.Resampling.NEAREST), (x, y + BAND))
    out.save(args.out, quality=90, method=6)


if __name__ == "__main__":
    main()
