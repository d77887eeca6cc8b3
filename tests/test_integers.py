"""The entropy part in integers: the same ones whatever the order of sums, and files by it."""

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

import pillow_mlic
from pillow_mlic import DecodeError, WeightsError, packs
from pillow_mlic.diagnostics.bits import bit_map
from pillow_mlic.engines import Needs, engine_for, torch_integers
from pillow_mlic.engines.base import LatentArrays
from pillow_mlic.entropy.payload import PayloadError, SymbolMismatchError
from pillow_mlic.entropy.range_coder import StreamDecoder
from pillow_mlic.errors import MlicError
from pillow_mlic.format import container
from pillow_mlic.integers import check
from pillow_mlic.integers.coders import StepDecoder, StepEncoder, ZeroSteps
from pillow_mlic.integers.layers import Depthwise, LayerNorm, Linear, leaky
from pillow_mlic.integers.network import CodingStep, IntegerNetwork, neighbours, put, take
from pillow_mlic.integers.numbers import ACTIVATION, EXACT, STREAM, Classes, Powers, at_quality
from pillow_mlic.models.layers import checkerboard

from .coders import coding_of, decode, encode
from .conftest import GOLDEN, photograph
from .plain_integers import PlainWalk, symbols_of

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="session")
def pack(integer_pack_file: Path) -> packs.Pack:
    return packs.load(packs.inspect(integer_pack_file))


@pytest.fixture
def weights(monkeypatch: pytest.MonkeyPatch, integer_pack_file: Path) -> Path:
    monkeypatch.setenv("MLIC_WEIGHTS", str(integer_pack_file))
    return integer_pack_file


def integers(path: Path) -> dict[str, Any]:
    prefix = packs.INTEGERS
    return {n.removeprefix(prefix): a for n, a in load_file(path).items() if n.startswith(prefix)}


def latents_of(pack: packs.Pack, image: Image.Image, quality: float) -> LatentArrays:
    engine = engine_for(pack, "cpu")
    y = engine.analysis(np.asarray(image)[None], quality)
    return LatentArrays(y, engine.hyper_analysis(y))


def saved(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **options)
    return buffer.getvalue()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


# --- sums ------------------------------------------------------------------------------------


def linear(c_in: int, c_out: int, largest: int) -> tuple[Linear, np.ndarray, np.ndarray]:
    """A layer with sums as large as they may be, its weights and its bias."""
    weight = RANDOM.integers(-largest, largest + 1, (c_in, c_out))
    bias = RANDOM.integers(-5000, 5000, c_out)
    shift = RANDOM.integers(7, 12, c_out)
    arrays = {
        "a.weight": weight.astype(np.int16),
        "a.bias": bias.astype(np.int32),
        "a.shift": shift.astype(np.int8),
    }
    return Linear(arrays, "a", c_in, c_out), weight * 1.0, bias


