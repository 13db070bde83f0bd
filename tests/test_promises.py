"""Every promise in PROMISES.md names a test that exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = ROOT / "tests" / "PROMISES.md"


def rows(text):
    """Return the (promise, test cell) of every table row; a row of another shape is an error."""
    found = []
    for line in text.splitlines():
        if not line.startswith("|") or re.fullmatch(r"[|\s:-]+", line):
            continue
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if len(cells) != 2:
            raise ValueError(f"not a row of two cells: {line}")
        if cells != ["promise", "test"]:
            found.append(tuple(cells))
    return found


@cache
def defined_tests(path):
    """Return the names of a file's tests, `test_x` or `TestClass::test_x`, without importing it."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in body if isinstance(node, functions)}
    for node in body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{f.name}" for f in node.body if isinstance(f, functions)}
    return {name for name in names if name.split("::")[-1].startswith("test")}


def problems(promise, cell, root=ROOT):
    """Return what is wrong with a row, as sentences."""
    if not promise:
        return ["a row without a promise"]
    named = re.findall(r"`([^`]+)`", cell)
    if not named:
        return [f"no test stands beside: {promise}"]
    wrong = []
    for node in named:
        file, _, name = node.partition("::")
        path = root / file
        if not (file.startswith("tests/") and path.is_file()):
            wrong.append(f"{node}: no such file")
        elif name not in defined_tests(path):
            wrong.append(f"{node}: no such test in {file}")
    return wrong


def test_promises_have_tests():
    made = rows(PROMISES.read_text(encoding="utf-8"))
    assert [wrong for promise, cell in made for wrong in problems(promise, cell)] == []


def test_promises_are_made_once():
    promises = [promise for promise, _ in rows(PROMISES.read_text(encoding="utf-8"))]
    assert promises
    assert sorted(promises) == sorted(set(promises))


def test_checker_finds_mistakes(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_a.py").write_text(
        "def test_one(): ...\ndef helper(): ...\nclass TestB:\n    def test_two(self): ...\n"
    )
    table = """
| promise | test |
| --- | --- |
| good | `tests/test_a.py::test_one` `tests/test_a.py::TestB::test_two` |
| none | to be written |
| gone | `tests/test_a.py::test_one` `tests/test_a.py::test_gone` |
| helper | `tests/test_a.py::helper` |
| file | `tests/test_b.py::test_one` |
| whole | `tests/test_a.py` |
"""
    wrong = {promise: problems(promise, cell, tmp_path) for promise, cell in rows(table)}
    assert wrong == {
        "good": [],
        "none": ["no test stands beside: none"],
        "gone": ["tests/test_a.py::test_gone: no such test in tests/test_a.py"],
        "helper": ["tests/test_a.py::helper: no such test in tests/test_a.py"],
        "file": ["tests/test_b.py::test_one: no such file"],
        "whole": ["tests/test_a.py: no such test in tests/test_a.py"],
    }
    with pytest.raises(ValueError, match="two cells"):
        rows("| a | b | c |")
