"""The codecs under test, each used as anyone would: through Pillow's `save` and `open`."""

import importlib
import importlib.metadata
import importlib.util
import io
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image, features

from ..save_settings import AUTO
from ..version import __version__

MLIC = "MLIC"
_MLIC_NAME = re.compile(r"mlic(?::([^@~]+))?(?:@(\d+))?(?:~(0|1|0?\.\d+|auto))?")
_MODEL_HINT = "mlic:NAME"
_REFINED_HINT = "mlic@STEPS"
_TEXTURE_HINT = "mlic~STRENGTH"


@dataclass(frozen=True)
class Codec:
    """One way of saving pictures, with the ladder of qualities to measure it at.

    `options` go to `Image.save` besides `quality`, which is a setting. `label` is the name for
    people. `lowest`, `highest`: the qualities that make sense, whole numbers unless `continuous`.
    `library` says who does the work, with its version. `plugin` is the module whose import gives
    Pillow the format, if any.
    """

    name: str
    format: str
    options: Mapping[str, Any] = field(hash=False)
    settings: tuple[float, ...]
    library: str = ""
    plugin: str | None = None
    label: str = ""
    lowest: float = 0
    highest: float = 100
    continuous: bool = False

    def encode(self, image: Image.Image, setting: float) -> bytes:
        """The file that Pillow writes for `image` at quality `setting`."""
        self._import_plugin()
        quality = int(setting) if setting == int(setting) else setting  # JPEG refuses 50.0
        buffer = io.BytesIO()
        image.save(buffer, format=self.format, quality=quality, **self.options)
        return buffer.getvalue()

    def decode(self, data: bytes) -> Image.Image:
        """The picture in the file `data`, decoded wholly."""
        self._import_plugin()
        image = Image.open(io.BytesIO(data), formats=[self.format])
        image.load()
        return image

    def weights(self, setting: float) -> str:
        """The hash of the weights that `setting` uses; "" for codecs without weights.

        It encodes a small picture to find out, so it also does the loading of a first call.
        """
        data = self.encode(trial(), setting)
        return str(self.decode(data).info.get("weights", ""))

    @property
    def middle(self) -> float:
        """The setting in the middle of the ladder."""
        return self.settings[len(self.settings) // 2]

    def describe(self) -> str:
        """Library, version and options in one line: "libavif 1.4.2, speed=6"."""
        options = (f"{key}={value}" for key, value in self.options.items())
        return ", ".join([self.library or self.format, *options])

    def _import_plugin(self) -> None:
        if self.plugin is not None:
            importlib.import_module(self.plugin)


def trial() -> Image.Image:
    """A small picture of noise, which a network codes: a flat one would be stored without loss."""
    return Image.frombytes("RGB", (64, 64), random.Random(0).randbytes(3 * 64 * 64))


def names() -> list[str]:
    """The codecs that `create` knows on this machine, "mlic:NAME" standing for any model.

    "mlic@STEPS" and "mlic:NAME@STEPS" stand for refined ones, "mlic~auto" for one with texture.
    """
    return [*_known(), _MODEL_HINT, _REFINED_HINT, _TEXTURE_HINT]


def create(name: str) -> Codec:
    """The codec of that name; ValueError, listing the names, where there is none.

    "mlic:NAME" is the codec "mlic" with the save option `model=NAME`; "@STEPS" after either is the
    save option `refine=STEPS`, and "~STRENGTH" (a number, or "auto") after all of that
    `texture=STRENGTH`.
    """
    known = _known()
    if name in known:
        return known[name]
    found = _MLIC_NAME.fullmatch(name)
    if found and found[1] != "NAME":  # which is the hint
        model, steps, texture = found.groups()
        options: dict[str, Any] = {"model": model} if model else {}
        if steps:
            options["refine"] = int(steps)
        if texture:
            options["texture"] = texture if texture == AUTO else float(texture)
        return _mlic(name, options)
    msg = f"there is no codec {name!r}; there are {', '.join(names())}"
    if name == "jxl":
        msg += "; for jxl: pip install pillow-jxl-plugin"
    raise ValueError(msg)


def is_mlic(name: str) -> bool:
    """Whether `name` is the codec "mlic", with a model and refinement or without."""
    return _MLIC_NAME.fullmatch(name) is not None


def _known() -> dict[str, Codec]:
    codecs = [_jpeg(), _webp()]
    avif = {"subsampling": "4:4:4", "speed": 6}  # Pillow's own speed, but not its 4:2:0
    tuned = {"advanced": {"tune": "psnr"}}
    best = {"speed": 4, "advanced": {"tune": "ssimulacra2"}}
    codecs.append(_avif("avif", "AVIF", avif))
    codecs.append(_avif("avif-best", "AVIF at its best", avif | best))
    codecs.append(_avif("avif-psnr", "AVIF for PSNR", avif | tuned))
    codecs.append(_avif("avif-psnr-s4", "AVIF for PSNR, speed 4", avif | tuned | {"speed": 4}))
    if importlib.util.find_spec("pillow_jxl") is not None:
        codecs.append(_jxl())
    codecs.append(_mlic("mlic", {}))
    return {codec.name: codec for codec in codecs}


def _jpeg() -> Codec:
    return Codec(
        name="jpeg",
        format="JPEG",
        options={"subsampling": "4:2:0", "optimize": True, "progressive": True},
        settings=(5, 10, 20, 30, 45, 60, 70, 80, 90, 95),
        library=f"libjpeg-turbo {features.version('libjpeg_turbo')}",
        label="JPEG",
        lowest=1,
        highest=95,
    )


def _webp() -> Codec:
    return Codec(
        name="webp",
        format="WEBP",
        options={"method": 6},
        settings=(1, 5, 15, 30, 50, 65, 80, 90, 96),
        library=f"libwebp {features.version('webp')}",
        label="WebP",
    )


def _avif(name: str, label: str, options: dict[str, Any]) -> Codec:
    return Codec(
        name=name,
        format="AVIF",
        options=options,
        settings=(10, 20, 30, 40, 50, 60, 70, 80, 88, 94),
        library=f"libavif {features.version('avif')}",
        label=label,
    )


def _jxl() -> Codec:
    return Codec(
        name="jxl",
        format="JXL",
        options={"effort": 7},
        settings=(10, 20, 30, 40, 50, 60, 70, 80, 90, 95),
        library=f"pillow-jxl-plugin {importlib.metadata.version('pillow-jxl-plugin')}",
        plugin="pillow_jxl",
        label="JPEG XL",
        lowest=1,
    )


def _mlic(name: str, options: dict[str, Any]) -> Codec:
    return Codec(
        name=name,
        format=MLIC,
        options=options,
        settings=(1, 2, 3, 4, 5, 6, 7, 8),
        library=f"pillow-mlic {__version__}",
        plugin="pillow_mlic",
        label=f".{name}",
        lowest=1,
        highest=8,
        continuous=True,
    )
