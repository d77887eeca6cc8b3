"""Pictures are cut and made smaller before anything is encoded."""

from dataclasses import dataclass

from PIL import Image

from pillow_mlic.format.geometry import Box

RATIOS = (None, (1, 1), (5, 4), (4, 3), (3, 2), (16, 9), (2, 1))
"""Sides of cut pictures, the longer one first; None: not cut."""
LARGEST = 65_535
"""Pixels a side that can be asked for."""


@dataclass(frozen=True)
class Reshape:
    """Cut to `crop` (left, top, right, bottom), then brought to `size` (width, height)."""

    crop: Box | None = None
    size: tuple[int, int] | None = None

    def apply(self, image: Image.Image) -> Image.Image:
        """The picture in its new shape; ValueError if the cut lies outside of it."""
        if self.crop is not None:
            left, top, right, bottom = self.crop
            if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
                msg = f"the cut does not lie in the picture of {image.width} x {image.height}"
                raise ValueError(msg)
            image = image.crop(self.crop)
        if self.size is not None and self.size != image.size:
            image = image.resize(self.size, Image.Resampling.LANCZOS)
        return image

    def cut(self, before: tuple[int, int], box: Box) -> "Reshape":
        """The shape of which only a `box` is left; `before` is the size before any of it."""
        left, top, right, bottom = self.crop or (0, 0, *before)
        shown = self.size or (right - left, bottom - top)
        wide, high = (right - left) / shown[0], (bottom - top) / shown[1]
        crop = (
            left + int(box[0] * wide),
            top + int(box[1] * high),
            min(left + round(box[2] * wide), right),
            min(top + round(box[3] * high), bottom),
        )
        return Reshape(crop, (box[2] - box[0], box[3] - box[1]) if self.size else None)


NO_RESHAPE = Reshape()


@dataclass(frozen=True)
class ReshapeRule:
    """How pictures of any size are reshaped: cut in the middle to a `ratio` of sides, in the
    picture's own direction, and made smaller until no side is longer than `longest` (0: kept)."""

    ratio: tuple[int, int] | None = None
    longest: int = 0

    def of(self, size: tuple[int, int]) -> Reshape:
        """What that is for a picture of this size."""
        crop = centred(size, self.ratio) if self.ratio is not None else None
        if crop is not None:
            size = crop[2] - crop[0], crop[3] - crop[1]
        smaller = within(size, self.longest) if self.longest else size
        return Reshape(crop, smaller if smaller != size else None)


AS_IT_IS = ReshapeRule()


def centred(size: tuple[int, int], ratio: tuple[int, int]) -> Box:
    """The largest box of this ratio in the middle, upright in upright pictures."""
    width, height = size
    across, down = ratio if width >= height else ratio[::-1]
    new = (
        (width, max(round(width * down / across), 1))
        if width * down <= height * across
        else (max(round(height * across / down), 1), height)
    )
    left, top = (width - new[0]) // 2, (height - new[1]) // 2
    return left, top, left + new[0], top + new[1]


def within(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """The size made smaller until no side is longer than that; never larger."""
    share = min(longest / max(size), 1.0)
    return max(round(size[0] * share), 1), max(round(size[1] * share), 1)
