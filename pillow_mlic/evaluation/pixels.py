"""Pictures as the metrics take them: images or arrays, as two arrays of 8-bit RGB."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PictureLike = Image.Image | NDArray[np.uint8]


def pair(a: PictureLike, b: PictureLike) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Both as arrays (H, W, 3) of one shape; ValueError where they differ in shape."""
    first, second = rgb(a), rgb(b)
    if first.shape != second.shape:
        msg = f"the pictures differ in shape: {first.shape} and {second.shape}"
        raise ValueError(msg)
    return first, second


def rgb(picture: PictureLike) -> NDArray[np.uint8]:
    """The picture as an array (H, W, 3); ValueError for an array of another kind."""
    if isinstance(picture, Image.Image):
        return np.asarray(picture.convert("RGB"))
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        msg = f"need uint8 (H, W, 3), but got {picture.dtype} {picture.shape}"
        raise ValueError(msg)
    return picture
