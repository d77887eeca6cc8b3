"""Saving to a wanted size or fidelity: what the user asks for, and the file that meets it.

target -> trial qualities (`search`) -> files -> bytes or PSNR -> ... -> the file
"""

import contextlib
import io
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from PIL import Image

from ..format import container
from ..format.container import Chunk, Header
from ..format.geometry import Box
from ..format.tiles import AnyTile, LosslessTile, chunk_of
from ..settings import number
from .search import Aim, FoundQuality, Scale, search

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .work import Progress

Kind = Literal["target_bpp", "max_bytes", "target_psnr"]
KINDS: tuple[Kind, ...] = ("target_bpp", "max_bytes", "target_psnr")


class OutOfReachError(ValueError):
    """No quality meets the target: the lowest gives more (`too_low`), or the highest less."""

    def __init__(self, message: str, too_low: bool) -> None:
        super().__init__(message)
        self.too_low = too_low


class CodedFile(NamedTuple):
    """A .mlic file in parts."""

    header: Header
    before: list[Chunk]
    """The chunks before the tiles: preview, metadata and alpha."""
    tiles: list[AnyTile]
    """In raster order."""

    @property
    def chunks(self) -> list[Chunk]:
        """All chunks, in order."""
        return [*self.before, *(chunk_of(self.header, tile) for tile in self.tiles)]

    @property
    def mixed(self) -> bool:
        """Whether tiles are lossless, be it all."""
        return any(isinstance(tile, LosslessTile) for tile in self.tiles)

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return container.size(self.header, self.chunks)


Put = Callable[[Box, "NDArray[np.uint8]"], object]
"""Takes the box of a region and its pixels, without alpha: (h, w, 3), or (h, w) of grey."""

TRIALS = 6
"""How often a picture is encoded at most."""
SIZE_TOLERANCE = math.log(1.01)
PSNR_TOLERANCE = 0.04  # dB: 1 % of the squared error
# Typical bits and PSNR of photographs at quality 1 to 8, and how they change with the bits that
# JPEG takes at quality 50. Only the first guesses depend on this; it saves every fourth trial.
_TYPICAL_BPP = (0.142, 0.216, 0.324, 0.475, 0.676, 0.93, 1.25, 1.92)
_TYPICAL_PSNR = (28.8, 30.3, 31.9, 33.6, 35.4, 37.2, 38.9, 41.3)
_TYPICAL_JPEG_BPP = 0.87
_BPP_EXPONENT = 1.5
_PSNR_SLOPE = -5.0  # dB for e times the bits of JPEG
_SLOPE_OF_LOG_SIZE = 0.36  # for 1 of quality
_SLOPE_OF_PSNR = 1.75  # dB for 1 of quality
_MIDDLE = 1024  # pixels a side: enough of a picture to tell how much is in it
_MUCH_OVERHEAD = 0.1  # of a file: worth mentioning
_DRAFTING = 0.05  # of the time that a search with drafts takes, about
_STEP = 7 / container.MAX_QUALITY_CODE
EXACT = 100.0
"""What counts as the PSNR in dB of a picture without errors ..."""
_BEYOND = 6.0
"""... and how far beyond a PSNR that is searched such a picture lies."""
_NEAR = 0.5
"""How far in dB below a wanted PSNR the nearest file may lie if there is one above."""


