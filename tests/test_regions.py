"""Pictures of any size: the decoded pixels do not depend on how the work is cut into regions."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import pillow_mlic
from pillow_mlic import ContainerError
from pillow_mlic.coding import transforms, work
from pillow_mlic.coding.coding import Coding
from pillow_mlic.coding.transforms import Transforms
from pillow_mlic.engines.base import Floats
from pillow_mlic.engines.torch_engine import TorchEngine
from pillow_mlic.errors import DeviceMemoryError
from pillow_mlic.format.geometry import Box, Grid, within
from pillow_mlic.models.mlicpp import MlicPlusPlus, MlicPlusPlusConfig
from pillow_mlic.models.mlicv2_lite import MlicV2Lite
from pillow_mlic.packs import Pack

from .coders import coding_of, decode, encode
from .conftest import SMALL, photograph

CPU = torch.device("cpu")
Q = torch.tensor([4.0])


def lively(model: Any) -> Any:
    """Random weights everywhere, so that every path of the network carries something."""
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1 and "gain" not in name and "beta" not in name:
            torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return model.eval().requires_grad_(False)


def small_models() -> dict[str, Any]:
    config = MlicPlusPlusConfig(width=8, latents=8, slices=2, slice_channels=4)
    return {"mlicv2-lite": lively(MlicV2Lite(SMALL)), "mlic++": lively(MlicPlusPlus(config))}


class OnePack:
    """A pack of one model, as an engine needs it for transforms."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def model(self, device: torch.device) -> Any:
        return self._model


@pytest.mark.parametrize("name", ["mlicv2-lite", "mlic++"])
def test_the_halo_is_as_wide_as_the_reach_of_the_transforms(name: str) -> None:
    """A change moves nothing beyond the halo, but it does reach more than half of it."""
    model = small_models()[name]
    halo = model.halo
    side = 4 * 112 + 64
    middle = side // 2
    x = torch.rand(1, side, side, 3)
    changed = x.clone()
    changed[:, middle, middle] += 0.5
    reach = []
    with torch.no_grad():
        y, y_changed = model.analysis(x, Q), model.analysis(changed, Q)
        at = (y != y_changed).any(-1)[0].any(0).nonzero().flatten()
        reach.append(max(middle - 16 * int(at[0]) - 15, 16 * int(at[-1]) - middle))
        changed = y.clone()
        changed[:, middle // 16, middle // 16] += 1
        p, p_changed = model.synthesis(y, Q), model.synthesis(changed, Q)
        at = (p != p_changed).any(-1)[0].any(0).nonzero().flatten()
        reach.append(max(middle - int(at[0]), int(at[-1]) - middle - 15))
    assert max(reach) <= halo
    assert max(reach) > halo / 2


@pytest.mark.parametrize("name", ["mlicv2-lite", "mlic++"])
@pytest.mark.parametrize("size", [(1, 1), (200, 130), (513, 65), (64, 300)])
def test_regions_give_what_the_whole_gives(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_models()[name]
    picture = np.asarray(photograph(*size))
    grid = Grid(*size, 128)
    box = grid.padded
    engine: Any = TorchEngine(OnePack(model), CPU)  # type: ignore[arg-type]
    parts = Transforms(engine, grid, 4.0)
    y = parts.analyse(picture, box)

    def part(box: Box) -> Floats:
        return y[:, *within(box, grid.padded)]

    whole = parts.synthesise(part, box)
    monkeypatch.setattr(transforms, "SIDE", 64)
    again = parts.analyse(picture, box)
    assert np.allclose(y, again, atol=1e-4)
    for region in parts.regions(box):
        pixels = parts.synthesise(part, region)
        left, top, right, bottom = region
        expected = whole[top:bottom, left:right].astype(int)
        assert np.abs(pixels - expected).max() <= 1


def test_a_transform_that_sees_everything_sees_its_tile() -> None:
    class Everything:
        halo = None

    grid = Grid(300, 100, 128)
    engine: Any = Everything()
    parts = Transforms(engine, grid, 4.0)
    tiles = list(grid.boxes())
    assert parts.regions((0, 0, 320, 128)) == tiles
    assert parts.regions((140, 20, 150, 30)) == [tiles[1]]
    assert parts.seen(tiles[1]) == tiles[1]


def test_tiles_touched_by_a_box() -> None:
    grid = Grid(300, 200, 128)
    assert list(grid.boxes()) == [grid.box(index) for index in range(6)]
    assert grid.padded == (0, 0, 320, 256)
    assert grid.touched((0, 0, 128, 128)) == [0]
    assert grid.touched((112, 112, 144, 144)) == [0, 1, 3, 4]
    assert grid.touched((256, 128, 320, 256)) == [5]


def saved(image: Image.Image, tile: int = 64) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, "MLIC", tile=tile)
    file.seek(0)
    return file


@pytest.fixture
def rgba(small_weights: Path) -> Image.Image:
    image = photograph(300, 200).convert("RGBA")
    image.putalpha(photograph(300, 200).convert("L"))
    return image


@pytest.mark.parametrize(
    "box", [(0, 0, 300, 200), (0, 0, 1, 1), (299, 199, 300, 200), (50, 60, 70, 61), (10, 5, 290, 9)]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_a_region_is_a_crop_of_the_whole(rgba: Image.Image, box: Box, mode: str) -> None:
    file = saved(rgba.convert(mode))
    region = pillow_mlic.decode_region(file, box)
    whole = Image.open(file)
    assert region.mode == whole.mode == mode
    expected = np.asarray(whole.crop(box)).astype(int)
    assert np.abs(np.asarray(region) - expected).max() <= 1
    assert np.array_equal(np.asarray(whole.decode_region(box)), expected)  # type: ignore[attr-defined]


def test_a_region_costs_only_its_tiles(
    small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = saved(photograph(640, 640))
    decoded = []
    plain = TorchEngine.decode

    def counting(*args: Any) -> Floats:
        decoded.append(args)
        return plain(*args)

    monkeypatch.setattr(TorchEngine, "decode", counting)
    pillow_mlic.decode_region(file, (320, 320, 330, 330))
    assert 1 <= len(decoded) <= 4
    Image.open(file).load()
    assert len(decoded) > 100


def test_a_region_of_a_damaged_file(small_weights: Path) -> None:
    data = bytearray(saved(photograph(640, 640)).getvalue())
    data[-6] ^= 1  # in the last tile
    file = io.BytesIO(bytes(data))
    assert pillow_mlic.decode_region(file, (0, 0, 64, 64)).size == (64, 64)
    file.seek(0)
    with pytest.raises(ContainerError, match="checksum"):
        pillow_mlic.decode_region(file, (600, 600, 640, 640))


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 5), (5, 5, 4, 9), (-1, 0, 5, 5), (0, 0, 301, 5), (0, 199, 5, 201)]
)
def test_impossible_boxes(rgba: Image.Image, box: Box) -> None:
    with pytest.raises(ValueError, match="within"):
        pillow_mlic.decode_region(saved(rgba), box)


