"""Pictures of text, windows and charts to train on besides photographs.

    python scripts/make_drawings.py OUT [--count 48]

Photographs hold hardly any text, so networks trained on them alone blur it. Everything is drawn
here from random numbers: the same command gives the same pictures, and nobody has rights in them.
"""

import argparse
import random
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

SIZE = (704, 528)
LETTERS = "eeeeeeeettttttaaaaaaooooooiiiiinnnnnsssssrrrrhhhhllddccuummwwffggyyppbbvvkkxjqz"
Colour = tuple[int, int, int]
Box = tuple[int, int, int, int]


def fonts() -> list[Path]:
    """Typefaces that come with Matplotlib."""
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return sorted(p for p in folder.glob("DejaVu*.ttf") if "Display" not in p.name)


class Artist:
    """Draws pictures, all of its choices from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.faces = fonts()

    def font(self, low: int = 9, high: int = 22) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(self.random.choice(self.faces), self.random.randint(low, high))

    def colour(self, low: int = 0, high: int = 255) -> Colour:
        if self.random.random() < 0.4:
            grey = self.random.randint(low, high)
            return grey, grey, grey
        red, green, blue = (self.random.randint(low, high) for _ in range(3))
        return red, green, blue

    def pair(self) -> tuple[Colour, Colour]:
        """Paper and ink, mostly dark on light."""
        light = self.random.choice([(255, 255, 255), (255, 255, 255), self.colour(200)])
        dark = self.random.choice([(0, 0, 0), self.colour(0, 110)])
        return (light, dark) if self.random.random() < 0.7 else (dark, light)

    def words(self, count: int) -> str:
        """Letters as often as in English, some capitals, numbers and marks."""
        found = []
        for _ in range(count):
            word = "".join(self.random.choices(LETTERS, k=self.random.randint(1, 10)))
            kind = self.random.random()
            if kind < 0.15:
                word = word.capitalize()
            elif kind < 0.2:
                word = word.upper()
            elif kind < 0.27:
                word = str(self.random.randint(0, 99999))
            found.append(word + self.random.choice(["", "", "", "", "", ",", ".", ":", ")", ";"]))
        return " ".join(found)

    def text(self, draw: ImageDraw.ImageDraw, box: Box, ink: Colour) -> None:
        """Lines of text that fill a box."""
        left, top, right, bottom = box
        font = self.font()
        height = round(font.size * self.random.uniform(1.1, 1.6))
        indented = self.random.random() < 0.3
        for y in range(top, bottom - height, height):
            x = left + (self.random.randint(0, 4) * font.size if indented else 0)
            line = self.words(40)
            while line and x + draw.textlength(line, font) > right:
                line = line[: line.rfind(" ")] if " " in line else ""
            if self.random.random() < 0.9:
                draw.text((x, y), line, fill=ink, font=font)

    def chart(self, draw: ImageDraw.ImageDraw, box: Box, ink: Colour) -> None:
        """Bars or lines with axes and labels."""
        left, top, right, bottom = box
        draw.line([(left, top), (left, bottom), (right, bottom)], fill=ink, width=1)
        step = max((right - left) // self.random.randint(5, 16), 6)
        places = range(left + step, right, step)
        heights = [self.random.randint(top, bottom - 2) for _ in places]
        colour, font = self.colour(), self.font(8, 11)
        if self.random.random() < 0.5:
            for x, y in zip(places, heights, strict=True):
                draw.rectangle((x - step // 3, y, x + step // 3, bottom - 1), fill=colour)
        else:
            for _ in range(self.random.randint(1, 4)):
                self.random.shuffle(heights)
                width = self.random.randint(1, 3)
                draw.line(list(zip(places, heights, strict=True)), fill=self.colour(), width=width)
        for x in places:
            draw.text((x, bottom + 3), str(x % 97), fill=ink, font=font, anchor="ma")

    def shapes(self, draw: ImageDraw.ImageDraw, box: Box) -> None:
        """Flat figures over one another."""
        left, top, right, bottom = box
        for _ in range(self.random.randint(4, 14)):
            x = sorted(self.random.randint(left, right) for _ in range(2))
            y = sorted(self.random.randint(top, bottom) for _ in range(2))
            outline = self.colour() if self.random.random() < 0.5 else None
            place = (x[0], y[0], x[1], y[1])
            if self.random.random() < 0.3:
                draw.ellipse(place, fill=self.colour(), outline=outline)
            else:
                radius = self.random.choice([0, 0, 8])
                draw.rounded_rectangle(place, radius, fill=self.colour(), outline=outline)

    def gradient(self, picture: Image.Image, box: Box) -> None:
        """A smooth slope between two colours."""
        left, top, right, bottom = box
        kind = (
            Image.linear_gradient("L") if self.random.random() < 0.6 else Image.radial_gradient("L")
        )
        mask = kind.rotate(self.random.choice([0, 90, 180, 270])).resize(
            (right - left, bottom - top)
        )
        picture.paste(self.colour(), box)
        picture.paste(self.colour(), box, mask)

    def picture(self) -> Image.Image:
        """A page, or a desktop of windows."""
        paper, ink = self.pair()
        picture = Image.new("RGB", SIZE, paper)
        draw = ImageDraw.Draw(picture)
        if self.random.random() < 0.3:
            self.text(draw, (16, 12, SIZE[0] - 16, SIZE[1] - 12), ink)
            return picture
        across, down = self.random.randint(1, 3), self.random.randint(1, 3)
        width, height = SIZE[0] // across, SIZE[1] // down
        for row in range(down):
            for column in range(across):
                edge = self.random.randint(2, 12)
                left, top = column * width + edge, row * height + edge
                right, bottom = (column + 1) * width - edge, (row + 1) * height - edge
                if self.random.random() < 0.6:
                    paper, ink = self.pair()
                    draw.rectangle((left, top, right, bottom), fill=paper, outline=self.colour())
                    draw.rectangle((left, top, right, top + 20), fill=self.colour())
                    draw.text((left + 6, top + 4), self.words(2), fill=ink, font=self.font(10, 13))
                inside = (left + 8, top + 26, right - 8, bottom - 18)
                kind = self.random.random()
                if kind < 0.55:
                    self.text(draw, inside, ink)
                elif kind < 0.75:
                    self.chart(draw, inside, ink)
                elif kind < 0.9:
                    self.shapes(draw, inside)
                else:
                    self.gradient(picture, inside)
        return picture


def main() -> None:
    """Draw and write PNG files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=48)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for number in range(args.count):
        Artist(number).picture().save(args.out / f"drawing-{number:03d}.png")


if __name__ == "__main__":
    main()