@pytest.mark.parametrize(("largest", "runs"), [(40, False), (160, True)])
def test_sums_are_the_same_in_any_order(largest: int, runs: bool) -> None:
    """Permuted, split, padded, in other memory: always what exact arithmetic gives."""
    c_in, c_out = 320, 48
    layer, weight, _ = linear(c_in, c_out, largest)
    assert bool(layer.runs) == runs
    x = RANDOM.choice([-ACTIVATION, -1, 0, 3, ACTIVATION], (96, c_in)).astype(np.float32)
    x[0] = np.where(weight[:, 0] < 0, -ACTIVATION, ACTIVATION)
    expected = layer(x)
    scale = np.float32(2.0**-9)
    for run in layer.runs or [slice(0, c_in)]:
        part, coefficients = x[:, run], (weight[run] * scale).astype(np.float32)
        sums = part.astype(np.int64) @ weight[run].astype(np.int64)
        for _ in range(5):
            order = RANDOM.permutation(part.shape[1])
            cut = RANDOM.integers(1, part.shape[1])
            wide = np.zeros((96, part.shape[1] + 7), np.float32)
            wide[:, 3:-4] = part
            padded = np.pad(coefficients, ((3, 4), (0, 0)))
            for product in (
                part[:, order] @ coefficients[order],
                part[:, :cut] @ coefficients[:cut] + part[:, cut:] @ coefficients[cut:],
                wide @ padded,
                np.asfortranarray(part) @ np.ascontiguousarray(coefficients.T).T,
                np.cumsum(part[:5, order, None] * coefficients[None, order], 1)[:, -1],
                torch.from_numpy(part.copy()).matmul(torch.from_numpy(coefficients)).numpy(),
            ):
                assert np.array_equal(product.astype(np.float64) * 2**9, sums[: len(product)])
    for rows in (1, 3, 96):
        assert np.array_equal(layer(x[:rows]), expected[:rows])
    # And the layer is what its docstring says.
    again, weight, bias = linear(c_in, 1, largest)
    x[1] = np.where(weight[:, 0] < 0, -ACTIVATION, ACTIVATION)
    exact = x.astype(np.int64) @ weight.astype(np.int64) + bias
    found = again(x)
    assert np.abs(exact).max() >= 2**22
    assert any(np.array_equal(found, exact >> shift) for shift in range(7, 12))


def test_depthwise_and_norm_by_plain_integers() -> None:
    channels, shift = 24, 5
    weight = RANDOM.integers(-900, 900, (9, channels))
    bias = RANDOM.integers(-900, 900, channels)
    arrays = {
        "d.weight": weight.astype(np.int16),
        "d.bias": bias.astype(np.int32),
        "d.shift": np.full(channels, shift, np.int8),
        "n.gain": np.array(200, np.int64),
        "n.epsilon": np.array(77, np.int64),
    }
    x = RANDOM.integers(-ACTIVATION, ACTIVATION + 1, (2, 6, 10, channels))
    near = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = bias + sum(
        weight[3 * i + j] * near[:, i : i + 6, j : j + 10] for i in range(3) for j in range(3)
    )
    found = Depthwise(arrays, "d", channels)(x.astype(np.float32))
    assert np.array_equal(found, total >> shift)

    stream = RANDOM.integers(-STREAM, STREAM + 1, (50, channels))
    stream[0] = 0
    stream[1] = STREAM
    norm = LayerNorm(arrays, "n", channels)
    found = norm(stream.astype(np.float32))
    order = RANDOM.permutation(channels)
    assert np.array_equal(norm(stream[:, order].astype(np.float32)), found[:, order])
    wide = stream.astype(np.float64)
    exact = (
        200
        * (wide - wide.mean(1, keepdims=True))
        / np.sqrt(wide.var(1, keepdims=True) + 77 / channels**2)
    )
    assert np.abs(found - np.clip(exact, -ACTIVATION, ACTIVATION)).max() <= 0.51
    assert not found[:2].any()


def test_leaky_relu_at_the_ends() -> None:
    x = np.array([-16_383, -10, -1, 0, 1, 2047, 16_383], np.float32)
    assert leaky(x).tolist() == [-1640, -1, 0, 0, 1, 2047, 2047]


def test_neighbours_are_those_of_a_convolution() -> None:
    x = RANDOM.integers(1, 100, (2, 6, 8, 3)).astype(np.float32)
    whole = torch.from_numpy(x)
    assert np.array_equal(take(x, 1), checkerboard.take(whole, 1).numpy())
    anchors = checkerboard.keep(whole, 1).numpy()
    near = np.pad(anchors, ((0, 0), (1, 1), (1, 1), (0, 0)))
    around = [near[:, i : i + 6, j : j + 8] for i, j in ((0, 1), (1, 0), (1, 2), (2, 1))]
    expected = take(np.concatenate(around, -1), 0)
    assert np.array_equal(neighbours(take(x, 1)), expected)
    back = np.zeros_like(x)
    for half in (0, 1):
        put(take(x, half), half, back)
    assert np.array_equal(back, x)


