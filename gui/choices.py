"""The codecs that can be compared on this machine, and how their qualities run."""

import functools
import os
from dataclasses import dataclass

from pillow_mlic import packs
from pillow_mlic.evaluation import codecs

MLIC = "mlic"
FILE = "file"
"""Stands for a file of the user, which is only decoded."""


@dataclass(frozen=True)
class CodecChoice:
    """A codec as the viewer offers it, with its name and range of quality."""

    codec: str
    label: str
    suffix: str
    colour: str
    lowest: float
    highest: float
    step: float
    default: float
    transparency: bool = True
    profiles: bool = True
    fixed: bool = False
    """Its weights are for one quality."""
    refinable: bool = False
    """Its files can be refined: it is .mlic."""

    @property
    def neural(self) -> bool:
        """Whether it runs a network."""
        return codecs.is_mlic(self.codec)


_JPEG = CodecChoice("jpeg", "JPEG", ".jpg", "#c98a00", 1, 95, 1, 75, transparency=False)
_WEBP = CodecChoice("webp", "WebP", ".webp", "#1f9d61", 0, 100, 1, 75)
_AVIF = CodecChoice("avif", "AVIF", ".avif", "#d6336c", 0, 100, 1, 60)
_TUNED = CodecChoice("avif-psnr", "AVIF for PSNR", ".avif", "#a61e4d", 0, 100, 1, 60)
# The Pillow plugin of JPEG XL refuses 100, and does not write colour profiles.
_JXL = CodecChoice("jxl", "JPEG XL", ".jxl", "#1188b5", 1, 99, 1, 75, profiles=False)
_MLIC_COLOURS = ("#5b5bf0", "#8f5bf0", "#3b7ff0", "#b04be0")


def choices() -> list[CodecChoice]:
    """What can be compared here: .mlic with every model that has weights, then the others."""
    return list(_choices(os.environ.get("MLIC_WEIGHTS")))


@functools.cache
def _choices(weights: str | None) -> list[CodecChoice]:
    del weights  # another place for weights is another answer
    known = codecs.names()
    others = [c for c in (_AVIF, _TUNED, _JXL, _WEBP, _JPEG) if c.codec in known]
    return [*_models(), *others]


def choice(codec: str) -> CodecChoice:
    """The choice of that name; ValueError where this machine has none."""
    for candidate in choices():
        if candidate.codec == codec:
            return candidate
    msg = f"{codec!r} cannot be used here: its Pillow plugin or its weights are not installed"
    raise ValueError(msg)


def _models() -> list[CodecChoice]:
    found = [_mlic(MLIC, ".mlic", _MLIC_COLOURS[0], fixed=False, refinable=True)]
    names = []
    for pack in packs.installed():
        if pack.name not in names and pack.name != packs.DEFAULT_PACK:
            names.append(pack.name)
    for number, name in enumerate(names):
        colour = _MLIC_COLOURS[1 + number % (len(_MLIC_COLOURS) - 1)]
        pack = packs.find(name)
        fixed, refinable = pack.quality is not None, True
        found.append(_mlic(f"{MLIC}:{name}", f".mlic {name}", colour, fixed, refinable))
    return found


def _mlic(codec: str, label: str, colour: str, fixed: bool, refinable: bool) -> CodecChoice:
    scale = (1, 8, 0.01, 3)
    return CodecChoice(codec, label, ".mlic", colour, *scale, fixed=fixed, refinable=refinable)