def test_the_bomb_limit_holds_for_the_region(
    small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.mlic"
    path.write_bytes(saved(photograph(640, 640)).getvalue())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)
    with pytest.raises(Image.DecompressionBombError):
        pillow_mlic.decode_region(path, (0, 0, 640, 640))
    assert pillow_mlic.decode_region(path, (100, 200, 150, 220)).size == (50, 20)


def test_no_seam_at_tile_borders(small_weights: Path) -> None:
    """Gradients across tile borders are as large as across any other border of latents."""
    size = 640
    image = Image.open(saved(photograph(size, size)))
    pixels = np.asarray(image).astype(float)
    across = np.abs(np.diff(pixels, axis=1)).mean(axis=(0, 2))
    of_latents = np.arange(16, size, 16)
    of_tiles = of_latents % 64 == 0
    gradients = across[of_latents - 1]
    assert gradients[of_tiles].mean() == pytest.approx(gradients[~of_tiles].mean(), rel=0.1)


def test_progress_and_cancelling_between_tiles(small_weights: Path) -> None:
    shares: list[float] = []
    file = io.BytesIO()
    photograph(300, 300).save(file, "MLIC", tile=64, progress=shares.append)
    assert len(shares) > 25
    assert shares == sorted(shares)
    assert [shares[0], shares[-1]] == [0, 1]
    shares.clear()
    Image.open(file).decode(progress=shares.append)  # type: ignore[attr-defined]
    assert shares == sorted(shares)
    assert [shares[0], shares[-1]] == [0, 1]

    def stop(share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    image = Image.open(file)
    with pytest.raises(KeyboardInterrupt):
        image.decode(progress=stop)  # type: ignore[attr-defined]
    assert image.decode().size == (300, 300)  # type: ignore[attr-defined]


class LittleMemory:
    """A transform that runs out of memory for more than `limit` numbers."""

    def __init__(self, transform: Any, limit: int) -> None:
        self.transform = transform
        self.limit = limit
        self.failures = 0

    def __call__(self, x: torch.Tensor, quality: torch.Tensor) -> torch.Tensor:
        if x.numel() > self.limit:
            self.failures += 1
            raise torch.OutOfMemoryError
        return self.transform(x, quality)


def test_regions_shrink_where_memory_does_not_suffice(
    small_pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.asarray(photograph(640, 500))
    coding = coding_of(small_pack, 3.0, 2048)
    tiles = encode(picture, coding).tiles
    pixels = decode(tiles, (640, 500), coding)
    model = small_pack.model(CPU)
    analysis = LittleMemory(model.analysis.forward, 400 * 400 * 3)
    synthesis = LittleMemory(model.synthesis.forward, 25 * 25 * SMALL.latents)
    monkeypatch.setattr(model.analysis, "forward", analysis)
    monkeypatch.setattr(model.synthesis, "forward", synthesis)
    again = decode(tiles, (640, 500), coding)
    assert np.abs(again - pixels.astype(int)).max() <= 1
    encode(picture, coding)
    assert analysis.failures
    assert synthesis.failures


def test_the_cpu_helps_out(small_pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose memory does not suffice for anything; "meta" plays the device."""

    def task(coding: Coding) -> str:
        if coding.engine.device != "cpu":
            raise DeviceMemoryError
        return "done"

    coding = coding_of(small_pack, 3.0)
    elsewhere = replace(coding, engine=TorchEngine(small_pack, torch.device("meta")))
    with pytest.warns(RuntimeWarning, match="CPU does the work"):
        assert work.where_memory_suffices(task, elsewhere) == "done"

    def hopeless(coding: Coding) -> str:
        raise DeviceMemoryError

    with pytest.raises(MemoryError):
        work.where_memory_suffices(hopeless, coding)
