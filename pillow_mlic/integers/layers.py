"""Layers from integers to integers, in float32 products and sums that are exact in any order.

Arrays are channels-last, (B, H, W, C) or (n, C), float32 that holds integers. Whoever calls a layer
keeps to the ranges of `numbers`: products see inputs from -2047 to 2047. A `product` multiplies
matrices of float32; as all are exact, any gives the same.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..entropy.everywhere import Doubles
from .check import Product
from .numbers import ACTIVATION, BEFORE_LEAKY, EXACT, STREAM, Wholes

IntegerArrays = Mapping[str, NDArray[Any]]

BLOCK = 1 << 17
"""Numbers that are worked on together, about: they stay in a core's cache."""
MOST_SHIFT = 40
MOST_SUM = EXACT << 4
"""No sum of products and bias may reach this, whatever the inputs."""
MOST_OUT = EXACT >> 2
"""Nor may it reach this after the shift: three outputs of layers can be added without loss."""


def array(arrays: IntegerArrays, name: str, kind: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The integers of this name; ValueError where they are missing, of another type or shape."""
    found = arrays.get(name)
    if found is None or found.dtype != np.dtype(kind) or found.shape != shape:
        msg = f"integers.{name} is missing, or is not {kind} of shape {shape}"
        raise ValueError(msg)
    return found


def rows(count: int, width: int) -> Iterator[slice]:
    """`count` rows of `width` numbers in blocks."""
    size = max(BLOCK // width, 1)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def clip(x: Wholes, least: float, most: float) -> Wholes:
    """x from `least` to `most`, in its place."""
    return np.clip(x, np.float32(least), np.float32(most), out=x)


def leaky(x: Wholes) -> Wholes:
    """Leaky ReLU: x, or x 205/2048 rounded where it is negative; 2047 at most. A new array."""
    low = x * np.float32(205 / 2048)
    np.rint(low, out=low)
    np.maximum(low, x, out=low)
    return np.minimum(low, np.float32(ACTIVATION), out=low)


def scale_of(shift: NDArray[Any], name: str) -> Doubles:
    """2^-shift; ValueError where a shift is out of range."""
    if np.any(shift < 0) or np.any(shift > MOST_SHIFT):
        msg = f"integers.{name}.shift is not from 0 to {MOST_SHIFT}"
        raise ValueError(msg)
    return np.ldexp(1.0, -shift.astype(np.int64))


class _Sums:
    """Weights (n, C_out), bias and shift of a layer, checked: sums of products with inputs."""

    def __init__(self, arrays: IntegerArrays, name: str, inputs: int, outputs: int) -> None:
        self.weight = array(arrays, f"{name}.weight", "i2", (inputs, outputs)).astype(np.int32)
        self.bias = array(arrays, f"{name}.bias", "i4", (outputs,)).astype(np.int64)
        self.scale = scale_of(array(arrays, f"{name}.shift", "i1", (outputs,)), name)
        magnitude = np.abs(self.weight)
        most = magnitude.sum(0, dtype=np.int64) * ACTIVATION + np.abs(self.bias)
        if (
            int(magnitude.max()) * ACTIVATION >= EXACT
            or most.max() >= MOST_SUM
            or (most * self.scale).max() >= MOST_OUT
        ):
            msg = f"the sums of integers.{name} could become too large"
            raise ValueError(msg)
        self.exact = bool(most.max() < EXACT)
        """Whether float32 holds every sum and the bias."""

    def runs(self) -> list[slice]:
        """Runs of inputs whose sums float32 holds, as few as need be."""
        # How large the sum of the first inputs can be, (n, C_out).
        reach = np.cumsum(np.abs(self.weight), axis=0, dtype=np.int64) * ACTIVATION
        cuts, before = [0], np.zeros_like(self.bias)
        for place in range(1, len(reach)):
            if np.any(reach[place] - before >= EXACT):
                before = reach[place - 1]
                cuts.append(place)
        return [slice(*ends) for ends in itertools.pairwise([*cuts, len(reach)])]


class Linear:
    """floor((sum of w x + bias) / 2^shift): (n, C_in) -> (n, C_out).

    `weight` (C_in, C_out) i2, `bias` (C_out,) i4, `shift` (C_out,) i1. Weights are kept divided by
    2^shift, which changes no digit of a float32 product. Where a sum could reach 2^24 its inputs
    are split into runs whose sums cannot, and these are added in float64, which is exact, too.
    """

    def __init__(self, arrays: IntegerArrays, name: str, c_in: int, c_out: int) -> None:
        sums = _Sums(arrays, name, c_in, c_out)
        self.runs = [] if sums.exact else sums.runs()
        """Which inputs are summed up in float32; none: all of them at once."""
        self._width = c_out
        self._weight = sums.weight.astype(np.float32) * sums.scale.astype(np.float32)
        bias = sums.bias * sums.scale
        self._bias = bias if self.runs else bias.astype(np.float32)

    def __call__(self, x: Wholes, product: Product = np.matmul) -> Wholes:
        """Any (..., C_in), the last dimension without gaps -> a new array (..., C_out)."""
        shape, x = (*x.shape[:-1], self._width), x.reshape(-1, x.shape[-1])
        if not self.runs:
            out = product(x, self._weight)
            out += self._bias
            return np.floor(out, out=out).reshape(shape)
        total = np.zeros((len(x), self._width))
        for run in self.runs:
            total += product(x[:, run], self._weight[run])
        total += self._bias
        return np.floor(total, out=total).astype(np.float32).reshape(shape)


class Depthwise:
    """floor((sum of w x + bias) / 2^shift) over the 3x3 neighbours in the same channel.

    `weight` (9, C) i2, rows of the window first, `bias` (C,) i4, `shift` (C,) i1. Zero beyond the
    border. (B, H, W, C) -> the same.
    """

    def __init__(self, arrays: IntegerArrays, name: str, channels: int) -> None:
        sums = _Sums(arrays, name, 9, channels)
        if not sums.exact:
            msg = f"the sums of integers.{name} could become too large"
            raise ValueError(msg)
        self._weight = (sums.weight * sums.scale).astype(np.float32)
        self._bias = (sums.bias * sums.scale).astype(np.float32)

    def __call__(self, x: Wholes) -> Wholes:
        """A new array, by shifted products: whole rows of the map at a time."""
        batch, height, width, channels = x.shape
        size = width * channels
        near = np.zeros((batch, height + 2, (width + 2) * channels), np.float32)
        near[:, 1:-1, channels:-channels] = x.reshape(batch, height, size)
        taps, bias = np.tile(self._weight, width), np.tile(self._bias, width)
        out = np.empty((batch, height, size), np.float32)
        for sample, result in zip(near, out, strict=True):
            for band in rows(height, size):
                total, product = result[band], np.empty_like(result[band])
                total[:] = bias
                for tap, weight in enumerate(taps):
                    down, right = divmod(tap, 3)
                    left = right * channels
                    source = sample[band.start + down : band.stop + down, left : left + size]
                    total += np.multiply(source, weight, out=product)
                np.floor(total, out=total)
        return out.reshape(x.shape)


class LayerNorm:
    """(n x - sum) gain / sqrt(n sum of squares - sum^2 + epsilon), n = C: (n, C) -> the same.

    `gain` and `epsilon` () i8. Sums are integers below 2^53, in float64 where float32 would not do;
    the root and the quotient are float64, the quotient is rounded to float32, its product with the
    integer (n x - sum) is float32 and is rounded to an integer, halves to even. IEEE 754 says the
    last bit of each.
    """

    def __init__(self, arrays: IntegerArrays, name: str, channels: int) -> None:
        self._gain = int(array(arrays, f"{name}.gain", "i8", ()))
        self._epsilon = int(array(arrays, f"{name}.epsilon", "i8", ()))
        if not 0 < self._gain < EXACT or not 0 < self._epsilon < 1 << 50:
            msg = f"integers.{name} has an impossible gain or epsilon"
            raise ValueError(msg)
        if 2 * channels * STREAM >= EXACT:
            msg = f"integers.{name} has too many channels"
            raise ValueError(msg)

    def __call__(self, x: Wholes) -> Wholes:
        """A residual stream (n, C) -> inputs of products."""
        out = np.empty_like(x)
        width = x.shape[1]
        for block in rows(*x.shape):
            part, result = x[block], out[block]
            sums = part.sum(1, dtype=np.float64)
            wide = part.astype(np.float64)
            variance = width * np.einsum("nc,nc->n", wide, wide) - sums * sums + self._epsilon
            factor = (self._gain / np.sqrt(variance)).astype(np.float32)
            np.multiply(part, np.float32(width), out=result)
            result -= sums.astype(np.float32)[:, None]
            result *= factor[:, None]
            clip(np.rint(result, out=result), -ACTIVATION, ACTIVATION)
        return out


class Lookup:
    """A function by its values at -2047 to 2047, (4095,) i2, within `most` of 0."""

    def __init__(self, arrays: IntegerArrays, name: str, most: int) -> None:
        table = array(arrays, name, "i2", (2 * ACTIVATION + 1,))
        if np.any(np.abs(table.astype(np.int64)) > most):
            msg = f"integers.{name} has numbers above {most}"
            raise ValueError(msg)
        self._table = table.astype(np.float32)

    def __call__(self, x: Wholes) -> Wholes:
        """Of integers from -2047 to 2047: a new array."""
        return self._table[(x + np.float32(ACTIVATION)).astype(np.uint16)]


class TokenMixing:
    """A block of `models.layers.blocks.TokenMixing`, on a residual stream (B, H, W, C)."""

    def __init__(self, arrays: IntegerArrays, name: str, width: int) -> None:
        self._norm1 = LayerNorm(arrays, f"{name}.norm1", width)
        self._spatial_in = Linear(arrays, f"{name}.spatial_in", width, width)
        self._silu1 = Lookup(arrays, f"{name}.silu1", ACTIVATION)
        self._depthwise = Depthwise(arrays, f"{name}.depthwise", width)
        self._spatial_out = Linear(arrays, f"{name}.spatial_out", width, width)
        self._norm2 = LayerNorm(arrays, f"{name}.norm2", width)
        self._gate_in = Linear(arrays, f"{name}.gate_in", width, 2 * width)
        self._silu2 = Lookup(arrays, f"{name}.silu2", ACTIVATION)
        self._gate_scale = np.float32(
            scale_of(array(arrays, f"{name}.gate.shift", "i1", (1,)), f"{name}.gate")[0]
        )
        self._gate_out = Linear(arrays, f"{name}.gate_out", width, width)

    def __call__(self, x: Wholes, product: Product = np.matmul) -> Wholes:
        """The stream behind the block; x may be overwritten."""
        flat = x.reshape(-1, x.shape[-1])
        a = self._silu1(clip(self._spatial_in(self._norm1(flat), product), -ACTIVATION, ACTIVATION))
        mixed = clip(self._depthwise(a.reshape(x.shape)), -ACTIVATION, ACTIVATION)
        flat += self._spatial_out(mixed.reshape(flat.shape), product)
        clip(flat, -STREAM, STREAM)
        for block in rows(*flat.shape):
            part = flat[block]
            both = clip(self._gate_in(self._norm2(part), product), -ACTIVATION, ACTIVATION)
            a, b = np.split(both, 2, axis=1)
            gated = self._silu2(a)
            gated *= b
            gated *= self._gate_scale
            clip(np.rint(gated, out=gated), -ACTIVATION, ACTIVATION)
            part += self._gate_out(gated, product)
            clip(part, -STREAM, STREAM)
        return flat.reshape(x.shape)


def before_leaky(x: Wholes) -> Wholes:
    """x in the range that leaky ReLUs take, in its place."""
    return clip(x, -BEFORE_LEAKY, BEFORE_LEAKY)
