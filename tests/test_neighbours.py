"""Other people's processes: what they set does not matter, and stays as it was."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import pillow_mlic
from pillow_mlic import settings
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
