"""Training pictures: a folder, decoded once into memory, served as random crops."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..conversion import eight_bit, files_below
from ..engines.base import Pixels
from ..errors import PICTURE_ERRORS


def find_images(folder: Path) -> list[Path]:
    """All files below `folder` with an extension that Pillow can open, in a fixed order."""
    known = {e for e, f in Image.registered_extensions().items() if f in Image.OPEN}
    return sorted(files_below(folder, known))


def load_folder(
    folder: Path, min_side: int, progress: Callable[[int, int], None] | None = None
) -> list[Pixels]:
    """Every readable picture below `folder` with sides of at least `min_side`, as (H, W, 3) uint8.

    Raises ValueError when none is left. `progress` is called with (done, total).
    """
    files = find_images(folder)
    pictures = []
    for done, path in enumerate(files, start=1):
        try:
            with Image.open(path) as image:
                if min(image.size) >= min_side:
                    pictures.append(np.asarray(eight_bit(image, scale=True).convert("RGB")))
        except PICTURE_ERRORS:
            pass  # a broken file does not stop training; an empty folder does (below)
        if progress is not None:
            progress(done, len(files))
    if not pictures:
        msg = (
            f"{folder} holds no picture that Pillow can read with sides of {min_side} pixels or "
            "more; give a folder of photographs or a smaller --crop"
        )
        raise ValueError(msg)
    return pictures


class Crops:
    """Random crops, flips and transposes; a batch depends on (seed, step) alone.

    So training resumes exactly without a saved random state, and several processes can each take
    their share of the same batch.
    """

    def __init__(self, pictures: list[Pixels], size: int, seed: int = 0) -> None:
        self.pictures = [p for p in pictures if min(p.shape[:2]) >= size]
        if not self.pictures:
            msg = f"no picture has sides of {size} pixels, as crops of this size need"
            raise ValueError(msg)
        self.size = size
        self.seed = seed
        areas = np.array([p.shape[0] * p.shape[1] for p in self.pictures], dtype=np.float64)
        self.share = areas / areas.sum()
        self._ahead: tuple[int, int, Future[torch.Tensor]] | None = None
        self._pool = ThreadPoolExecutor(1)

    def ahead(self, step: int, count: int) -> torch.Tensor:
        """Like `batch`; also prepares the next step's batch in a thread, for accelerators.

        The batch is in pinned memory where there is CUDA.
        """
        waiting, self._ahead = self._ahead, None
        if waiting is not None and waiting[:2] == (step, count):
            batch = waiting[2].result()
        else:
            batch = self.batch(step, count)
        self._ahead = (step + 1, count, self._pool.submit(self.batch, step + 1, count))
        return batch.pin_memory() if torch.cuda.is_available() else batch

    def batch(self, step: int, count: int) -> torch.Tensor:
        """The batch of `step`: (count, size, size, 3) uint8."""
        random = np.random.default_rng([self.seed, step])
        out = np.empty((count, self.size, self.size, 3), dtype=np.uint8)
        for i, k in enumerate(random.choice(len(self.pictures), size=count, p=self.share)):
            picture = self.pictures[k]
            top = random.integers(picture.shape[0] - self.size + 1)
            left = random.integers(picture.shape[1] - self.size + 1)
            crop = picture[top : top + self.size, left : left + self.size]
            if random.random() < 0.5:
                crop = crop[:, ::-1]
            if random.random() < 0.5:
                crop = crop.transpose(1, 0, 2)
            out[i] = crop
        return torch.from_numpy(out)
