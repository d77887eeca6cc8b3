"""Rules that keep the sources easy to navigate: names, lengths, parameters."""

import ast
import re
from collections import defaultdict
from pathlib import Path

from . import conftest
from .documentation import ROOT

SOURCES = sorted([*ROOT.glob("pillow_mlic/**/*.py"), *ROOT.glob("gui/**/*.py")])
MOST_LINES = 400
MOST_PARAMETERS = 6


def named(tree: ast.Module) -> list[str]:
    """Classes, and aliases of types, that a module defines."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[:1].isupper() and not name.isupper():  # constants are not types
                found.append(name)
    return found


def twice(sources: list[Path]) -> dict[str, list[str]]:
    """Names of classes and types that several modules define."""
    places = defaultdict(list)
    for source in sources:
        for name in named(ast.parse(source.read_text(encoding="utf-8"))):
            places[name].append(source.name)
    return {name: where for name, where in places.items() if len(where) > 1}


def parameters(tree: ast.AST) -> list[tuple[str, int]]:
    """Functions, methods among them, and how many parameters each has."""
    return [
        (node.name, len([*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]))
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def test_one_name_is_one_class() -> None:
    """A network may have an `Analysis` as others do; elsewhere a name means one thing."""
    assert twice([source for source in SOURCES if "models" not in source.parts]) == {}


def test_two_classes_of_one_name_are_seen(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("class Same: ...\nPair = tuple[int, int]\nLIMIT = 3\n")
    assert list(twice(sorted(tmp_path.glob("*.py")))) == ["Same", "Pair"]


def test_modules_are_short() -> None:
    lengths = {s: len(s.read_text(encoding="utf-8").splitlines()) for s in SOURCES}
    assert {str(s): n for s, n in lengths.items() if n > MOST_LINES} == {}


def test_functions_of_coding_take_few_parameters() -> None:
    """What belongs together travels together, as `Coding` does."""
    counted = [
        (source.name, name, count)
        for source in ROOT.glob("pillow_mlic/coding/*.py")
        for name, count in parameters(ast.parse(source.read_text(encoding="utf-8")))
    ]
    assert len(counted) > 50
    assert [each for each in counted if each[2] > MOST_PARAMETERS] == []


def test_the_package_does_not_patch_itself() -> None:
    for source in SOURCES:
        assert "mock" not in source.read_text(encoding="utf-8"), source


def test_checks_end_where_one_fails() -> None:
    """`set -e` does not count a command that stands behind a `!`."""
    for script in (ROOT / ".ci/run", ROOT / "scripts/check"):
        text = script.read_text(encoding="utf-8")
        assert "\nset -euo pipefail\n" in text
        assert not re.findall(r"^\s*! .*", text, re.MULTILINE), script


def test_lists_of_test_modules_name_modules() -> None:
    modules = {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert modules >= conftest.FAST | conftest.READERS
