#!/usr/bin/env python3
"""One realistic use of each of many tools, on scikit-learn's estimators and on ours.

    python ci/ecosystem.py NAME...      runs these uses, and prints a line of JSON for each
    python ci/ecosystem.py --list       prints each name and the packages that it needs
    python ci/ecosystem.py --table FILE prints a table of such lines, for docs/ecosystem.md
    python ci/ecosystem.py --check FILE exit status 1 where ours fails and scikit-learn's does not

`ci/ecosystem.sh` installs the packages and calls this.
"""

import argparse
import contextlib
import importlib.metadata
import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ecosystem_exchange  # noqa: F401  # adds its uses
from ecosystem_uses import USES


def outcome(run: Callable[[Any], float], lib: Any) -> str:
    """The number, or the error in a line."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):  # some tools print
        warnings.simplefilter("ignore")
        try:
            return f"{run(lib):.3f}"
        except Exception as error:
            text = (str(error).strip() or "no words").splitlines()[0]
            return f"{type(error).__name__}: {text[:100]}"


def libraries() -> tuple[Any, Any]:
    """scikit-learn's estimators and ours."""
    import sklearn.linear_model
    import sklearn.neural_network

    import xpnn

    theirs = SimpleNamespace(
        MLPClassifier=sklearn.neural_network.MLPClassifier,
        MLPRegressor=sklearn.neural_network.MLPRegressor,
        Perceptron=sklearn.linear_model.Perceptron,
    )
    return theirs, xpnn


def line(name: str) -> dict[str, str]:
    """The outcome of a use on both."""
    theirs, ours = (outcome(USES[name].run, lib) for lib in libraries())
    version = importlib.metadata.version(name.partition("[")[0])
    return {"tool": name, "version": version, "sklearn": theirs, "xpnn": ours}


def read(path: Path) -> list[dict[str, str]]:
    """Outcomes from a file of lines."""
    return [json.loads(text) for text in path.read_text("utf-8").splitlines()]


def is_number(text: str) -> bool:
    """Whether a use has ended well."""
    return text.lstrip("-").replace(".", "", 1).isdigit()


def table(lines: list[dict[str, str]]) -> str:
    """A table of outcomes."""
    text = (
        "| tool | what is done | with scikit-learn's | with xpnn's |\n| --- | --- | --- | --- |\n"
    )
    for row in lines:
        name = f"{row['tool']} {row['version']}".strip()
        what = USES[row["tool"]].what
        text += f"| {name} | {what} | {row['sklearn']} | {row['xpnn']} |\n"
    return text


def main() -> int:
    """Run, list or print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", type=Path, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.list:
        for name, found in USES.items():
            print(name, *found.packages)
    if arguments.table is not None:
        print(table(read(arguments.table)))
    if arguments.check is not None:
        return int(
            any(is_number(r["sklearn"]) and not is_number(r["xpnn"]) for r in read(arguments.check))
        )
    for name in arguments.names:
        print(json.dumps(line(name)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
