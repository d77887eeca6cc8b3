"""The options of `save`, checked before there is a picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import models
from .coding.goals import KINDS, Target
from .engines import Needs, devices, engine_for
from .format import container
from .settings import checked_texture, flag, number, whole

if TYPE_CHECKING:
    from .coding.coding import Coding
    from .packs import PackFile

AUTO = "auto"
"""A strength of texture: what suits the picture."""
DEFAULT_QUALITY = 3.0
MOST_STEPS = 100_000
"""Most steps of refinement. More would be of no use, so a larger number is taken for a typo."""
GUARD = container.GUARD_BANDS[0]
"""The narrowest guard band: the decoder's entropy part runs in float64, as the encoder's does.
For packs without integers."""
DEFAULT_TILE = 1024
"""Small enough to decode a region cheaply; tiles of this size cost less than 0.1 % of the bytes."""


def _quality(value: object) -> float:
    plain = number(value)
    if plain is None or not 1 <= plain <= 8:
        hint = "" if plain is None else " (not 0 to 100 as for JPEG)"
        msg = f"quality is {value!r}, but must be a number from 1 to 8{hint}; 3 is the default"
        raise ValueError(msg)
    return plain


def _steps(value: object) -> int:
    """The number of steps of refinement; ValueError if it is none."""
    steps = whole(value)
    if steps is None or not 0 <= steps <= MOST_STEPS:
        msg = f"refine is {value!r}, but must be a whole number of steps from 0 to {MOST_STEPS}"
        raise ValueError(msg)
    return steps


def _optimize(value: object, pack: "PackFile") -> bool:
    """Whether rounding is to be optimised.

    By default it is not for weights for one quality, so that they give their published results;
    nor without torch, which it needs.
    """
    if value is None:
        return pack.quality is None and pack.for_squared_error and devices.has_torch()
    wanted = flag("optimize", value)
    if wanted and not pack.for_squared_error:
        from . import packs

        aim = "MS-SSIM" if pack.distortion == "ms-ssim" else "how pictures look"
        msg = (
            f"optimize lowers the squared error, but the weights {pack.name} were trained for "
            f"{aim}; save without optimize, or with model={packs.DEFAULT_MODEL!r}"
        )
        raise ValueError(msg)
    return wanted


def _texture(value: object) -> float | None:
    """The strength of texture, 0 unless it is asked for; None: to be chosen, for "auto"."""
    if isinstance(value, str) and value == AUTO:
        return None
    return checked_texture(value, f", or {AUTO!r}")


@dataclass(frozen=True)
class SaveSettings:
    """The options of saving, checked; the same for any picture."""

    file: "PackFile"
    """The weights."""
    quality: float
    """1 to 8; not used where there is a target."""
    target: Target | None
    tile: int
    """Side of a tile; pictures with drawn parts may get smaller ones, unless it was given."""
    fixed_tile: bool
    optimize: bool
    refine: int
    preview: bool
    texture: float | None
    """Its strength, 0 to 1; None: as the encoder finds it right for the picture."""
    device: str | None

    @classmethod
    def of(cls, options: dict[str, Any]) -> "SaveSettings":
        """From the options of `save`; ValueError or WeightsError where they cannot be met."""
        from . import packs

        options = {name: value for name, value in options.items() if value is not None}
        target = Target.of(options)
        quality = _quality(options.get("quality", DEFAULT_QUALITY))
        name, steps = models.refined(options.get("model") or "")
        # Where a PSNR is asked for, the pack for squared error reaches it in fewer bytes.
        usual = packs.DEFAULT_MODEL if target and target.kind == "target_psnr" else None
        file = packs.find(name or usual, quality)
        if target is not None:
            target.check_quality_is_free(file.name, file.quality)
        device = options.get("device")
        devices.check(device)
        return cls(
            file=file,
            # Weights for one quality: `find` gave the nearest.
            quality=quality if file.quality is None else file.quality,
            target=target,
            tile=checked_tile(options.get("tile", DEFAULT_TILE)),
            fixed_tile="tile" in options,
            optimize=_optimize(options.get("optimize"), file),
            refine=_steps(options.get("refine", steps)),
            preview=flag("preview", options.get("preview")),
            texture=_texture(options.get("texture", 0.0)),
            device=device,
        )

    def coding(self) -> "Coding":
        """How pictures are coded by these options; loads the weights."""
        from . import packs
        from .coding.coding import Coding

        pack = packs.load(self.file)
        engine = engine_for(pack, self.device, Needs(gradients=self.optimize or self.refine > 0))
        guard = GUARD if pack.integers is None else None
        return Coding(pack, container.storable(self.quality), self.tile, guard, engine)


def is_lossless(options: dict[str, Any]) -> bool:
    """Whether pixels shall be kept; ValueError where an option says how they are to change."""
    if not flag("lossless", options.get("lossless")):
        return False
    for name in ("quality", *KINDS, "refine"):
        if options.get(name):
            msg = f"lossless keeps every pixel, so there is nothing for {name} to say; leave it out"
            raise ValueError(msg)
    if options.get("tile") is not None:
        checked_tile(options["tile"])
    flag("preview", options.get("preview"))
    return True


def check_options(options: dict[str, Any]) -> None:
    """Raise what saving with these options would raise, before there is a picture."""
    if not is_lossless(options):
        SaveSettings.of(options)


def checked_tile(size: object, most: int = container.MAX_TILE_CODE) -> int:
    """The side of a tile; ValueError for a side that a header cannot hold, `most` being the largest
    code of one."""
    sides = [64 << code for code in range(most + 1)]
    side = whole(size)
    if side not in sides:
        msg = (
            f"tile is {size!r}, but must be 64, 128, 256 ... or {sides[-1]}; default {DEFAULT_TILE}"
        )
        raise ValueError(msg)
    return side
