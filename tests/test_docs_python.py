"""Every block of Python in README and docs runs as it is written, in a folder with a photograph."""

from pathlib import Path

import pytest
from PIL import Image

from pillow_mlic.bulk import pool

from .conftest import photograph
from .documentation import Block, blocks

BLOCKS = blocks("python")


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.usefixtures("small_weights")
def test_block(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for name in ("photo.jpg", "photo.mlic", "photos/one.jpg"):
        photograph(96, 80).save(name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # a block changes it
    monkeypatch.setattr(Image.Image, "show", lambda image: image.load())  # in no window
    monkeypatch.setattr(pool, "run", lambda order, jobs, workers: pool.here(order, jobs))
    exec(compile(block.text, str(block), "exec"), {"__name__": "__main__"})


def test_there_are_blocks() -> None:
    pages = {block.page for block in BLOCKS}
    assert pages >= {"README.md", "docs/scale.md", "docs/security.md"}
