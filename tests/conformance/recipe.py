"""Deterministic stand-in weights and a deterministic test picture.

    manifest = load_manifest("mlicpp")           entries of the published state dict, in order
    state = make_state_dict(manifest, seed)      dict of float32 tensors (and integer buffers)
    x = make_image(height, width, seed)          (1, 3, H, W) float32, values k / 255

Every tensor is drawn from its own PCG64 bit stream, seeded with
SeedSequence([seed, crc32(canonical key)]). Only the raw 64-bit outputs of the bit generator are
used (NumPy has frozen their stream), turned into uniform numbers (raw >> 11) * 2**-53, and no
transcendental function touches the weights, so that they come out the same on every machine.

The values are not trained. Gains are chosen so that activations stay of order one to ten, latents
span several quantisation steps and the scales spread over the table.

The results that tests compare with were made with exactly these numbers: no change here may move
a single bit (`CHECKSUMS`).
"""

import gzip
import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Array = npt.NDArray[np.float64]

DATA = Path(__file__).parent / "data"

CHECKSUMS = {
    "mlicpp": "5642dac548877f5ccece096b50f6e3b200a2795a41eb014708e2bdd96c20597e",
    "lalic": "14a37baa1e14e3bf5edd54837b4d1e07efd168f3df242b9518a7445763727d2d",
}
"""`checksum` of the weights of seed 0."""


class Entry(NamedTuple):
    """One tensor of a published state dict; `kind` is "parameter" or "buffer"."""

    key: str
    shape: tuple[int, ...]
    dtype: str
    kind: str


def load_manifest(source: str | Path) -> list[Entry]:
    """Entries of `data/<source>_manifest.json.gz`, or of a file (gzipped or not) at a Path."""
    path = DATA / f"{source}_manifest.json.gz" if isinstance(source, str) else source
    data = path.read_bytes()
    rows = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)["state_dict"]
    return [Entry(key, tuple(shape), dtype, kind) for key, shape, dtype, kind in rows]


def manifest_of(module: torch.nn.Module) -> list[Entry]:
    """Entries of a module's own state dict, to compare with `load_manifest`."""
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    return [
        Entry(
            key,
            tuple(value.shape),
            str(value.dtype).removeprefix("torch."),
            "parameter" if key in parameters else "buffer",
        )
        for key, value in module.state_dict().items()
    ]


