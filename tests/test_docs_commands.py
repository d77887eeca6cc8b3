"""Every command line of README and docs is executed, on small pictures and for a short time.

The lines of a page run one after the other, as a reader would type them, in a folder that has what
the page takes for granted. `SMALLER` lists the changes that are made to them; `NOT_HERE` lists
lines that are not run, with the reason, and `SLOW` those that run only with `-m slow`.
"""

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFilter

from pillow_mlic import cli, models
from pillow_mlic.bulk import pool
from pillow_mlic.cli import demo
from pillow_mlic.distortion.costs import MIN_CROPS
from pillow_mlic.training.recipes import RECIPES, Schedule

from .conftest import SMALL, photograph
from .documentation import ROOT, commands
from .family import VARIANTS, make, write_pack
from .test_published import small

for package in ("scipy", "matplotlib", "shtab"):
    pytest.importorskip(package)

NOT_HERE = {
    r"-m pip install": "it fetches packages; .ci/run does that from nothing",
    r"-m venv|^git clone|^cd |activate$": "it makes an environment; .ci/run does that from nothing",
    r"-m pytest|^scripts/check": "these are the tests themselves",
    r"^mkdocs ": "it builds the pages, which .ci/run does with warnings as errors",
    r"^mlic view": "it opens a window; tests/gui has one that nobody sees",
    r"s3://": "a bucket in a cloud",
    r"/shared/|HEAD:|^ray start": "addresses and folders of a cluster; tests/test_on_ray.py",
    r"compressai\.utils\.plot": "it needs torchvision; tests/test_bench.py reads with its parser",
    r"scripts/reproduce\.py": "hours of the other commands; tests/test_docs.py checks its steps",
    r"scripts/measure_batch\.py": "it compares whole runs, with Ray; tests/test_bulk.py does that",
    r"scripts/compare_speed\.py": "it wants a checkout of an earlier version",
    r"scripts/measure_start\.py": "it wants a checkout of an earlier version",
    r"scripts/check_gpu\.py": "it wants a GPU; tests/test_check_gpu.py has an emulated one",
    r"scripts/measure_viewer\.py": "it wants Xvfb, and a machine that does nothing else",
    r"scripts/walk_viewer\.py": "it wants Xvfb and minutes; it checks what it does by itself",
    r"scripts/limits\.py": "it wants six certain pictures; the model card shows its result",
}
"""What is not run, and why."""

SLOW = (
    r"^mlic bench speed",  # tests/test_speed.py
    r"^mlic selftest",  # eleven processes; tests/test_portability.py has it in one
    r"^torchrun",
    r"-m tests\.fuzz",  # tests/test_fuzz.py
    r"-m tests\.(conformance|plain)",  # networks at full width
    r"scripts/(candidates|count_macs|judge|measure_coder|sheets)\.py",
)
"""What is run with `-m slow` only."""

SMALLER = (
    (r"(crop_loss\.py .*)", r"\1 --crops 8 --side 64 --distortion psnr"),
    (r"(candidates\.py .*)--minutes \d+", r"\1--minutes 0.02"),
    (r"--minutes \d+(?!\.)", "--steps 1"),
    (r"measure_restart\.py .*", "measure_restart.py 3"),
    (r"--steps \d+", "--steps 1"),
    (r"--refine \d+", "--refine 1"),
    (r"(?:,(mlic[^@, ]*)@\d+)+", r",\1@1"),
    (r"--count \d+", "--count 12"),
    (r"--at \d+,\d+", "--at 32,20"),
    (r"--region \d+,\d+,\d+,\d+", "--region 16,16,32,16"),
    (r"--batch \d+|--crop \d+", ""),
    # What is measured: few settings, in this process, and only what is installed.
    (r"(mlic bench .*)--quality \S+", r"\1"),
    (r"(mlic bench .*)--metrics \S+", r"\1"),
    (
        r"(mlic bench (\w+/|[A-Z]+)( .*|))$",
        r"\1 --no-memory --samples 1 --quality 3 --metrics psnr",
    ),
    (r"(mlic bench cost .*)$", r"\1 --no-memory --repeats 1"),
    (r"--megapixels \S+", "--megapixels 0.01"),
    (r"(mlic bench cost (?!.*--megapixels).*)$", r"\1 --megapixels 0.01"),
    (r"(mlic bench speed .*)$", r"\1 --repeats 1"),
    (r",jxl\b", ",jxl" if find_spec("pillow_jxl") else ""),
    (r"^mlic models$", "mlic models mlicv2-lite"),  # tests/test_models_command.py has them all
    # Lines of a page are alternatives: one may write what another has written.
    (r"^mlic (encode|decode|compare|attention) ", r"mlic \1 -f "),
)
"""What is replaced in a line before it is run; each must be of use."""


