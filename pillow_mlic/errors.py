"""Errors that users can meet; all of them say what to do next."""

import struct

from PIL import Image

PICTURE_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    MemoryError,
    Image.DecompressionBombError,
)
"""What Pillow's plugins raise for one broken picture, where the others should go on."""


class MlicError(OSError):
    """A .mlic file or a weight pack cannot be used; the base of this package's errors."""


class DecodeError(MlicError):
    """A .mlic file cannot be decoded: damaged, or its weights are not the ones here."""


class WeightsError(MlicError):
    """A weight pack is missing, damaged, or not what it claims to be."""


class DeviceMemoryError(MemoryError):
    """The memory of a device does not suffice. The CPU's may, or that for smaller regions."""
