"""Pictures are cut and made smaller."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pillow_mlic_gui.reshape import RATIOS, Reshape, ReshapeRule, centred, within

from ..conftest import photograph

sides = st.integers(1, 5000)


@given(sides, sides, st.sampled_from(RATIOS[1:]))
def test_the_cut_is_the_largest_in_the_middle(width: int, height: int, ratio) -> None:
    left, top, right, bottom = centred((width, height), ratio)
    across, down = right - left, bottom - top
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert across == width or down == height
    assert abs((width - across) / 2 - left) <= 0.5
    assert abs((height - down) / 2 - top) <= 0.5
    wanted = ratio[0] / ratio[1] if width >= height else ratio[1] / ratio[0]
    assert abs(across - wanted * down) <= max(wanted, 1)


def test_pictures_are_never_enlarged() -> None:
    assert within((4000, 3000), 1000) == (1000, 750)
    assert within((400, 300), 1000) == (400, 300)
    assert within((4000, 1), 100) == (100, 1)
    assert ReshapeRule().of((30, 20)) == Reshape()
    assert ReshapeRule((1, 1), 10).of((30, 20)) == Reshape((5, 0, 25, 20), (10, 10))


def test_a_cut_of_a_cut() -> None:
    once = Reshape().cut((100, 80), (10, 20, 60, 70))
    assert once == Reshape((10, 20, 60, 70))
    assert once.cut((100, 80), (5, 5, 15, 25)) == Reshape((15, 25, 25, 45))
    halved = Reshape((10, 20, 60, 70), (25, 25))
    assert halved.cut((100, 80), (5, 5, 15, 25)) == Reshape((20, 30, 40, 70), (10, 20))


def test_cutting_keeps_pixels_and_resizing_the_look() -> None:
    image = photograph(96, 64)
    cut = Reshape((10, 20, 50, 60)).apply(image)
    assert np.array_equal(cut, np.asarray(image)[20:60, 10:50])
    small = Reshape((10, 20, 50, 60), (20, 20)).apply(image)
    assert small.size == (20, 20)
    assert abs(np.asarray(small).mean() - np.asarray(cut).mean()) < 3
    clear = Image.new("RGBA", (40, 40), (255, 0, 0, 0))
    clear.paste((0, 0, 255, 255), (0, 0, 20, 40))
    half = np.asarray(Reshape(size=(20, 20)).apply(clear)).astype(int)
    assert half[..., 0].max(initial=0, where=half[..., 3] > 0) < 3, "no red from under alpha 0"
    with pytest.raises(ValueError, match="does not lie in the picture"):
        Reshape((0, 0, 97, 10)).apply(image)
