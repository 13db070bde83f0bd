"""The house: a file imports from its own floor or from floors below, and never in a circle."""

import ast
import re
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import xpnn

SOURCE = Path(xpnn.__file__).parent
ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")

# Each file of src/xpnn, or folder, on its floor; the ground comes first.
# CONTRIBUTING.md tells the same floors, and a test below compares.
PUBLIC = ("activations", "backends", "callbacks", "data", "initializers", "layers", "losses")
PUBLIC += ("metrics", "network", "optimizers", "plot", "random", "schedules", "state")
FLOORS = (
    ("_imports", "_optional", "_text", "_version", "_warnings", "arrays"),
    ("distributed",),
    ("parts",),
    ("model",),
    ("steps",),
    ("training",),
    ("blocks", "files", "tables"),
    (
        "cli",
        "command",
        "dask",
        "estimators",
        "exchange",
        "neurons",
        "perceptron",
        "plotting",
        "tabular",
        "trackers",
    ),
    ("__init__", "__main__", *PUBLIC),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}

LIBRARIES = {"cupy", "cupyx", "cupy_backends", "torch", "jax", "jaxlib"}
LIBRARIES |= {"array_api_strict"}
MAY_NAME_LIBRARIES = {"arrays", "steps", "perceptron"}

FILES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts): path
    for path in sorted(SOURCE.rglob("*.py"))
}


def imports_of(module: str, text: str) -> list[str]:
    """Absolute names of all that a file imports, lazily too; `from a import b` gives a.b."""
    return list(imported(ast.parse(text), module))


def imported(tree: ast.AST, module: str) -> Iterator[str]:
    package = ["xpnn", *module.split(".")][:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            base = [*base, *(node.module or "").split(".")] if node.module else base
            yield from (".".join([*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if function in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value.lstrip(".")


def own(name: str) -> str | None:
    """The file of this package that an imported name comes from."""
    parts = name.split(".")
    if parts[0] != "xpnn" or name == "xpnn.__version__":  # a constant, not its faces
        return None
    for length in range(len(parts), 1, -1):
        module = ".".join(parts[1:length])
        if module in FILES:
            return module
        if f"{module}.__init__" in FILES:
            return f"{module}.__init__"
    return "__init__"


def floor(module: str) -> int:
    return FLOOR.get(module.partition(".")[0], len(FLOORS))


def arrows_up(module: str, names: Iterable[str]) -> list[str]:
    targets = {own(name) for name in names} - {None}
    return sorted(target for target in targets if floor(target) > floor(module))


def libraries_named(module: str, names: Iterable[str]) -> list[str]:
    if module.partition(".")[0] in MAY_NAME_LIBRARIES:
        return []
    found = []
    for name in names:
        parts = name.split(".")
        wrapped = parts[0] == "array_api_compat" and LIBRARIES & set(parts)
        if parts[0] in LIBRARIES or wrapped:
            found.append(name)
    return found


@pytest.fixture(scope="module")
def imports() -> dict[str, list[str]]:
    return {name: imports_of(name, path.read_text("utf-8")) for name, path in FILES.items()}


def test_every_file_has_a_floor() -> None:
    unknown = {name.partition(".")[0] for name in FILES} - FLOOR.keys()
    assert not unknown, f"say in FLOORS which floor these are on: {sorted(unknown)}"


def floors_told(text: str) -> list[list[str]]:
    """The files of each row of the table under "The house", the ground first."""
    house = text.partition("## The house")[2].partition("\n## ")[0]
    rows = [line.split("|")[2] for line in house.splitlines() if line.startswith("|")][2:]
    files = [re.findall(r"`([^`]+)`", row) for row in rows]
    return [[name.removesuffix("/").removesuffix(".py") for name in row] for row in files[::-1]]


def test_contributing_tells_the_same_floors() -> None:
    assert [sorted(row) for row in floors_told(CONTRIBUTING)] == [sorted(row) for row in FLOORS]
    here = {name.partition(".")[0] for name in FILES}
    assert sorted(here) == sorted(name for row in FLOORS for name in row)


def lost_paths(text: str) -> list[str]:
    """What a text names as files or folders and is not there."""
    named = [
        n for n in re.findall(r"`([\w.*/-]+)`", text) if re.search(r"/$|\.(py|md|sh|toml)$", n)
    ]
    named += re.findall(r"\b(?:ci|tests|benchmarks|src)/[\w.*/-]*\w", text)
    return [n for n in named if not any(any(at.glob(n)) for at in (ROOT, SOURCE))]


def test_contributing_names_files_that_exist() -> None:
    assert not lost_paths(CONTRIBUTING)
    assert lost_paths(
        "`no/`, `ci/test.sh`, `training.py`, `steps/n*.py`, `x.y`\n    bash ci/no.sh"
    ) == [*("no/", "training.py", "ci/no.sh")]


def test_no_arrow_runs_up(imports: dict[str, list[str]]) -> None:
    wrong = [f"{m} imports {up}" for m in imports for up in arrows_up(m, imports[m])]
    assert not wrong, "; ".join(wrong)


def test_no_circles(imports: dict[str, list[str]]) -> None:
    graph = {m: {own(name) for name in imports[m]} - {None, m} for m in imports}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' <- '.join(error.args[1])}")


def test_only_the_adapters_and_kernels_name_array_libraries(imports: dict[str, list[str]]) -> None:
    wrong = [f"{m} imports {name}" for m in imports for name in libraries_named(m, imports[m])]
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize(
    ("module", "line", "up"),
    [
        ("parts.losses", "from ..steps import rules", ["steps.rules"]),
        ("parts.losses", "from .. import network", ["network"]),
        ("parts.losses", "def f():\n    from xpnn.training import fit", ["training.__init__"]),
        ("parts.losses", "import xpnn", ["__init__"]),
        ("model.dense", "from ..steps.rules import Rules", ["steps.rules"]),
        ("model.dense", "from ..parts.activations import relu", []),
        ("training.loop", "from ..model.network import Network", []),
        ("estimators.mlp", "from ._base import Base", []),
    ],
)
def test_the_test_sees_arrows(module: str, line: str, up: list[str]) -> None:
    assert arrows_up(module, imports_of(module, line)) == up


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("import torch", 1),
        ("def f():\n    from jax import numpy", 1),
        ("import array_api_compat.cupy as xp", 1),
        ("importlib.import_module('jaxlib')", 1),
        ("import numpy, array_api_compat.numpy", 0),
    ],
)
def test_the_test_sees_libraries(line: str, count: int) -> None:
    assert len(libraries_named("training.loop", imports_of("training.loop", line))) == count
    assert not libraries_named("steps.torch", imports_of("steps.torch", line))
