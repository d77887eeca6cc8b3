"""Between Pillow's pictures and the arrays (H, W, 3) that are coded."""

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def to_mode(pixels: "NDArray[np.uint8]", mode: str) -> "NDArray[np.uint8]":
    """(H, W, 3) -> the same for RGB and RGBA; the mean of the planes (H, W) for L and LA."""
    if mode.startswith("RGB"):
        return pixels
    import numpy as np

    return np.asarray((pixels.astype(np.uint16).sum(-1) + 1) // 3, dtype=np.uint8)


class Picture:
    """An image that the encoder reads piece by piece: RGB pixels of some rows and columns."""

    def __init__(self, image: Image.Image) -> None:
        self._image = image
        self.shape = (image.height, image.width, 3)

    def __getitem__(self, key: tuple[slice, slice]) -> "NDArray[np.uint8]":
        import numpy as np

        rows, columns = key
        part = self._image.crop((columns.start, rows.start, columns.stop, rows.stop))
        return np.asarray(part.convert("RGB"))
