"""Whether every public name has a whole numpydoc docstring: `python docs/docstrings.py`.

Functions and classes: a summary, each parameter, what is returned, what is raised in their own
lines, an example (`tests/test_package.py` runs it). Methods and errors need a summary, and methods
that tell one parameter tell all of them.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from api_pages import public
from numpydoc.docscrape import ClassDoc, FunctionDoc

import xpnn

FIRST = ("self", "cls")


def names() -> Iterator[tuple[str, Any, bool]]:
    """Public names, what they are, and whether it is a method."""
    modules = {f"xpnn.{name}": import_module(f"xpnn.{name}") for name in xpnn.MODULES}
    places = [("xpnn", name) for name in xpnn.__all__ if name != "__version__"]
    places += [(m, name) for m, module in modules.items() for name in public(module)]
    seen: set[int] = set()
    for where, name in places:
        value = getattr(import_module(where), name)
        if not callable(value) or id(value) in seen:
            continue
        seen.add(id(value))
        yield f"{where}.{name}", value, False
        for method, entry in vars(value).items() if inspect.isclass(value) else ():
            found = getattr(entry, "__func__", entry)
            own = inspect.isfunction(found) and found.__name__ == method  # no default of a field
            if own and not method.startswith("_") and not overrides(value, method):
                yield f"{where}.{name}.{method}", found, True


def overrides(owner: type, method: str) -> bool:
    """Whether a base of the class, scikit-learn's too, documents the method."""
    return any(getattr(vars(b).get(method), "__doc__", None) for b in owner.__mro__[1:])


def own_lines(value: Any, kind: type[ast.AST]) -> bool:
    """Whether a function's own lines, not those of functions inside it, have such a statement."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0]
    waiting = list(ast.iter_child_nodes(tree))
    while waiting:
        node = waiting.pop()
        if isinstance(node, kind) and getattr(node, "value", node) is not None:
            return True
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)
    return False


def missing(value: Any, method: bool) -> Iterator[str]:
    """What a docstring lacks."""
    is_class = inspect.isclass(value)
    doc = ClassDoc(value) if is_class else FunctionDoc(value)
    if not doc["Summary"]:
        yield "a summary"
    if is_class and issubclass(value, Exception):
        return
    told = {n.strip(" *") for p in doc["Parameters"] for n in p.name.split(",")}
    for base in value.__mro__[:-1] if is_class else ():  # records tell their fields as attributes
        told |= {n.strip() for a in ClassDoc(base)["Attributes"] for n in a.name.split(",")}
    protocol = getattr(value, "_is_protocol", False)
    taken = [n for n in inspect.signature(value).parameters if n not in FIRST and not protocol]
    absent = [n for n in taken if n not in told and not n.startswith("_")]
    if absent and (told or not method):
        yield f"the parameters {', '.join(absent)}"
    if method:
        return
    if not is_class and own_lines(value, ast.Return) and not doc["Returns"]:
        yield "Returns"
    if not is_class and own_lines(value, ast.Raise) and not doc["Raises"]:
        yield "Raises"
    if not any(">>>" in line for line in doc["Examples"]):
        yield "an example"


def main() -> int:
    """Look at all, and say what is missing."""
    checked = wrong = 0
    for name, value, method in names():
        checked += 1
        if lacking := list(missing(value, method)):
            wrong += 1
            print(f"{name} lacks {'; '.join(lacking)}")
    print(f"{checked} docstrings, {wrong} of them not whole")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
