"""The compiled library: built, found, refused, turned off."""

import importlib.util
import os
import shutil
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from xpnn.steps import compiled

ROOT = Path(__file__).parents[1]
if not (ROOT / "hatch_build.py").is_file():
    pytest.skip("needs the checkout", allow_module_level=True)
SPEC = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
hatch_build = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hatch_build)

NEEDS_COMPILER = pytest.mark.skipif(
    hatch_build.find_compiler() is None, reason="needs a C compiler"
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("XPNN_NO_COMPILER", "XPNN_REQUIRE_COMPILED", "XPNN_COMPILED"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tree(tmp_path):
    """A checkout with one of the sources: all of them take a compiler many seconds."""
    folder = tmp_path / hatch_build.FOLDER
    folder.mkdir(parents=True)
    for name in ("abi.c", "xpnn.h"):
        shutil.copy(ROOT / hatch_build.FOLDER / name, folder)
    return folder


def build(tree):
    return hatch_build.build(tree.parents[3], tree)


@NEEDS_COMPILER
def test_the_library_is_built_and_loads(tree):
    library = build(tree)
    assert library == tree / compiled._FILE.name
    found, problem = compiled._load(library)
    assert (found.xpnn_abi(), problem) == (compiled.ABI, "")
    assert [f.name for f in tree.iterdir() if f.suffix not in (".c", ".h")] == [library.name]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("XPNN_NO_COMPILER", "1", "XPNN_NO_COMPILER asks for none"),
        ("CC", "no-such-compiler", "there is no C compiler (no-such-compiler)"),
        ("PATH", "", "there is no C compiler (cc, gcc, clang)"),
    ],
)
def test_without_a_compiler_it_is_numpy_alone(name, value, message, tree, monkeypatch, capsys):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv(name, value)
    (tree / hatch_build.NAME).write_bytes(b"of older sources")
    assert build(tree) is None
    assert capsys.readouterr().err == f"xpnn: no compiled steps, NumPy alone: {message}\n"
    assert not (tree / hatch_build.NAME).exists()
    monkeypatch.setenv("XPNN_REQUIRE_COMPILED", "1")
    with pytest.raises(RuntimeError, match="no compiled steps"):
        build(tree)


@NEEDS_COMPILER
def test_what_the_compiler_says_is_shown(tree, monkeypatch, capsys):
    (tree / "broken.c").write_text("int two(void) { return too; }\n")
    assert build(tree) is None
    told = capsys.readouterr().err
    assert told.startswith("xpnn: no compiled steps, NumPy alone: ")
    assert "broken.c" in told
    assert "too" in told
    monkeypatch.setenv("XPNN_REQUIRE_COMPILED", "1")
    with pytest.raises(RuntimeError, match=r"broken\.c"):
        build(tree)


@NEEDS_COMPILER
def test_a_library_of_another_version_is_not_used(tree, monkeypatch):
    header = tree / "xpnn.h"
    header.write_text(header.read_text().replace(f"XPNN_ABI {compiled.ABI}\n", "XPNN_ABI 999\n"))
    monkeypatch.setattr(compiled, "_FILE", build(tree))
    assert compiled.library() is None
    assert compiled.state() == (
        f"NumPy alone, for the compiled library is of version 999, this xpnn needs {compiled.ABI}; "
        "for the compiled steps, with a C compiler run `python hatch_build.py` in the checkout."
    )


@NEEDS_COMPILER
def test_a_library_older_than_its_sources_is_told(tree):
    library = build(tree)
    os.utime(tree / "abi.c", (library.stat().st_mtime + 1,) * 2)
    with pytest.warns(RuntimeWarning, match=r"older than abi\.c: run `python hatch_build\.py`"):
        assert compiled._load(library)[0] is not None


def test_no_library_or_a_broken_one_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled, "_FILE", tmp_path / "_xpnn.so")
    assert compiled.library() is None
    assert "nothing was compiled at installation" in compiled.state()
    assert "--no-cache-dir --no-binary xpnn xpnn`" in compiled.state()  # this is no checkout
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    monkeypatch.setattr(compiled, "_FILE", broken)
    assert compiled.library() is None
    assert "does not load (" in compiled.state()


def test_the_environment_turns_it_off(monkeypatch):
    monkeypatch.setenv("XPNN_COMPILED", "0")
    assert compiled.library() is None
    assert compiled.state().startswith("NumPy alone, as XPNN_COMPILED=0 says")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has tags of its own")
def test_the_platform_tag_is_one_that_pip_takes():
    tags = pytest.importorskip("packaging.tags")
    tag = hatch_build.platform_tag()
    assert tag in set(tags.platform_tags())
    assert "many" not in tag


@pytest.mark.parametrize(
    ("platform", "environment", "tag", "machines"),
    [
        ("macosx-11.0-arm64", {}, "macosx_11_0_arm64", ["arm64"]),
        ("macosx-10.13-universal2", {}, "macosx_10_13_universal2", ["x86_64", "arm64"]),
        (
            "macosx-10.13-universal2",
            {"ARCHFLAGS": "-arch arm64"},
            "macosx_11_0_arm64",
            ["arm64"],
        ),
        (
            "macosx-11.0-x86_64",
            {"MACOSX_DEPLOYMENT_TARGET": "14.5"},
            "macosx_14_0_x86_64",
            ["x86_64"],
        ),
    ],
)
def test_macos_tags(platform, environment, tag, machines, monkeypatch):
    for name in ("ARCHFLAGS", "MACOSX_DEPLOYMENT_TARGET"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(hatch_build.sysconfig, "get_platform", lambda: platform)
    found, flags = hatch_build.macos()
    assert found == tag
    assert [b for a, b in pairwise(flags) if a == "-arch"] == machines
