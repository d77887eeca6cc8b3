"""The table of actions, and what is made from it."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from pillow_mlic_gui import actions

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "viewer.md"


def test_names_and_keys_are_unique() -> None:
    names = Counter(a.name for a in actions.ACTIONS)
    keys = Counter(key for a in actions.ACTIONS for key in a.keys)
    assert not [name for name, count in names.items() if count > 1]
    assert not [key for key, count in keys.items() if count > 1]


def test_every_action_is_in_a_menu_and_explained() -> None:
    assert [a for menu in actions.MENUS for a in actions.by_menu(menu)]
    for entry in actions.ACTIONS:
        assert entry.menu in actions.MENUS
        assert entry.tip.endswith(".")
    assert actions.action("open").keys == ("Ctrl+O",)


@pytest.mark.parametrize("menu", ["", *actions.MENUS])
def test_every_menu_has_mnemonics(menu: str) -> None:
    texts = [a.text for a in actions.by_menu(menu)] if menu else list(actions.MENUS)
    marked = actions.with_mnemonics(texts)
    assert [text.replace("&", "") for text in marked] == texts
    letters = [text[text.index("&") + 1].lower() for text in marked if "&" in text]
    assert len(set(letters)) == len(letters) >= min(len(texts), 20)


def test_single_keys_are_told_unless_what_they_do_is_plain() -> None:
    assert actions.single_key(actions.action("difference")) == "D"
    assert actions.single_key(actions.action("full-screen")) == "F"
    for name in ("open", "swap", "zoom-in", "batch"):
        assert actions.single_key(actions.action(name)) == ""


def test_the_page_has_the_table_of_today() -> None:
    text = PAGE.read_text(encoding="utf-8")
    match = re.search(r"<!-- begin actions -->\n(.*?)<!-- end actions -->", text, re.S)
    assert match is not None
    assert match[1].strip() == actions.markdown().strip(), "run scripts/walk_viewer.py --keys"


@pytest.mark.parametrize("path", sorted((ROOT / "gui").glob("*.py")), ids=lambda p: p.name)
def test_logic_knows_nothing_of_qt(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [("." * node.level) + (node.module or "")]
        for name in names:
            assert not name.startswith(("PySide6", ".qt")), f"{path.name} imports {name}"
