"""Errors that users can meet; all of them say what to do next."""


class DecodeError(OSError):
    """A .mlic file cannot be decoded: damaged, or its weights are not the ones here."""


class WeightsError(OSError):
    """A weight pack is missing, damaged, or not what it claims to be."""