def test_numbers_by_quality(integer_pack_file: Path) -> None:
    arrays = integers(integer_pack_file)
    table = RANDOM.integers(-160_000, 160_000, (8, 5)).astype(np.int32)
    for code in (0, 1, 8191, 8192, 30_001, 57_344):
        low = min(code // 8192, 6)
        weight = code / 8192 - low
        exact = table[low] * (1 - weight) + table[low + 1] * weight
        assert np.array_equal(at_quality(table, code), np.floor(exact + 0.5))
    powers = Powers(arrays["powers"])
    logarithms = RANDOM.integers(-100_000, 100_000, 1000)
    assert np.abs(powers(logarithms) / 2.0 ** (logarithms / 4096) - 1).max() < 1e-7
    thresholds = arrays["thresholds"]
    classes = Classes(thresholds)
    places = np.arange(classes.first - 5, thresholds[-1] + 9)
    found = classes(np.clip(places - classes.first, 0, classes.last))
    assert np.array_equal(found, (thresholds[None] < places[:, None]).sum(1))


def test_a_machine_whose_products_are_not_exact_is_told(
    pack: packs.Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check.products_are_exact()

    def cut(x: np.ndarray) -> np.ndarray:
        """To the 11 bits that TF32 has."""
        return (x.view(np.int32) & ~0x1FFF).view(np.float32)

    for coarse in (
        lambda a, b: (torch.from_numpy(a).bfloat16() @ torch.from_numpy(b).bfloat16())
        .float()
        .numpy(),
        lambda a, b: a.astype(np.float16).astype(np.float32) @ b.astype(np.float16),
        lambda a, b: cut(a) @ cut(b),
        lambda a, b: (a @ b).astype(np.float16),
    ):
        with np.errstate(over="ignore"):
            assert not check.products_are_exact(coarse)
    check.require_exact_products.cache_clear()
    monkeypatch.setattr(check, "products_are_exact", lambda product: False)
    with pytest.raises(MlicError, match="not exact"):
        pack.need_integers().walk(0, (1, 1), 1, ZeroSteps())
    monkeypatch.undo()
    check.require_exact_products.cache_clear()


# --- packs -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("contexts.1.hidden.weight", lambda a: np.full_like(a, 32_767)),
        ("contexts.1.hidden.weight", lambda a: np.full_like(a, -32_768)),
        ("contexts.0.local.weight", lambda a: np.full_like(a, 8_000)),
        ("contexts.0.around.weight", lambda a: np.full_like(a, 1000)),
        ("contexts.0.hidden.bias", lambda a: np.full_like(a, 2**31 - 1)),
        ("contexts.0.hidden.shift", lambda a: np.full_like(a, -1)),
        ("contexts.0.hidden.shift", lambda a: np.full_like(a, 0)),
        ("contexts.0.out.shift", lambda a: a[:-1]),
        ("contexts.0.gain", lambda a: np.full_like(a, 2**31 - 1)),
        ("hyper.block16.silu1", lambda a: np.full_like(a, 3000)),
        ("hyper.block16.norm1.gain", np.zeros_like),
        ("hyper.block16.norm1.epsilon", lambda a: np.full_like(a, -1)),
        ("hyper.block32.gate.shift", lambda a: a + 100),
        ("powers", lambda a: a * 0),
        ("thresholds", lambda a: a[::-1].copy()),
        ("thresholds", lambda a: a[:-1]),
        ("tanh", lambda a: a.astype(np.int32)),
        ("tanh", None),
    ],
)
def test_integers_that_could_go_wrong_are_refused(
    tmp_path: Path, integer_pack_file: Path, name: str, change: Any
) -> None:
    from safetensors import safe_open

    arrays = load_file(integer_pack_file)
    with safe_open(integer_pack_file, "np") as file:
        metadata = file.metadata()
    if change is None:
        del arrays[f"integers.{name}"]
    else:
        arrays[f"integers.{name}"] = change(arrays[f"integers.{name}"])
    save_file(arrays, tmp_path / "a.safetensors", metadata)
    with pytest.raises(WeightsError, match="damaged weight pack"):
        packs.load(packs.inspect(tmp_path / "a.safetensors"))


