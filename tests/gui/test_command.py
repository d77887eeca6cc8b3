"""`mlic view`, as far as it can be tested without a screen."""

import sys

import pytest

from pillow_mlic.cli import main


def test_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "PySide6.QtWidgets", None)
    assert main(["view"]) == 2
    assert "pillow-mlic[gui]" in capsys.readouterr().err
