"""The examples of docs/exchange.md and docs/callbacks.md run as printed, one after the other."""

import importlib.util
import re
import warnings
from pathlib import Path

import pytest
from sklearn.exceptions import ConvergenceWarning

DOCS = Path(__file__).parents[1] / "docs"


def examples(page):
    return re.findall(r"^```python\n(.*?)^```$", (DOCS / page).read_text("utf-8"), re.M | re.S)


def lacking(example):
    """Packages that it says it needs and that are not here."""
    named = re.match(r"# needs ([\w, ]+)", example)
    names = [] if named is None else named[1].split(", ")
    return [name for name in names if importlib.util.find_spec(name) is None]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "n"), [("exchange.md", 11), ("callbacks.md", 3)])
def test_examples_run(page, n, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, names = examples(page), {"__name__": page}
    assert len(found) == n
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for example in found:
            if not lacking(example):
                exec(compile(example, page, "exec"), names)


def test_the_test_sees_what_is_needed():
    assert lacking("# needs numpy, no_such_package\nx = 1") == ["no_such_package"]
    assert not lacking("import numpy")
