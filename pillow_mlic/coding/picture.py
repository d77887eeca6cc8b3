"""Between Pillow's pictures and the arrays (H, W, 3) that are coded."""

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


NATIVE_MODES = ("L", "LA", "RGB", "RGBA")
WIDE_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def native_mode(image: Image.Image) -> Image.Image:
    """`image` in one of the modes that the format has; OSError where that would lose a lot."""
    if image.mode in NATIVE_MODES and not (
        image.mode in ("L", "RGB") and "transparency" in image.info
    ):
        return image
    if image.mode in WIDE_MODES:
        msg = (
            f"cannot write mode {image.mode} as MLIC, which holds 8 bits a channel; scale the "
            "values to 0..255 and convert to 'L' first"
        )
        raise OSError(msg)
    if image.mode in ("1", "L"):
        return image.convert("LA" if "transparency" in image.info else "L")
    if image.mode in ("La", "LA"):
        return image.convert("LA")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def to_mode(pixels: "NDArray[np.uint8]", mode: str) -> "NDArray[np.uint8]":
    """(H, W, 3) -> the same for RGB and RGBA; the mean of the planes (H, W) for L and LA."""
    if mode.startswith("RGB"):
        return pixels
    import numpy as np

    return np.asarray((pixels.astype(np.uint16).sum(-1) + 1) // 3, dtype=np.uint8)


class PixelSource:
    """An image that the encoder reads piece by piece: RGB pixels of some rows and columns."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.shape = (image.height, image.width, 3)

    def __getitem__(self, key: tuple[slice, slice]) -> "NDArray[np.uint8]":
        import numpy as np

        rows, columns = key
        part = self._image.crop((columns.start, rows.start, columns.stop, rows.stop))
        return np.asarray(part.convert("RGB"))
