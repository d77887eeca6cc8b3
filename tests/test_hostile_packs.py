"""Weight packs and checkpoints that someone made to do harm, or that were damaged."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from pillow_mlic import cli, packs
from pillow_mlic.errors import WeightsError
from pillow_mlic.packs.checkpoints import import_checkpoint, read

from .test_published import small

Tensors = dict[str, torch.Tensor]
Facts = dict[str, Any]


@pytest.fixture
def forge(small_pack_file: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make a pack from the small one after a change of its tensors or of what its header says."""
    tensors = load_file(small_pack_file)
    with safe_open(small_pack_file, "pt") as file:
        facts = file.metadata()

    def make(change: Callable[[Tensors, Facts], None]) -> Path:
        mine, said = dict(tensors), dict(facts)
        said["config"], said["card"] = json.loads(said["config"]), json.loads(said["card"])
        change(mine, said)
        said["config"], said["card"] = json.dumps(said["config"]), json.dumps(said["card"])
        path = tmp_path / "forged.safetensors"
        save_file(mine, path, metadata=said)
        return path

    return make


def load(path: Path) -> packs.Pack:
    pack = packs.load(packs.inspect(path))
    pack.model(torch.device("cpu"))  # when weights meet their network
    return pack


def test_a_pack_that_is_left_alone_loads(forge: Callable[..., Path]) -> None:
    """Else the tests below would prove nothing."""
    load(forge(lambda tensors, facts: None))


def put(key: str, value: Any) -> Callable[[Tensors, Facts], None]:
    def change(tensors: Tensors, facts: Facts) -> None:
        tensors[key] = value(tensors[key])

    return change


def say(key: str, value: Any) -> Callable[[Tensors, Facts], None]:
    def change(tensors: Tensors, facts: Facts) -> None:
        facts[key] = value

    return change


def configure(**values: Any) -> Callable[[Tensors, Facts], None]:
    def change(tensors: Tensors, facts: Facts) -> None:
        facts["config"].update(values)

    return change


def shift(at: int, by: int) -> Callable[[torch.Tensor], torch.Tensor]:
    def change(values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        values[at] += by
        return values

    return change


HEAD = "analysis.head.weight"
WRAPPING = [0, 2**31 - 1, -(2**31), -1, 65536]
"""Increases strictly where differences are taken in 32 bits."""


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(put(HEAD, lambda v: v[:-1]), "analysis.head.* has shape", id="shape"),
        pytest.param(put(HEAD, lambda v: v[0]), "analysis.head.* has shape", id="rank"),
        pytest.param(put(HEAD, lambda v: v.int()), "torch.int32", id="integer weights"),
        pytest.param(put(HEAD, lambda v: v * float("nan")), "not finite", id="nan"),
        pytest.param(put(HEAD, lambda v: v * float("inf")), "not finite", id="infinite"),
        pytest.param(lambda t, f: t.pop(HEAD), "there is no .analysis.head.weight", id="missing"),
        pytest.param(
            lambda t, f: t.update(x=torch.zeros(1)), "'x' is no part of it", id="additional"
        ),
        pytest.param(lambda t, f: t.pop("tables.cdfs"), "cdfs", id="no tables"),
        pytest.param(put("tables.cdfs", shift(1, -1)), "row 0 does not increase", id="cdf"),
        pytest.param(put("tables.cdfs", shift(0, 1)), "row 0 does not run from 0", id="start"),
        pytest.param(put("tables.cdfs", lambda v: v.float()), "lists of numbers", id="float cdf"),
        pytest.param(put("tables.cdfs", lambda v: v[None]), "lists of numbers", id="cdf rank"),
        pytest.param(put("tables.cdfs", lambda v: v[:-1]), "do not fit", id="cdf cut"),
        pytest.param(put("tables.lengths", shift(0, -9)), "do not fit", id="lengths"),
        pytest.param(put("tables.lengths", lambda v: -v), "do not fit", id="negative lengths"),
        pytest.param(
            put("tables.lengths", lambda v: torch.zeros(1 << 20, dtype=torch.int32)),
            "do not fit",
            id="many rows",
        ),
        pytest.param(put("tables.offsets", shift(3, 1 << 21)), "offsets", id="offset"),
        pytest.param(
            put("tables.offsets", lambda v: v * 0 - (1 << 31)), "offsets", id="smallest offset"
        ),
        pytest.param(put("tables.offsets", lambda v: v[1:]), "offsets", id="fewer offsets"),
        pytest.param(put("tables.thresholds", lambda v: v.flip(0)), "thresholds", id="thresholds"),
        pytest.param(
            put("tables.thresholds", lambda v: v * float("nan")), "thresholds", id="nan thresholds"
        ),
        pytest.param(put("tables.thresholds", lambda v: v.float()), "lists", id="float thresholds"),
        pytest.param(put("tables.thresholds", lambda v: v[1:]), "64 rows for 64", id="classes"),
        pytest.param(put("tables.skip", lambda v: v.repeat(2)), "lists of numbers", id="skip"),
        pytest.param(
            lambda t, f: t.update({"tables.fixed": torch.tensor(3)}), "rows for", id="fixed"
        ),
        pytest.param(say("model", "mlic++"), "no network has this configuration", id="other model"),
        pytest.param(say("model", "../../etc/passwd"), "there is no model", id="path as model"),
        pytest.param(configure(width8=65), "do not fit the network", id="width"),
        pytest.param(configure(width8=1 << 16), "larger than they are", id="width in gigabytes"),
        pytest.param(configure(width8=2**70), "above 65536", id="width beyond integers"),
        pytest.param(configure(width8=-1), "no network has", id="negative width"),
        pytest.param(configure(width8="64"), "no network has", id="width as text"),
        pytest.param(configure(width8=float("nan")), "no network has", id="width is no number"),
        pytest.param(configure(depth8=1 << 16), "larger than they are", id="depth"),
        pytest.param(configure(slices=[48] + [0] * 10**5), "no network has", id="slices"),
        pytest.param(configure(slices=None), "no network has", id="no slices"),
        pytest.param(configure(surprise=1), "no network has", id="unknown setting"),
        pytest.param(say("config", [1]), "no list of names and values", id="configuration"),
        pytest.param(say("card", "none"), "no list of names and values", id="card"),
        pytest.param(say("guard", "nan"), "guard band is nan", id="guard"),
        pytest.param(say("guard", "0.5"), "guard band is 0.5", id="wide guard"),
        pytest.param(say("quality", "inf"), "quality is inf", id="quality"),
        pytest.param(say("model", "\x1b[2J"), "no text", id="control characters"),
        pytest.param(say("format", "pillow-mlic pack 2"), "its format is not", id="format"),
    ],
)
def test_a_forged_pack_is_refused_with_a_sentence(
    forge: Callable[..., Path], change: Callable[[Tensors, Facts], None], sentence: str
) -> None:
    path = forge(change)
    with pytest.raises(WeightsError, match=f"(?s){path}.*{sentence}"):
        load(path)