def checksum(state: dict[str, Tensor]) -> str:
    """SHA-256 over key bytes and then tensor bytes, in order."""
    digest = hashlib.sha256()
    for key, value in state.items():
        digest.update(key.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------- numbers


def uniform(count: int, seed: int, name: str, low: float = -1.0, high: float = 1.0) -> Array:
    """`count` uniform numbers in [low, high) that depend on seed and name only."""
    bits = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())]))
    raw = np.asarray(bits.random_raw(count), dtype=np.uint64)
    return low + (high - low) * ((raw >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def canonical(key: str) -> str:
    """One name for one stored tensor.

    LALIC lists h_a and h_s twice, and older CompressAI spells the factorised prior differently.
    """
    key = re.sub(r"^latent_codec\.hyper\.(h_[as]\.)", r"\1", key)
    for old, new in (("_matrix", "matrices."), ("_bias", "biases."), ("_factor", "factors.")):
        key = re.sub(rf"(entropy_bottleneck\.){old}(\d)", rf"\g<1>{new}\2", key)
    return key


SQRT3 = 1.7320508075688772

GAINS = {
    "mlicpp": [
        (r"^g_a\..*\.0\.(conv1|skip)\.weight", 2.0),
        (r"^g_a\..*\.gdn", 1.0),
        (r"^g_a\.analysis_transform\.6\.weight", 0.9),
        (r"^g_a\..*conv[12]\.weight", 1.3),
        (r"^g_s\.synthesis_transform\.0\.conv1", 0.35),
        (r"^g_s\.synthesis_transform\.1\.(subpel_conv|upsample)", 0.5),
        (r"^g_s\.synthesis_transform\.7\.0", 0.15),
        (r"^g_s\..*subpel_conv", 1.0),
        (r"^g_s\..*upsample", 0.5),
        (r"^g_s\..*conv2?\.weight", 0.7),
        (r"^g_s\.", 0.8),
        (r"^h_a\.reduction\.0", 0.8),
        (r"^h_a\.reduction\.8", 2.2),
        (r"^h_s\.increase\.0", 0.6),
        (r"^h_[as]\.", 1.5),
        (r"^entropy_parameters.*\.fusion\.0", 0.9),
        (r"^entropy_parameters.*\.fusion\.[24]", 1.5),
        (r"^channel_context.*\.fushion\.0", 0.6),
        (r"^lrp.*\.4\.weight", 0.6),
        (r"^(channel_context|lrp).*\.[24]\.weight", 1.4),
        (r"^lrp.*\.0\.weight", 0.7),
        (r"^global_.*\.(keys|queries)\.[01]", 1.2),
        (r"^global_.*reprojection", 1.5),
        (r"^local_context.*qkv_proj", 1.6),
        (r".", 1.0),
    ],
    "lalic": [
        (r"^g_a\.0\.weight", 4.0),
        (r"^g_a\.15\.weight", 0.55),
        (r"^g_a\.\d+\.weight", 1.0),
        (r"^g_s\.0\.weight", 0.5),
        (r"^g_s\.15\.weight", 0.035),
        (r"^h_a\.0\.weight", 0.5),
        (r"^h_a\.7\.weight", 0.9),
        (r"channel_context\.y\d\.[03]\.weight", 0.5),
        (r"\.att\.key", 2.0),
        (r"\.att\.output", 6.0),
        (r"\.ffn\.value", 1.2),
        (r"entropy_parameters\.[02]\.mix", 0.7),
        (r"entropy_parameters\.[02]\.value", 0.6),
        (r"entropy_parameters\.4\.value", 0.05),
        (r".", 1.0),
    ],
}
"""(pattern, gain), the first match counts: a weight's deviation is gain / sqrt(fan in)."""


def _gain(family: str, key: str) -> float:
    return next(gain for pattern, gain in GAINS[family] if re.search(pattern, key))


def _scales(channels: int) -> Array:
    """Raw scale output of each channel: spread over 0.02 .. about 14."""
    q = [(7 * c) % channels * (31.0 / max(channels - 1, 1)) for c in range(channels)]
    return np.array([0.02 + 0.0145 * v * v for v in q])


def _fan_in(family: str, key: str, shape: tuple[int, ...]) -> float:
    if len(shape) == 4 and family == "lalic" and re.match(r"^(g_s|h_s)\.\d+\.weight$", key):
        return shape[0] * shape[2] * shape[3] / 4.0  # transposed, stride 2
    return float(np.prod(shape[1:])) if len(shape) > 1 else 1.0


def _parameter(family: str, key: str, shape: tuple[int, ...], seed: int) -> Array:
    """Values of a parameter, in float64; `key` is canonical."""
    count = int(np.prod(shape))

    def u(low: float = -1.0, high: float = 1.0) -> Array:
        return uniform(count, seed, key, low, high).reshape(shape)

    # Factorised prior: near its usual start, but every entry different.
    if "entropy_bottleneck." in key:
        if key.endswith("quantiles"):
            r = u(0.0, 1.0)
            median = 1.2 * r[..., 1] - 0.6
            low, high = median - 6.0 - 6.0 * r[..., 0], median + 6.0 + 6.0 * r[..., 2]
            return np.stack([low, median, high], -1)
        if ".matrices." in key:
            # ln(exp(1 / (10**0.2 * d)) - 1), d = 3 for layers 0..3 and 1 for layer 4
            start = -0.12340037 if key.endswith("4") else -1.44914706
            return start + u(-0.1, 0.1)
        if ".biases." in key:
            return u(-0.5, 0.5)
        return u(-0.3, 0.3)  # factors

    # Divisive normalisation, as stored (squared on use); a tenth of the off-diagonal values lies
    # below the lower bound on purpose.
    if re.search(r"\.i?gdn\.beta$", key):
        return u(0.8, 1.2)
    if re.search(r"\.i?gdn\.gamma$", key):
        inverse = ".igdn." in key
        gamma = u(-0.005, 0.045) * (0.5 if inverse else 1.0)
        diagonal = uniform(shape[0], seed, key + "#diagonal", 0.25, 0.4)
        index = np.arange(shape[0])
        gamma[index, index] = diagonal * (0.6 if inverse else 1.0)
        return gamma

    # Normalisation layers.
    if re.search(r"(\.norm\d?|\.ln\d)\.weight$", key):
        return 1.0 + u(-0.2, 0.2)
    if re.search(r"(\.norm\d?|\.ln\d)\.bias$", key):
        return u(-0.2, 0.2)

    if key.endswith("relative_position_table"):
        return u(-0.5, 0.5)

    # Bi-RWKV.
    if key.endswith(".att.decay"):
        return u(-2.5, 2.5)
    if key.endswith(".att.boost"):
        return u(-2.0, 2.0)
    if key.endswith(".omni_shift.alpha"):
        return np.array([0.6, 0.3, 0.3, 0.3]) + u(-0.2, 0.2)
    if ".omni_shift.conv" in key:
        return u() * (SQRT3 / (shape[2] * shape[3]) ** 0.5) * 0.6
    if re.search(r"\.gamma[12]$", key):
        return 0.8 + u(-0.2, 0.2)

    # Last layers of the Gaussian parameter networks.
    if last := re.search(r"^entropy_parameters.*\.fusion\.6\.(weight|bias)$", key):
        return _last_layer(u(), last[1] == "bias", 0.05, 0.3, 1.5)
    if last := re.search(r"entropy_parameters\.4\.mix\.(weight|bias)$", key):
        return _last_layer(u(), last[1] == "bias", 0.02, 0.2, 0.8)

    # Last layers that give pixels: offset to grey.
    if key in ("g_s.synthesis_transform.7.0.bias", "g_s.15.bias"):
        return 0.5 + u(-0.05, 0.05)
    if key.endswith("bias"):
        return u(-0.1, 0.1)
    return u() * SQRT3 * _gain(family, key) / _fan_in(family, key, shape) ** 0.5


def _last_layer(u: Array, bias: bool, scale0: float, scale1: float, mean: float) -> Array:
    """Weight or bias whose first half of rows gives scales, the second half means."""
    half = u.shape[0] // 2
    spread = _scales(half)
    if bias:
        u[:half] = spread * (1.0 + 0.1 * u[:half])
        return u
    weight = u * SQRT3 / u.shape[1] ** 0.5
    weight[:half] *= (scale0 + scale1 * spread).reshape(-1, 1, 1, 1)
    weight[half:] *= mean
    return weight


# -------------------------------------------------------------------------------- derived tensors


def _derived(key: str, shape: tuple[int, ...], state: dict[str, Tensor]) -> Tensor | None:
    """Buffers and re-parametrised weights; None where `key` is neither."""
    leaf = key.rsplit(".", 1)[-1]
    constants = {
        "scale_bound": [0.11],
        "lower_bound_scale.bound": [0.11],
        "likelihood_lower_bound.bound": [1e-9],
        "target": [-21.416413017506358, 0.0, 21.416413017506358],  # ln(2e9 - 1)
        "pedestal": [2.0**-36],
        "beta_reparam.lower_bound.bound": [(1e-6 + 2.0**-36) ** 0.5],
        "gamma_reparam.lower_bound.bound": [2.0**-18],
        "scale_table": [],  # empty until the tables are built, like the three below
    }
    for name, values in constants.items():
        if key.endswith("." + name):
            return torch.tensor(values, dtype=torch.float32)
    if leaf in ("_offset", "_quantized_cdf", "_cdf_length"):
        return torch.zeros(0, dtype=torch.int32)
    if leaf == "relative_position_index":
        side = round(shape[0] ** 0.5)
        pixel = torch.arange(side * side)
        row, column = pixel.div(side, rounding_mode="floor"), pixel % side
        dy, dx = row[:, None] - row[None], column[:, None] - column[None]
        return (dy + side - 1) * (2 * side - 1) + dx + side - 1
    if leaf == "mask":  # checkerboard: only taps of the other parity
        odd = (torch.arange(shape[2])[:, None] + torch.arange(shape[3])[None]) % 2
        return odd.to(torch.float32).expand(*shape).contiguous()
    if key.endswith("conv5x5_reparam.weight"):
        prefix = key.removesuffix("conv5x5_reparam.weight")
        a, w1 = state[prefix + "alpha"], state[prefix + "conv1x1.weight"]
        w3, w5 = state[prefix + "conv3x3.weight"], state[prefix + "conv5x5.weight"]
        one = F.pad(torch.ones_like(w1), (2, 2, 2, 2))
        w1, w3 = F.pad(w1, (2, 2, 2, 2)), F.pad(w3, (1, 1, 1, 1))
        return a[0] * one + a[1] * w1 + a[2] * w3 + a[3] * w5
    return None


def make_state_dict(manifest: list[Entry], seed: int) -> dict[str, Tensor]:
    """Tensors for every entry of the manifest, in its order."""
    family = "lalic" if any("latent_codec" in entry.key for entry in manifest) else "mlicpp"
    state: dict[str, Tensor] = {}
    for key, shape, dtype, _ in manifest:
        value = _derived(key, shape, state)
        if value is None:
            array = _parameter(family, canonical(key), shape, seed)
            value = torch.from_numpy(array.astype(np.float32))
        assert tuple(value.shape) == shape, key
        assert str(value.dtype) == f"torch.{dtype}", key
        state[key] = value
    return state


# ---------------------------------------------------------------------------------------- picture


def make_image(height: int, width: int, seed: int) -> Tensor:
    """(1, 3, H, W), multiples of 1/255: colour fields, a grating, discs, patches of value noise."""
    y, x = np.meshgrid(np.arange(height) / 64.0, np.arange(width) / 64.0, indexing="ij")
    p = uniform(24, seed, "image", 0.0, 1.0)
    image = np.zeros((3, height, width))
    for c in range(3):
        a, b, d = p[3 * c : 3 * c + 3]
        image[c] = (
            0.5
            + 0.22 * np.sin(1.7 * (a + 0.5) * x + 2.3 * b * y + 6.0 * d)
            + 0.12 * np.cos(0.9 * y - 1.3 * d * x + 5.0 * a)
        )
    image += 0.10 * np.sin(22.0 * x + 9.0 * y) * (np.sin(0.8 * x + 3.0 * p[9]) > 0.2)
    for k in range(2):
        cy, cx = p[10 + 2 * k] * height / 64.0, p[11 + 2 * k] * width / 64.0
        disc = (y - cy) ** 2 + (x - cx) ** 2 < (0.25 + 0.35 * p[14 + k]) ** 2
        image[:, disc] += np.array([0.25, -0.2, 0.15])[:, None] * (1 - 2 * k)
    for step, amplitude in ((1, 0.05), (4, 0.10)):
        h, w = -(-height // step), -(-width // step)
        noise = uniform(h * w, seed, f"noise{step}").reshape(h, w)
        noise = np.repeat(np.repeat(noise, step, 0), step, 1)[:height, :width]
        image += amplitude * noise * (np.cos(1.1 * y + 0.7 * x + step) > 0)
    levels = np.clip(np.floor(image * 255.0 + 0.5), 0, 255).astype(np.uint8)
    return torch.from_numpy(levels.astype(np.float32) / np.float32(255.0))[None]
