"""Learned image compression as a Pillow format: importing this package registers `.mlic`.

import pillow_mlic
from PIL import Image

Image.open("photo.jpg").save("photo.mlic", quality=3)
Image.open("photo.mlic").show()
"""

from .bulk import batch
from .engines.devices import set_device
from .errors import DecodeError, MlicError, WeightsError
from .format.container import ContainerError
from .opener import register_mlic_opener
from .plugin import MlicImageFile, decode_region, decode_slices, register
from .version import __version__

__all__ = [
    "ContainerError",
    "DecodeError",
    "MlicError",
    "MlicImageFile",
    "WeightsError",
    "__version__",
    "batch",
    "decode_region",
    "decode_slices",
    "register",
    "register_mlic_opener",
    "set_device",
]

register()
