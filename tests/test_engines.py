"""Two engines, one result: files by ONNX Runtime and by torch, and readers without torch."""

import io
import os
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import pillow_mlic
from pillow_mlic import packs
from pillow_mlic import settings as mlic_settings
from pillow_mlic.coding.coding import Coding
from pillow_mlic.coding.decoder import Decoder
from pillow_mlic.coding.encoder import Encoder
from pillow_mlic.engines import Needs, devices, engine_for, onnx_graphs, onnx_sessions
from pillow_mlic.engines.base import LatentArrays
from pillow_mlic.engines.onnx_engine import OnnxEngine
from pillow_mlic.errors import WeightsError
from pillow_mlic.models.lite_config import LiteConfig

from .conftest import GOLDEN, SMALL, photograph

if devices.has_torch():
    from pillow_mlic.engines.torch_engine import TorchEngine

ROOT = Path(__file__).resolve().parent.parent
BUNDLED = sorted((ROOT / "weights").glob("*.safetensors"))


@pytest.fixture(scope="session")
def pack(integer_pack_file: Path) -> packs.Pack:
    return packs.load(packs.inspect(integer_pack_file))


@pytest.fixture(autouse=True)
def default_opening() -> Any:
    yield
    pillow_mlic.register_mlic_opener()


# --- the same symbols and pixels ----------------------------------------------------------------


@pytest.mark.torch
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    width=st.integers(1, 200),
    height=st.integers(1, 150),
    quality=st.floats(1, 8),
    tile=st.sampled_from((64, 128)),
    threads=st.integers(1, 3),
    seed=st.integers(0, 5),
)
def test_either_engine_reads_what_the_other_wrote(
    pack: packs.Pack, width: int, height: int, quality: float, tile: int, threads: int, seed: int
) -> None:
    pixels = np.asarray(photograph(width, height, seed))
    engines = [OnnxEngine(pack), TorchEngine(pack, devices.resolve("cpu"))]
    files, shown = [], []
    with mlic_settings.changed(threads=threads), devices.chosen_threads():
        for writer in engines:
            coding = Coding(pack, quality, tile, None, writer)
            files.append(Encoder(coding).encode(pixels).tiles)
            for reader in engines:
                coding = Coding(pack, quality, tile, None, reader)
                decoder = Decoder(coding, (width, height))
                shown.append(decoder.decode(dict(enumerate(files[-1]))).astype(int))
    for first, second in (shown[:2], shown[2:]):
        assert np.abs(first - second).max() <= 1
    sizes = [sum(map(len, tiles)) for tiles in files]
    assert abs(sizes[0] - sizes[1]) <= max(3, 0.001 * sizes[1])


@pytest.mark.torch
def test_latents_are_the_same_integers(pack: packs.Pack) -> None:
    """Bit for bit: the walk does not know who multiplies."""
    engines = [OnnxEngine(pack), TorchEngine(pack, devices.resolve("cpu"))]
    pixels = np.asarray(photograph(128, 64))
    (tile,) = Encoder(Coding(pack, 4.0, 128, None, engines[0])).encode(pixels).tiles
    decoded = [engine.decode([tile], (1, 2), 4.0, None) for engine in engines]
    assert np.array_equal(*decoded)
    parts = [engine.decode_slices(tile, (1, 2), 4.0, None, 1) for engine in engines]
    assert np.array_equal(*parts)
    assert engines[0].channels == engines[1].channels
    assert engines[0].halo == engines[1].halo
    assert engines[0].slices == engines[1].slices


@pytest.mark.torch
@pytest.mark.parametrize("path", [None, *BUNDLED], ids=lambda path: path.stem if path else "small")
def test_transforms_are_close(pack: packs.Pack, path: Path | None) -> None:
    if path is not None:
        pack = packs.load(packs.inspect(path))
    onnx, torch_ = OnnxEngine(pack), TorchEngine(pack, devices.resolve("cpu"))
    with Image.open(GOLDEN / "photograph.png") as image:
        crop = np.asarray(image.convert("RGB").crop((64, 64, 192, 128)))
    pixels = np.stack([crop, np.asarray(photograph(128, 64))])
    y = torch_.analysis(pixels, 2.5)
    assert np.allclose(onnx.analysis(pixels, 2.5), y, atol=1e-4 * np.abs(y).max())
    z = torch_.hyper_analysis(y)
    assert np.allclose(onnx.hyper_analysis(y), z, atol=1e-4 * np.abs(z).max())
    shown = [engine.synthesis(y, 2.5).astype(int) for engine in (onnx, torch_)]
    assert np.abs(shown[0] - shown[1]).max() <= 1


