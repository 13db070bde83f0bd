"""Do probabilities and intervals hold what they say, on a folder of real tables, side by side?

    python benchmarks/uncertainty.py TABLES --seeds 3

Classes: log-loss, and the expected calibration error of the predicted class in 15 bins of equal
width, of ours, CatBoost, and scikit-learn's networks made honest by `CalibratedClassifierCV`.
Numbers: how many test targets intervals for 0.8 and 0.9 hold, and their mean width over the
target's standard deviation; of ours by its methods, ours by quantiles, and MAPIE's plus form
around scikit-learn's boosting. Tables and splits are those of tabular.py; others need: pip install
catboost mapie.
"""

import argparse
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.neural_network import MLPClassifier
from tabular import make, prepared, score, split, tables

from xpnn import TabularRegressor

LEVELS = (0.8, 0.9)
BINS = 15


def calibration_error(probability: np.ndarray, right: np.ndarray) -> float:
    """Guo and others (2017): the mean distance of accuracy and confidence, over bins."""
    sure = probability.max(axis=1)
    where = np.minimum((sure * BINS).astype(int), BINS - 1)
    sums = [abs(float((right - sure)[where == b].sum())) for b in range(BINS)]
    return sum(sums) / len(sure)


def classifiers(seed: int) -> dict[str, Any]:
    network = prepared(MLPClassifier(random_state=seed), one_hot=True)
    return {
        "xpnn": make("xpnn", "classification", seed),
        "catboost": make("catboost", "classification", seed),
        "CalibratedClassifierCV": CalibratedClassifierCV(network, ensemble=True),
    }


Interval = Callable[[pd.DataFrame, float], np.ndarray]


def ours(seed: int, X: pd.DataFrame, y: np.ndarray) -> dict[str, Interval]:
    interval = TabularRegressor(random_state=seed).fit(X, y).predict_interval
    others = {f"xpnn, method {m}": partial(interval, method=m) for m in ("plus", "base")}
    return {"xpnn": interval, **others}


def quantiles(seed: int, X: pd.DataFrame, y: np.ndarray) -> dict[str, Interval]:
    models = {
        level: TabularRegressor(
            quantiles=((1 - level) / 2, 0.5, (1 + level) / 2), random_state=seed
        ).fit(X, y)
        for level in LEVELS
    }
    return {"xpnn, quantiles": lambda new, level: models[level].predict_interval(new, level)}


def mapie(seed: int, X: pd.DataFrame, y: np.ndarray) -> dict[str, Interval]:
    from mapie.regression import CrossConformalRegressor

    boosting = prepared(HistGradientBoostingRegressor(random_state=seed), one_hot=False)
    model = CrossConformalRegressor(
        boosting, confidence_level=list(LEVELS), method="plus", cv=5, random_state=seed
    )
    model.fit_conformalize(X, y)

    def interval(new: pd.DataFrame, level: float) -> np.ndarray:
        return np.asarray(model.predict_interval(new)[1][:, :, LEVELS.index(level)])

    return {"MAPIE": interval}


def lines(found: dict[str, dict[str, list[list[float]]]], names: tuple[str, ...]) -> Iterator[str]:
    yield f"\n| model | {' | '.join(names)} |"
    yield "| --- " * (len(names) + 1) + "|"
    for model, of_tables in found.items():
        mean = np.mean([np.mean(values, axis=0) for values in of_tables.values()], axis=0)
        yield f"| {model} | {' | '.join(f'{v:.4f}' for v in mean)} |"
    yield f"{len(of_tables)} tables"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", default="")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    classes: Any = defaultdict(lambda: defaultdict(list))
    numbers: Any = defaultdict(lambda: defaultdict(list))
    for name, task, X, y in tables(args.tables, args.only, args.skip):
        for seed in range(args.seeds):
            train, test, known, truth = split(task, seed, X, y)
            if task == "classification":
                for model, estimator in classifiers(seed).items():
                    estimator.fit(train, known)
                    _, loss = score(task, estimator, test, truth)
                    probability = np.asarray(estimator.predict_proba(test), dtype=float)
                    labels = np.asarray(estimator.classes_).astype(str)[probability.argmax(axis=1)]
                    off = calibration_error(probability, labels == truth)
                    classes[model][name].append([loss, off])
                continue
            fits = ours, quantiles, mapie
            found = {name: i for fit in fits for name, i in fit(seed, train, known).items()}
            for model, interval in found.items():
                values = []
                for level in LEVELS:
                    low, high = np.asarray(interval(test, level)).T
                    held = float(np.mean((low <= truth) & (truth <= high)))
                    values += [held, float(np.mean(high - low)) / known.std()]
                numbers[model][name].append(values)
        print(name, flush=True)
    if classes:
        print("\n".join(lines(classes, ("log-loss", "calibration error"))))
    if numbers:
        heads = [f"{what} for {level}" for level in LEVELS for what in ("held", "width")]
        print("\n".join(lines(numbers, tuple(heads))))


if __name__ == "__main__":
    main()
