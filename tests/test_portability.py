"""The portability matrix: every stream decodes to its symbols in every setting of this process.

{float32, float64} x {1, 2 threads} x {oneDNN on, off} x {both memory layouts} x {single tiles,
three at once} x {scales as they are, moved by half the guard band}. `mlic selftest` runs more, in
processes of their own.
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
from pillow_mlic.diagnostics import portability
from pillow_mlic.diagnostics.portability import PortabilitySummary, Setting, SettingOutcome
from pillow_mlic.engines import torch_walk
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


def test_the_command_says_whether_streams_are_portable(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small_weights: Path,
) -> None:
    """In this process, and with two settings; the real ones take one process each."""

    def here(setting: Setting, pack: Path, jobs: Path) -> SettingOutcome:
        loaded = packs.load(packs.inspect(pack))
        return portability.decode_all(setting, loaded, json.loads(jobs.read_text()))

    monkeypatch.setattr(portability, "_run_setting", here)
    monkeypatch.setattr(portability, "SETTINGS", portability.SETTINGS[-2:])
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


@pytest.mark.slow
@pytest.mark.usefixtures("small_weights")
def test_every_setting_in_a_process_of_its_own(tmp_path: Path) -> None:
    photograph(70, 50).save(tmp_path / "a.png")
    summary = portability.run([tmp_path / "a.png"], [3.0], "mlicv2-lite", print)
    assert [o.setting for o in summary.outcomes][: len(portability.SETTINGS)] == [
        s.name for s in portability.SETTINGS
    ]
    assert all(o.failures["exact"] + o.failures["fast"] == 0 for o in summary.outcomes)
