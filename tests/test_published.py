"""Published networks through the format: import, files, export. Small widths, random weights."""

import argparse
import collections
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pillow_mlic import cli, models, packs
from pillow_mlic.errors import WeightsError
from pillow_mlic.models.lalic import Lalic, LalicConfig
from pillow_mlic.models.mlicpp import MlicPlusPlus, MlicPlusPlusConfig
from pillow_mlic.packs import identity
from pillow_mlic.packs.checkpoints import export_checkpoint, import_checkpoint, quality_of, read

from .conftest import photograph

SMALL: dict[str, Any] = {
    "mlic++": lambda: MlicPlusPlus(MlicPlusPlusConfig(width=8, latents=64, slices=2)),
    "mlic++ 2023": lambda: MlicPlusPlus(
        MlicPlusPlusConfig(width=8, latents=64, slices=2, variant_2023=True)
    ),
    "lalic": lambda: Lalic(
        LalicConfig(
            width=8,
            latents=24,
            dims=(8, 8, 16, 24, 16, 8),
            depths=(1, 1, 2, 1),
            groups=(4, 4, 16),
        )
    ),
}


def small(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    model: torch.nn.Module = SMALL[name]()
    with torch.no_grad():
        # Latents of several steps, so that there is something to code.
        for key, parameter in model.named_parameters():
            if key.startswith("g_a") and key.endswith("weight"):
                parameter.mul_(1.5)
    return model.eval()


@pytest.fixture(autouse=True)
def user_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr("pillow_mlic.packs.store.folders", lambda: [tmp_path / "packs"])
    return tmp_path / "packs"


def wrapped(state: dict[str, torch.Tensor], how: str) -> Any:
    old = {"matrices.": "_matrix", "biases.": "_bias", "factors.": "_factor"}
    if how == "old spelling":
        return {
            next((k.replace(a, b) for a, b in old.items() if f"bottleneck.{a}" in k), k): v
            for k, v in state.items()
        }
    day = np.datetime64("2024-01-01")
    return {
        "plain": state,
        "state_dict": {"epoch": 3, "state_dict": state, "args": argparse.Namespace(lmbda=0.0067)},
        "model_state_dict": {"model_state_dict": state},
        "module.": {f"module.{k}": v for k, v in state.items()},
        "_orig_mod.": {f"module._orig_mod.{k}": v for k, v in state.items()},
        "net.": {f"net.{k}": v for k, v in state.items()},
        "model.": {f"model.module.{k}": v for k, v in state.items()},
        "net": {"net": state, "optimizer": {"lr": 1e-4}},
        "params": {"params": state},
        "thop": {**state, "g_a.total_ops": torch.zeros(1), "total_params": torch.zeros(1)},
        "loss": {"state_dict": state, "loss": np.float64(0.7), "epoch": np.int64(3)},
        "numpy": {
            "state_dict": state,
            "best": [np.bool_(True), np.float16(0.5), np.uint8(3), np.complex64(1j)],
            "losses": {"rate": np.ones((2, 3)), "names": np.array(["a", None]), "day": day},
        },
    }[how]


WRAPPINGS = ["plain", "state_dict", "model_state_dict", "module.", "_orig_mod.", "old spelling"]
WRAPPINGS += ["net.", "model.", "net", "params", "thop", "loss", "numpy"]


@pytest.mark.parametrize("how", WRAPPINGS)
def test_every_wrapping_imports_and_exports_equal(tmp_path: Path, how: str) -> None:
    state = small("mlic++").state_dict()
    torch.save(wrapped(dict(state), how), tmp_path / "a.pth.tar")
    path = import_checkpoint(tmp_path / "a.pth.tar", 0.0067)
    assert path.name == "mlic++-3.safetensors"
    loaded = packs.load(packs.inspect(path)).model(torch.device("cpu")).state_dict()
    assert list(loaded) == list(state)
    assert all(torch.equal(loaded[k], state[k]) for k in state)
    export_checkpoint("mlic++-3", tmp_path / "b.pth")
    back = torch.load(tmp_path / "b.pth", weights_only=True)
    came = read(tmp_path / "a.pth.tar")
    assert set(back) == set(came)
    assert all(torch.equal(back[k], came[k]) and back[k].dtype == came[k].dtype for k in came)


@pytest.mark.parametrize("name", SMALL)
def test_files_of_published_models(tmp_path: Path, name: str) -> None:
    """Through Pillow: the decoder's picture is the network's own, cut to 8 bits."""
    model = small(name)
    torch.save(model.state_dict(), tmp_path / "a.pth")
    import_checkpoint(tmp_path / "a.pth", 0.0067)
    image = photograph(128, 64)
    buffer = io.BytesIO()
    image.save(buffer, "MLIC", model=name.split()[0], quality=4.4)
    with Image.open(buffer) as coded:
        assert coded.info["model"] == name.split()[0]
        assert coded.info["quality"] == 3
        decoded = np.asarray(coded, dtype=float)
    x = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None].double() / 255
    with torch.inference_mode():
        out = model.double()(x)
    expected = out["x_hat"][0].permute(1, 2, 0).mul(255).round().clamp(0, 255).numpy()
    assert np.abs(decoded - expected).max() <= 1


