#!/usr/bin/env python3
"""Trains every configuration on every target that is usable here and writes ci/parity.md.

    python ci/parity.py [--check]        (CUPY_ON_CPU=1 for CuPy on its host double)

--check  write nothing; exit status 1 if anything is outside the tolerances
"""

import argparse
import importlib.metadata
import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from configurations import BATCH, BULK_TOLERANCE, CONFIGURATIONS, EPOCHS, compare
from targets import LOSS_TOLERANCE, TABLE, TOLERANCE, WEIGHT_TOLERANCE, running, why_not

FILE = Path(__file__).with_name("parity.md")
BAD = "**no**"
PACKAGES = ("numpy", "array-api-strict", "torch", "jax", "cupy")

TOP = """# The same network on every target

Written by `python ci/parity.py`; `tests/test_parity.py` checks the same numbers on each run. Each
cell is a training of {epochs} epochs (batches of {batch}, two hidden layers) from one seed, beside
the same training on NumPy. In every cell the shuffles are the same and the dropout masks the
same bits, or it says {bad}.

Run on: {versions}.
{gpus}

"""
DOUBLE = "CuPy ran on its host double (see README.md), not on a GPU: none of this has seen one."
TABLES = {
    "float64": """## float64

Largest difference of a weight, relative to the largest weight, as the next power of ten; 0 means
the same bits. Tolerances: weights {weights:g}, losses {loss:g}, first gradients {gradient:g}.

""",
    "float32": """## float32

Part of the weights within {bulk:g} of NumPy's (at least 99.9 %), and the largest difference (at
most {weights:g}), relative to the largest weight. First gradients agree within {gradient:g} and
losses within {loss:g}; predictions are the same but for ties. Adam and its like amplify rounding in
single weights: that is the tail.

""",
}


def power(x: float) -> str:
    """A bound that does not move with the last bits: the next power of ten."""
    return "0" if x == 0 else f"1e{math.ceil(math.log10(x))}"


def cell(name: str, target_name: str, dtype: str) -> str:
    """One training, compared."""
    with running(target_name, dtype, own_context=True) as target:
        found = compare(name, target)
    faults = found.faults(name, dtype)
    if faults:
        return f"{BAD}: {', '.join(faults)}"
    if dtype == "float64" or found.weights == 0:
        return power(found.weights)
    percent = math.floor(found.bulk * 1000) / 10
    return f"{percent:g} %, {power(found.weights)}"


def tables(names: list[str]) -> str:
    """Both tables, a row a configuration and a column a target."""
    text = ""
    for dtype, introduction in TABLES.items():
        columns = [name for name in names if dtype in TABLE[name].dtypes]
        text += introduction.format(
            weights=WEIGHT_TOLERANCE[dtype],
            loss=LOSS_TOLERANCE[dtype],
            gradient=TOLERANCE[dtype],
            bulk=BULK_TOLERANCE,
        )
        text += f"| | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}\n"
        for name in CONFIGURATIONS:
            row = [cell(name, target, dtype) for target in columns]
            print(
                f"{dtype} {name}: {', '.join(map(' '.join, zip(columns, row, strict=True)))}",
                flush=True,
            )
            text += f"| {name} | {' | '.join(row)} |\n"
        text += "\n"
    return text


def versions() -> str:
    """What was compared."""
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name).partition('+')[0]}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(found)


def main() -> int:
    """Compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    missing = {name: why_not(row) for name, row in TABLE.items()}
    names = [name for name, reason in missing.items() if not reason]
    for name, reason in missing.items():
        if reason:
            print(f"not on {name}: {reason}")
    real = [name for name in names if TABLE[name].gpu is not None]
    text = TOP.format(
        epochs=EPOCHS, batch=BATCH, bad=BAD, versions=versions(), gpus="" if real else DOUBLE
    ) + tables(names)
    if not arguments.check:
        FILE.write_text(text.rstrip() + "\n")
    return int(BAD in text.partition("##")[2])


if __name__ == "__main__":
    sys.exit(main())
