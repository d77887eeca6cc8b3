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
"""What Pillow's plugins raise for a broken picture. Work on many pictures goes on after it."""


class MlicError(OSError):
    """A .mlic file or a weight pack cannot be used; the base of this package's errors."""


class DecodeError(MlicError):
    """A .mlic file cannot be decoded: it is damaged, or the weights here are not its own."""


class WeightsError(MlicError):
    """A weight pack is missing, damaged, or not what it claims to be."""


class DeviceMemoryError(MemoryError):
    """A device has too little memory. Smaller regions may fit, or the CPU may have enough."""
