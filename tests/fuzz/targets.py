"""The operations that mutated files go through, and their possible outcomes.

An outcome is a few words. Those that begin with one of worker.FAILURES are failures.
"""

import contextlib
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image, ImageFile, UnidentifiedImageError

import pillow_mlic
from pillow_mlic import DecodeError, WeightsError, cli, packs, plugin
from pillow_mlic.engines import integer_walk
from pillow_mlic.engines.arithmetic import plain_arithmetic
from pillow_mlic.engines.torch_walk import EXACT_GUARD
from pillow_mlic.engines.torch_walk import walk as torch_walk
from pillow_mlic.entropy.payload import PayloadError, SymbolMismatchError
from pillow_mlic.format import container
from pillow_mlic.format.container import (
    ContainerError,
    DamagedError,
    TruncatedError,
    UnsupportedError,
)
from pillow_mlic.format.geometry import HYPER_LATENT, size

from .corpus import Seed
from .mutate import Mutant, change_payload, scramble
from .worker import CRASH, GARBAGE

CONTAINER = (DamagedError, TruncatedError, UnsupportedError)
PERMITTED = (*CONTAINER, DecodeError, WeightsError, UnidentifiedImageError)
"""What a broken file may raise; besides, Pillow's DecompressionBombError. The list is closed."""
PIXELS = 1 << 20
"""MAX_IMAGE_PIXELS while fuzzing, as a careful server would have it: pictures have to be small."""
TOLERANCE = 4.0
"""Mean grey levels that a picture may be off whose forged header changed no symbol."""


def outcome_of(work: Callable[[], str], permitted: tuple[type[Exception], ...]) -> str:
    """What `work` says, or which permitted error it ended with, or CRASH."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", message="this .mlic file has format version")
            return work()
    except Exception as error:
        name = type(error).__name__
        if type(error) in permitted and len(str(error).split()) > 3:
            return f"refused: {name}"
        return f"{CRASH} {name}: {error}"


def read_container(mutant: Mutant, random: Random) -> str:
    """Every reader of the container."""

    def work() -> str:
        fp = io.BytesIO(mutant.data)
        header = container.read_header(fp)
        start = fp.tell()
        container.scan(fp, header, len(mutant.data), allow_truncated=True)
        for place in container.scan_metadata(fp, header, len(mutant.data)):
            with contextlib.suppress(ContainerError):
                container.read_chunk(fp, place)
        fp.seek(start)
        chunks = []
        for place in container.scan(fp, header, len(mutant.data)):
            container.check_chunk(fp, place)
            kind = place.type | 0x40 * place.critical | 0x80 * place.last
            chunks.append((kind, container.read_chunk(fp, place)))
        same = (header, tuple(chunks)) == (mutant.seed.header, mutant.seed.chunks)
        return verdict(mutant, same)

    return outcome_of(work, CONTAINER)


def verdict(mutant: Mutant, same: bool) -> str:
    """Bytes were accepted: nothing but a forger's may differ from the seed's."""
    if same or mutant.repaired or mutant.transplant:
        return "accepted" if same else "accepted: forged"
    return f"{GARBAGE} damage went unnoticed"


def open_and_verify(mutant: Mutant, random: Random) -> str:
    """`Image.open`, `draft`, `verify`, `info`."""

    def work() -> str:
        with Image.open(io.BytesIO(mutant.data)) as image:
            size = image.size
            drafted = image.draft(None, (64, 64))
            if drafted is not None and max(image.size) > 512:
                return f"{GARBAGE} a preview of {image.size}"
            if drafted is None and image.size != size:
                return f"{GARBAGE} another size without a preview"
        with Image.open(io.BytesIO(mutant.data)) as image:
            image.verify()
            same = image.size == mutant.seed.picture.size
        return verdict(mutant, same)

    return outcome_of(work, (*PERMITTED, Image.DecompressionBombError))


def load(mutant: Mutant, random: Random) -> str:
    """`Image.open` and `load`."""

    def work() -> str:
        with Image.open(io.BytesIO(mutant.data)) as image:
            image.load()
            return judge(mutant, image.copy())

    return outcome_of(work, (*PERMITTED, Image.DecompressionBombError))


def judge(mutant: Mutant, picture: Image.Image) -> str:
    """A picture was decoded: is it the one that was encoded?

    The symbols' checksum says that it is, whatever was done to the file, unless parts of other
    genuine files were put into it, or pixels of lossless tiles were forged. A forged header may
    still cut off another piece, or have another quality that chooses the same tables for every
    symbol.
    """
    if mutant.transplant:
        return "accepted: transplant"
    header = container.read_header(io.BytesIO(mutant.data))
    seed = mutant.seed
    if header == seed.header:
        mode = "RGB" if picture.mode.startswith("RGB") else "L"
        same = picture.convert(mode).tobytes() == seed.picture.convert(mode).tobytes()
        if same and not mutant.alpha:
            same = picture.tobytes() == seed.picture.tobytes()
        return "accepted: same picture" if same else f"{GARBAGE} another picture"
    box = (0, 0, *map(min, picture.size, seed.picture.size))
    mine, theirs = (
        np.asarray(p.crop(box).convert("RGB"), dtype=float).mean(-1)
        for p in (picture, seed.picture)
    )
    error = float(np.abs(mine - theirs).mean())
    return (
        "accepted: other header" if error <= TOLERANCE else f"{GARBAGE} off by {error:.1f} levels"
    )


def load_in_part(mutant: Mutant, random: Random) -> str:
    """`load` with LOAD_TRUNCATED_IMAGES: damage is asked for, garbage is not."""

    def work() -> str:
        with Image.open(io.BytesIO(mutant.data)) as image:
            image.load()
        return "accepted in part"

    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        return outcome_of(work, (*PERMITTED, Image.DecompressionBombError))
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def decode_region(mutant: Mutant, random: Random) -> str:
    """A box of the seed's picture, of a file that may claim any size."""
    width, height = mutant.seed.picture.size
    left, top = random.randrange(width), random.randrange(height)
    box = (left, top, random.randint(left + 1, width), random.randint(top + 1, height))

    def work() -> str:
        try:
            part = pillow_mlic.decode_region(io.BytesIO(mutant.data), box)
        except ValueError as error:
            if "reaches beyond the picture" in str(error):
                return "refused: box"
            raise
        same = part.size == (box[2] - box[0], box[3] - box[1])
        return "accepted" if same else f"{GARBAGE} another size"

    return outcome_of(work, (*PERMITTED, Image.DecompressionBombError))


