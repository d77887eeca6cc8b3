"""The walk through the entropy part of `mlicv2-lite` in integers; see models.mlicv2_lite.Entropy.

The same steps in the same order. Every number between two layers is an integer (docs/format.md).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ..entropy.everywhere import Doubles
from ..format.header import MAX_QUALITY_CODE
from ..models.lambdas import QUALITIES
from .check import Product, require_exact_products
from .layers import (
    Depthwise,
    IntegerArrays,
    Linear,
    Lookup,
    TokenMixing,
    array,
    before_leaky,
    clip,
    leaky,
)
from .layers import rows as row_blocks
from .numbers import (
    ACTIVATION,
    FRACTION,
    MOST_OCTAVES,
    OCTAVE,
    RESIDUAL,
    STREAM,
    STREAM_STEP,
    Classes,
    Integers,
    Powers,
    Wholes,
    at_quality,
    class_logarithm,
)

ANCHOR, NON_ANCHOR = 1, 0
FIRST_WIDTH = 128
"""Channels of the hyper synthesis at 1/32 (models.mlicv2_lite.HyperSynthesis)."""
_OCTAVES_OF_FRACTION = 6
_OCTAVES_OF_RESIDUAL = 8


class CodingStep(NamedTuple):
    """What decides the distributions of one coding step, (B, h, w, c)."""

    classes: NDArray[np.uint8]
    """0: not coded; k: row k - 1 of the tables."""
    mean: Wholes | None
    """Integers, in units; None: 0."""
    unit: Doubles
    """What latents are divided by to be in these units, (c,)."""
    step: Doubles
    """A quantisation step in these units, (c,)."""
    logarithm: Wholes | Integers
    """Of the scale in quantisation steps, in 256ths of an octave, broadcast to (B, h, w, c)."""
    channels: slice | None
    """Of y; None: these are the hyper latents."""
    half: int
    """ANCHOR or NON_ANCHOR; of no meaning for hyper latents."""


class StepCoder(Protocol):
    """Writes or reads the symbols of one step after another."""

    def __call__(self, step: CodingStep) -> NDArray[np.int32]:
        """Symbols (B, h, w, c), zero where the class is 0."""
        ...


def take(x: NDArray[Any], half: int) -> NDArray[Any]:
    """One half of (B, H, W, C) as (B, H, W/2, C); see models.layers.checkerboard."""
    b, h, w, c = x.shape
    packed = np.empty((b, h, w // 2, c), x.dtype)
    packed[:, 0::2] = x[:, 0::2, half::2]
    packed[:, 1::2] = x[:, 1::2, 1 - half :: 2]
    return packed


def put(packed: NDArray[Any], half: int, x: NDArray[Any]) -> None:
    """Write one half (B, H, W/2, C) to its places in x (B, H, W, C)."""
    x[:, 0::2, half::2] = packed[:, 0::2]
    x[:, 1::2, 1 - half :: 2] = packed[:, 1::2]


def neighbours(anchors: Wholes) -> Wholes:
    """The anchors above, left, right of and below each non-anchor: (B, H, W/2, c) -> (.., 4 c)."""
    b, h, w, c = anchors.shape
    near = np.zeros((b, h, w, 4, c), np.float32)
    near[:, 1:, :, 0] = anchors[:, :-1]
    near[:, 0::2, 1:, 1] = anchors[:, 0::2, :-1]
    near[:, 1::2, :, 1] = anchors[:, 1::2]
    near[:, 0::2, :, 2] = anchors[:, 0::2]
    near[:, 1::2, :-1, 2] = anchors[:, 1::2, 1:]
    near[:, :-1, :, 3] = anchors[:, 1:]
    return near.reshape(b, h, w, 4 * c)


def logarithms(arrays: IntegerArrays, name: str, shape: tuple[int, ...]) -> Integers:
    """Logarithms of this name, checked."""
    found = array(arrays, name, "i4", shape)
    if np.any(np.abs(found.astype(np.int64)) > MOST_OCTAVES * OCTAVE):
        msg = f"integers.{name} has numbers that are too large"
        raise ValueError(msg)
    return found


class HyperSynthesis:
    """Symbols of z, in units -> features (B, H/16, W/16, hyper_width), inputs of products."""

    def __init__(self, arrays: IntegerArrays, latents: int, width: int) -> None:
        self._split32 = Linear(arrays, "hyper.split32", latents, 4 * FIRST_WIDTH)
        self._block32 = TokenMixing(arrays, "hyper.block32", FIRST_WIDTH)
        self._split16 = Linear(arrays, "hyper.split16", FIRST_WIDTH, 4 * width)
        self._gain16 = logarithms(arrays, "hyper.gain16", (QUALITIES, width))
        self._block16 = TokenMixing(arrays, "hyper.block16", width)

    def __call__(self, z: Wholes, shared: "Shared") -> Wholes:
        """z (B, h, w, Z), integers from -2047 to 2047."""
        product = shared.product
        x = clip(_depth_to_space(self._split32(z, product)), -STREAM, STREAM)
        x = _depth_to_space(self._split16(_narrow(self._block32(x, product)), product))
        wide = x * shared.powers(at_quality(self._gain16, shared.code))
        x = np.clip(np.rint(wide, out=wide), -STREAM, STREAM).astype(np.float32)
        return _narrow(self._block16(x, product))


def _narrow(stream: Wholes) -> Wholes:
    """A residual stream as an input of products, in its place."""
    stream *= np.float32(1 / STREAM_STEP)
    return clip(np.rint(stream, out=stream), -ACTIVATION, ACTIVATION)


def _depth_to_space(x: Wholes) -> Wholes:
    """(B, H, W, 4 C) -> (B, 2 H, 2 W, C); see models.layers.blocks."""
    b, h, w, c = x.shape
    x = x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return np.ascontiguousarray(x).reshape(b, 2 * h, 2 * w, c // 4)


class SliceContext:
    """The distributions of one slice; see models.mlicv2_lite.SliceContext."""

    def __init__(
        self, arrays: IntegerArrays, index: int, slices: tuple[int, ...], widths: "Widths"
    ) -> None:
        name, c, width = f"contexts.{index}", slices[index], widths.context
        start = sum(slices[:index])
        self.channels = slice(start, start + c)
        self._inputs = widths.hyper + start
        self._feature = Linear(arrays, f"{name}.feature", self._inputs, width)
        self._around = Depthwise(arrays, f"{name}.around", width)
        self._local = Linear(arrays, f"{name}.local", 4 * c, width)
        self._hidden = Linear(arrays, f"{name}.hidden", width, width)
        self._out = Linear(arrays, f"{name}.out", width, 3 * c)
        self._gain = logarithms(arrays, f"{name}.gain", (QUALITIES, c))
        self._unit = logarithms(arrays, f"{name}.unit", (c,)).astype(np.int64)

    def code(self, seen: Wholes, y_hat: Wholes, shared: "Shared", coder: StepCoder) -> None:
        """Code anchors and non-anchors; what is decoded is written behind what was `seen`.

        seen (B, H, W, hyper_width + M): hyper features and the slices before, as inputs of
        products. y_hat (B, H, W, M): latents for the synthesis.
        """
        gain = at_quality(self._gain, shared.code)
        scale = class_logarithm(gain)
        # One 256th of a quantisation step in 64ths of a context's unit.
        grain = shared.powers(
            -gain - self._unit - (_OCTAVES_OF_RESIDUAL - _OCTAVES_OF_FRACTION) * OCTAVE
        )
        unit = shared.powers(self._unit - _OCTAVES_OF_FRACTION * OCTAVE)
        features = before_leaky(self._feature(seen[..., : self._inputs], shared.product))
        features += self._around(leaky(features))
        local: Wholes | None = None
        for half in (ANCHOR, NON_ANCHOR):
            inputs = take(features, half)
            if local is not None:
                inputs += local
            mean, classes, logarithm, residual = self._distribution(inputs, scale, shared)
            symbols = coder(
                CodingStep(classes, mean, unit, RESIDUAL * grain, logarithm, self.channels, half)
            )
            value = symbols * float(RESIDUAL)
            value += residual
            value *= grain
            value += mean
            put((value * unit).astype(np.float32), half, y_hat[..., self.channels])
            value *= 1 / FRACTION
            decoded = np.clip(np.rint(value, out=value), -ACTIVATION, ACTIVATION, out=value)
            decoded = decoded.astype(np.float32)
            into = slice(self._inputs, self._inputs + decoded.shape[-1])
            put(decoded, half, seen[..., into])
            local = self._local(neighbours(decoded), shared.product) if half == ANCHOR else None

    def _distribution(
        self, features: Wholes, scale: NDArray[np.int64], shared: "Shared"
    ) -> tuple[Wholes, NDArray[np.uint8], Wholes, Wholes]:
        """Mean, classes, logarithms of scales, residuals, (B, H, W/2, c) each."""
        b, h, w, width = features.shape
        c = len(scale)
        flat = features.reshape(-1, width)
        n = len(flat)
        mean, logarithm, residual = (np.empty((n, c), np.float32) for _ in range(3))
        classes = np.empty((n, c), np.uint8)
        of_class = shared.classes
        base = scale.astype(np.float32)
        for block in row_blocks(n, 2 * width):
            inputs = leaky(before_leaky(flat[block]))
            hidden = before_leaky(self._hidden(inputs, shared.product))
            out = self._out(leaky(hidden), shared.product)
            mean[block] = out[:, :c]
            np.add(out[:, c : 2 * c], base, out=logarithm[block])
            place = logarithm[block] - np.float32(of_class.first)
            classes[block] = of_class(clip(place, 0, of_class.last))
            residual[block] = shared.tanh(clip(out[:, 2 * c :], -ACTIVATION, ACTIVATION))
        shape = (b, h, w, c)
        return (
            mean.reshape(shape),
            classes.reshape(shape),
            logarithm.reshape(shape),
            residual.reshape(shape),
        )


class Widths(NamedTuple):
    """Widths of the layers."""

    hyper: int
    context: int


class Shared(NamedTuple):
    """What all slices need."""

    code: int
    powers: Powers
    classes: Classes
    tanh: Lookup
    product: Product


class IntegerNetwork:
    """The entropy part of a pack that carries integers; `arrays` are named without `integers.`.

    Raises ValueError where they do not fit the configuration, or are too large for exact sums.
    """

    def __init__(self, config: Mapping[str, Any], arrays: IntegerArrays) -> None:
        slices = tuple(map(int, config["slices"]))
        self._latents, self._hyper_latents = int(config["latents"]), int(config["hyper_latents"])
        widths = Widths(int(config["hyper_width"]), int(config["context_width"]))
        if min(*slices, *widths, self._hyper_latents) < 1 or sum(slices) != self._latents:
            msg = "its widths are impossible"
            raise ValueError(msg)
        z = self._hyper_latents
        self._powers = Powers(array(arrays, "powers", "i4", (OCTAVE,)))
        thresholds = arrays.get("thresholds", np.zeros(0, np.int32))
        self._classes = Classes(array(arrays, "thresholds", "i4", thresholds.shape))
        self._tanh = Lookup(arrays, "tanh", RESIDUAL)
        self._scale = logarithms(arrays, "hyper.scale", (QUALITIES, z))
        self._gain = logarithms(arrays, "hyper.gain", (QUALITIES, z))
        self._unit = logarithms(arrays, "hyper.unit", (z,)).astype(np.int64)
        self._hyper = HyperSynthesis(arrays, z, widths.hyper)
        self._contexts = [SliceContext(arrays, i, slices, widths) for i in range(len(slices))]

    @property
    def classes(self) -> int:
        """How many classes of scales there are: one more than thresholds."""
        return int(self._classes.count)

    @property
    def first(self) -> int:
        """The largest scale of class 0, as a logarithm in 256ths of an octave."""
        return self._classes.first

    @property
    def slices(self) -> int:
        """In how many slices latents are coded."""
        return len(self._contexts)

    @property
    def channels(self) -> tuple[int, int]:
        """Channels of y and of z."""
        return self._latents, self._hyper_latents

    def symbols(self, z_size: tuple[int, int]) -> int:
        """Latents and hyper latents of a tile."""
        return z_size[0] * z_size[1] * (16 * self._latents + self._hyper_latents)

    def walk(
        self,
        quality_code: int,
        z_size: tuple[int, int],
        tiles: int,
        coder: StepCoder,
        product: Product = np.matmul,
    ) -> Wholes:
        """Walk through all steps of `tiles` tiles of one size -> y_hat (B, H/16, W/16, M).

        ArithmeticUnfitError where products by `product` turn out not to be exact.
        """
        require_exact_products(product)
        code = min(max(quality_code, 0), MAX_QUALITY_CODE)
        shared = Shared(code, self._powers, self._classes, self._tanh, product)
        gain = at_quality(self._gain, code)
        step = self._powers(-gain - self._unit)
        logarithm = class_logarithm(at_quality(self._scale, code))
        place = np.clip(logarithm - self._classes.first, 0, self._classes.last)
        shape = (tiles, *z_size, self._hyper_latents)
        classes = np.broadcast_to(self._classes(place), shape)
        symbols = coder(
            CodingStep(classes, None, self._powers(self._unit), step, logarithm, None, 0)
        )
        z = np.clip(np.rint(symbols * step), -ACTIVATION, ACTIVATION).astype(np.float32)
        hyper = self._hyper(z, shared)
        b, h, w, width = hyper.shape
        seen = np.empty((b, h, w, width + self._latents), np.float32)
        seen[..., :width] = hyper
        y_hat = np.empty((b, h, w, self._latents), np.float32)
        for context in self._contexts:
            context.code(seen, y_hat, shared, coder)
        return y_hat