@dataclass(frozen=True)
class Target:
    """What a user asked for instead of a quality."""

    kind: Kind
    value: float

    @classmethod
    def of(cls, options: Mapping[str, object]) -> "Target | None":
        """The target among the options of `save`, None if there is none; ValueError if wrong."""
        kinds = [kind for kind in KINDS if options.get(kind) is not None]
        given = [name for name in ("quality", *KINDS) if options.get(name) is not None]
        if not kinds:
            return None
        if len(given) > 1:
            msg = f"{' and '.join(given)} exclude each other; give one of them"
            raise ValueError(msg)
        value = options[kinds[0]]
        plain = number(value)
        if plain is None or not 0 < plain < math.inf:
            msg = f"{kinds[0]} is {value!r}, but must be a number above 0"
            raise ValueError(msg)
        return cls(kinds[0], plain)

    def expected_bytes(self, pixels: int) -> float | None:
        """The approximate size of the file; None if the target does not tell it."""
        sizes = {"max_bytes": self.value, "target_bpp": self.value * pixels / 8}
        return sizes.get(self.kind)

    def check_quality_is_free(self, pack: str, quality: float | None) -> None:
        """ValueError if the weight pack of that name is for a single `quality`."""
        if quality is not None:
            msg = (
                f"the weights {pack} are for quality {quality:g} alone, so there is no quality to "
                f"find for {self.kind}; give quality instead"
            )
            raise ValueError(msg)

    def search(
        self,
        measure: Callable[[float], float],
        pixels: int,
        overhead: int,
        complexity: float,
        guess: float | None = None,
    ) -> float:
        """The quality that meets the target on a picture of so many pixels.

        `measure` gives the bytes (for "target_psnr" the PSNR in dB) of a quality. It is called at
        most `TRIALS` times, including once for the quality that is returned. `overhead`: bytes that
        do not depend on quality; `complexity`: see there; `guess`: a quality that will be near.
        If no quality meets the target, a ValueError says what is possible. Sizes of tiny pictures
        may jump by more than the tolerance: then the nearest one counts.
        """
        size = self.expected_bytes(pixels)
        exact: list[float] = []
        if size is None:

            def psnr(quality: float) -> float:
                if (level := measure(quality)) < EXACT:
                    return level
                exact.append(quality)
                return self.value + _BEYOND

            found = search(
                psnr,
                Aim(self.value, PSNR_TOLERANCE),
                Scale(1, 8, _STEP, _SLOPE_OF_PSNR),
                guess=guess or _where(_TYPICAL_PSNR, self.value - _PSNR_SLOPE * complexity),
                limit=TRIALS,
            )
        else:
            wanted = max(size - overhead, 1.0)
            bpp = 8 * wanted / pixels / math.exp(_BPP_EXPONENT * complexity)
            found = search(
                lambda quality: math.log(measure(quality) - overhead),
                Aim(math.log(wanted), SIZE_TOLERANCE, ceiling=self.kind == "max_bytes"),
                Scale(1, 8, _STEP, _SLOPE_OF_LOG_SIZE),
                guess=guess or _where([math.log(b) for b in _TYPICAL_BPP], math.log(bpp)),
                limit=TRIALS,
            )
        if size is None and found.level < self.value - _NEAR:
            # Where PSNR jumps over it, tiles without loss cost less than what has the wanted PSNR.
            above = [(level, q) for q, level in found.trials.items() if level >= self.value]
            if above:
                return min(above)[1]
        if not found.hit and found.quality not in exact:
            self._refuse_beyond_the_ends(found, pixels, overhead)
        return found.quality

    def _refuse_beyond_the_ends(self, found: FoundQuality, pixels: int, overhead: int) -> None:
        """OutOfReachError if the lowest quality gives more than is wanted, or the highest less."""
        by_psnr = self.kind == "target_psnr"
        got = found.level if by_psnr else math.exp(found.level) + overhead
        unit = 8 / pixels if self.kind == "target_bpp" else 1
        levels = found.trials.values()
        too_low = 1 in found.trials and got * unit > self.value and found.level == min(levels)
        too_high = 8 in found.trials and got * unit < self.value and found.level == max(levels)
        if not too_low and (not too_high or self.kind == "max_bytes"):
            return
        text = f"{got:.2f} dB" if by_psnr else f"{got:.0f} bytes"
        if self.kind == "target_bpp":
            text = f"{got * unit:.4g} bits a pixel ({text})"
        if not by_psnr and overhead > _MUCH_OVERHEAD * got:
            text += f", {overhead} bytes of it metadata and transparency,"
        msg = (
            f"{self.kind}={self.value:g} is out of reach for this picture: the "
            f"{'least' if too_low else 'most'} possible is {text} at quality {found.quality:g}"
        )
        raise OutOfReachError(msg, too_low)


def _where(levels: Sequence[float], level: float) -> float:
    """The quality, 1 to 8, at which rising `levels` of the whole qualities reach `level`."""
    for quality, (low, high) in enumerate(itertools.pairwise(levels), start=1):
        if level <= high:
            return quality + max(level - low, 0) / (high - low)
    return 8


