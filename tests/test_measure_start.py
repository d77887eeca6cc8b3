"""scripts/measure_start.py times what it says it does."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from .documentation import ROOT


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = ROOT / "scripts" / "measure_start.py"
    spec = importlib.util.spec_from_file_location("measure_start", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("words", [["-c", "import pillow_mlic.__main__"], ["-m", "pillow_mlic"]])
def test_another_checkout_is_another(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """Also where the script is started in this one, as the pages say."""
    monkeypatch.chdir(ROOT)
    (tmp_path / "pillow_mlic").mkdir()
    (tmp_path / "pillow_mlic" / "__init__.py").touch()
    (tmp_path / "pillow_mlic" / "__main__.py").write_text("raise SystemExit(7)")
    with pytest.raises(SystemExit) as caught:
        script.fresh(words, {"PYTHONPATH": str(tmp_path)}, quiet=True)
    assert caught.value.code == 7


def test_commands_are_those_of_a_user(script: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "x.mlic"
    ways = [script.called(command, "here", file, {}) for command in script.COMMANDS]
    assert [way.name for way in ways] == [
        "`mlic info`, here",
        "`mlic decode`, here",
        "`mlic desktop thumbnail`, here",
    ]
    out = str(tmp_path / "x.png")
    assert ways[2].words == ["-m", "pillow_mlic", "desktop", "thumbnail", str(file), out]