def test_the_nearest_quality_is_taken(tmp_path: Path) -> None:
    torch.save(small("lalic").state_dict(), tmp_path / "a.pth")
    for lam in (0.0018, 0.0130):
        import_checkpoint(tmp_path / "a.pth", lam)
    assert packs.find("lalic", 1.4).name == "lalic-1"
    assert packs.find("lalic", 7).name == "lalic-4"
    assert packs.find("lalic-1", 7).name == "lalic-1"


def test_files_that_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("no weights")
    torch.save({"a": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    state = small("mlic++").state_dict()
    del state["h_s.increase.0.weight"]
    torch.save(state, tmp_path / "part.pth")
    state = small("mlic++").state_dict()
    torch.save({**state, "extra": torch.zeros(1)}, tmp_path / "more.pth")
    state["h_s.increase.0.weight"] = state["h_s.increase.0.weight"][:-1].clone()
    torch.save(state, tmp_path / "wide.pth")
    for name, sentence in (
        ("text.pth", "cannot be read as a checkpoint of tensors: it is damaged, or torch.save did"),
        ("other.pth", "not a checkpoint of a published network"),
        ("list.pth", "no state dict"),
        ("part.pth", "there is no 'h_s.increase.0.weight'"),
        ("wide.pth", r"has shape \(.*\) in place of \(.*\)"),
        ("more.pth", "'extra' is no part of it"),
    ):
        with pytest.raises(WeightsError, match=sentence) as caught:
            import_checkpoint(tmp_path / name, 0.0067)
        assert "\n" not in str(caught.value)


def test_code_in_a_checkpoint_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "trapped"), "w"))

    array = np.empty(1, object)  # may hold anything
    array[0] = Trap()
    for trap in (Trap(), array):
        torch.save({"state_dict": trap}, tmp_path / "trap.pth")
        with pytest.raises(WeightsError):
            import_checkpoint(tmp_path / "trap.pth", 0.0067)
        assert not (tmp_path / "trapped").exists()


