"""What a worker does with a job: read, convert, write, report. The same in every engine."""

import hashlib
import io
import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from .. import conversion, models, plugin, save_settings, saving, settings
from ..coding.content import look
from ..coding.goals import KINDS
from ..coding.picture import native_mode
from ..engines import devices
from ..format import container
from . import transfer
from .manifest import Record
from .order import Item, Job, Order

TOGETHER = 256 * 256
"""Most pixels of pictures that are encoded together. On a CPU core a batch of eight is 2.8 times as
fast as one after another at 64 x 64, 1.2 times at 256 x 256, and slower from 512 x 512 on."""
FORMATS = {"jpeg": ".jpg", "tiff": ".tif"}
"""Formats whose usual extension is not their name."""


@dataclass
class Opened:
    """An input, its bytes already checked to be a picture."""

    item: Item
    data: bytes
    image: Image.Image
    started: tuple[float, float]
    frames: int = 1
    """Pictures in the file, of which the first is converted."""


def suffix_of(to: str) -> str:
    """The extension of outputs; ValueError for a format that Pillow cannot write."""
    name = str(to).lower()
    suffix = FORMATS.get(name, "." + name.lstrip("."))
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        msg = f"Pillow cannot write {to!r} files; try png"
        raise ValueError(msg)
    return suffix


