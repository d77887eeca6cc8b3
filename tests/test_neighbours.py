"""Other people's processes: what they set does not matter, and stays as it was."""

import io
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pillow_mlic
from pillow_mlic import conversion, settings
from pillow_mlic.bulk import transfer
from pillow_mlic.engines import arithmetic, devices
from pillow_mlic.models import defaults
from pillow_mlic.packs import store

from .conftest import photograph

torch = pytest.importorskip("torch")


def coded(**options: object) -> bytes:
    buffer = io.BytesIO()
    photograph(70, 50).save(buffer, "MLIC", **options)
    return buffer.getvalue()


def shown(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).tobytes()


@pytest.fixture
def forget(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Lets the next use of a pack read it and build its network."""

    def now() -> None:
        monkeypatch.setattr(store, "_packs", {})
        monkeypatch.setattr(store, "_latest", None)

    now()
    yield now
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


@pytest.mark.parametrize("options", [{"optimize": False}, {"optimize": True}, {"refine": 2}])
@pytest.mark.parametrize("weights", ["small_pack_file", "integer_pack_file"])
@pytest.mark.parametrize(
    ("dtype", "device"), [(torch.float64, None), (torch.float32, "meta"), (torch.float16, "meta")]
)
def test_defaults_of_torch_do_not_matter(
    options: dict[str, object],
    weights: str,
    dtype: torch.dtype,
    device: str | None,
    forget: object,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLIC_WEIGHTS", str(request.getfixturevalue(weights)))
    monkeypatch.setenv("MLIC_ENGINE", "torch")
    data = coded(**options)
    pixels = shown(data)
    forget()
    torch.set_default_dtype(dtype)
    torch.set_default_device(device)
    assert coded(**options) == data
    assert shown(data) == pixels
    part = pillow_mlic.decode_slices(io.BytesIO(data), 1)
    assert part.size == (70, 50)
    assert torch.get_default_dtype() == dtype
    assert torch.get_default_device().type == (device or "cpu")


def test_defaults_of_torch_with_several_threads(
    forget: object, small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLIC_ENGINE", "torch")
    data = coded(optimize=False)
    torch.set_default_dtype(torch.float64)
    got: list[bytes] = []
    work = [threading.Thread(target=lambda: got.append(coded(optimize=False))) for _ in range(3)]
    for each in work:
        each.start()
    for each in work:
        each.join()
    assert got == [data] * 3
    assert torch.get_default_dtype() == torch.float64


def test_a_batch_in_this_process_leaves_nothing_behind(
    small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("MLIC_ENGINE", "torch")
    buffer = io.BytesIO()
    photograph(40, 30).save(buffer, "PNG")
    fsspec.filesystem("memory").pipe_file("/neighbours/a.png", buffer.getvalue())

    def state(_: object = None) -> tuple[object, ...]:
        return torch.get_num_threads(), settings.threads(), Image.MAX_IMAGE_PIXELS

    torch.set_num_threads(2)
    seen: list[tuple[object, ...]] = []
    try:
        before = state()
        done = pillow_mlic.batch(
            *("memory://neighbours", "memory://neighbours-out"),
            huge=True,
            progress=lambda progress: seen.append(state(progress)),
            manifest=tmp_path / "manifest.jsonl",
        )
        assert (done.done, done.rejects) == (1, [])
        assert [*seen, state()] == [before, before]
    finally:
        torch.set_num_threads(1)


def process_state() -> list[object]:
    """What a thread that is new to the program finds."""
    found: list[object] = []
    cudnn = torch.backends.cudnn

    def look() -> None:
        found.extend((torch.get_num_threads(), settings.threads(), Image.MAX_IMAGE_PIXELS))
        found.extend((torch.get_float32_matmul_precision(), cudnn.allow_tf32))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found


def inside(stack: ExitStack) -> None:
    """Everything that coding changes for a while in the process."""
    stack.enter_context(conversion.any_size())
    stack.enter_context(settings.changed(threads=1))
    stack.enter_context(devices.chosen_threads())
    stack.enter_context(arithmetic.whole_float32(torch.device("cuda")))


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What the caller has set for himself."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12345)
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("own_settings")
@pytest.mark.parametrize("order", ["first", "last"])
def test_two_threads_leave_what_the_caller_had_set(order: str) -> None:
    """... whoever leaves first."""
    before = process_state()
    entered, leave = [threading.Event() for _ in range(2)], [threading.Event() for _ in range(2)]

    def work(number: int) -> None:
        with ExitStack() as stack:
            inside(stack)
            entered[number].set()
            leave[number].wait(10)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread, event in zip(threads, entered, strict=True):
        thread.start()
        assert event.wait(10)
    assert settings.threads() is None  # it is theirs alone
    for number in (0, 1) if order == "first" else (1, 0):
        leave[number].set()
        threads[number].join()
    assert process_state() == before


@pytest.mark.usefixtures("own_settings")
def test_what_the_caller_sets_meanwhile_stays() -> None:
    with conversion.any_size():
        Image.MAX_IMAGE_PIXELS = 777
    assert Image.MAX_IMAGE_PIXELS == 777


@pytest.mark.usefixtures("own_settings")
def test_threads_of_torch_within_others() -> None:
    with defaults.threads(3):
        with defaults.threads(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("own_settings", "small_weights")
def test_two_batches_in_this_process_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("MLIC_ENGINE", "torch")
    buffer = io.BytesIO()
    photograph(40, 30).save(buffer, "PNG")
    both, read = threading.Barrier(2, timeout=30), transfer.read

    def meet(place: transfer.Place) -> bytes:
        both.wait()
        return read(place)

    monkeypatch.setattr(transfer, "read", meet)
    before, done = process_state(), []

    def convert(name: str) -> None:
        fsspec.filesystem("memory").pipe_file(f"/{name}/a.png", buffer.getvalue())
        book = tmp_path / f"{name}.jsonl"
        source, target = f"memory://{name}", f"memory://{name}-out"
        done.append(pillow_mlic.batch(source, target, huge=True, manifest=book).done)

    threads = [threading.Thread(target=convert, args=(f"neighbour{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [1, 1]
    assert process_state() == before


@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize(
    "around",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", torch.bfloat16),
        lambda: np.errstate(all="raise"),
    ],
)
def test_what_is_around_does_not_matter(
    around: Callable[[], AbstractContextManager[object]],
    engine: str,
    integer_pack_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a program that measures networks; random numbers of the caller are not used up."""
    monkeypatch.setenv("MLIC_WEIGHTS", str(integer_pack_file))
    monkeypatch.setenv("MLIC_ENGINE", engine)

    def work() -> list[bytes]:
        files = [coded(optimize=False), coded(optimize=True), coded(refine=2)]
        return [*files, *map(shown, files)]

    want = work()
    before = torch.get_rng_state(), random.getstate()
    with around():
        assert work() == want
    after = torch.get_rng_state(), random.getstate()
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]