def test_the_number_of_threads_changes_nothing(pack: packs.Pack) -> None:
    engine, pixels = OnnxEngine(pack), np.asarray(photograph(192, 128))[None]
    found = []
    for threads in (1, 2, 1):
        with mlic_settings.changed(threads=threads):
            found.append(engine.synthesis(engine.analysis(pixels, 3.0), 3.0))
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_broken_latents_do_no_harm(pack: packs.Pack) -> None:
    y_hat = np.full((1, 4, 4, SMALL.latents), np.nan, np.float32)
    assert OnnxEngine(pack).synthesis(y_hat, 3.0).dtype == np.uint8
    y_hat[:] = 3e38
    assert OnnxEngine(pack).synthesis(y_hat, 3.0).shape == (1, 64, 64, 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("synthesis.head.weight"),
        lambda arrays: arrays.update({"synthesis.head.bias": np.zeros(7, np.float16)}),
        lambda arrays: arrays.update({"synthesis.stem.weight": np.zeros((3, 3), np.float16)}),
        lambda arrays: arrays.update({"synthesis.more": np.zeros(3, np.float16)}),
        lambda arrays: arrays.update({"synthesis.gain_in.log": np.zeros((4, 48), np.float16)}),
    ],
)
def test_damaged_packs_are_refused(integer_pack_file: Path, tmp_path: Path, change: Any) -> None:
    """Tensors that the graph wants and the pack lacks, or has in another shape."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(integer_pack_file, "np") as stored:
        arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        metadata = stored.metadata()
    change(arrays)
    save_file(arrays, tmp_path / "damaged.safetensors", metadata)
    engine = OnnxEngine(packs.load(packs.inspect(tmp_path / "damaged.safetensors")))
    with pytest.raises(pillow_mlic.WeightsError, match=r"damaged\.safetensors is a damaged"):
        engine.synthesis(np.zeros((1, 4, 4, SMALL.latents), np.float32), 3.0)


# --- which one ------------------------------------------------------------------------------------


@pytest.mark.torch
def test_onnx_runtime_is_preferred_for_what_it_can_do(
    pack: packs.Pack, small_pack: packs.Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: False)
    assert isinstance(engine_for(pack), OnnxEngine)
    assert isinstance(engine_for(pack, "cpu"), OnnxEngine)
    for needs in (Needs(gradients=True), Needs(floats=True), Needs(half=True)):
        assert isinstance(engine_for(pack, "cpu", needs), TorchEngine)
    assert isinstance(engine_for(small_pack, "cpu"), TorchEngine)  # it has no integers


@pytest.mark.torch
def test_a_gpu_is_preferred(pack: packs.Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "has_gpu", lambda: True)
    assert isinstance(engine_for(pack), TorchEngine)
    assert isinstance(engine_for(pack, "cpu"), OnnxEngine)
    pillow_mlic.register_mlic_opener(engine="onnx")
    assert isinstance(engine_for(pack), OnnxEngine)


@pytest.mark.torch
def test_an_engine_can_be_asked_for(pack: packs.Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLIC_ENGINE", "torch")
    assert isinstance(engine_for(pack, "cpu"), TorchEngine)
    pillow_mlic.register_mlic_opener(engine="onnx")
    assert isinstance(engine_for(pack, "cpu"), OnnxEngine)
    assert isinstance(engine_for(pack, "cpu", Needs(gradients=True)), TorchEngine)
    assert isinstance(engine_for(pack, "cpu", Needs(half=True)), OnnxEngine)
    with pytest.raises(ValueError, match="engine is 'tensorflow', but must be one of onnx, torch"):
        pillow_mlic.register_mlic_opener(engine="tensorflow")
    pillow_mlic.register_mlic_opener()
    monkeypatch.setenv("MLIC_ENGINE", "tensorflow")
    with pytest.raises(ValueError, match="engine is 'tensorflow'"):
        engine_for(pack, "cpu")


@pytest.mark.torch
def test_what_needs_torch_says_so(
    pack: packs.Pack, small_pack: packs.Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_torch", lambda: False)
    monkeypatch.setattr(onnx_graphs, "folders", [onnx_graphs.FOLDER])
    for wanted, needs, device, start in (
        (pack, Needs(gradients=True), None, "choosing symbols by gradients"),
        (pack, Needs(floats=True), None, "a file whose symbols were decided in floating point"),
        (pack, Needs(), "cuda", "the device 'cuda'"),
        (small_pack, Needs(), None, "the network of the weights small needs"),
        (pack, Needs(), None, "the network of the weights whole, whose widths are unusual,"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'pillow-mlic\[torch\]'") as caught:
            engine_for(wanted, device, needs)
        assert str(caught.value).startswith(start)
        assert "needs torch, which is not installed" in str(caught.value)


@pytest.mark.torch
def test_the_engine_of_onnx_runtime_refuses_what_it_cannot_do(pack: packs.Pack) -> None:
    engine: Any = OnnxEngine(pack)
    nothing = np.zeros((1, 4, 4, 1), np.float32)
    for work in (
        lambda: engine.first_pass(None, 3.0),
        lambda: engine.errors(nothing, nothing, 3.0, True),
        lambda: engine.cost(nothing, nothing, 3.0),
        lambda: engine.cost_gradient(nothing, nothing, 3.0),
        lambda: engine.descent(None, 3.0, 1, 0),
        lambda: engine.encode(None, 3.0, 1e-9),
        lambda: engine.decode([b""], (1, 1), 3.0, 1e-9),
        lambda: engine.decode_slices(b"", (1, 1), 3.0, 1e-9, 0),
    ):
        with pytest.raises(ValueError, match="needs the engine of torch"):
            work()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Providers of the sessions made: in an ONNX Runtime that says it has one more."""
    seen: list[list[str]] = []
    session = onnxruntime.InferenceSession

    class Session:
        def __init__(self, graph: Path, options: Any, providers: Any, enable_fallback: int) -> None:
            self.names = [name for name, _ in providers]
            seen.append(self.names)
            self.session = session(graph, options, providers=[onnx_sessions.CPU])

        def get_providers(self) -> list[str]:
            return [name for name in self.names if name != "BrokenExecutionProvider"]

        def run(self, *arguments: Any) -> Any:
            return self.session.run(*arguments)

    names = ["CUDAExecutionProvider", "BrokenExecutionProvider", onnx_sessions.CPU]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(onnx_sessions, "_sessions", {})
    return seen


