"""The cluster engine: its calls to Ray, and the same files from a real cluster."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pillow_mlic
from pillow_mlic.bulk import on_ray, pool
from pillow_mlic.bulk.order import Item, Order, dump, load
from pillow_mlic.bulk.places import Place

from .conftest import GOLDEN
from .test_bulk import fill, manifest, outputs, rejects

ROOT = Path(__file__).resolve().parent.parent
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra `cluster`)"
)


class Pool:
    """Ray's ActorPoolStrategy, as far as it is used."""

    def __init__(self, *, size: int) -> None:
        self.size = size


class Dataset:
    """Does what it is told at once, and notes it."""

    def __init__(self, rows: list[dict[str, Any]], told: dict[str, Any]) -> None:
        self.rows, self.told = rows, told

    def map(self, actor: type, **options: Any) -> "Dataset":
        self.told |= options
        work = actor(*options["fn_constructor_args"])
        return Dataset([work(row) for row in self.rows], self.told)

    def iter_rows(self) -> list[dict[str, Any]]:
        return self.rows


class Ray(SimpleNamespace):
    """A cluster of `cpus`; notes what it is told."""

    def __init__(self, cpus: int) -> None:
        super().__init__(told={}, cpus=cpus, down=False)
        self.data = SimpleNamespace(
            ActorPoolStrategy=Pool,
            from_items=self.from_items,
            DataContext=SimpleNamespace(get_current=SimpleNamespace),
        )

    def from_items(self, rows: list[dict[str, Any]], *, override_num_blocks: int) -> Dataset:
        self.told["blocks"] = override_num_blocks
        return Dataset(rows, self.told)

    def is_initialized(self) -> bool:
        return False

    def init(self, **options: Any) -> None:
        self.told["init"] = options

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": self.cpus}

    def shutdown(self) -> None:
        self.down = True


def run(monkeypatch: pytest.MonkeyPatch, ray: Ray, count: int, *where: Any, **order: Any) -> list:
    monkeypatch.setattr(on_ray, "load", lambda: (ray, ray.data))
    jobs = [[Item(Place(f"none{n}.png"), Place(f"o{n}"), None, "")] for n in range(count)]
    return list(on_ray.run(Order(**order), jobs, *where))


@pytest.mark.usefixtures("small_weights")
def test_what_is_forwarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLIC_BF16", "0")
    ray = Ray(cpus=64)
    records = run(monkeypatch, ray, 1000, 5, 0.5, "auto", threads=2)
    assert len(records) == 1000
    assert all("No such file" in record["error"] for record in records)
    assert ray.told["compute"].size == 5
    assert ray.told["num_gpus"] == 0.5
    assert ray.told["num_cpus"] == 2
    assert ray.told["blocks"] == 125
    assert ray.told["init"]["address"] == "auto"
    variables = ray.told["init"]["runtime_env"]["env_vars"]
    assert variables == {"MLIC_WEIGHTS": os.environ["MLIC_WEIGHTS"], "MLIC_BF16": "0"}
    assert ray.down


def test_defaults_come_from_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLIC_BF16")
    for cpus, threads, count, actors in ((64, 1, 100, 64), (64, 4, 100, 16), (64, 1, 3, 3)):
        ray = Ray(cpus)
        run(monkeypatch, ray, count, None, 0, None, threads=threads)
        assert ray.told["compute"].size == actors
        assert ray.told["num_gpus"] is None
        assert ray.told["init"]["address"] is None
        assert ray.told["init"]["runtime_env"] is None


def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = Ray(1)

    def fail(**options: Any) -> None:
        raise ConnectionError(*["nobody there"])

    ray.init = fail
    with pytest.raises(ValueError, match="no Ray cluster answers at somewhere:1: nobody there"):
        run(monkeypatch, ray, 1, 1, 0, "somewhere:1")


def test_without_ray_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pillow-mlic\[cluster\]"):
        pillow_mlic.batch(GOLDEN, tmp_path / "out", engine="ray")
    assert not (tmp_path / "out").exists()


def test_memory_is_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "load", lambda: None)
    with pytest.raises(ValueError, match="of this process alone"):
        pillow_mlic.batch("memory://a", "memory://b", engine="ray")


def test_jobs_travel_as_text() -> None:
    job = [
        Item(Place("a b.png"), Place("c/ä.mlic"), None, "7"),
        Item(Place("x", "s3://b"), Place("y", "zip://::z"), 3, "", True),
    ]
    assert load(dump(job)) == job


def test_one_file_knows_ray_and_is_short() -> None:
    knowing = [
        path.name
        for path in (ROOT / "pillow_mlic").rglob("*.py")
        if "import ray" in path.read_text(encoding="utf-8")
    ]
    assert knowing == ["on_ray.py"]
    assert len(Path(on_ray.__file__).read_text(encoding="utf-8").splitlines()) <= 200


@needs_ray
def test_the_installed_ray_takes_these_arguments() -> None:
    code = (
        "import inspect, ray.data\n"
        "from pillow_mlic.bulk import on_ray\n"
        "from pillow_mlic.bulk.order import Order\n"
        "given = on_ray.arguments(ray.data, Order(), 2, 0.5)\n"
        "known = set(inspect.signature(ray.data.Dataset.map).parameters)\n"
        "known |= set(inspect.signature(ray.data.from_items).parameters)\n"
        "print(sorted((set(given) | {'override_num_blocks'}) - known))\n"
        "print(given['compute'].min_size, given['compute'].max_size)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.splitlines()[-2:] == ["[]", "2 2"]


@needs_ray
@pytest.mark.slow
def test_a_real_local_ray_gives_the_same_files(
    tmp_path: Path, small_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """... the same rejects, and goes on where it was."""
    fill(tmp_path / "in")
    here = tmp_path / "here"
    monkeypatch.setattr(pool, "run", lambda order, jobs, workers: pool.here(order, jobs))
    pillow_mlic.batch(tmp_path / "in", here)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "pillow_mlic", "batch", tmp_path / "in", out]
    command += ["--engine", "ray", "--workers", "2", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLIC_WEIGHTS": str(small_weights)}
    for done, skipped in ((9, 0), (0, 9)):
        ran = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=300
        )
        assert ran.returncode == 1, ran.stderr
        facts = json.loads(ran.stdout.splitlines()[-1])
        assert (facts["done"], facts["skipped"], facts["rejected"]) == (done, skipped, 1)
    assert outputs(out) == outputs(here)
    assert len(manifest(out)) == 9
    assert [Path(record["input"]).name for record in rejects(out)] == ["broken.png"]
