"""The `xpnn` command as a person calls it, and a table for it."""

import sys
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from xpnn.cli import app

RUNNER = CliRunner()
QUICK = ("--hidden", "16", "--epochs", "4")
COMMAND = (sys.executable, "-c", "from xpnn.cli import main; main()")


def call(*args, code=0):
    result = RUNNER.invoke(app, [str(a) for a in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def refused(*args, code):
    """The one line on standard error."""
    result = call(*args, code=code)
    assert result.stderr.startswith("xpnn: error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    return result.stderr.removeprefix("xpnn: error: ").rstrip("\n")


def houses(path="houses.csv", n=120, seed=0, *, task="regression"):
    """Numbers, words, gaps; a price that follows from them."""
    rng = np.random.default_rng(seed)
    size, town = rng.uniform(40, 200, n), rng.choice(["Ulm", "Bonn", "Köln"], n)
    garden, price = rng.random(n) < 0.5, np.zeros(n)
    for i in range(n):
        price[i] = 3 * size[i] + 100 * (town[i] == "Bonn") + 50 * garden[i]
    gaps = rng.random(n) < 0.1
    lines = ["id,size,town,garden,price"]
    for i in range(n):
        known = "" if gaps[i] else f"{size[i]:.1f}"
        y = f"{price[i]:.2f}" if task == "regression" else ("dear" if price[i] > 400 else "cheap")
        lines.append(f"{i + 1},{known},{town[i]},{str(garden[i]).lower()},{y}")
    Path(path).write_text("\n".join(lines) + "\n")
    return path
