"""Tiles side by side: the same pictures and files, and the caller's threads as they were."""

import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from threadpoolctl import threadpool_info

import pillow_mlic
from pillow_mlic import packs, settings
from pillow_mlic.coding import crew
from pillow_mlic.engines import devices, engine_for
from pillow_mlic.engines.base import Engine

from .conftest import WITH_INTEGERS, photograph


@pytest.fixture
def engine() -> Iterator[Engine]:
    with settings.changed(threads=2):
        yield engine_for(packs.load(packs.inspect(WITH_INTEGERS)), "cpu")


def test_results_come_in_order_from_threads_with_their_share(engine: Engine) -> None:
    def work(n: int) -> tuple[int, int, str]:
        time.sleep(0.02 * (n % 3))
        return n, devices.threads(), threading.current_thread().name

    with crew.crew(engine, 9) as workers:
        found = list(workers.map(work, range(9)))
    assert [n for n, _, _ in found] == list(range(9))
    assert {threads for _, threads, _ in found} == {1}
    assert len({name for *_, name in found}) == 2


def test_one_job_is_done_by_the_caller_with_all_threads(engine: Engine) -> None:
    def work(_: int) -> tuple[int, int]:
        return devices.threads(), threading.get_ident()

    with crew.crew(engine, 1) as workers:
        assert list(workers.map(work, [0])) == [(2, threading.get_ident())]


def test_an_error_ends_what_is_not_begun(engine: Engine) -> None:
    begun = []

    def work(n: int) -> None:
        begun.append(n)
        if n == 1:
            raise ArithmeticError

    with pytest.raises(ArithmeticError), crew.crew(engine, 100) as workers:
        list(workers.map(work, range(100)))
    assert len(begun) < 10


def thread_counts() -> list[tuple[str, int]]:
    return [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]


@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_files_and_pixels_are_the_same_and_threads_stay_as_they_were(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "torch":
        pytest.importorskip("torch")
    monkeypatch.setenv("MLIC_WEIGHTS", str(WITH_INTEGERS))
    picture = photograph(700, 300)

    def coded(threads: int) -> tuple[bytes, "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]"]:
        file = io.BytesIO()
        with settings.changed(threads=threads, engine=name):
            picture.save(file, "MLIC", tile=128, optimize=name == "torch")
            return file.getvalue(), np.asarray(Image.open(file))

    alone = coded(1)  # all libraries are loaded now
    before = thread_counts()
    for count in (2, 4):
        with ThreadPoolExecutor(3) as callers:
            for data, pixels in callers.map(coded, [count] * 4):
                assert data == alone[0]
                assert np.array_equal(pixels, alone[1])
    assert thread_counts() == before


def test_a_share_holds_for_torch_that_came_later() -> None:
    pytest.importorskip("torch")
    script = """
import threading
from pillow_mlic.engines import devices
with devices.blas_threads(1):
    pass  # the libraries were looked at
import torch
torch.set_num_threads(3)
def work():
    devices.take_share(1)
    print(torch.get_num_threads())
thread = threading.Thread(target=work)
thread.start()
thread.join()
print(torch.get_num_threads())
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "3"]


def test_progress_is_told_in_the_callers_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLIC_WEIGHTS", str(WITH_INTEGERS))
    told: list[tuple[float, int]] = []

    def progress(share: float) -> None:
        told.append((share, threading.get_ident()))
        if len(told) == 3:
            raise KeyboardInterrupt

    with settings.changed(threads=2), pytest.raises(KeyboardInterrupt):
        photograph(1000, 300).save(io.BytesIO(), "MLIC", tile=128, progress=progress)
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] < 0.5
    assert {thread for _, thread in told} == {threading.get_ident()}


pillow_mlic.register_mlic_opener()