FORKED = """
import io, os, signal, sys
import pillow_mlic
import torch
from PIL import Image
from tests.conftest import photograph

torch.set_num_threads(2)
pillow_mlic.register_mlic_opener(threads=2)
image = photograph(512, 512)
options = {"model": "mlicv2-lite", "optimize": sys.argv[1] != "plainly"}
if sys.argv[1] == "refine":
    image, options["refine"] = image.crop((0, 0, 160, 160)), 1

def saved():
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", **options)
    return buffer.getvalue()

data = saved()
pixels = Image.open(io.BytesIO(data)).tobytes()
child = os.fork()
if child == 0:
    signal.alarm(30)
    again = Image.open(io.BytesIO(data)).tobytes()
    assert len(again) == len(pixels)
    assert len(saved()) > 100
    assert torch.get_num_threads() == 2
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("engine", ["onnx", "torch"])
@pytest.mark.parametrize("how", ["plainly", "optimize", "refine"])
def test_a_forked_process_does_not_hang(engine: str, how: str) -> None:
    """As a server has it that opens a picture before it forks."""
    variables = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", FORKED, how],
        env={**variables, "MLIC_ENGINE": engine},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == b"0", done.stderr


FORKED_WHILE_BUSY = """
import io, os, signal, threading, time
import pillow_mlic
from PIL import Image
from pillow_mlic.packs import store
from contextlib import contextmanager
from pillow_mlic.process import Counted
from tests.conftest import photograph

value = ["before"]

@contextmanager
def another():
    value[:] = ["another"]
    yield
    value[:] = ["before"]

changed = Counted(another)
buffer = io.BytesIO()
photograph(70, 50).save(buffer, "MLIC", optimize=False)
store._packs.clear()
store._latest = None
busy, done = threading.Event(), threading.Event()

def loads():
    with store._lock, changed:
        busy.set()
        done.wait()

thread = threading.Thread(target=loads)
thread.start()
busy.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    Image.open(buffer).load()
    assert value == ["before"]
    os._exit(0)
print(os.waitpid(child, 0)[1])
done.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks")
def test_what_other_threads_hold_is_free_in_a_fork(integer_pack_file: Path) -> None:
    """As where a pack is loaded while a server forks."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED_WHILE_BUSY],
        env={**os.environ, "MLIC_WEIGHTS": str(integer_pack_file), "MLIC_ENGINE": "onnx"},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == b"0", done.stderr


def test_deterministic_algorithms_do_not_matter(
    integer_pack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLIC_WEIGHTS", str(integer_pack_file))
    want = [coded(optimize=True), coded(refine=1)]
    torch.use_deterministic_algorithms(True)
    try:
        assert [coded(optimize=True), coded(refine=1)] == want
    finally:
        torch.use_deterministic_algorithms(False)


def test_only_a_process_of_our_own_is_told_to_wait_asleep(tmp_path: Path) -> None:
    script = "import os, sys; from pillow_mlic import cli\n"
    script += "cli.main(['models']); print(os.environ.get('OMP_WAIT_POLICY'))\n"
    script += "sys.argv = ['mlic', 'models']; cli.main(); print(os.environ['OMP_WAIT_POLICY'])\n"
    environ = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line in ("None", "PASSIVE")] == [
        "None",
        "PASSIVE",
    ]