def plain(line: str) -> str:
    """A line without its comment."""
    return re.sub(r"\s+#.*", "", line).strip()


def smaller(line: str) -> str:
    """The line as it is run."""
    for pattern, replacement in SMALLER:
        line = re.sub(pattern, replacement, line)
    if "mlic train " in line:
        # A cooldown has the crops of its trunk, a recipe its own (see `here`); some distortions
        # need larger ones than others.
        side = next((n for d, n in MIN_CROPS.items() if f"--distortion {d}" in line), 64)
        given = "--cooldown" in line or "--recipe" in line
        line += " --batch 2" + ("" if given else f" --crop {side}")
    return line


def is_not_here(line: str) -> bool:
    return any(re.search(pattern, line) for pattern in NOT_HERE)


def is_slow(line: str) -> bool:
    return any(re.search(pattern, line) for pattern in SLOW)


LINES = {page: [plain(line) for line in lines] for page, lines in commands().items()}
EVERY = sorted({line for lines in LINES.values() for line in lines})
QUICK = {
    page: found
    for page, lines in LINES.items()
    if (found := [line for line in lines if not is_not_here(line) and not is_slow(line)])
}


@pytest.fixture(scope="session")
def things(tmp_path_factory: pytest.TempPathFactory, small_pack_file: Path) -> Path:
    """What pages take for granted: pictures, packs and checkpoints, all of them small."""
    folder = tmp_path_factory.mktemp("things")
    picture = photograph(144, 120).filter(ImageFilter.GaussianBlur(0.5))
    for name in (
        *("photo.jpg", "holiday/beach.jpg", "holiday/hill/hut.png", "photos/in/two.tif"),
        *("kodak/kodim01.png", "valid/v01.png", "unseen/three.png", "standin/picture.png"),
        *("PICTURES/four.png", "DIR/five.png"),
    ):
        save(picture, folder / name)
    large = photograph(272, 260).filter(ImageFilter.GaussianBlur(0.5))  # crops fit in
    for name in ("photos/one.jpg", "pictures/six.png"):
        save(large, folder / name)
    picture.save(folder / "map.mlic", optimize=False)
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        archive.write(folder / "photo.jpg", "photo.jpg")
    (folder / "docs/images").mkdir(parents=True)
    (folder / "weights").mkdir()
    own = ".local/share/pillow-mlic/weights"
    (folder / own).mkdir(parents=True)
    for name in ("weights/mlicv2-lite", "weights", "a", "b", f"{own}/a", f"{own}/b"):
        shutil.copy(small_pack_file, folder / f"{name}.safetensors")
    torch.save(small("mlic++").state_dict(), folder / "CHECKPOINT")
    torch.save({"state_dict": small("mlic++").state_dict()}, folder / "mlicpp_mse_q3.pth.tar")
    torch.save(small("mlic++").state_dict(), folder / "standin/mlicpp.pth")
    torch.save(small("lalic").state_dict(), folder / "standin/lalic.pth")
    return folder


def save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x010F] = "pillow-mlic"
    picture.save(path, exif=exif)


