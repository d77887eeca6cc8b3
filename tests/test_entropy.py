"""Tables, indexes, corrections and payloads: the parts that make streams portable."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pillow_mlic.engines import torch_walk
from pillow_mlic.engines.arithmetic import plain_arithmetic
from pillow_mlic.entropy import indexes
from pillow_mlic.entropy.payload import Corrections, Payload, PayloadError, SymbolMismatchError
from pillow_mlic.entropy.tables import TOTAL, Tables, gaussian_tables, quantise_pmf
from pillow_mlic.entropy.walk import DecodingCoder, EncodingCoder
from pillow_mlic.models.base import Latents
from pillow_mlic.packs import Pack

from .coders import coding_of, encode
from .conftest import photograph

TABLES = gaussian_tables()
CPU = torch.device("cpu")


def test_rows_are_the_gaussian_law_within_one_count() -> None:
    from math import erf, sqrt

    for scale, cdf, offset in zip(TABLES.thresholds[1:], TABLES.cdfs, TABLES.offsets, strict=False):
        centre = -offset
        level = scale / np.exp(0.5 * np.log(256 / 0.11) / 63)
        exact = 0.5 * (1 + erf(0.5 / (level * sqrt(2)))) - 0.5 * (1 + erf(-0.5 / (level * sqrt(2))))
        count = cdf[centre + 1] - cdf[centre]
        floor = len(cdf) - 1
        assert count == pytest.approx(exact * (TOTAL - floor) + 1, abs=1.01)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=300).filter(lambda p: sum(p) > 1e-3))
@settings(max_examples=60, deadline=None)
def test_quantised_probabilities_are_usable(weights: list[float]) -> None:
    cdf = quantise_pmf(np.array(weights))
    assert (cdf[0], cdf[-1]) == (0, TOTAL)
    assert np.all(np.diff(cdf) >= 1)


@pytest.mark.parametrize(
    "change",
    [
        {"cdfs": TABLES.cdfs[:-1]},
        {"cdfs": [*TABLES.cdfs[:-1], TABLES.cdfs[-1][::-1]]},
        {"thresholds": TABLES.thresholds[::-1]},
        {"thresholds": np.full(64, np.nan)},
        {"offsets": np.full(64, 2**30, dtype=np.int32)},
    ],
)
def test_bad_tables_are_refused(change: dict[str, object]) -> None:
    parts = {
        "thresholds": TABLES.thresholds,
        "cdfs": TABLES.cdfs,
        "offsets": TABLES.offsets,
        "skip": True,
    }
    with pytest.raises(ValueError, match="damaged"):
        Tables(**{**parts, **change})  # type: ignore[arg-type]


@given(st.integers(0, 2**32), st.sampled_from([1e-6, 1e-5, 1e-3]))
@settings(max_examples=40, deadline=None)
def test_decoder_within_the_guard_band_is_always_right(seed: int, guard: float) -> None:
    """Scales next to thresholds, disturbed by anything less than the guard band."""
    random = np.random.default_rng(seed)
    near = TABLES.thresholds * (1 + guard * random.uniform(-3, 3, TABLES.thresholds.shape))
    scale = torch.from_numpy(np.concatenate([near, np.exp(random.uniform(-4, 7, 500))]))
    at = indexes.places(scale, TABLES)
    classes = indexes.classes(at.numpy())
    assert np.array_equal(classes, np.searchsorted(TABLES.thresholds, scale.numpy()))
    is_near = indexes.near(scale, at, TABLES, guard)
    listed = indexes.listed(at.numpy(), is_near.numpy())
    noise = torch.from_numpy(random.uniform(-1, 1, len(scale))) * guard
    theirs = scale * (1 + noise)
    corrected = indexes.correct(indexes.places(theirs, TABLES).numpy(), listed)
    assert np.array_equal(corrected, classes)


def test_disturbance_without_corrections_does_harm() -> None:
    """The test above would pass for nothing if noise never crossed a threshold."""
    scale = torch.from_numpy(TABLES.thresholds * (1 + 1e-7))
    theirs = scale * (1 - 1e-5)
    here, there = (indexes.classes(indexes.places(x, TABLES).numpy()) for x in (scale, theirs))
    assert np.any(here != there)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 1)), max_size=30),
    st.binary(max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_payload_round_trip(crc: int, listed: list[tuple[int, int]], stream: bytes) -> None:
    positions = np.cumsum([gap for gap, _ in listed] or [], dtype=np.int64)
    sides = np.array([side for _, side in listed], dtype=np.int64)
    data = Payload(crc, Corrections(positions, sides), stream).to_bytes()
    again = Payload.from_bytes(data, 40_000)
    assert (again.checksum, again.stream) == (crc, stream)
    assert np.array_equal(again.corrections.positions, positions)
    assert np.array_equal(again.corrections.sides, sides)


@given(st.binary(max_size=60), st.integers(0, 100))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_payload_or_refused(data: bytes, total: int) -> None:
    try:
        payload = Payload.from_bytes(data, total)
    except PayloadError:
        return
    assert np.all(payload.corrections.positions < total)


def encode_latents(pack: Pack, guard: float, tiles: int = 2) -> tuple[EncodingCoder, torch.Tensor]:
    config = pack.model(CPU).config
    generator = torch.Generator().manual_seed(3)
    latents = Latents(
        torch.randn(tiles, 8, 12, config.latents, generator=generator),
        torch.randn(tiles, 2, 3, config.hyper_latents, generator=generator),
    )
    coder = EncodingCoder(latents, pack.tables, guard)
    quality = torch.full((tiles,), 4.0, dtype=torch.float64)
    with torch.inference_mode():
        return coder, pack.canonical(CPU).entropy(quality, (2, 3), coder)


class NoisyEntropy:
    """A decoder whose scales are off by less than `noise`, everywhere, at random."""

    def __init__(self, entropy: torch.nn.Module, noise: float) -> None:
        self.entropy, self.noise = entropy, noise

    def __call__(self, quality, z_size, coder):  # type: ignore[no-untyped-def]
        generator = torch.Generator().manual_seed(1)

        def disturbed(mean, scale, gain, select):  # type: ignore[no-untyped-def]
            noise = torch.rand(scale.shape, generator=generator, dtype=torch.float64) * 2 - 1
            return coder(mean, scale * (1 + self.noise * noise), gain, select)

        return self.entropy(quality, z_size, disturbed)


@pytest.mark.parametrize(("guard", "noise", "right"), [(1e-3, 9e-4, True), (1e-9, 2e-2, False)])
def test_walk_with_injected_noise(
    small_pack: Pack, guard: float, noise: float, right: bool
) -> None:
    coder, y_hat = encode_latents(small_pack, guard)
    payloads = coder.payloads()
    decoder = DecodingCoder(payloads, small_pack.tables, 8 * 12 * 48 + 6 * 8)
    entropy = NoisyEntropy(small_pack.canonical(CPU).entropy, noise)
    quality = torch.full((2,), 4.0, dtype=torch.float64)

    def decode() -> torch.Tensor:
        with torch.inference_mode():
            decoded: torch.Tensor = entropy(quality, (2, 3), decoder)
        decoder.finish()
        return decoded

    if right:
        assert sum(len(p.corrections.positions) for p in payloads) > 10
        assert torch.equal(decode(), y_hat)
    else:
        with pytest.raises(SymbolMismatchError):
            decode()


def test_a_float32_mismatch_is_decoded_again_in_float64(
    small_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    coder, y_hat = encode_latents(small_pack, 1e-5, tiles=1)
    (payload,) = coder.payloads()
    entropy = small_pack.model(CPU).entropy
    monkeypatch.setattr(entropy, "forward", NoisyEntropy(small_pack.canonical(CPU).entropy, 0.05))
    with plain_arithmetic(CPU):
        decoded = torch_walk.decode([payload.to_bytes()], small_pack, 4.0, (2, 3), 1e-5, CPU)
    assert torch.equal(decoded, y_hat.float())


def test_reduced_precision_of_the_caller_does_not_reach_the_walk(small_pack: Pack) -> None:
    pixels = np.asarray(photograph(70, 70))
    coding = coding_of(small_pack, 3.0)
    plain = encode(pixels, coding)
    with torch.autocast("cpu", torch.bfloat16):
        inside = encode(pixels, coding)
    assert plain.tiles == inside.tiles
