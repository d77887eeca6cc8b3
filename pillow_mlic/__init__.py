"""Learned image compression as a Pillow format: importing this package registers `.mlic`.

import pillow_mlic
from PIL import Image

Image.open("photo.jpg").save("photo.mlic", quality=3)
Image.open("photo.mlic").show()
"""

from .container import ContainerError
from .devices import set_device
from .exceptions import DecodeError, WeightsError
from .plugin import MlicImageFile, decode_region, decode_slices, register
from .version import __version__

__all__ = [
    "ContainerError",
    "DecodeError",
    "MlicImageFile",
    "WeightsError",
    "__version__",
    "decode_region",
    "decode_slices",
    "register",
    "set_device",
]

register()
