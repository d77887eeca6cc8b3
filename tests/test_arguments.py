"""Options as people give them: None, numbers of NumPy, whole numbers that are floats."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pillow_mlic
from pillow_mlic import cli
from pillow_mlic.cli import bench
from pillow_mlic.opener import register_mlic_opener

from .conftest import photograph
from .test_bulk import here  # noqa: F401 (a fixture)

pytestmark = pytest.mark.usefixtures("small_weights")

OPTIONS = (
    *("quality", "target_bpp", "max_bytes", "target_psnr", "lossless", "model", "device"),
    *("optimize", "refine", "preview", "texture", "progress", "tile"),
)


def saved(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **options)
    return buffer.getvalue()


def test_none_is_the_default() -> None:
    image = photograph(70, 50)
    assert saved(image, **dict.fromkeys(OPTIONS)) == saved(image)
    rest = dict.fromkeys(set(OPTIONS) - {"lossless"})
    assert saved(image, lossless=True, **rest) == saved(image, lossless=True)


@pytest.mark.torch
@pytest.mark.parametrize("refine", [np.int64(1), np.float32(1), 1.0])
def test_steps_of_any_kind(refine: object) -> None:
    image = photograph(64, 64)
    assert saved(image, refine=refine, optimize=False) == saved(image, refine=1, optimize=False)


@pytest.mark.parametrize(
    "given",
    [
        {"tile": np.int64(128)},
        {"tile": 128.0},
        {"quality": np.float32(3)},
        {"quality": np.int8(3)},
        {"optimize": np.False_},
        {"optimize": 0},
        {"preview": np.True_},
        {"max_bytes": np.int32(4000)},
    ],
)
def test_numbers_count_as_what_they_are(given: dict[str, object]) -> None:
    image = photograph(150, 90)
    plain = {name: getattr(value, "item", lambda v=value: v)() for name, value in given.items()}
    plain = {k: int(v) if isinstance(v, float) else v for k, v in plain.items()}
    assert saved(image, **{"optimize": False, **given}) == saved(
        image, **{"optimize": False, **plain}
    )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"optimize": "no"}, "optimize is 'no', but must be True or False"),
        ({"preview": "no"}, "preview is 'no', but must be True or False"),
        ({"lossless": "no"}, "lossless is 'no', but must be True or False"),
        ({"lossless": True, "preview": "no"}, "preview is 'no'"),
        ({"optimize": 2}, "optimize is 2"),
        ({"tile": 100.5}, "tile is 100.5"),
        ({"tile": True}, "tile is True"),
        ({"refine": 1.5}, "refine is 1.5"),
        ({"refine": True}, "refine is True"),
    ],
)
def test_what_is_neither_is_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        saved(photograph(16, 16), **options)


def test_numbers_of_reading() -> None:
    data = saved(photograph(40, 30))

    def file() -> io.BytesIO:
        return io.BytesIO(data)

    whole = pillow_mlic.decode_region(file(), (0, 0, 16, 16)).tobytes()
    for box in ((0.0, 0.0, 16.0, 16.0), tuple(np.array([0, 0, 16, 16]))):
        assert pillow_mlic.decode_region(file(), box).tobytes() == whole
        assert Image.open(file()).decode().decode_region(box).tobytes() == whole
    with pytest.raises(ValueError, match="box"):
        pillow_mlic.decode_region(file(), (0, 0, 16.5, 16))
    assert pillow_mlic.decode_slices(file(), np.int64(1)) == pillow_mlic.decode_slices(file(), 1)
    try:
        register_mlic_opener(threads=np.int64(1), max_pixels=1e6)
    finally:
        register_mlic_opener()
    with pytest.raises(ValueError, match="threads"):
        register_mlic_opener(threads=1.5)


def test_numbers_of_a_batch(tmp_path: Path) -> None:
    photograph(40, 30).save(tmp_path / "a.png")
    done = pillow_mlic.batch(
        tmp_path / "a.png", tmp_path / "out", workers=1, quality=np.float32(2), optimize=np.False_
    )
    assert not done.rejects
    assert (tmp_path / "out" / "a.mlic").read_bytes() == saved(
        photograph(40, 30), quality=2, optimize=False
    )


@pytest.mark.usefixtures("here")
def test_the_options_of_a_batch_itself(tmp_path: Path) -> None:
    photograph(40, 30).save(tmp_path / "a.png")

    def manifest(**options: object) -> str:
        out = tmp_path / "out"
        pillow_mlic.batch(tmp_path / "a.png", out, lossless=True, **options)
        head = (out / "manifest.jsonl").read_text().splitlines()[0]
        shutil.rmtree(out)
        return head

    switches = ("psnr", "strip", "huge", "eight_bit", "force", "dry_run")
    plain = manifest()
    names = ("to", "workers", "threads", "engine", "num_gpus", *switches)
    assert manifest(**dict.fromkeys(names)) == plain
    assert manifest(workers=1.0, threads=np.int64(1), num_gpus=np.float32(0)) == plain
    assert manifest(psnr=np.False_, strip=0) == plain
    assert manifest(psnr=np.True_, strip=1) == manifest(psnr=True, strip=True) != plain


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"workers": 1.5}, "workers is 1.5, but must be a whole number above 0, or None"),
        ({"threads": "two"}, "threads is 'two', but must be a whole number above 0, or None"),
        ({"threads": True}, "threads is True"),
        ({"num_gpus": "all"}, "num_gpus is 'all', but must be a number from 0"),
        ({"num_gpus": -1}, "num_gpus is -1"),
        *(
            ({name: "no"}, f"{name} is 'no', but must be True or False")
            for name in ("psnr", "strip", "huge", "eight_bit", "force", "dry_run")
        ),
        ({"to": 5}, "cannot write 5 files"),
    ],
)
def test_a_batch_refuses_what_is_neither(
    options: dict[str, object], sentence: str, tmp_path: Path
) -> None:
    photograph(16, 16).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=sentence):
        pillow_mlic.batch(tmp_path / "a.png", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_verify_after_load_says_so() -> None:
    image = Image.open(io.BytesIO(saved(photograph(16, 16))))
    image.load()
    with pytest.raises(RuntimeError, match="verify must be called directly after open"):
        image.verify()


@pytest.mark.parametrize(
    "arguments",
    [["selftest", "x.png", "-q", "99"], ["bench", "speed", "-q", "99"], ["demo", "-q", "0"]],
)
def test_qualities_that_there_are_not(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as status:
        cli.main(arguments)
    assert status.value.code == 2
    assert "-q" in capsys.readouterr().err


def test_a_folder_that_is_called_as_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "speed").mkdir()
    seen: list[list[Path]] = []
    monkeypatch.setattr(bench, "run", lambda args: seen.append(args.places) or 0)
    assert cli.main(["bench", "./speed"]) == 0
    assert seen == [[Path("speed")]]
    with pytest.raises(SystemExit):
        cli.main(["bench", "--help"])
    assert "./speed" in capsys.readouterr().out
