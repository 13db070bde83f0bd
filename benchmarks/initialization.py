"""Test errors by how the first weights are drawn: xpnn's way beside scikit-learn's, on real tables.

    python benchmarks/initialization.py TABLES --json out.json      # three seeds; goes on there
    python benchmarks/initialization.py --show out.json

xpnn draws weights as Glorot and Bengio do and begins biases at zero; scikit-learn draws weights and
biases within sqrt(6 / (fan_in + fan_out)), with 2 in place of 6 for "logistic". All else is the
same: rows, their order, batches, Adam. Tables are read, split and prepared as by tabular.py; at
most 3,000 rows train. A fit has the default 200 epochs, and "short" is the error after 20 of them.
Error is in percent, or 100 times RMSE over the standard deviation of the test targets.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from tabular import prepared, read

from xpnn import MLPClassifier, MLPRegressor

SHORT, MOST_ROWS = 20, 3_000
ACTIVATIONS = ("relu", "tanh", "logistic")


def as_scikit_learn(model: Any, rng: np.random.Generator) -> None:
    """Weights and biases of an initialized network as scikit-learn draws them."""
    factor = 2.0 if model.activation == "logistic" else 6.0
    bounds = [np.sqrt(factor / sum(w.shape)) for w in model.coefs_]
    model.coefs_ = [rng.uniform(-b, b, w.shape) for b, w in zip(bounds, model.coefs_, strict=True)]
    model.intercepts_ = [
        rng.uniform(-b, b, w.shape) for b, w in zip(bounds, model.intercepts_, strict=True)
    ]


WAYS: dict[str, Callable[[Any, np.random.Generator], None]] = {
    "xpnn": lambda model, rng: None,
    "scikit-learn": as_scikit_learn,
}


def errors(way: str, activation: str, seed: int, task: str, rows: tuple[Any, ...]) -> list[float]:
    """The errors on the test rows after SHORT epochs and at the end."""
    x, held, y, truth = rows
    cls = MLPClassifier if task == "classification" else MLPRegressor
    model = cls(activation=activation, random_state=seed, warm_start=True)
    model.initialize(x, y)
    WAYS[way](model, np.random.default_rng(seed))
    scores = np.asarray(model.fit(x, y, validation_data=(held, truth)).history_["val_score"])
    scores = scores[[min(SHORT, len(scores)) - 1, -1]]
    found = 1 - scores if task == "classification" else np.sqrt(1 - scores)
    return [round(100 * float(e), 3) for e in found]


def split(x: Any, y: np.ndarray, task: str, seed: int) -> tuple[Any, ...]:
    """Training and test rows as numbers, and their targets."""
    strata = y if task == "classification" else None
    x, held, y, truth = train_test_split(x, y, test_size=0.2, random_state=seed, stratify=strata)
    x, y = x[:MOST_ROWS], y[:MOST_ROWS]
    if task == "regression":
        y, truth = ((a - y.mean()) / y.std() for a in (y, truth))
    steps = prepared("passthrough", one_hot=True).fit(x)
    return steps.transform(x), steps.transform(held), y, truth


def results(args: argparse.Namespace) -> dict[str, Any]:
    """Of each table its task, and of each activation, way and seed the two errors."""
    about = args.tables / "index.json"
    index = json.loads(about.read_text("utf-8")) if about.exists() else {}
    found = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    for path in sorted(args.tables.glob("*.csv*"), key=lambda p: p.stat().st_size):
        name, began = path.name.partition(".")[0], time.process_time()
        if name in found or not index.get(name, {}).get("columns", 1):
            continue
        x, y, task = read(path, index.get(name, {}).get("task"))
        entry: dict[str, Any] = {"task": task}
        for seed in range(args.seeds):
            rows = split(x, y, task, seed)
            for activation in ACTIVATIONS:
                for way in WAYS:
                    key = f"{activation} {way}"
                    entry.setdefault(key, []).append(errors(way, activation, seed, task, rows))
        found[name] = entry
        print(f"{name}: {time.process_time() - began:.1f} s of processor", flush=True)
        if args.json:
            args.json.write_text(json.dumps(found))
    return found


def summary(found: dict[str, Any]) -> Iterator[str]:
    """Mean errors, their paired difference with its standard error over tables, and who wins."""
    for task in ("classification", "regression"):
        tables = [e for e in found.values() if e["task"] == task]
        if not tables:
            continue
        yield f"\n{task}: {len(tables)} tables\n"
        yield "| activation | epochs | xpnn's | scikit-learn's | difference | lower, higher on |"
        yield "| --- | --- | --- | --- | --- | --- |"
        for activation in ACTIVATIONS:
            for column, epochs in enumerate((f"{SHORT}", "up to 200")):
                ours, theirs = (
                    np.array([np.mean(e[f"{activation} {way}"], axis=0)[column] for e in tables])
                    for way in WAYS
                )
                gap = ours - theirs
                error = gap.std(ddof=1) / np.sqrt(len(gap))
                yield (
                    f"| {activation} | {epochs} | {ours.mean():.2f} | {theirs.mean():.2f} | "
                    f"{gap.mean():+.2f} ± {error:.2f} | {(gap < 0).sum()}, {(gap > 0).sum()} |"
                )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where results are kept; a run goes on there")
    parser.add_argument("--show", type=Path)
    args = parser.parse_args()
    if args.show is None and args.tables is None:
        parser.error("name a folder of tables, or --show a file of results")
    warnings.filterwarnings("ignore")
    print("\n".join(summary(json.loads(args.show.read_text()) if args.show else results(args))))


if __name__ == "__main__":
    main()