def test_counts_that_wrap_around(forge: Callable[..., Path]) -> None:
    def change(tensors: Tensors, facts: Facts) -> None:
        lengths = tensors["tables.lengths"].clone()
        rest = tensors["tables.cdfs"][int(lengths[0]) :]
        lengths[0] = len(WRAPPING)
        tensors["tables.lengths"] = lengths
        tensors["tables.cdfs"] = torch.cat([torch.tensor(WRAPPING, dtype=torch.int32), rest])

    with pytest.raises(WeightsError, match="row 0 does not increase strictly"):
        load(forge(change))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 7,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 1 << 19) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
        struct.pack("<Q", 4) + b"\xff\xfe\xfd\xfc",
        struct.pack("<Q", 30) + b'{"__metadata__":{"format":1}} ',
    ],
)
def test_headers_of_packs(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="is not a weight pack"):
        packs.inspect(path)


@pytest.mark.usefixtures("small_weights")
@pytest.mark.parametrize(
    "name", ["../small", "/etc/passwd", "..", "small.safetensors", "small\0", "~/small", ""]
)
def test_names_are_names_and_never_paths(name: str) -> None:
    with pytest.raises(ValueError, match="there is no model or weight pack"):
        packs.find(name)


# Checkpoints


def checkpoint(tmp_path: Path, change: Callable[[dict[Any, Any]], None]) -> Path:
    state: dict[Any, Any] = dict(small("mlic++").state_dict())
    change(state)
    path = tmp_path / "a.pth"
    torch.save(state, path)
    return path


FIRST = "g_a.analysis_transform.0.conv1.weight"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            lambda s: s.update({FIRST: torch.zeros(1).expand(10**9, 3, 3, 3)}),
            "is larger than the file",
            id="a view of terabytes",
        ),
        pytest.param(
            lambda s: s.update({FIRST: torch.zeros(10**5, 1, 1, 1)}),
            "do not fit the network",
            id="a width that nothing else has",
        ),
        pytest.param(
            lambda s: s.update({FIRST: torch.tensor(1.0)}), "not a checkpoint of", id="no shape"
        ),
        pytest.param(lambda s: s.update({FIRST: s[FIRST] * float("nan")}), "not finite", id="nan"),
        pytest.param(lambda s: s.update({7: s[FIRST]}), "7 is no tensor", id="number as name"),
        pytest.param(lambda s: s.update(x="text"), "'x' is no tensor", id="text"),
        pytest.param(
            lambda s: s.update({FIRST: s[FIRST].to_sparse()}), "no plain tensor", id="sparse"
        ),
        pytest.param(
            lambda s: s.update({FIRST: torch.zeros(8, 3, 3, 3, device="meta")}),
            "no plain tensor",
            id="without numbers",
        ),
        pytest.param(
            lambda s: s.update({f"local_context.{i}.x": torch.zeros(1) for i in range(2, 4000)}),
            "not",
            id="slices",
        ),
        pytest.param(
            lambda s: s["entropy_bottleneck.quantiles"][:, 0, 0].fill_(-3e38),
            "reaches more",
            id="tails",
        ),
    ],
)
def test_a_forged_checkpoint_is_refused_with_a_sentence(
    tmp_path: Path, change: Callable[[dict[Any, Any]], None], sentence: str
) -> None:
    path = checkpoint(tmp_path, change)
    with pytest.raises(WeightsError, match=f"(?s){path}.*{sentence}"):
        import_checkpoint(path, 0.0067, tmp_path / "packs")
    assert not (tmp_path / "packs").exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_checkpoint_is_never_run(
    tmp_path: Path, legacy: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "trapped"), "w"))

    path = tmp_path / "trap.pth"
    torch.save({"state_dict": Trap()}, path, _use_new_zipfile_serialization=not legacy)
    assert cli.main(["weights", "import", str(path), "--lambda", "0.0067"]) == 1
    message = capsys.readouterr().err
    assert "reading that could run code" in message
    assert "Traceback" not in message
    assert not (tmp_path / "trapped").exists()


def test_every_truncation_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.arange(9.0)}, path)
    whole = path.read_bytes()
    assert set(read(path)) == {"a"}
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"a\.pth"):
            read(path)