class BatchWorker:
    """Works on jobs one after another; weights are loaded once."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._decodes = order.to != "mlic"
        self._options = {k: v for k, v in order.options.items() if v is not None}
        if order.strip:
            self._options |= conversion.STRIPPED

    def __call__(self, job: Job) -> Iterator[Record]:
        """The records of a job's items that were not done, in any order."""
        records = self._records(job)
        while True:
            # Between two pictures the process is its owner's, who may have settings of his own.
            with (
                settings.changed(threads=self._order.threads),
                conversion.any_size(self._order.huge),
            ):
                record = next(records, None)
            if record is None:
                return
            yield record

    def _records(self, job: Job) -> Iterator[Record]:
        together: dict[tuple[int, int], list[Opened]] = defaultdict(list)
        for item in job:
            try:
                opened = self._open(item)
                padded = self._padded(opened.image) if len(job) > 1 else None
                if padded is not None:
                    together[padded].append(opened)
                elif not item.done:
                    yield self._convert(opened)
            except Exception as error:
                if not item.done:
                    yield reject(item, error)
        for size, group in together.items():
            yield from self._encode_together(group, size)

    def _open(self, item: Item) -> Opened:
        started = time.perf_counter(), time.process_time()
        data = transfer.read(item.source)
        if self._decodes:
            return Opened(item, data, plugin.MlicImageFile(io.BytesIO(data)), started)
        opened = Image.open(io.BytesIO(data))
        frames = conversion.frames_of(opened)
        image = conversion.eight_bit(opened, self._order.eight_bit)
        if self._order.strip:
            image = conversion.upright(image)
        return Opened(item, data, image, started, frames)

    def _padded(self, image: Image.Image) -> tuple[int, int] | None:
        """The padded size of a picture that may be encoded together with others; None if
        not."""
        refined = models.refined(self._options.get("model", "")).steps
        alone = refined or {*KINDS, "refine", "lossless"} & set(self._options)
        width, height = (-(-side // 64) * 64 for side in image.size)
        tile = self._options.get("tile", save_settings.DEFAULT_TILE)
        small = width * height <= TOGETHER and max(width, height) <= tile
        if not small or alone or self._decodes:
            return None
        return None if look(native_mode(image)).worth_trying else (width, height)

    def _convert(self, opened: Opened) -> Record:
        """One picture by itself."""
        buffer = io.BytesIO()
        if not self._decodes:
            opened.image.save(buffer, plugin.FORMAT, **self._options)
            return self._written(opened, buffer.getvalue(), opened.started)
        image = opened.image
        assert isinstance(image, plugin.MlicImageFile)
        image.decode(self._options.get("device"))
        kept = conversion.kept_metadata(image, self._order.strip)
        # Without EXIF nobody would know how to turn it.
        picture = conversion.upright(image) if self._order.strip else image
        picture.save(buffer, Image.registered_extensions()[suffix_of(self._order.to)], **kept)
        return self._written(opened, buffer.getvalue(), opened.started)

    def _encode_together(self, group: list[Opened], size: tuple[int, int]) -> Iterator[Record]:
        """Small pictures of one padded size, in one batch."""
        started = time.perf_counter(), time.process_time()
        ready: list[tuple[Opened, saving.Prepared]] = []
        for opened in group:
            try:
                ready.append((opened, saving.prepare(opened.image, self._options)))
            except Exception as error:
                if not opened.item.done:
                    yield reject(opened.item, error)
        if not ready:
            return
        try:
            files = self._files([prepared for _, prepared in ready], size)
        except Exception as error:
            yield from (reject(o.item, error) for o, _ in ready if not o.item.done)
            return
        # Every picture took its share of the time.
        share = [(now - then) / len(ready) for now, then in zip(_now(), started, strict=True)]
        for (opened, _), data in zip(ready, files, strict=True):
            if opened.item.done:
                continue
            try:
                begun = tuple(now - part for now, part in zip(_now(), share, strict=True))
                yield self._written(opened, data, (begun[0], begun[1]))
            except Exception as error:
                yield reject(opened.item, error)

    def _files(self, ready: list[saving.Prepared], size: tuple[int, int]) -> list[bytes]:
        """The whole files of pictures that share one padded size."""
        from ..coding.encoder import Encoder

        stack = np.stack([_padded_pixels(prepared.native, size) for prepared in ready])
        coding, optimize = ready[0].coding, ready[0].settings.optimize
        with devices.chosen_threads():
            encoded = Encoder(coding, optimize).encode_batch(stack)
        files = []
        for prepared, tiles in zip(ready, encoded, strict=True):
            buffer = io.BytesIO()
            coded = prepared.textured(prepared.file(coding, tiles))
            container.write(buffer, coded.header, coded.chunks)
            files.append(buffer.getvalue())
        return files

    def _written(self, opened: Opened, data: bytes, started: tuple[float, float]) -> Record:
        """Write an output; -> its line in the manifest."""
        item, image = opened.item, opened.image
        source = image if self._decodes else Image.open(io.BytesIO(data))
        coded = len(opened.data if self._decodes else data)
        psnr = {}
        if self._order.psnr and not self._decodes:
            psnr["psnr"] = round(_psnr(image, source), 3)
        written = transfer.write(item.target, data, item.ours)
        seconds, cpu = (now - then for now, then in zip(_now(), started, strict=True))
        return {
            "input": item.source.name,
            "size": len(opened.data),
            "version": item.version,
            "sha256": hashlib.sha256(opened.data).hexdigest(),
            "output": item.target.name,
            "bytes": len(data),
            "width": image.width,
            "height": image.height,
            "bpp": round(8 * coded / (image.width * image.height), 4),
            "lossless": source.info["lossless"],
            "model": source.info["model"],
            "weights": source.info["weights"],
            "quality": source.info["quality"],
            "seconds": round(seconds, 3),
            "cpu_seconds": round(cpu, 3),
            **({"written": written} if written else {}),
            **({"frames": opened.frames} if opened.frames > 1 else {}),
            **psnr,
        }


def reject(item: Item, reason: Exception | str) -> Record:
    """The line of an input among the rejects; an outage is no reject."""
    if isinstance(reason, transfer.OutageError):
        return {"input": item.source.name, "outage": str(reason)}
    text = reason
    if isinstance(reason, UnidentifiedImageError):
        text = "Pillow cannot read it: it is no picture, or a broken one"
    elif isinstance(reason, Image.DecompressionBombError):
        text = f"{reason}; --huge permits it"
    elif isinstance(reason, MemoryError) and not str(reason):
        text = "the memory does not suffice for this picture"
    return {"input": item.source.name, "error": str(text) or type(reason).__name__}


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _padded_pixels(
    image: Image.Image, size: tuple[int, int]
) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """RGB pixels with the right and lower edges repeated up to `size`, as the codec does it."""
    missing = [(0, want - have) for want, have in zip(size, image.size, strict=True)]
    return np.pad(np.asarray(image.convert("RGB")), (missing[1], missing[0], (0, 0)), mode="edge")


def _psnr(image: Image.Image, coded: Image.Image) -> float:
    """PSNR in dB of the colour planes (or of grey); 100 for equal pictures."""
    mode = coded.mode.removesuffix("A")
    planes = [
        np.asarray(each.convert(mode), dtype=np.float32) for each in (native_mode(image), coded)
    ]
    mse = float(np.square(planes[0] - planes[1]).mean(dtype=np.float64))
    return 10 * math.log10(255**2 / mse) if mse else 100.0