@pytest.mark.parametrize(
    ("beside", "named"),
    [
        (Path("x"), "pathlib."),
        (collections.defaultdict(int), "collections.defaultdict"),
        (np.random.default_rng(), "numpy.random."),
    ],
    ids=["path", "defaultdict", "generator"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_not_read_is_named(
    tmp_path: Path, beside: object, named: str, zipped: bool
) -> None:
    """In a sentence of our own, without torch's advice to read it all the same."""
    content = {"state_dict": {"a": torch.zeros(2)}, "beside": beside}
    path = tmp_path / "a.pth"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(f"{path} holds {named}")
    assert "import a file with the state dict alone" in said
    assert "\n" not in said
    assert "\x1b" not in said
    assert "weights_only" not in said


def test_unknown_lambda() -> None:
    assert quality_of(0.0483) == quality_of(60.5) == 6
    assert quality_of(0.013) == quality_of(0.01302) == 4
    assert quality_of(0.01) == pytest.approx(3.604, abs=1e-3)
    with pytest.raises(ValueError, match=r"0\.0018"):
        quality_of(0.5)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(small("lalic").state_dict(), tmp_path / "a.pth")
    assert cli.main(["weights", "import", str(tmp_path / "a.pth"), "--lambda", "0.0018"]) == 0
    assert "--model lalic -q 1" in capsys.readouterr().out
    assert cli.main(["weights", "export", "lalic-1", "-o", str(tmp_path / "b.pth")]) == 0
    assert cli.main(["weights", "import", str(tmp_path / "no.pth"), "--lambda", "0.0018"]) == 1


def test_create_knows_the_published_names() -> None:
    assert {"mlic++", "lalic"} <= set(models.names())


# Identity


def imported_as(how: str, folder: Path, name: str = "mlic++") -> packs.PackFile:
    folder.mkdir(exist_ok=True)
    state = dict(small(name).state_dict())
    if how == "other order":
        state = dict(reversed(state.items()))
    torch.save(wrapped(state, how) if how in WRAPPINGS else state, folder / f"{how[:3]}.pth.tar")
    return packs.inspect(import_checkpoint(folder / f"{how[:3]}.pth.tar", 0.0067, folder))


@pytest.mark.parametrize("how", [*WRAPPINGS, "other order"])
def test_one_checkpoint_has_one_identity(how: str, tmp_path: Path) -> None:
    first = imported_as("plain", tmp_path / "first")
    again = imported_as(how, tmp_path / "again")
    assert packs.name_in_files(first) == packs.name_in_files(again)


@pytest.mark.parametrize("name", ["mlic++", "lalic"])
def test_files_decode_with_another_owner_s_import(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = imported_as("plain", tmp_path / "mine", name)
    theirs = imported_as("module.", tmp_path / "theirs", name)
    assert mine.path.read_bytes() != theirs.path.read_bytes()  # their cards differ
    buffer = io.BytesIO()
    monkeypatch.setenv("MLIC_WEIGHTS", str(mine.path))
    photograph(64, 64).save(buffer, "MLIC", model=name)
    monkeypatch.setenv("MLIC_WEIGHTS", str(theirs.path))
    with Image.open(buffer) as image:
        image.load()


@pytest.mark.parametrize("name", ["mlic++", "lalic"])
def test_instruction_sets_make_no_difference_to_identity(name: str, tmp_path: Path) -> None:
    torch.save(small(name).state_dict(), tmp_path / "a.pth")
    script = (
        "import sys; from pathlib import Path; from pillow_mlic import packs\n"
        "from pillow_mlic.packs.checkpoints import import_checkpoint\n"
        "path = import_checkpoint(Path(sys.argv[1]), 0.0067, Path(sys.argv[2]))\n"
        "print(packs.name_in_files(packs.inspect(path)).hex())"
    )
    found = set()
    for capability in ("default", "avx2"):
        command = [sys.executable, "-c", script, tmp_path / "a.pth", tmp_path / capability]
        environment = {**os.environ, "ATEN_CPU_CAPABILITY": capability}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        found.add(done.stdout.strip())
    assert len(found) == 1


def test_what_decides_the_stream_decides_the_identity(tmp_path: Path) -> None:
    name = packs.name_in_files(imported_as("plain", tmp_path / "a"))
    model = small("mlic++")
    with torch.no_grad():
        next(iter(model.parameters())).view(-1)[0] += 1
    torch.save(model.state_dict(), tmp_path / "b.pth")
    other = import_checkpoint(tmp_path / "b.pth", 0.0067, tmp_path / "b")
    assert packs.name_in_files(packs.inspect(other)) != name
    with pytest.raises(WeightsError, match="--force"):
        import_checkpoint(tmp_path / "b.pth", 0.0067, tmp_path / "a")
    assert packs.name_in_files(packs.inspect(tmp_path / "a" / "mlic++-3.safetensors")) == name
    import_checkpoint(tmp_path / "b.pth", 0.0067, tmp_path / "a", force=True)
    assert packs.name_in_files(packs.inspect(tmp_path / "a" / "mlic++-3.safetensors")) != name


def test_a_pack_replaced_meanwhile_is_another(tmp_path: Path) -> None:
    """What was loaded stays what it was; what is loaded afterwards has a name of its own."""
    file = imported_as("plain", tmp_path / "a")
    before = packs.load(file)
    model = small("mlic++")
    with torch.no_grad():
        next(iter(model.parameters())).mul_(2)
    torch.save(model.state_dict(), tmp_path / "b.pth")
    other = import_checkpoint(tmp_path / "b.pth", 0.0067, tmp_path / "b")
    other.replace(file.path)
    after = packs.load(file)
    assert before.hash != after.hash == packs.name_in_files(packs.inspect(file.path))
    cpu = torch.device("cpu")
    key = next(iter(before.model(cpu).state_dict()))
    assert not torch.equal(before.model(cpu).state_dict()[key], after.model(cpu).state_dict()[key])
    with pytest.raises(WeightsError):
        packs.find_hash(before.hash)


def test_one_identity_may_have_two_cards(tmp_path: Path) -> None:
    """Networks and tables are shared; what the card says is what the file at hand says."""
    first = imported_as("plain", tmp_path / "a")
    torch.save(small("mlic++").state_dict(), tmp_path / "b.pth")
    other = packs.inspect(import_checkpoint(tmp_path / "b.pth", 8.73, tmp_path / "b"))
    one, two = packs.load(first), packs.load(other)
    assert one.hash == two.hash
    assert (one.file.distortion, two.file.distortion) == ("psnr", "ms-ssim")
    assert one.model(torch.device("cpu")) is two.model(torch.device("cpu"))


def test_packs_in_the_package_keep_their_old_names() -> None:
    """Files of version 1 call them by the hashes of their files at that time."""
    olds = {"mlicv2-lite": "cc4815ae7355a0d1", "mlicv2-lite-msssim": "84a3f757229958b4"}
    for name, old in olds.items():
        file = packs.inspect(Path(__file__).parents[1] / "weights" / f"{name}.safetensors")
        assert packs.name_in_files(file) == identity.ALIASES[bytes.fromhex(old)]
