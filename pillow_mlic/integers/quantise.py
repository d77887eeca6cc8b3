"""From the float entropy part of `mlicv2-lite` to integers, after training.

    float walks over some pictures -> largest activations -> units -> weights in those units

A unit is what 1 means. Weights have a power of two for each output, as large as exact sums allow.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..entropy.everywhere import Doubles
from ..entropy.rounding import FirstWalk
from ..entropy.tables import Tables
from ..models.base import Latents
from ..models.mlicv2_lite import MlicV2Lite, SliceContext
from .layers import MOST_SHIFT
from .numbers import ACTIVATION, CLASS_STEP, EXACT, FRACTION, OCTAVE, RESIDUAL, STREAM, STREAM_STEP

MARGIN = 1.25
"""Ranges are so many times what was seen."""
_TANH_STEP = 256
_LARGEST_WEIGHT = EXACT // ACTIVATION - 1
_SHALLOWEST, _DEEPEST = 2, 24
"""Shifts: what is below 2^24 is then below 2^22, as outputs of layers must be."""
_FAINTEST = 1e-6


class Example(NamedTuple):
    """Latents of a picture to measure ranges on, and its quality (1,)."""

    latents: Latents
    quality: Tensor


def examples(
    model: MlicV2Lite, pictures: Iterable[NDArray[np.uint8]], qualities: Sequence[float]
) -> Iterator[Example]:
    """An example of each picture (H, W, 3), sides 64 or more, at each quality."""
    with torch.no_grad():
        for pixels in pictures:
            height, width = (side // 64 * 64 for side in pixels.shape[:2])
            x = torch.from_numpy(pixels[None, :height, :width].astype(np.float32) / 255)
            for quality in qualities:
                q = torch.tensor([float(quality)])
                yield Example(model.latents(x, q), q)


class _Ranges:
    """The largest inputs and outputs of all modules of a network, per channel (C,)."""

    def __init__(self, entropy: nn.Module) -> None:
        self._inputs: dict[str, Doubles] = {}
        self._outputs: dict[str, Doubles] = {}
        self._normalised: dict[str, Doubles] = {}
        self._hooks = [
            module.register_forward_hook(self._hook(name))
            for name, module in entropy.named_modules()
        ]

    def _hook(self, name: str) -> Any:
        def note(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            x = inputs[0] if inputs else None
            if isinstance(x, Tensor) and x.ndim > 1 and isinstance(output, Tensor):
                _widen(self._inputs, name, x)
                _widen(self._outputs, name, output)
                if isinstance(module, nn.LayerNorm):
                    _widen(self._normalised, name, F.layer_norm(x, x.shape[-1:], eps=module.eps))

        return note

    def close(self) -> None:
        for hook in self._hooks:
            hook.remove()

    def into(self, name: str) -> Doubles:
        return self._inputs[name] * MARGIN

    def out_of(self, name: str) -> Doubles:
        return self._outputs[name] * MARGIN

    def normalised(self, name: str) -> float:
        return float(self._normalised[name].max()) * MARGIN


def _widen(ranges: dict[str, Doubles], name: str, x: Tensor) -> None:
    found = x.detach().abs().flatten(0, -2).amax(0).double().cpu().numpy() + _FAINTEST
    ranges[name] = np.maximum(ranges.get(name, found), found)


def integers_of(
    model: MlicV2Lite, tables: Tables, measured: Iterable[Example]
) -> dict[str, NDArray[Any]]:
    """The arrays of `IntegerNetwork` for a trained network (any precision).

    ValueError where its weights do not fit into the integers' ranges.
    """
    exact = model.exact()
    exact.eval()
    ranges = _Ranges(exact.entropy)
    with torch.no_grad():
        for latents, quality in measured:
            doubles = Latents(latents.y.double(), latents.z.double())
            exact.entropy(quality.double(), doubles.z_size, FirstWalk(doubles))
    ranges.close()
    return _Quantiser(exact, ranges).arrays(tables)


class _Quantiser:
    """Writes the arrays, layer by layer."""

    def __init__(self, model: MlicV2Lite, ranges: _Ranges) -> None:
        self._entropy = model.entropy
        self._ranges = ranges
        self._arrays: dict[str, NDArray[Any]] = {}

    def arrays(self, tables: Tables) -> dict[str, NDArray[Any]]:
        """All of them, by name."""
        put = self._arrays
        entropy = self._entropy
        steps = np.arange(-ACTIVATION, ACTIVATION + 1)
        put["powers"] = np.rint(2.0 ** (23 + np.arange(OCTAVE) / OCTAVE)).astype(np.int32)
        put["thresholds"] = np.rint(np.log2(tables.thresholds) * OCTAVE / CLASS_STEP).astype(
            np.int32
        )
        put["tanh"] = np.rint(RESIDUAL / 2 * np.tanh(steps / _TANH_STEP)).astype(np.int16)
        put["hyper.scale"] = _octaves(entropy.hyper_scale.log)
        put["hyper.gain"] = _octaves(entropy.hyper_gain.log)
        hyper_unit = self._hyper(entropy.hyper_synthesis)
        deviations = np.split(_numbers(entropy.deviation), np.cumsum(entropy.slices)[:-1])
        gains = np.split(_octaves(entropy.gain.log), np.cumsum(entropy.slices)[:-1], axis=1)
        units = [np.full(entropy.hyper_synthesis.gain16.log.shape[1], hyper_unit)]
        for index, (deviation, gain) in enumerate(zip(deviations, gains, strict=True)):
            name = f"contexts.{index}"
            context = entropy.contexts[index]
            assert isinstance(context, SliceContext)
            unit = self._ranges.into(f"{name}.local").max() / ACTIVATION
            logarithms = np.rint(np.log2(deviation * unit) * OCTAVE).astype(np.int32)
            put[f"{name}.gain"] = np.ascontiguousarray(gain)
            put[f"{name}.unit"] = logarithms
            # What a unit really is, in the latents' deviations: the logarithm was rounded.
            units.append(2.0 ** (logarithms / OCTAVE) / deviation)
            self._context(name, context, units)
        return put

    def _hyper(self, hyper: Any) -> float:
        """The hyper synthesis; returns the unit of its features."""
        ranges, put = self._ranges, self._arrays
        z = np.rint(np.log2(ranges.into("hyper_synthesis.split32") / ACTIVATION) * OCTAVE)
        put["hyper.unit"] = z.astype(np.int32)
        stream = self._stream("hyper_synthesis.block32")
        self._linear("hyper.split32", hyper.split32.linear, 2.0 ** (z / OCTAVE), stream)
        self._block("block32", hyper.block32, stream)
        behind = self._stream("hyper_synthesis.block16")
        before = float(ranges.out_of("hyper_synthesis.split16").max()) / STREAM
        self._linear("hyper.split16", hyper.split16.linear, stream * STREAM_STEP, before)
        change = round(math.log2(before / behind) * OCTAVE)
        put["hyper.gain16"] = _octaves(hyper.gain16.log) + np.int32(change)
        self._block("block16", hyper.block16, behind)
        return behind * STREAM_STEP

    def _stream(self, name: str) -> float:
        """The unit of a block's residual stream."""
        ranges = self._ranges
        seen = (ranges.into(name), ranges.into(f"{name}.norm2"), ranges.out_of(name))
        return float(max(part.max() for part in seen)) / STREAM

    def _block(self, name: str, block: Any, stream: float) -> None:
        ranges, put = self._ranges, self._arrays
        old, name = f"hyper_synthesis.{name}", f"hyper.{name}"
        unit = self._norm(f"{name}.norm1", block.norm1, old, stream)
        before = ranges.out_of(f"{old}.spatial_in").max() / ACTIVATION
        behind = ranges.into(f"{old}.depthwise").max() / ACTIVATION
        self._linear(f"{name}.spatial_in", block.spatial_in, unit, before, block.norm1)
        put[f"{name}.silu1"] = _silu(before, behind)
        mixed = ranges.into(f"{old}.spatial_out").max() / ACTIVATION
        depthwise = block.depthwise
        weight = _numbers(depthwise.weight).reshape(-1, 9) * (behind / mixed)
        self._rows(f"{name}.depthwise", weight, _numbers(depthwise.bias) / mixed)
        self._linear(f"{name}.spatial_out", block.spatial_out, mixed, stream)
        unit = self._norm(f"{name}.norm2", block.norm2, old, stream)
        a, b = np.split(ranges.out_of(f"{old}.gate_in"), 2)
        of_a, of_b = a.max() / ACTIVATION, b.max() / ACTIVATION
        both = np.repeat([of_a, of_b], len(a))
        self._linear(f"{name}.gate_in", block.gate_in, unit, both, block.norm2)
        shown = max(float(F.silu(torch.tensor(a.max()))), 0.3) / ACTIVATION
        put[f"{name}.silu2"] = _silu(of_a, shown)
        wanted = ranges.into(f"{old}.gate_out").max() / ACTIVATION
        shift = max(math.ceil(math.log2(wanted / (shown * of_b))), 0)
        put[f"{name}.gate.shift"] = np.array([shift], np.int8)
        self._linear(f"{name}.gate_out", block.gate_out, shown * of_b * 2.0**shift, stream)

    def _norm(self, name: str, norm: nn.LayerNorm, block: str, stream: float) -> float:
        """A layer norm without its weights, which the next layer takes; returns its unit."""
        width = norm.normalized_shape[0]
        gain = int(ACTIVATION / self._ranges.normalised(f"{block}.{name.rpartition('.')[2]}"))
        epsilon = max(round(norm.eps * (width / stream) ** 2), 1)
        self._arrays[f"{name}.gain"] = np.array(gain, np.int64)
        self._arrays[f"{name}.epsilon"] = np.array(epsilon, np.int64)
        return 1 / gain

    def _context(self, name: str, context: SliceContext, units: list[Doubles]) -> None:
        """One slice; `units` are those of hyper features, of the slices before and of this one."""
        ranges = self._ranges
        seen = (f"{name}.around", f"{name}.hidden")
        features = max(ranges.into(part).max() for part in seen) / ACTIVATION
        self._linear(f"{name}.feature", context.feature, np.concatenate(units[:-1]), features)
        self._rows(f"{name}.around", _numbers(context.around.weight).reshape(-1, 9))
        taps = _numbers(context.local.weight)[:, :, (0, 1, 1, 2), (1, 0, 2, 1)]
        taps = taps * (units[-1][None, :, None] / features)
        width = len(taps)
        self._rows(f"{name}.local", taps.transpose(0, 2, 1).reshape(width, -1))
        hidden = ranges.into(f"{name}.parameters_out").max() / ACTIVATION
        self._linear(f"{name}.hidden", context.hidden, features, hidden)
        own = units[-1]
        logarithm = np.full(len(own), math.log(2) * CLASS_STEP / OCTAVE)
        residual = np.full(len(own), 1 / _TANH_STEP)
        layers = (context.parameters_out, context.residual_out)
        weight = np.concatenate([_numbers(layer.weight) for layer in layers]) * hidden
        bias = np.concatenate([_numbers(layer.bias) for layer in layers])
        behind = np.concatenate([own / FRACTION, logarithm, residual])
        self._rows(f"{name}.out", weight / behind[:, None], bias / behind)

    def _linear(
        self,
        name: str,
        layer: nn.Linear,
        unit_in: "Doubles | float",
        unit_out: "Doubles | float",
        norm: nn.LayerNorm | None = None,
    ) -> None:
        """A linear layer between units; the weights of a `norm` before it become part of it."""
        weight, bias = _numbers(layer.weight), _numbers(layer.bias)
        if norm is not None:
            bias = bias + weight @ _numbers(norm.bias)
            weight = weight * _numbers(norm.weight)
        behind = np.broadcast_to(np.asarray(unit_out, np.float64), bias.shape)
        self._rows(name, weight * unit_in / behind[:, None], bias / behind)

    def _rows(self, name: str, weight: Doubles, bias: Doubles | None = None) -> None:
        """Weights (C_out, n) and bias, in units, as integers with a shift for each output."""
        bias = np.zeros(len(weight)) if bias is None else bias
        whole, offset, shift = [], [], []
        for row, start in zip(weight, bias, strict=True):
            k = _DEEPEST
            while not _fits(row, start, k):
                k -= 1
                if k < _SHALLOWEST:
                    msg = f"the weights of {name} do not fit into integers"
                    raise ValueError(msg)
            whole.append(np.rint(row * 2.0**k))
            offset.append(math.floor(start * 2.0**k + 2.0 ** (k - 1) + 0.5))
            shift.append(k)
        assert max(shift) <= MOST_SHIFT
        self._arrays[f"{name}.weight"] = np.ascontiguousarray(np.array(whole).T).astype(np.int16)
        self._arrays[f"{name}.bias"] = np.array(offset, np.int32)
        self._arrays[f"{name}.shift"] = np.array(shift, np.int8)


def _fits(row: Doubles, bias: float, shift: int) -> bool:
    """Whether sums stay below 2^24 with weights in 2^-shift of a unit."""
    weight = np.abs(np.rint(row * 2.0**shift))
    reach = weight.sum() * ACTIVATION + abs(bias) * 2.0**shift + 2.0**shift + 1
    return bool(reach < EXACT and weight.max() <= _LARGEST_WEIGHT)


def _silu(unit_in: float, unit_out: float) -> NDArray[np.int16]:
    x = np.arange(-ACTIVATION, ACTIVATION + 1) * unit_in
    y = np.rint(x / (1 + np.exp(-x)) / unit_out)
    return np.clip(y, -ACTIVATION, ACTIVATION).astype(np.int16)


def _numbers(tensor: Tensor) -> Doubles:
    return tensor.detach().double().cpu().numpy()


def _octaves(log: Tensor) -> NDArray[np.int32]:
    """Natural logarithms in 4096ths of an octave."""
    return np.rint(_numbers(log) / math.log(2) * OCTAVE).astype(np.int32)
