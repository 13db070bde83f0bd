#!/usr/bin/env python3
"""Runs the same calls on scikit-learn's estimators and on ours; writes docs/differences.md.

    python ci/differences.py

`tests/test_sklearn_differences.py` fails where a difference is not in the list of
`tests/sklearn_sweep.py`, and where the page is not what this writes.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from sklearn_sweep import DIFFERENCES, cases, explained, found

FILE = Path(__file__).parent.parent / "docs" / "differences.md"
TOP = """# Differences from scikit-learn

Written by `python ci/differences.py`, which runs {n} calls of `MLPClassifier`, `MLPRegressor` and
`Perceptron` on scikit-learn's classes and on ours: kinds of `X`, `y` and `sample_weight` in `fit`,
`predict` and `score`, and what the calls do. These give something else; all others give the same
types, shapes and warnings, or are refused by both. `tests/test_sklearn_differences.py` fails where
the list is not whole.

| call | scikit-learn | xpnn | why |
| --- | --- | --- | --- |
"""
BOTTOM = (Path(__file__).parent / "differences_below.md").read_text("utf-8")


def text(rows: list[tuple[str, str, str]]) -> str:
    """The page, of all cases that differ."""
    lines = []
    for d in DIFFERENCES:
        examples = [row for row in rows if explained(row[0], row[2]) is d]
        if examples:
            (what, theirs, ours), others = examples[0], len(examples) - 1
            more = f" (and {others} like it)" if others else ""
            lines.append(f"| {what}{more} | {theirs} | {ours} | {d.why} |\n")
    return TOP.format(n=sum(1 for _ in cases())) + "".join(lines) + "\n" + BOTTOM


if __name__ == "__main__":
    FILE.write_text(text(found()), "utf-8")
