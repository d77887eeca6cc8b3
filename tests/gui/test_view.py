"""Zoom, pan, panes, tiles and the pyramid."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from pillow_mlic_gui import raster, tiles
from pillow_mlic_gui.raster import Raster, level_for
from pillow_mlic_gui.state import Layout
from pillow_mlic_gui.view_transform import HIGHEST, ScreenBox, View, fit, next_zoom, panes

from ..conftest import photograph

PANE = ScreenBox(10, 20, 801, 603)


class TestView:
    def test_fits_and_enlarges_by_whole_numbers(self) -> None:
        assert fit((4000, 3000), ScreenBox(0, 0, 800, 600)).zoom == pytest.approx(0.2)
        assert fit((410, 300), ScreenBox(0, 0, 800, 600)).zoom == 1
        assert fit((300, 200), ScreenBox(0, 0, 800, 600)).zoom == 2
        assert fit((1, 1), ScreenBox(0, 0, 800, 600)).zoom == 32

    @given(st.floats(0.02, 32), st.floats(10, 810), st.floats(20, 620), st.floats(0.02, 32))
    def test_the_point_under_the_pointer_stays(
        self, zoom: float, x: float, y: float, target: float
    ) -> None:
        view = View(zoom, 300, 200, False)
        before = view.to_picture(PANE, x, y)
        after = view.zoomed(target, PANE, x, y).to_picture(PANE, x, y)
        # The origin lies on whole screen pixels, so half a screen pixel may be lost each time.
        slack = 0.5 / zoom + 0.5 / max(target, 1 / 64) + 1e-6
        assert abs(after[0] - before[0]) <= slack
        assert abs(after[1] - before[1]) <= slack

    def test_pixels_are_exact_from_100_percent(self) -> None:
        for zoom in (1, 2, 8, 32):
            view = View(zoom, 123.4, 77.7, False)
            left, top = view.origin(PANE)
            assert (left, top) == (int(left), int(top))
            assert view.to_screen(PANE, 3, 5) == (left + 3 * zoom, top + 5 * zoom)

    def test_there_and_back(self) -> None:
        view = View(3.3, 50, 40, False)
        assert view.to_picture(PANE, *view.to_screen(PANE, 12, 7)) == pytest.approx((12, 7))

    def test_panning_moves_by_screen_pixels(self) -> None:
        view = View(4, 50, 40, False)
        assert view.panned(8, -4) == View(4, 48, 41, False)
        assert view.panned(1e6, 1e6).kept((100, 80)) == View(4, 0, 0, False)

    def test_ladder_of_zooms(self) -> None:
        zoom, seen = 1.0, []
        for _ in range(12):
            zoom = next_zoom(zoom, True)
            seen.append(round(zoom, 4))
        assert seen[:4] == [1.4142, 2, 2.8284, 4]
        assert seen[-1] == HIGHEST == 32
        assert next_zoom(0.9, True) == pytest.approx(1)
        assert next_zoom(1, False) == pytest.approx(0.7071, abs=1e-4)

    def test_panes_share_the_window(self) -> None:
        assert panes(Layout.SPLIT, 3, 800, 600) == [ScreenBox(0, 0, 800, 600)] * 2
        assert panes(Layout.SIDE, 2, 802, 600, 2) == [
            ScreenBox(0, 0, 400, 600),
            ScreenBox(402, 0, 400, 600),
        ]
        assert len(panes(Layout.SIDE, 3, 1600, 600)) == 3
        four = panes(Layout.SIDE, 4, 802, 602, 2)
        assert four[3] == ScreenBox(402, 302, 400, 300)
        assert all(box.holds(box.left, box.top) for box in four)


class TestRaster:
    @pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
    def test_levels_halve(self, tmp_path: Path, mode: str) -> None:
        image = photograph(1301, 700).convert(mode)
        stored = raster.write(image, tmp_path / "p")
        assert stored.levels == [(1301, 700), (651, 350), (326, 175)]
        assert stored.bytes == (tmp_path / "p").stat().st_size
        assert np.array_equal(stored.level(0).squeeze(), np.asarray(image))
        small = stored.level(2)
        assert small.shape[:2] == (175, 326)
        assert abs(float(small.mean()) - float(np.asarray(image).mean())) < 1
        assert stored.image().tobytes() == image.tobytes()
        stored.delete()
        assert not (tmp_path / "p").exists()
        stored.delete()

    def test_levels_are_never_enlarged(self) -> None:
        assert level_for(1.0, 4) == 0
        assert level_for(32.0, 4) == 0
        assert level_for(0.51, 4) == 0
        assert level_for(0.5, 4) == 1
        assert level_for(0.26, 4) == 1
        assert level_for(0.01, 4) == 3


class TestTiles:
    @given(st.floats(1 / 64, 32), st.floats(0, 3000), st.floats(0, 2000))
    def test_tiles_cover_the_pane_without_gaps(self, zoom: float, x: float, y: float) -> None:
        big = Raster(Path("none"), 3000, 2000, 3)
        view = View(zoom, x, y, False)
        clip = ScreenBox(0, 0, 700, 500)
        found = list(tiles.visible(big, view, clip, clip))
        left, top = view.origin(clip)
        level = found[0].level if found else 0
        scale = zoom * 2**level
        width, height = big.levels[level]
        # What the tiles cover is what the picture covers of the pane.
        area = sum(
            max(min(t.target.left + t.target.width, 700) - max(t.target.left, 0), 0)
            * max(min(t.target.top + t.target.height, 500) - max(t.target.top, 0), 0)
            for t in found
        )
        right, bottom = round(left + width * scale), round(top + height * scale)
        wanted = max(min(right, 700) - max(left, 0), 0) * max(min(bottom, 500) - max(top, 0), 0)
        assert area == wanted

    def test_few_tiles_even_of_100_megapixels(self) -> None:
        huge = Raster(Path("none"), 12000, 9000, 3)
        pane = ScreenBox(0, 0, 1400, 900)
        for zoom in (0.08, 0.3, 1, 5):
            shown = list(tiles.visible(huge, View(zoom, 6000, 4500), pane, pane))
            assert 0 < len(shown) <= 40
            assert sum((t.right - t.left) * (t.bottom - t.top) for t in shown) < 12e6

    def test_a_tile_is_that_part_of_the_picture(self, raster: Raster) -> None:
        pane = ScreenBox(0, 0, 200, 200)
        (tile,) = tiles.visible(raster, View(1, 48, 32), pane, pane)
        assert np.array_equal(tiles.cut(raster, tile), raster.level(0))
        assert tile.target == ScreenBox(52, 68, 96, 64)

    def test_difference(self) -> None:
        a = np.array([[[10, 200, 3]]], np.uint8)
        b = np.array([[[20, 190, 3]]], np.uint8)
        assert tiles.difference(a, b, 4).tolist() == [[[40, 40, 0]]]
        assert tiles.difference(a, b, 32).tolist() == [[[255, 255, 0]]]


class TestColours:
    def test_plain_pixels_are_untouched(self) -> None:
        pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
        assert tiles.Painter().paint(pixels) == (bytes([3, 2, 1, 255, 6, 5, 4, 255]), False)
        grey, alpha = tiles.Painter().paint(np.array([[[7]]], np.uint8))
        assert (grey, alpha) == (bytes([7, 7, 7, 255]), False)

    def test_transparency_is_premultiplied(self) -> None:
        data, alpha = tiles.Painter().paint(np.array([[[200, 100, 0, 128]]], np.uint8))
        assert alpha
        assert list(data) == [0, 50, 100, 128]

    def test_profiles_are_heeded(self) -> None:
        wide = profile_with_swapped_primaries()
        painter = tiles.Painter(wide)
        assert painter.managed
        red = np.array([[[255, 0, 0]]], np.uint8)
        assert painter.paint(red)[0] != tiles.Painter().paint(red)[0]
        assert painter.colour(red[0, 0]) != (255, 0, 0)

    def test_srgb_and_broken_profiles_change_nothing(self) -> None:
        srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        assert not tiles.Painter(srgb).managed
        assert not tiles.Painter(b"nonsense").managed


def profile_with_swapped_primaries() -> bytes:
    """sRGB's profile whose red and green primaries have traded places, under another name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data = data.replace(b"rXYZ", b"tXYZ").replace(b"gXYZ", b"rXYZ").replace(b"tXYZ", b"gXYZ")
    for name in (b"sRGB", "sRGB".encode("utf-16-be")):
        data = data.replace(name, name[:-1] + b"X")
    assert ImageCms.ImageCmsProfile(io.BytesIO(bytes(data)))
    return bytes(data)


def test_pictures_keep_their_mode(tmp_path: Path) -> None:
    assert raster.write(Image.new("L", (5, 4)), tmp_path / "l").mode == "L"
