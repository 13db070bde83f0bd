"""Writes the pages of the reference, docs/api, from what the package says is public."""

import ast
import inspect
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx

import xpnn
from xpnn.parts.entries import TableEntry

GROUPS = {
    "Estimators": "TabularClassifier TabularRegressor MLPClassifier MLPRegressor Perceptron",
    "Models as files, and to others": "save load Checkpoint to_onnx to_c from_sklearn to_sklearn "
    "from_torch to_torch from_keras to_keras register_converters",
    "Devices": "devices use_device to_device to_numpy get_backend backend_of Backend DeviceInfo",
    "Networks and their parts": "Network Dense Activation Loss Initializer Schedule get_activation "
    "get_loss get_initializer get_schedule get_optimizer",
    "Callbacks": "ProgressBar EpochEnd",
    "Errors": "DeviceError DivergedError ModelFileError CheckpointError",
}
SUMMARY = ".. autosummary::\n   :toctree: .\n   :nosignatures:\n\n"


def table(module: str, names: list[str]) -> str:
    """Autosummary's list of names of a module."""
    return SUMMARY + "".join(f"   ~{module}.{name}\n" for name in names) + "\n"


def titled(title: str, line: str) -> str:
    """A title with its underline."""
    return f"{title}\n{line * len(title)}\n\n"


def groups() -> dict[str, list[str]]:
    """All public names by group; those that stand in none come last."""
    found = {title: names.split() for title, names in GROUPS.items()}
    left = set(xpnn.__all__).difference({"__version__"}, *found.values())
    return found | ({"More": sorted(left)} if left else {})


def index() -> str:
    """The page of what `import xpnn` has."""
    text = (
        titled("Reference", "=")
        + "What ``import xpnn`` has, by purpose, and then the modules. All examples run.\n\n"
    )
    for title, names in groups().items():
        text += titled(title, "-") + table("xpnn", names)
    text += titled("Modules", "-") + ".. list-table::\n\n"
    for name in xpnn.MODULES:
        text += f"   * - :doc:`xpnn.{name} <modules/{name}>`\n     - {summary(name)}\n"
    text += "\n.. toctree::\n   :hidden:\n\n"
    return text + "".join(f"   modules/{name}\n" for name in xpnn.MODULES)


def summary(name: str) -> str:
    """The first paragraph of a module's docstring, in a line."""
    text = inspect.getdoc(import_module(f"xpnn.{name}")) or ""
    return text.partition("\n\n")[0].replace("\n", " ")


def origins(module: ModuleType) -> tuple[str, ...]:
    """The modules that a module of names takes them from."""
    tree = ast.parse(inspect.getsource(module))
    return tuple(node.module for node in tree.body if isinstance(node, ast.ImportFrom))


def public(module: ModuleType) -> list[str]:
    """Functions and classes that a module offers: of its `__all__`, or defined where it looks."""
    everything = getattr(module, "__all__", None)
    names = everything or [name for name in vars(module) if not name.startswith("_")]
    found = []
    for name in names:
        value = getattr(module, name)
        where = f"{getattr(value, '__module__', '')}."
        ours = where.startswith("xpnn.") if everything else where.startswith(dotted(module))
        if ours and (inspect.isclass(value) or inspect.isfunction(value)):
            found.append(name)
    return sorted(set(found), key=lambda name: (name[0].islower(), name))


def dotted(module: ModuleType) -> tuple[str, ...]:
    """The beginnings of the full names of what is defined where a module looks."""
    return tuple(f"{origin}." for origin in origins(module))


def page(name: str) -> str:
    """The page of a module: what the index has already is linked there."""
    module = import_module(f"xpnn.{name}")
    names = public(module)
    text = titled(f"xpnn.{name}", "=") + summary(name) + "\n\n"
    known = [n for n in names if n in xpnn.__all__]
    if known:
        links = ", ".join(f":obj:`xpnn.{n}`" for n in known)
        text += f"Also in ``xpnn`` itself: {links}.\n\n"
    left = [n for n in names if n not in known]
    return text + (table(f"xpnn.{name}", left) if left else "") + entries(module)


def entries(module: ModuleType) -> str:
    """What the tables of a module have by name, with their parameters, or ''."""
    text = ""
    for title, found in vars(module).items():
        if not title.isupper() or not isinstance(found, dict):
            continue
        rows = [(name, e) for name, e in found.items() if isinstance(e, TableEntry)]
        if rows:
            text += f".. list-table:: By name: ``{title}``\n   :header-rows: 1\n\n"
            text += "   * - name, parameters\n     - what it is\n"
        for name, entry in rows:
            params = "".join(f", ``{key}={value:g}``" for key, value in entry.params)
            line = (inspect.getdoc(entry.function) or "").partition("\n\n")[0].replace("\n", " ")
            line = line if "``" in line else line.replace("*", "\\*")
            text += f"   * - ``{name}``{params}\n     - {line}\n"
    return text


def write(app: Sphinx) -> None:
    """Write the pages, touching none that is as it should be."""
    texts = {"index": index()} | {f"modules/{name}": page(name) for name in xpnn.MODULES}
    for name, text in texts.items():
        path = Path(app.srcdir, "api", f"{name}.rst")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def skip(app: Sphinx, what: str, name: str, value: Any, skipped: bool, options: Any) -> bool | None:
    """Leave out what an estimator has from scikit-learn: its own site documents it."""
    value = getattr(value, "fget", value)  # a property
    return True if str(getattr(value, "__module__", "")).startswith("sklearn") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the pages, before Sphinx looks which there are."""
    write(app)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
