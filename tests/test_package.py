"""The package as it is installed: version, extras, types, documentation, the scripts of CI."""

import ast
import doctest
import importlib
import importlib.metadata
import inspect
import itertools
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import xpnn

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = ("cupy", "torch", "jax", "matplotlib", "onnx", "pandas", "hummingbird")
PUBLIC = sorted(getattr(xpnn, "__all__", ()))
MODULES = sorted(m.name for m in pkgutil.walk_packages(xpnn.__path__, "xpnn."))


def test_version_stands_in_one_place():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert "version" not in PYPROJECT["project"]
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "src/xpnn/_version.py"
    try:
        installed = importlib.metadata.version("xpnn")
    except importlib.metadata.PackageNotFoundError:  # run from src, not installed
        return
    assert installed == xpnn.__version__, 'run `pip install -e ".[test]"` again'


def test_extras():
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = {
        "cuda12",
        "cuda13",
        "torch",
        "jax",
        "fast",
        "plot",
        "data",
        "onnx",
        "docs",
        "test",
        "dev",
    }
    assert wanted <= set(extras)
    assert extras["cuda12"] == ["cupy-cuda12x[ctk]>=14"]
    assert extras["cuda13"] == ["cupy-cuda13x[ctk]>=14"]
    # ci/lowest.sh reads each lower bound: a requirement without one would not be tested
    for requirement in itertools.chain(PYPROJECT["project"]["dependencies"], *extras.values()):
        assert re.fullmatch(
            r"xpnn\[[\w,]+\]|[\w-]+(\[(?:ctk|distributed)\])?>=[\d.]+", requirement
        ), requirement


PROJECT_OF = {"sklearn": "scikit-learn", "cupy": "cupy-cuda12x", "cupyx": "cupy-cuda12x"}
PROJECT_OF |= {"distributed": "dask", "llvmlite": "numba"}  # which needs it, in one version alone


def test_what_is_imported_is_declared():
    project = PYPROJECT["project"]
    declared = itertools.chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {re.split(r"[\[>]", requirement)[0] for requirement in declared}
    found = set()
    for path in Path(xpnn.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition(".")[0])
    found -= {"xpnn", *sys.stdlib_module_names}
    assert {"scipy", "sklearn"} <= found
    assert {PROJECT_OF.get(name, name).replace("_", "-") for name in found} <= names


def test_types_are_shipped():
    assert (Path(xpnn.__file__).parent / "py.typed").is_file()
    assert PYPROJECT["tool"]["mypy"]["strict"] is True


def test_console_script_exists():
    module, _, name = PYPROJECT["project"]["scripts"]["xpnn"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def test_all_names_exist():
    assert PUBLIC
    assert [n for n in PUBLIC if not hasattr(xpnn, n)] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_documented(name):
    value = getattr(xpnn, name)
    if not (callable(value) or inspect.ismodule(value)):  # __version__, tables
        return
    documentation = inspect.getdoc(value) or ""
    if inspect.isclass(value) and issubclass(value, Exception):  # raised in others' examples
        assert documentation
        return
    wanted = ["Examples"]
    if inspect.isfunction(value) and inspect.signature(value).parameters:
        wanted.append("Parameters")
    sections = re.findall(r"^(\w[\w ]*)\n-{3,}$", documentation, re.M)
    assert [w for w in wanted if w not in sections] == [], f"sections of {name}: {sections}"
    examples = documentation.partition("Examples\n---")[2]
    assert ">>>" in examples, f"the Examples of {name} show nothing that runs"


@pytest.mark.libraries
@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module, tmp_path, monkeypatch):
    """Run the docstrings' examples as printed, in an empty directory."""
    monkeypatch.chdir(tmp_path)
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:  # a kernel of a library that is not here, or an exchange with it
        if not module.startswith(("xpnn.steps.", "xpnn.exchange.")) or error.name not in HEAVY:
            raise
        pytest.skip(f"{module} needs {error.name}")
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    failed, _ = doctest.testmod(loaded, optionflags=flags)
    assert failed == 0, "see the captured output"


# ---- CI ------------------------------------------------------------------------------------------


def test_workflow_calls_our_scripts():
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    scripts = set(re.findall(r"- run: bash (\S+)", workflow))
    names = ("test", "lowest", "dist", "docs", "gpu", "sanitize", "cross", "ecosystem", "mpi")
    names += ("dask",)
    assert scripts == {f"ci/{name}.sh" for name in names}
    assert len(re.findall(r"\brun:", workflow)) == len(scripts), "a step that is not a script"
    assert "ci/test.sh" in (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert [s for s in scripts if not os.access(ROOT / s, os.X_OK)] == []


def test_ci_names_its_targets():
    script = (ROOT / "ci/test.sh").read_text(encoding="utf-8")
    named = re.search(r"^targets=(\S+)$", script, re.M)[1].split(",")
    assert named == [
        "numpy",
        "numpy:readonly",
        "strict:device1",
        "strict:no_float64",
        "strict:no_x64",
        "foreign:dlpack",
        "torch:cpu",
        "jax:cpu",
    ]
    assert '--device="$targets"' in script
    assert "--device=cupy:0,cupy:1" in script
    for named in ("wheels", '"no compiler" no_compiler'):
        assert re.search(rf"^stage .*{named}$", script, re.M)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    ("driver", "message"),
    [
        ("echo 'has failed: no driver'; exit 9", "no usable GPU: has failed: no driver"),
        ("echo '| CUDA Version: 11.8 |'", "CuPy needs CUDA 12 or newer"),
        ("echo 'no version here'", "does not say which CUDA version"),
    ],
)
def test_gpu_script_refuses_in_one_line(driver, message, tmp_path):
    fake = tmp_path / "nvidia-smi"
    fake.write_text(f"#!/bin/sh\n{driver}\n")
    fake.chmod(0o755)
    result = subprocess.run(
        ["bash", str(ROOT / "ci/gpu.sh")],
        env={**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