def test_sums_of_the_packs_stay_exact(integer_pack_file: Path, pack: packs.Pack) -> None:
    """Counted once more, in another way."""
    found = [integers(integer_pack_file)]
    found += [integers(file.path) for file in packs.installed() if file.model == "mlicv2-lite"]
    for arrays in found:
        for name in [n.removesuffix(".weight") for n in arrays if n.endswith(".weight")]:
            weight = arrays[f"{name}.weight"].astype(np.int64)
            reach = 2047 * np.abs(weight).sum(0) + np.abs(arrays[f"{name}.bias"].astype(np.int64))
            assert reach.max() < EXACT


def test_integers_are_part_of_the_identity(
    integer_pack_file: Path, small_pack: packs.Pack, pack: packs.Pack, tmp_path: Path
) -> None:
    assert small_pack.integers is None
    with pytest.raises(DecodeError, match="in integers"):
        small_pack.need_integers()
    plain = packs.load(packs.inspect(integer_pack_file))
    assert plain.hash == pack.hash
    arrays = {n: a for n, a in load_file(integer_pack_file).items() if "integers" not in n}
    from safetensors import safe_open

    with safe_open(integer_pack_file, "np") as file:
        save_file(arrays, tmp_path / "a.safetensors", file.metadata())
    assert packs.load(packs.inspect(tmp_path / "a.safetensors")).hash != pack.hash


# --- the walk --------------------------------------------------------------------------------


def test_tiles_together_and_alone(pack: packs.Pack) -> None:
    engine = engine_for(pack, "cpu")
    tiles = [latents_of(pack, photograph(128, 64, seed=seed), 5.0) for seed in range(3)]
    batch = LatentArrays(*(np.concatenate(part) for part in zip(*tiles, strict=True)))
    together = engine.encode(batch, 5.0, None, estimate=True)
    for latents, coded in zip(tiles, together, strict=True):
        (alone,) = engine.encode(latents, 5.0, None)
        assert alone.stream.payload == coded.stream.payload
        assert np.array_equal(alone.y_hat, coded.y_hat)
    payloads = [coded.stream.payload for coded in together]
    y_hat = engine.decode(payloads, (1, 2), 5.0, None)
    assert np.array_equal(y_hat, np.concatenate([coded.y_hat for coded in together]))
    real, estimated = 8 * sum(map(len, payloads)), 3 * together[0].stream.bits
    assert estimated == pytest.approx(real - 3 * 96, rel=0.1)


def walk_digest(pack: packs.Pack, product: Any = np.matmul) -> str:
    """Of payloads of latents that are the same everywhere."""
    random = np.random.default_rng(5)
    y = random.normal(0, 40, (1, 24, 32, 48)).astype(np.float32)
    z = random.normal(0, 3, (1, 6, 8, 8)).astype(np.float32)
    found = hashlib.sha256()
    for code in (0, 12_345, 57_344):
        coder = StepEncoder(y, z, pack.tables)
        y_hat = pack.need_integers().walk(code, (6, 8), 1, coder, product)
        found.update(coder.payloads()[0])
        found.update(y_hat.tobytes())
    return found.hexdigest()


