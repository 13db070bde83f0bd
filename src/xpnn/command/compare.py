"""Ours beside others on a user's own table, by cross-validation."""

import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np

from xpnn._warnings import warn_user
from xpnn.command.scores import class_scores, number_scores
from xpnn.command.train import MAIN, make_estimator
from xpnn.tables.encoding import at_least_one, fit_encoding
from xpnn.tables.problem import Problem
from xpnn.tabular.folds import make_folds

Results = dict[str, tuple[dict[str, float], float]]
"""Of each contestant the scores, and seconds of all fits."""


def compare(
    problem: Problem, params: Mapping[str, Any], folds: int = 5, seed: int = 0
) -> Iterator[tuple[str, dict[str, float], float]]:
    """Cross-validate ours, scikit-learn's, and boosting where it is installed.

    Parameters
    ----------
    params : mapping of str to object
        Of our estimator.
    seed : int, default=0
        Of the folds, and of all contestants.

    Yields
    ------
    name : str
    scores : dict of str to float
        Of the rows of all folds together.
    seconds : float
        Of all fits.
    """
    task, y = problem.target.task, problem.y
    classes, codes = np.unique(y, return_inverse=True)
    strata = codes if task == "classification" else y
    fold = make_folds(np.asarray(strata), min(folds, len(y)), 1, seed)[0]
    for name, make in contestants(task, params, seed).items():
        found: list[Any] = [None] * len(y)
        begin = time.perf_counter()
        try:
            for k in range(int(fold.max()) + 1):
                train, test = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
                predictions = make(problem, train, test, classes)
                for row, value in zip(test, predictions, strict=True):
                    found[row] = value
        except ValueError as error:
            warn_user(f"{name} is left out: {error}")
            continue
        seconds = time.perf_counter() - begin
        values = np.asarray(found)
        if task == "regression":
            yield name, number_scores(y, values), seconds
        else:
            labels = classes[values.argmax(axis=1)]
            yield name, class_scores(y, labels, values, classes), seconds


Contestant = Callable[[Problem, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def contestants(task: str, params: Mapping[str, Any], seed: int) -> dict[str, Contestant]:
    """Who is compared: each predicts rows of a problem from others.

    Parameters
    ----------
    task : {"classification", "regression"}
    params : mapping of str to object
    """
    found: dict[str, Contestant] = {"xpnn": _ours(task, params)}
    made = _of_sklearn(task, seed) | _boosting(task, seed)
    return found | {name: _theirs(estimator) for name, estimator in made.items()}


def _ours(task: str, params: Mapping[str, Any]) -> Contestant:
    def predict(problem: Problem, train: Any, test: Any, classes: np.ndarray) -> np.ndarray:
        estimator = make_estimator(task, params).fit(problem.frame(train), problem.y[train])
        if estimator.outcome_ == "interrupted":  # by Ctrl-C, after which a fit alone goes on
            raise KeyboardInterrupt
        X = problem.frame(test)
        if task == "regression":
            return np.asarray(estimator.predict(X), dtype=np.float64)
        return _of_all(np.asarray(estimator.predict_proba(X)), estimator.classes_, classes)

    return predict


def _theirs(estimator: Any) -> Contestant:
    """An estimator of others, on the same inputs as ours: words one-hot, gaps with flags."""

    def predict(problem: Problem, train: Any, test: Any, classes: np.ndarray) -> np.ndarray:
        from sklearn.base import clone

        encoding = fit_encoding(problem.frame(train))
        inputs = (encoding.transform(problem.frame(rows)) for rows in (train, test))
        x, new = map(at_least_one, inputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of iterations that a baseline did not need
            if problem.target.task == "regression":
                return np.asarray(clone(estimator).fit(x, problem.y[train]).predict(new), float)
            present, codes = np.unique(problem.y[train], return_inverse=True)
            if len(present) == 1:  # which some refuse
                return _of_all(np.ones((len(new), 1)), present, classes)
            return _of_all(clone(estimator).fit(x, codes).predict_proba(new), present, classes)

    return predict


def _of_all(probability: np.ndarray, present: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Probabilities of all classes, of which training had those that were present."""
    found = np.zeros((len(probability), len(classes)))
    found[:, np.searchsorted(classes, present)] = probability
    return found


def _of_sklearn(task: str, seed: int) -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier as BoostedClasses
    from sklearn.ensemble import HistGradientBoostingRegressor as BoostedNumbers
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if task == "classification":
        return {
            "boosting (scikit-learn)": BoostedClasses(random_state=seed),
            "random forest": RandomForestClassifier(random_state=seed),
            "MLPClassifier (scikit-learn)": MLPClassifier(random_state=seed),
            "logistic regression": LogisticRegression(max_iter=1000),
        }
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.preprocessing import StandardScaler

    network = TransformedTargetRegressor(
        MLPRegressor(random_state=seed), transformer=StandardScaler()
    )
    return {
        "boosting (scikit-learn)": BoostedNumbers(random_state=seed),
        "random forest": RandomForestRegressor(random_state=seed),
        "MLPRegressor (scikit-learn)": network,
        "ridge regression": RidgeCV(np.logspace(-3, 3, 13)),
    }


def _boosting(task: str, seed: int) -> dict[str, Any]:
    """CatBoost, LightGBM and XGBoost where they are installed."""
    found: dict[str, Any] = {}
    kind = "Classifier" if task == "classification" else "Regressor"
    quiet: dict[str, tuple[str, str, dict[str, Any]]] = {
        "CatBoost": ("catboost", "CatBoost", {"verbose": 0, "allow_writing_files": False}),
        "LightGBM": ("lightgbm", "LGBM", {"verbose": -1}),
        "XGBoost": ("xgboost", "XGB", {}),
    }
    for name, (module, prefix, options) in quiet.items():
        if find_spec(module) is not None:
            cls = getattr(__import__(module), prefix + kind)
            found[name] = cls(random_state=seed, **options)
    return found


def best_first(task: str, results: Results) -> Results:
    """Contestants by their main score, the best first.

    Parameters
    ----------
    task : {"classification", "regression"}
    results : dict of str to (scores, seconds)
    """
    main = MAIN[task]
    return dict(sorted(results.items(), key=lambda item: -item[1][0][main]))