def test_other_providers_run_the_transforms_if_asked_for(
    pack: packs.Pack, made: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, pixels = OnnxEngine(pack), np.asarray(photograph(64, 64))[None]
    y = engine.analysis(pixels, 3.0)
    assert made == [[onnx_sessions.CPU]]
    monkeypatch.setenv("MLIC_ONNX_PROVIDERS", "CPUExecutionProvider, CUDAExecutionProvider,")
    assert np.array_equal(OnnxEngine(pack).analysis(pixels, 3.0), y)
    (tile,) = engine.encode(LatentArrays(y, engine.hyper_analysis(y)), 3.0, None)
    engine.synthesis(engine.decode([tile.stream.payload], (1, 1), 3.0, None), 3.0)
    assert made[1:] == [["CUDAExecutionProvider", onnx_sessions.CPU]] * 3  # one for each graph


def test_providers_that_are_not_there_are_refused(
    pack: packs.Pack, made: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLIC_ONNX_PROVIDERS", "ROCMExecutionProvider")
    sentence = "names 'ROCMExecutionProvider', which this ONNX Runtime does not have; it has CUDA"
    with pytest.raises(ValueError, match=sentence):
        engine_for(pack, "cpu")
    monkeypatch.setenv("MLIC_ONNX_PROVIDERS", "BrokenExecutionProvider")
    with pytest.raises(ValueError, match="cannot start BrokenExecutionProvider here"):
        engine_for(pack, "cpu").analysis(np.zeros((1, 64, 64, 3), np.uint8), 3.0)


# --- processes ------------------------------------------------------------------------------------

WITHOUT_TORCH = f"""
import io, os, sys, time
class Nowhere:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Nowhere())
from pathlib import Path
from pillow_mlic.engines import onnx_graphs
onnx_graphs.folders.append(Path({str(GOLDEN / "graphs")!r}))
import pillow_mlic
from PIL import Image
from pillow_mlic.cli import main
os.chdir(sys.argv[1])
"""


def python(pack_file: Path, folder: Path, code: str, **environment: str) -> str:
    """What a fresh process prints in which torch cannot be imported."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_TORCH + textwrap.dedent(code), str(folder)],
        env={**os.environ, "MLIC_WEIGHTS": str(pack_file), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photograph(150, 100).save(tmp_path / "a.png")
    photograph(90, 80, seed=2).convert("RGBA").save(tmp_path / "b.png")
    return tmp_path


def test_a_program_without_torch(integer_pack_file: Path, folder: Path) -> None:
    out = python(
        integer_pack_file,
        folder,
        """
        original = Image.open("a.png")
        original.save("a.mlic", quality=4, preview=True)
        original.save("small.mlic", max_bytes=900)
        assert os.path.getsize("small.mlic") <= 900
        image = Image.open("a.mlic")
        assert image.info["quality"] == 4
        image.verify()
        image = Image.open("a.mlic")
        image.thumbnail((30, 30))
        image = Image.open("a.mlic")
        image.load()
        part = pillow_mlic.decode_region("a.mlic", (30, 20, 60, 40))
        assert part.tobytes() == image.crop((30, 20, 60, 40)).tobytes()
        assert pillow_mlic.decode_slices("a.mlic", 1).size == image.size
        for options in ({"optimize": True}, {"refine": 3}, {"device": "cuda"}):
            try:
                original.save("x.mlic", **options)
            except ImportError as error:
                print(error)
        print("torch" in sys.modules)
        """,
    )
    *sentences, imported = out.splitlines()
    assert imported == "False"
    assert len(sentences) == 3
    assert all("pip install 'pillow-mlic[torch]'" in sentence for sentence in sentences)


def test_commands_without_torch(integer_pack_file: Path, folder: Path) -> None:
    python(
        integer_pack_file,
        folder,
        """
        def mlic(*words):
            assert main(words) == 0, words
        mlic("encode", "a.png", "b.png", "-q", "4", "--quiet")
        mlic("info", "a.mlic")
        mlic("decode", "a.mlic", "-o", "back.png", "--quiet")
        mlic("decode", "a.mlic", "--region", "0,0,20,20", "-o", "part.png", "--quiet")
        mlic("weights", "list")
        assert Image.open("back.png").size == (150, 100)
        assert "torch" not in sys.modules
        """,
    )
    assert (folder / "b.mlic").is_file()


def test_a_batch_without_torch(integer_pack_file: Path, folder: Path) -> None:
    python(
        integer_pack_file,
        folder,
        """
        from pillow_mlic.bulk import order, pool, work
        from pillow_mlic.bulk.order import Item, Order
        from pillow_mlic.bulk.places import Place
        pairs = [(Place(n + ".png"), Place(n + ".mlic")) for n in "ab"]
        items = [Item(a, b, os.path.getsize(a.path), "") for a, b in pairs]
        records = list(pool.here(Order(options={"quality": 3.0}), [[item] for item in items]))
        assert all("error" not in record for record in records), records
        assert "torch" not in sys.modules
        """,
    )
    assert (folder / "a.mlic").is_file()


def test_a_child_of_a_fork_decodes_and_ends(integer_pack_file: Path, folder: Path) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    out = python(
        integer_pack_file,
        folder,
        """
        import warnings
        warnings.simplefilter("ignore")  # newer Pythons warn of forks where there are threads
        pillow_mlic.register_mlic_opener(threads=2)
        Image.open("a.png").save("a.mlic")
        whole = Image.open("a.mlic").convert("RGB").tobytes()
        child = os.fork()
        again = Image.open("a.mlic").convert("RGB").tobytes()
        assert again == whole
        if child:
            assert os.waitpid(child, 0)[1] == 0
            print("both")
        """,
    )
    assert out.splitlines() == ["both"]


def test_threads_sleep_between_pictures(integer_pack_file: Path, folder: Path) -> None:
    out = python(
        integer_pack_file,
        folder,
        """
        pillow_mlic.register_mlic_opener(threads=3)
        Image.open("a.png").save("a.mlic")
        Image.open("a.mlic").load()
        time.sleep(0.5)  # to go to sleep takes a moment
        start = time.process_time()
        time.sleep(0.5)
        print(time.process_time() - start)
        """,
    )
    assert float(out) < 0.05


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="Linux says how many threads run")
def test_one_thread_is_one_thread(integer_pack_file: Path, folder: Path) -> None:
    out = python(
        integer_pack_file,
        folder,
        """
        pillow_mlic.register_mlic_opener(threads=1)
        Image.open("a.png").save("a.mlic")
        Image.open("a.mlic").load()
        print(len(os.listdir("/proc/self/task")))
        """,
        OMP_NUM_THREADS="1",
        OPENBLAS_NUM_THREADS="1",
    )
    assert int(out) == 1


def test_nothing_is_reported_to_anyone(integer_pack_file: Path, folder: Path) -> None:
    out = python(
        integer_pack_file,
        folder,
        """
        Image.open("a.png").save("a.mlic")
        print(os.environ["ORT_DISABLE_TELEMETRY"])
        """,
    )
    assert out == "1\n"


def test_a_session_is_made_beside_other_work(pack: packs.Pack) -> None:
    """With more than one thread; what fails there is heard by who needs it."""
    sessions = onnx_sessions.Sessions()
    engine = engine_for(pack, "cpu")
    assert isinstance(engine, OnnxEngine)
    graph = engine._graph("synthesis")
    sessions.begin(pack, graph, 1)
    assert not sessions._made
    before = set(threading.enumerate())
    sessions.begin(pack, graph, 2)
    for thread in set(threading.enumerate()) - before:
        thread.join()
    (made,) = sessions._made.values()
    assert sessions._session(pack, graph, 2) is made
    nowhere = graph.with_name("none.onnx")
    sessions.begin(pack, nowhere, 2)
    with pytest.raises(WeightsError):
        sessions.run(pack, nowhere, 2, {})


@pytest.mark.parametrize("said", [None, "26"])
def test_threads_of_numpy_sleep_soon(said: str | None) -> None:
    """Unless the environment says how soon; it is as before afterwards."""
    code = """
import os, sys
from pillow_mlic import process
class Watch:
    def find_spec(self, name, *_):
        if name == "numpy":
            print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
sys.meta_path.insert(0, Watch())
process.load_numpy()
import numpy
print(os.environ.get("OPENBLAS_THREAD_TIMEOUT"))
"""
    environ = {k: v for k, v in os.environ.items() if k != "OPENBLAS_THREAD_TIMEOUT"}
    environ |= {} if said is None else {"OPENBLAS_THREAD_TIMEOUT": said}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [said or "20", str(said)]


def test_many_threads_at_once(pack: packs.Pack, integer_pack_file: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    engine, pixels = OnnxEngine(pack), np.asarray(photograph(128, 128))[None]
    expected = engine.synthesis(engine.analysis(pixels, 3.0), 3.0)
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda _: engine.synthesis(engine.analysis(pixels, 3.0), 3.0), range(12))
    assert all(np.array_equal(expected, each) for each in found)


# --- graphs ---------------------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.parametrize("config", [LiteConfig(), SMALL], ids=["bundled", "small"])
def test_graphs_name_tensors_of_packs(config: LiteConfig) -> None:
    onnx = pytest.importorskip("onnx")
    from pillow_mlic.models.mlicv2_lite import MlicV2Lite

    state = MlicV2Lite(config).state_dict()
    names = set()
    for step in onnx_graphs.STEPS:
        (place,) = (f / onnx_graphs.name_of(config) for f in onnx_graphs.folders
                    if (f / onnx_graphs.name_of(config)).is_dir())  # fmt: skip
        graph = onnx.load(place / f"{step}.onnx", load_external_data=False).graph
        for weight in graph.initializer:
            if weight.data_location == onnx.TensorProto.EXTERNAL:
                assert tuple(weight.dims) == tuple(state[weight.name].shape)
                names.add(weight.name)
    assert names == {name for name in state if name.split(".")[0] in onnx_graphs.STEPS}


@pytest.mark.torch
@pytest.mark.slow
def test_a_fresh_export_is_equivalent(pack: packs.Pack, tmp_path: Path) -> None:
    """Of the small network and of the default pack's."""
    pytest.importorskip("onnxscript")
    default = ROOT / "weights" / f"{packs.DEFAULT_PACK}.safetensors"
    found = [pack, packs.load(packs.inspect(default))]
    script = ROOT / "scripts" / "export_graphs.py"
    done = subprocess.run(
        [sys.executable, script, *(each.file.path for each in found), "--into", tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    pixels = np.asarray(photograph(128, 64))[None]
    for each in found:
        engine = OnnxEngine(each)
        y = engine.analysis(pixels, 3.0)
        z, shown = engine.hyper_analysis(y), engine.synthesis(y, 3.0)
        engine._graphs = tmp_path / engine._graphs.name
        onnx_sessions._sessions.clear()
        assert np.allclose(engine.analysis(pixels, 3.0), y, atol=1e-5 * np.abs(y).max())
        assert np.allclose(engine.hyper_analysis(y), z, atol=1e-5 * np.abs(z).max())
        assert np.abs(engine.synthesis(y, 3.0).astype(int) - shown).max() <= 1
        onnx_sessions._sessions.clear()


def test_graphs_with_weights_for_others(
    pack: packs.Pack, integer_pack_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnx")
    import onnxruntime

    from pillow_mlic.cli import main

    monkeypatch.setenv("MLIC_WEIGHTS", str(integer_pack_file))
    words = ["weights", "export", "whole", "--format", "onnx", "-o", str(tmp_path / "g")]
    assert main(words) == 0
    session = onnxruntime.InferenceSession(tmp_path / "g" / "synthesis.onnx")
    engine, pixels = OnnxEngine(pack), np.asarray(photograph(64, 64))[None]
    y = engine.analysis(pixels, 3.0)
    quality = np.array([3], np.float32)
    (found,) = session.run(None, {"y_hat": y, "quality": quality})
    assert np.array_equal(found, engine.synthesis(y, 3.0))


def test_graphs_are_small() -> None:
    sizes = [path.stat().st_size for path in onnx_graphs.FOLDER.rglob("*.onnx")]
    assert len(sizes) == 2 * 3  # configurations, steps
    assert sum(sizes) < 300_000


def test_every_bundled_pack_has_graphs() -> None:
    files = [packs.inspect(path) for path in BUNDLED]
    assert files
    assert all(onnx_graphs.of_pack(file) for file in files)
    names = {onnx_graphs.name_of(LiteConfig.from_dict(file.config)) for file in files}
    assert names == {folder.name for folder in onnx_graphs.FOLDER.iterdir()}, "graphs of no pack"


def test_the_page_for_others_says_how_far_networks_see() -> None:
    page = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| (\d), (\d), (\d) \| (\d+) \| (\d) \|$", page, re.MULTILINE)
    said = {pack: row[1:] for row in rows for pack in re.findall(r"`(.*?)`", row[0])}
    assert said.keys() == {path.stem for path in BUNDLED}
    for path in BUNDLED:
        c = LiteConfig.from_dict(packs.inspect(path).config)
        numbers = (c.depth4, c.depth8, c.depth16, c.halo, c.halo // 16)
        assert said[path.stem] == tuple(map(str, numbers))


@pytest.mark.torch
def test_a_file_of_either_engine_opens_in_the_other(
    integer_pack_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Pillow's functions alone."""
    monkeypatch.setenv("MLIC_WEIGHTS", str(integer_pack_file))
    original, shown = photograph(150, 90), {}
    for writer in ("onnx", "torch"):
        monkeypatch.setenv("MLIC_ENGINE", writer)
        buffer = io.BytesIO()
        original.save(buffer, "MLIC", quality=5, optimize=False)
        for reader in ("onnx", "torch"):
            monkeypatch.setenv("MLIC_ENGINE", reader)
            with Image.open(buffer) as image:
                shown[writer, reader] = np.asarray(image).astype(int)
    for writer in ("onnx", "torch"):
        assert np.abs(shown[writer, "onnx"] - shown[writer, "torch"]).max() <= 1
