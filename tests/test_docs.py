"""What holds of the site without building it; `ci/docs.sh` builds it and runs its examples."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from xpnn.tables import sources

ROOT = Path(__file__).parents[1]
PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))


def test_every_page_of_the_site_is_in_a_list_of_contents():
    listed = set()
    for page in PAGES:
        text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
        for entries in re.findall(r"^```\{toctree\}\n(.*?)^```", text, re.M | re.S):
            listed |= {re.sub(r".*<(.*)>", r"\1", line).strip() for line in entries.split("\n")}
    assert [page for page in PAGES if page not in listed | {"index"}] == [], "see docs/guide.md"


def test_the_readme_is_short_and_leads_to_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.slow
def test_the_readmes_examples_run_with_what_its_first_command_installs(tmp_path):
    """Without pandas: the extra `plot` brings none."""
    code = f"""
import sys
class Without:
    def find_spec(name, path=None, target=None):
        if name == "pandas":
            raise ImportError("it is not installed", name=name)
sys.meta_path.insert(0, Without)
sys.path.insert(0, {str(ROOT / "docs")!r})
import examples, pathlib
print(examples.run(pathlib.Path({str(ROOT / "README.md")!r})))
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "(1, [], '')\n"


def test_tables_are_read_without_lzma(tmp_path, monkeypatch):
    """A browser's Python has none."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "lzma", None)
        bare = importlib.reload(sources)
        assert bare.read_bytes(path) == b"a,b"
        path.write_bytes(b"\xfd7zXZ\x00 and so on")
        with pytest.raises(bare.TableError, match="has no lzma"):
            bare.read_bytes(path)
    importlib.reload(sources)
