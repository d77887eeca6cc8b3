"""The walk in integers as docs/format.md says it, with Python's and NumPy's 64-bit integers.

Written from that page alone, position by position and without regard for time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray
Symbols = Callable[[Array], Array]
"""Gives the symbols (h, w, c) of a step by its classes."""


def near(a: Array) -> Array:
    return np.rint(a).astype(np.int64)


def clip(a: Array, n: int) -> Array:
    return np.clip(a, -n, n)


def leaky(x: Array) -> Array:
    return np.minimum(np.maximum(x, near(205 * x / 2048)), 2047)


def double(x: Array) -> Array:
    h, w, c = x.shape
    out = np.zeros((2 * h, 2 * w, c // 4), np.int64)
    for group, (down, right) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        out[down::2, right::2] = x[..., group * (c // 4) : (group + 1) * (c // 4)]
    return out


def narrow(x: Array) -> Array:
    return clip(near(x / 16), 2047)


class PlainWalk:
    """The arrays of a pack and a quality code."""

    def __init__(self, arrays: dict[str, Array], slices: tuple[int, ...], code: int) -> None:
        self.arrays = {name: array.astype(np.int64) for name, array in arrays.items()}
        self.slices = slices
        self.code = code

    def at_quality(self, name: str) -> Array:
        table = self.arrays[name]
        low = min(self.code // 8192, 6)
        f = self.code - 8192 * low
        return (table[low] * (8192 - f) + table[low + 1] * f + 4096) // 8192

    def power(self, logarithm: Array) -> Array:
        return self.arrays["powers"][logarithm % 4096] * 2.0 ** (logarithm // 4096 - 23)

    def linear(self, name: str, x: Array) -> Array:
        weight, bias = self.arrays[f"{name}.weight"], self.arrays[f"{name}.bias"]
        return (x @ weight + bias) // 2 ** self.arrays[f"{name}.shift"]

    def depthwise(self, name: str, x: Array) -> Array:
        h, w, _ = x.shape
        edge = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        weight = self.arrays[f"{name}.weight"]
        total = sum(
            weight[3 * row + column] * edge[row : row + h, column : column + w]
            for row in range(3)
            for column in range(3)
        )
        return (total + self.arrays[f"{name}.bias"]) // 2 ** self.arrays[f"{name}.shift"]

    def norm(self, name: str, x: Array) -> Array:
        channels = x.shape[-1]
        total = x.sum(-1, keepdims=True)
        v = channels * (x * x).sum(-1, keepdims=True) - total**2 + self.arrays[f"{name}.epsilon"]
        r = (self.arrays[f"{name}.gain"] / np.sqrt(v.astype(np.float64))).astype(np.float32)
        return clip(near((channels * x - total).astype(np.float32) * r), 2047)

    def function(self, name: str, x: Array) -> Array:
        return self.arrays[name][x + 2047]

    def block(self, name: str, x: Array) -> Array:
        a = clip(self.linear(f"{name}.spatial_in", self.norm(f"{name}.norm1", x)), 2047)
        a = self.function(f"{name}.silu1", a)
        d = clip(self.depthwise(f"{name}.depthwise", a), 2047)
        x = clip(x + self.linear(f"{name}.spatial_out", d), 32_767)
        both = clip(self.linear(f"{name}.gate_in", self.norm(f"{name}.norm2", x)), 2047)
        a, b = np.split(both, 2, axis=-1)
        gated = self.function(f"{name}.silu2", a) * b / 2 ** self.arrays[f"{name}.gate.shift"]
        return clip(x + self.linear(f"{name}.gate_out", clip(near(gated), 2047)), 32_767)

    def classes(self, logarithm: Array) -> Array:
        return (self.arrays["thresholds"] < logarithm[..., None]).sum(-1)

    def walk(self, z_size: tuple[int, int], symbols: Symbols) -> Array:
        """y_hat (H/16, W/16, M), float32."""
        classes = self.classes((self.at_quality("hyper.scale") + 8) // 16)
        s = symbols(np.broadcast_to(classes, (*z_size, len(classes))))
        unit = self.arrays["hyper.unit"]
        z = clip(near(s * self.power(-self.at_quality("hyper.gain") - unit)), 2047)
        x = clip(double(self.linear("hyper.split32", z)), 32_767)
        x = double(self.linear("hyper.split16", narrow(self.block("hyper.block32", x))))
        x = clip(near(x * self.power(self.at_quality("hyper.gain16"))), 32_767)
        seen = [narrow(self.block("hyper.block16", x))]
        found = []
        for index in range(len(self.slices)):
            p, y = self.slice(f"contexts.{index}", np.concatenate(seen, -1), symbols)
            seen.append(p)
            found.append(y)
        return np.concatenate(found, -1)

    def slice(self, name: str, seen: Array, symbols: Symbols) -> tuple[Array, Array]:
        g, u = self.at_quality(f"{name}.gain"), self.arrays[f"{name}.unit"]
        c = len(u)
        f = clip(self.linear(f"{name}.feature", seen), 16_383)
        f = f + self.depthwise(f"{name}.around", leaky(f))
        h, w, _ = f.shape
        p, y = np.zeros((h, w, c), np.int64), np.zeros((h, w, c), np.float32)
        row, column = np.mgrid[:h, :w]
        for odd in (1, 0):
            n = f
            if not odd:
                edge = np.pad(p, ((1, 1), (1, 1), (0, 0)))
                around = (edge[:-2, 1:-1], edge[1:-1, :-2], edge[1:-1, 2:], edge[2:, 1:-1])
                n = f + self.linear(f"{name}.local", np.concatenate(around, -1))
            own = (row + column) % 2 == odd
            hidden = leaky(clip(self.linear(f"{name}.hidden", leaky(clip(n, 16_383))), 16_383))
            o = self.linear(f"{name}.out", hidden)[own]
            m, e, t = np.split(o, 3, axis=-1)
            s = symbols(self.classes(e + (g + 8) // 16).reshape(h, w // 2, c)).reshape(-1, c)
            v = (256 * s + self.function("tanh", clip(t, 2047))) * self.power(-g - u - 8192) + m
            y[own] = (v * self.power(u - 24_576)).astype(np.float32)
            p[own] = clip(near(v / 64), 2047)
        return p, y


def symbols_of(decoder: Any) -> Symbols:
    """Of a stream's decoder: symbols in coding order, 0 in class 0, else of row class - 1."""

    def read(classes: Array) -> Array:
        out = np.zeros(classes.shape, np.int64)
        out[classes > 0] = decoder.take((classes[classes > 0] - 1).astype(np.int32))
        return out

    return read