@pytest.fixture
def here(things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of all that, to be in; with nothing of the user's, and networks of small width."""
    folder = tmp_path / "here"
    shutil.copytree(things, folder)
    monkeypatch.chdir(folder)
    data = folder / ".local" / "share"
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr("platformdirs.user_data_path", lambda *_, **__: data / "pillow-mlic")
    monkeypatch.setattr(demo, "photograph", lambda: folder / "photo.jpg")
    brief = {stage: Schedule(((0, 1e-4),), ((0, 64),), 1) for stage in RECIPES["mlicv2"]}
    monkeypatch.setitem(RECIPES, "mlicv2", brief)
    # As with one worker, but without starting a process for it.
    monkeypatch.setattr(pool, "run", lambda order, jobs, workers: pool.here(order, jobs))
    whole = models.create
    narrow = {"mlicv2-lite": asdict(SMALL), **VARIANTS}
    monkeypatch.setattr(
        models, "create", lambda name, config=None: whole(name, config or narrow[name])
    )
    return folder


@pytest.fixture
def installed(here: Path) -> Callable[[str], None]:
    """Puts weights of a model, for quality 3, into the user's folder."""

    def install(model: str) -> None:
        folder = here / ".local" / "share" / "pillow-mlic" / "weights"
        folder.mkdir(parents=True, exist_ok=True)
        variant = "mlicv2 selective" if model == "mlicv2" else model
        if not any(file.name.startswith(f"{model}-") for file in folder.iterdir()):
            write_pack(make(variant), model, folder / f"{model}-some.safetensors")

    return install


def run(line: str, environment: pytest.MonkeyPatch) -> int:
    """Run one command, `mlic` in this process; -> its exit status."""
    words = shlex.split(line)
    while re.match(r"[A-Z_]+=", words[0]):
        environment.setenv(*words.pop(0).split("=", 1))
    if words[0] == "mlic":
        return cli.main(expanded(line, words[1:]))
    if words[0] in ("mkdir", "cp"):
        return subprocess.run(["sh", "-c", line], check=False).returncode
    if words[0] == "torchrun":
        words[0:1] = ["python", "-m", "torch.distributed.run"]
    assert words[0] == "python", f"what is {words[0]}?"
    words[0] = sys.executable
    words = [str(ROOT / word) if word.startswith("scripts/") else word for word in words]
    return subprocess.run(words, check=False).returncode


def expanded(line: str, words: list[str]) -> list[str]:
    """The words with names in place of patterns, which a shell does where there are no quotes."""
    if '"' in line:
        return words
    found: list[str] = []
    for word in words:
        found += sorted(str(p) for p in Path().glob(word)) if "*" in word else [word]
    return found


def run_all(
    lines: list[str],
    installed: Callable[[str], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Run commands one after the other; the first that fails is shown with what it printed."""
    for line in lines:
        if "mlic train" not in line:
            for model in re.findall(r"--model (mlic\+\+|lalic|mlicv2)", line):
                installed(model)
        if "tests.plain" in line:
            installed("mlic++")
        done = smaller(line)
        with pytest.MonkeyPatch.context() as environment:
            try:
                status = run(done, environment)
            except SystemExit as error:
                status = error.code
        out, err = capfd.readouterr()
        missing = "desktop install" in line and "is missing: install" in err
        assert status == 0 or missing, f"{line}\nrun as: {done}\nexit status {status}\n{out}\n{err}"


@pytest.mark.parametrize("page", QUICK)
def test_the_commands_of_a_page(
    page: str, installed: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    run_all(QUICK[page], installed, capfd)


@pytest.mark.slow
@pytest.mark.parametrize("line", [e for e in EVERY if is_slow(e) and not is_not_here(e)])
def test_a_slow_command(
    line: str, installed: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    run_all([line], installed, capfd)


def test_no_exception_has_outlived_its_command() -> None:
    for pattern in [*NOT_HERE, *SLOW]:
        assert any(re.search(pattern, line) for line in EVERY), pattern
    for pattern, _ in SMALLER:
        assert any(re.search(pattern, line) for line in EVERY), pattern


def test_lines_of_torchrun_are_understood() -> None:
    """The part that is ours, also where the rest needs a cluster."""
    lines = [line for line in EVERY if line.startswith("torchrun")]
    assert lines
    for line in lines:
        words = shlex.split(line.partition("-m pillow_mlic ")[2])
        assert cli.build_parser().parse_args(words).command == "train"
