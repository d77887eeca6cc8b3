"""The portability matrix: every stream decodes to its symbols in every setting of this process.

{float32, float64} x {1, 2 threads} x {oneDNN on, off} x {both memory layouts} x {single tiles,
three at once} x {scales as they are, moved by half the guard band}; in integers, {written by torch,
by ONNX Runtime} x {read by torch, by ONNX Runtime}. `mlic selftest` runs more, each in a process of
its own.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from pillow_mlic import cli, packs
from pillow_mlic.diagnostics import portability, two_engines
from pillow_mlic.diagnostics.portability import PortabilitySummary, Setting, SettingOutcome
from pillow_mlic.engines import torch_walk
from pillow_mlic.engines.onnx_engine import OnnxEngine
from pillow_mlic.engines.torch_walk import EXACT_GUARD
from pillow_mlic.models.layers.conv import Conv2d
from pillow_mlic.models.layers.planar import planar_memory
from pillow_mlic.packs.checkpoints import import_checkpoint

from .coders import coding_of, encode
from .conftest import GOLDEN, photograph
from .test_published import small

CPU = torch.device("cpu")
MATRIX = [
    Setting(
        f"{threads} {onednn} {layout} {batch} {noise}", {}, threads, onednn, layout, batch, noise
    )
    for threads, onednn, layout, batch, noise in itertools.product(
        (1, 2), (True, False), (False, True), (1, 3), (0.0, 0.5)
    )
]

pytestmark = pytest.mark.filterwarnings("ignore:TF32 acceleration")


def jobs_of(pack: packs.Pack, image: Image.Image, qualities: tuple[float, ...]) -> list[Any]:
    """Streams with both guard bands, as `portability.run` makes them."""
    pixels = np.asarray(image)
    jobs = []
    for quality in qualities:
        size = [-(-side // 64) for side in pixels.shape[:2]]
        job: dict[str, Any] = {"quality": quality, "size": size}
        for kind, guard in (("exact", EXACT_GUARD), ("fast", pack.file.guard)):
            job[kind] = encode(pixels, coding_of(pack, quality, guard=guard)).tiles[0].hex()
        jobs.append(job)
    return jobs


def check(pack: packs.Pack, jobs: list[Any], settings: list[Setting]) -> list[SettingOutcome]:
    outcomes = [portability.decode_all(setting, pack, jobs) for setting in settings]
    for outcome in outcomes:
        assert outcome.streams == len(jobs)
        assert (outcome.failures["exact"], outcome.failures["fast"]) == (0, 0), outcome
        assert outcome.drift < pack.file.guard / 2, "then half a guard band of noise is too much"
    return outcomes


def test_the_small_model(small_pack: packs.Pack) -> None:
    jobs = jobs_of(small_pack, photograph(150, 100), (2.0, 6.5))
    assert max(portability._listed(bytes.fromhex(job["fast"])) for job in jobs) > 0
    check(small_pack, jobs, MATRIX)


def test_the_bundled_weights() -> None:
    pack = packs.load(packs.find())
    with Image.open(GOLDEN / "photograph.png") as image:
        crop = image.convert("RGB").crop((64, 64, 192, 192))
    check(pack, jobs_of(pack, crop, (4.0,)), MATRIX)


@pytest.mark.parametrize("name", ["mlic++", "lalic"])
def test_published_networks(tmp_path: Path, name: str) -> None:
    torch.save(small(name).state_dict(), tmp_path / "a.pth")
    pack = packs.load(packs.inspect(import_checkpoint(tmp_path / "a.pth", 0.0067, tmp_path)))
    check(pack, jobs_of(pack, photograph(128, 64), (3.0,)), MATRIX[::3])


# The second engine.

BY_ONNX = [setting for setting in portability.SETTINGS if setting.engine == "onnx"]
BUNDLED = sorted((Path(__file__).parents[1] / "weights").glob("*.safetensors"))


def of_both(pack: packs.Pack, image: Image.Image, quality: float) -> dict[str, Any]:
    """A job as `portability.run` makes it, with the streams of both engines alone."""
    streams = two_engines.streams(pack, np.asarray(image), quality, 1024, "cpu")
    sizes = [len(tiles[0]) for tiles in streams.values()]
    assert list(streams) == ["torch", "onnx"]
    assert abs(sizes[0] - sizes[1]) <= max(3, 0.001 * sizes[0])
    coded = {name: tiles[0].hex() for name, tiles in streams.items()}
    return {
        "quality": quality,
        "size": [-(-side // 64) for side in (image.height, image.width)],
        "integers": coded,
    }


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_each_engine_reads_what_the_other_wrote(path: Path) -> None:
    """To the same symbols, or it would be a failure, and to pixels within one level."""
    pack = packs.load(packs.inspect(path))
    with Image.open(GOLDEN / "photograph.png") as image:
        crop = image.convert("RGB").crop((64, 64, 192, 128))
    jobs = [of_both(pack, crop, quality) for quality in (1.5, 6.0)]
    for setting in BY_ONNX:
        outcome = portability.decode_all(setting, pack, jobs)
        assert (outcome.streams, outcome.failures) == (2, {"integers": 0})
        assert outcome.levels is not None
        assert outcome.levels <= 1
    for job in jobs:
        (same, other) = (
            two_engines.engine(name, pack).decode(
                [bytes.fromhex(stream) for stream in job["integers"].values()],
                tuple(job["size"]),
                job["quality"],
                None,
            )
            for name in ("torch", "onnx")
        )
        assert np.array_equal(same, other)


def test_engines_that_disagree_are_seen(
    integer_pack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = packs.load(packs.inspect(integer_pack_file))
    job = of_both(pack, photograph(70, 50), 3.0)
    synthesis = OnnxEngine.synthesis

    def lighter(self: OnnxEngine, y_hat: Any, quality: float) -> Any:
        return synthesis(self, y_hat, quality) // 2 + 64

    with monkeypatch.context() as patched:
        patched.setattr(OnnxEngine, "synthesis", lighter)
        outcome = portability.decode_all(BY_ONNX[0], pack, [job])
    assert outcome.failures["integers"] == 2
    assert outcome.levels is not None
    assert outcome.levels > 1
    broken = bytearray.fromhex(job["integers"]["onnx"])
    broken[-5] ^= 1
    job["integers"]["onnx"] = broken.hex()
    assert portability.decode_all(BY_ONNX[0], pack, [job]).failures["integers"] == 1


# The matrix must be able to fail.


def test_more_noise_than_the_guard_band_is_seen(small_pack: packs.Pack) -> None:
    """And without corrections half a guard band of it is enough."""
    jobs = jobs_of(small_pack, photograph(150, 100), (3.0, 5.0, 8.0))
    wide = Setting("noise", noise=2000.0)
    outcome = portability.decode_all(wide, small_pack, jobs)
    assert outcome.failures["fast"] == 3
    scales = sum(portability._listed(bytes.fromhex(job["fast"])) for job in jobs)
    naive = portability.decode_all(Setting("noise", noise=0.5), small_pack, jobs)
    assert naive.failures["fast"] == naive.failures["exact"] == 0
    assert scales > 0
    assert naive.failures["naive"] > 0


def test_settings_leave_nothing_behind(small_pack: packs.Pack) -> None:
    from pillow_mlic.models.layers.blocks import Conv3x3

    before = Conv3x3.forward, torch.get_num_threads(), torch_walk.DecodingCoder
    jobs = jobs_of(small_pack, photograph(64, 64), (3.0,))
    portability.decode_all(MATRIX[-1], small_pack, jobs)
    assert (Conv3x3.forward, torch.get_num_threads(), torch_walk.DecodingCoder) == before


def test_the_other_layout_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Conv2d(32, 32)
    x = torch.rand(1, 32, 32, 32)
    seen = []

    def conv2d(x: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        seen.append(x.is_contiguous())
        return kept(x, *args, **options)

    kept = F.conv2d
    monkeypatch.setattr(F, "conv2d", conv2d)
    with torch.inference_mode():
        usual = layer(x)
        assert not seen  # Winograd's
        with planar_memory():
            other = layer(x)
        assert seen == [True]
        layer(x[:, :8, :8])
    assert seen == [True, False]
    assert not torch.equal(usual, other)
    torch.testing.assert_close(usual, other, atol=1e-4, rtol=0)


# The command


def test_the_table() -> None:
    outcome = SettingOutcome(
        "abacus",
        7,
        {"exact": 0, "fast": 0, "naive": 3},
        {"exact": 0.25, "fast": 0.125, "naive": 0.1},
        3e-6,
    )
    text = portability.table(PortabilitySummary([outcome], 1000, 1008, 0.0, 12.5, 1e-5))
    assert "| abacus | 7 | 0 | 0 | 3 | 0.250 | 0.125 | 3.0e-06 |" in text
    assert "Guard band 1e-05: 12.5 latents listed a stream, +0.800% bytes." in text


def run_here(setting: Setting, pack: Path, jobs: Path) -> SettingOutcome:
    """A setting in this process; the real ones take one each."""
    loaded = packs.load(packs.inspect(pack))
    return portability.decode_all(setting, loaded, json.loads(jobs.read_text()))


def test_the_command_says_whether_streams_are_portable(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small_weights: Path,
) -> None:
    """With two settings."""
    monkeypatch.setattr(portability, "_run_setting", run_here)
    monkeypatch.setattr(portability, "SETTINGS", portability.SETTINGS[-4:])
    photograph(70, 50).save(tmp_path / "a.png")
    arguments = ["selftest", str(tmp_path), "-q", "2,7", "-o", str(tmp_path / "table.md")]
    assert cli.main(arguments) == 0
    out = capsys.readouterr().out
    assert "| scales moved by half the guard band | 2 | 0 | 0 |" in out
    assert out.endswith("Streams are portable here: 0 failures\n")
    assert (tmp_path / "table.md").read_text() in out + "\n"
    monkeypatch.setattr(
        portability, "SETTINGS", (portability.Setting("too much noise", noise=5000.0),)
    )
    assert cli.main(arguments) == 1
    assert "NOT portable here" in capsys.readouterr().out


def test_the_command_tries_the_second_engine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    integer_pack_file: Path,
) -> None:
    monkeypatch.setenv("MLIC_WEIGHTS", str(integer_pack_file))
    monkeypatch.setattr(portability, "_run_setting", run_here)
    photograph(70, 50).save(tmp_path / "a.png")
    assert cli.main(["selftest", str(tmp_path), "-q", "3", "--only", "engine, 2"]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("| ONNX")]
    assert row.split(" | ")[1:6] == ["1", "0", "-", "-", "-"]
    assert "The two engines: 0." in out
    assert cli.main(["selftest", str(tmp_path), "-q", "3", "--only", "abacus"]) == 2
    assert "has 'abacus' in its name" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("small_weights")
def test_every_setting_in_a_process_of_its_own(tmp_path: Path) -> None:
    photograph(70, 50).save(tmp_path / "a.png")
    summary = portability.run([tmp_path / "a.png"], [3.0], "mlicv2-lite", print)
    here = [s.name for s in portability.SETTINGS if s.engine == "torch"]  # it has no integers
    assert [o.setting for o in summary.outcomes][: len(here)] == here
    assert all(o.failures["exact"] + o.failures["fast"] == 0 for o in summary.outcomes)