@pytest.mark.parametrize(
    "environment",
    [{"OPENBLAS_NUM_THREADS": "2"}, {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Nehalem"}],
)
def test_threads_and_older_processors(
    environment: dict[str, str], pack: packs.Pack, integer_pack_file: Path
) -> None:
    program = (
        "import sys; from pathlib import Path; from pillow_mlic import packs\n"
        "from tests.test_integers import walk_digest\n"
        "print(walk_digest(packs.load(packs.inspect(Path(sys.argv[1])))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(integer_pack_file)],
        env={**os.environ, **environment},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == walk_digest(pack)


def test_products_by_torch_and_others(pack: packs.Pack) -> None:
    """Whatever the caller has told torch about float32, and whatever multiplies."""
    expected = walk_digest(pack)
    before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.set_float32_matmul_precision("medium")
            with torch.autocast("cpu", dtype=torch.bfloat16):
                assert walk_digest(pack, torch_integers.product) == expected
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(before[1])
    assert walk_digest(pack, lambda x, w: (w.T @ x.T).T) == expected
    assert walk_digest(pack, lambda x, w: np.einsum("nk,km->nm", x, w)) == expected


@pytest.mark.parametrize("code", [0, 20_000, 57_344])
def test_another_program_written_from_the_page(
    pack: packs.Pack, integer_pack_file: Path, code: int
) -> None:
    """docs/format.md in 64-bit integers reads the same symbols and the same latents."""
    quality = 1 + code / 8192
    latents = latents_of(pack, photograph(128, 192), quality)
    (coded,) = engine_for(pack, "cpu").encode(latents, quality, None)
    stream = StreamDecoder(coded.stream.payload[4:], 10**6, pack.tables)
    plain = PlainWalk(integers(integer_pack_file), tuple(pack.file.config["slices"]), code)
    assert np.array_equal(plain.walk((3, 2), symbols_of(stream)), coded.y_hat[0])
    stream.finish()


def test_symbols_of_any_size_stay_in_range(pack: packs.Pack) -> None:
    network = pack.need_integers()

    def wild(step: CodingStep) -> Any:
        random = np.random.default_rng(1)
        symbols = random.choice([-(1 << 28), -1000, 0, 7, 1 << 28], step.classes.shape)
        return symbols.astype(np.int32)

    for code in (0, 57_344):
        assert np.isfinite(network.walk(code, (2, 1), 2, wild)).all()


def test_payloads_that_nobody_wrote(pack: packs.Pack) -> None:
    network = pack.need_integers()
    (coded,) = engine_for(pack, "cpu").encode(latents_of(pack, photograph(64, 64), 4.0), 4.0, None)
    whole = coded.stream.payload
    wrong = [b"", whole[:3], whole[:4], whole[:-4], whole + bytes(4), whole[:4] + bytes(16)]
    for place in range(0, len(whole), max(len(whole) // 40, 1)):
        wrong.append(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])

    def read(payload: bytes) -> None:
        decoder = StepDecoder([payload], pack.tables, network.symbols((1, 1)))
        network.walk(24_576, (1, 1), 1, decoder)
        decoder.finish()

    read(whole)
    for payload in wrong:
        with pytest.raises((PayloadError, SymbolMismatchError)):
            read(payload)
        with pytest.raises(DecodeError, match="do not decode"):
            engine_for(pack, "cpu").decode([payload], (1, 1), 4.0, None)


# --- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(17, 33), (64, 64), (65, 130), (300, 200)])
@pytest.mark.parametrize("mode", ["RGB", "LA"])
def test_files(weights: Path, size: tuple[int, int], mode: str) -> None:
    image = photograph(*size).convert(mode)
    data = saved(image, quality=6.3, tile=128)
    header = container.read_header(io.BytesIO(data))
    assert (header.arithmetic, header.guard_code) == (container.ARITHMETIC_INTEGER, 0)
    with Image.open(io.BytesIO(data)) as opened:
        opened.verify()
    error = pixels(data).astype(float) - np.asarray(image)
    assert np.sqrt(np.square(error).mean()) < 20  # the network is not trained
    assert np.array_equal(pixels(data), pixels(data))


def test_regions_slices_bits_and_previews(weights: Path) -> None:
    image = photograph(200, 150)
    data = saved(image, quality=5, tile=64)
    whole = pixels(data)
    part = pillow_mlic.decode_region(io.BytesIO(data), (70, 20, 190, 110))
    assert np.abs(np.asarray(part).astype(int) - whole[20:110, 70:190]).max() <= 1
    errors = [
        np.square(np.asarray(pillow_mlic.decode_slices(io.BytesIO(data), k), float) - image).mean()
        for k in range(4)
    ]
    assert errors[0] > errors[1] > errors[3]
    assert np.array_equal(np.asarray(pillow_mlic.decode_slices(io.BytesIO(data), 3)), whole)
    bits = bit_map(io.BytesIO(data))
    assert bits.sum() == pytest.approx(8 * len(data), rel=0.3)  # the network is not trained


def test_optimised_and_refined(weights: Path) -> None:
    image = photograph(128, 128)
    plain, optimised = (saved(image, quality=5, optimize=flag) for flag in (False, True))
    assert plain != optimised
    errors = [
        np.square(pixels(data).astype(float) - image).mean()
        for data in (plain, optimised, saved(image, quality=5, refine=5))
    ]
    assert max(errors[1:]) < 1.1 * errors[0]


def test_float64_files_of_the_same_pack(pack: packs.Pack) -> None:
    """What was written before the pack had integers decodes as before, and costs as much."""
    image = photograph(256, 192)
    for quality in (1.0, 4.5, 8.0):
        old, new = (coding_of(pack, quality, guard=guard) for guard in (1e-9, None))
        coded = [encode(np.asarray(image), coding) for coding in (old, new)]
        sizes = [sum(map(len, each.tiles)) for each in coded]
        assert sizes[1] == pytest.approx(sizes[0], rel=0.02, abs=12)
        shown = [
            decode(each.tiles, image.size, coding)
            for each, coding in zip(coded, (old, new), strict=True)
        ]
        errors = [np.square(each.astype(float) - image).mean() for each in shown]
        assert errors[1] == pytest.approx(errors[0], rel=0.05)


def test_forged_arithmetic(small_weights: Path) -> None:
    """A file that wants integers of a pack that has none."""
    data = bytearray(saved(photograph(64, 64), quality=3))
    header = container.read_header(io.BytesIO(data))
    start = header.byte_length
    forged = container.Header(
        **{
            name: getattr(header, name)
            for name in ("mode", "width", "height", "model", "pack", "quality_code", "tile_code")
        },
        arithmetic=container.ARITHMETIC_INTEGER,
    )
    with (
        Image.open(io.BytesIO(forged.to_bytes() + data[start:])) as image,
        pytest.raises(MlicError, match="in integers"),
    ):
        image.load()


def test_the_default_pack_costs_no_more() -> None:
    """Against the float64 walk of the same weights."""
    bundled = packs.load(packs.find())
    if bundled.integers is None:
        pytest.skip("the bundled weights carry no integers")
    with Image.open(GOLDEN / "photograph.png") as image:
        part = image.convert("RGB").crop((0, 0, 256, 192))
    engine = engine_for(bundled, "cpu", Needs(floats=True))
    for quality in (1.0, 4.0, 8.0):
        latents = latents_of(bundled, part, quality)
        old, new = (
            len(engine.encode(latents, quality, guard)[0].stream.payload) for guard in (1e-9, None)
        )
        assert new <= 1.003 * old + 16


def test_wrong_configurations_are_refused(integer_pack_file: Path, pack: packs.Pack) -> None:
    arrays = integers(integer_pack_file)
    for change in ({"slices": [0, 24, 24]}, {"latents": 47}, {"hyper_width": 33}, {"slices": []}):
        with pytest.raises((ValueError, TypeError)):
            IntegerNetwork({**pack.file.config, **change}, arrays)
