"""Pages whose examples need what the site is built without run here, by the site's own runner."""

import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
import examples  # noqa: E402

NEEDING = ("callbacks", "exchange", "from_pytorch", "libraries")


@pytest.mark.slow
@pytest.mark.parametrize("page", NEEDING)
def test_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran, skipped, failed = examples.run(DOCS / f"{page}.md")
    assert not failed
    blocks = examples.BLOCK.findall((DOCS / f"{page}.md").read_text("utf-8"))
    assert ran + len(skipped) == len(blocks) > 0


@pytest.mark.parametrize(
    ("code", "skips"),
    [
        ("import torch", True),
        ("from xpnn._optional import needed\nneeded('torch', 'This')", True),
        ("import pandas", False),
        ("import no_such_package", False),
        ("from xpnn import no_such_name", False),
    ],
)
def test_what_is_missing_is_skipped_where_it_is_optional_alone(code, skips, tmp_path, monkeypatch):
    for name in ("torch", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
    page = tmp_path / "page.md"
    page.write_text(f"```python\nx = 1\n```\n\n```python\n{code}\n```\n")
    ran, skipped, failed = examples.run(page)
    assert (ran, len(skipped), bool(failed)) == (1, int(skips), not skips)