def complexity(image: Image.Image) -> float:
    """How much detail a picture has: the logarithm of the bits that JPEG needs for its middle,
    relative to a typical picture."""
    left, top = (max(0, (side - _MIDDLE) // 2) for side in image.size)
    right, bottom = (
        min(side, start + _MIDDLE) for side, start in zip(image.size, (left, top), strict=True)
    )
    middle = image.crop((left, top, right, bottom)).convert(image.mode.removesuffix("A"))
    buffer = io.BytesIO()
    middle.save(buffer, "JPEG", quality=50)
    return math.log(8 * buffer.tell() / (middle.width * middle.height) / _TYPICAL_JPEG_BPP)


class Maker(Protocol):
    """Makes files of one picture, for a target to be searched with."""

    @property
    def image(self) -> Image.Image:
        """The picture, in a mode of the format."""
        ...

    @property
    def overhead(self) -> int:
        """Bytes of metadata and alpha, which do not depend on quality."""
        ...

    @property
    def drafts(self) -> bool:
        """Whether `code` takes so long that a search should begin with drafts."""
        ...

    def code(self, quality: float, progress: "Progress", draft: bool = False) -> CodedFile:
        """The file of a quality, or nearly the same file in less time."""
        ...

    def show(self, coded: CodedFile, put: Put, progress: "Progress") -> None:
        """Decode a file and give its regions to `put`."""
        ...


def find(target: Target, maker: Maker, progress: "Progress | None") -> CodedFile:
    """The file that meets the target; metadata and alpha count.

    Every trial runs the whole analysis, as gains within it depend on quality (Analysis.gain8 in
    models/mlicv2_lite.py). Keeping the part that does not depend on it would take too much memory
    for large pictures.
    """
    report = progress or _silent
    guess, done = None, 0.0
    difficulty = complexity(maker.image)
    if maker.drafts:
        done = _DRAFTING
        drafts = _Trials(target, maker, lambda share: report(done * share), draft=True)
        with contextlib.suppress(OutOfReachError):  # refined files may reach what drafts do not
            guess = drafts.search(difficulty)
    trials = _Trials(target, maker, lambda share: report(done + (1 - done) * share))
    quality = trials.search(difficulty, guess)
    report(1.0)
    return trials.coded[quality]


class _Trials:
    """Files of a picture by quality."""

    def __init__(
        self, target: Target, maker: Maker, report: "Progress", draft: bool = False
    ) -> None:
        self.coded: dict[float, CodedFile] = {}
        self._target = target
        self._maker = maker
        self._report = report
        self._draft = draft

    def search(self, difficulty: float, guess: float | None = None) -> float:
        """The quality that meets the target; see Target.search."""
        pixels = self._maker.image.width * self._maker.image.height
        overhead = self._maker.overhead
        try:
            return self._target.search(self._measure, pixels, overhead, difficulty, guess)
        except OutOfReachError:
            lowest = self.coded.get(1)
            if self._target.kind != "target_psnr" or lowest is None or not lowest.mixed:
                raise
            return 1  # more than the wanted PSNR, and still cheaper than learned tiles

    def _measure(self, quality: float) -> float:
        """Bytes, or the PSNR in dB, of the file of this quality."""
        number = len(self.coded)

        def tell(share: float) -> None:
            """The number of trials is not known, so each counts as 0.4 of what is left."""
            self._report(1 - (1 - 0.4 * share) * 0.6**number)

        by_psnr = self._target.kind == "target_psnr"
        part = 0.5 if by_psnr else 1.0
        coded = self._maker.code(quality, lambda share: tell(part * share), self._draft)
        self.coded[quality] = coded
        if not by_psnr:
            return coded.size
        return _psnr(self._maker, coded, lambda share: tell(part + part * share))


def _psnr(maker: Maker, coded: CodedFile, progress: "Progress") -> float:
    """PSNR in dB of the colour planes (or of grey); EXACT for equal pictures."""
    import numpy as np

    image = maker.image
    planes = image.mode.removesuffix("A")
    squares = 0

    def put(box: Box, pixels: "NDArray[np.uint8]") -> None:
        nonlocal squares
        original = np.asarray(image.crop(box).convert(planes), dtype=np.int64)
        squares += int(((original - pixels) ** 2).sum())

    maker.show(coded, put, progress)
    values = image.width * image.height * len(planes)
    return 10 * math.log10(255**2 * values / squares) if squares else EXACT


def _silent(_: float) -> None:
    """Report to nobody."""