def decode_payload(mutant: Mutant, random: Random) -> str:
    """The walk, with a payload that no container protects."""
    seed = random.choice([mutant.seed])
    if not seed.tiles:
        return "accepted: nothing is learned"
    index = random.randrange(len(seed.tiles))
    change = change_payload if random.random() < 0.8 else scramble
    data = change(seed.tiles[index], random)

    def work() -> str:
        decoded, genuine = (walk(seed, index, tile) for tile in (data, seed.tiles[index]))
        return "accepted: same" if torch.equal(decoded, genuine) else f"{GARBAGE} other latents"

    return outcome_of(work, (PayloadError, SymbolMismatchError, DecodeError))


def walk(seed: Seed, index: int, data: bytes) -> torch.Tensor:
    """The latents of a tile of `seed` whose payload is `data`."""
    z_size = size(seed.header.grid.box(index), HYPER_LATENT)
    cpu = torch.device("cpu")
    with plain_arithmetic(cpu):
        exact = seed.header.guard <= EXACT_GUARD
        pack = packs.load(packs.find_header(seed.header))
        if seed.header.arithmetic == container.ARITHMETIC_INTEGER:
            y_hat = integer_walk.decode([data], pack, seed.header.quality, z_size)
            return torch.from_numpy(y_hat)
        return torch_walk([data], pack, seed.header.quality, z_size, exact, cpu)


def run_command(mutant: Mutant, random: Random, folder: Path) -> str:
    """`mlic info` or `mlic decode` on the file, in this process."""
    source, target = folder / "x.mlic", folder / "x.png"
    source.write_bytes(mutant.data)
    target.unlink(missing_ok=True)
    decode = random.random() < 0.5
    arguments = (
        ["decode", source, "-o", target, "--quiet"] if decode else ["info", source, "--json"]
    )
    out, err = io.StringIO(), io.StringIO()

    def work() -> str:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main([str(argument) for argument in arguments])
        if decode and (code == 0) != target.exists():
            return f"{CRASH} exit {code}, but the output is {'there' if code else 'missing'}"
        if decode and code == 0:
            with Image.open(target) as image:
                return judge(mutant, image.copy())
        if code == 0:
            json.loads(out.getvalue())
            return "described"
        sentence = err.getvalue()
        if code not in (1, 2) or not sentence.startswith("mlic: ") or "Traceback" in sentence:
            return f"{CRASH} exit {code} with {sentence[:200]!r}"
        return f"exit {code}"

    outcome = outcome_of(work, ())
    left = sorted(path.name for path in folder.iterdir() if path not in (source, target))
    return f"{CRASH} leaves {left}" if left else outcome


Target = Callable[[Mutant, Random], str]


def targets(folder: Path) -> dict[str, tuple[int, Target]]:
    """All targets by name, each with its share of the files in percent."""
    Image.MAX_IMAGE_PIXELS = PIXELS
    plugin.register()
    return {
        "container": (40, read_container),
        "verify": (10, open_and_verify),
        "load": (28, load),
        "truncated": (5, load_in_part),
        "region": (5, decode_region),
        "payload": (8, decode_payload),
        "command": (4, lambda mutant, random: run_command(mutant, random, folder)),
    }
