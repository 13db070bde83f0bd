"""Test errors, log-losses and fitting times on a folder of real tables, side by side.

    python benchmarks/tabular.py TABLES                          # ours and scikit-learn's, one seed
    python benchmarks/tabular.py TABLES --models xpnn,catboost --seeds 3 --json out.json
    python benchmarks/tabular.py TABLES --ablations --seeds 3    # what each part of ours brings
    python benchmarks/tabular.py --show out.json                 # the summary of an earlier run

A table is NAME.csv or NAME.csv.gz with the target last, or named `target`; classes are words or few
whole numbers, as `xpnn train` tells them, unless an index.json says {"NAME": {"task": ...}}. A
fifth of the rows, drawn by the seed and stratified, is for the test; at most 16,000 train. Error
is in percent, or 100 times RMSE over the standard deviation of the test targets. The shifted
geometric mean is exp(mean(log(error + 1))) - 1, which tables of large errors do not dominate.
Others need: pip install lightgbm catboost pytabkit.
"""

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import (
    TransformedTargetRegressor,
    make_column_selector,
    make_column_transformer,
)
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from xpnn import TabularClassifier, TabularRegressor
from xpnn.network import Group
from xpnn.tables import read_table
from xpnn.tabular import base, plan, recipe, training

MOST_ROWS = 16_000
ABLATIONS: dict[str, Callable[[], dict[str, Any]]] = {}
"""Changes of the recipe by name; each returns parameters of the estimator."""


def ablation(name: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def register(change: Callable[[], Any]) -> Callable[[], Any]:
        ABLATIONS[name] = lambda: change() or {}
        return change

    return register


def _recipe(**changes: Any) -> None:
    """Other numbers in the recipe; a function is given the old one."""
    make = base.make_recipe

    def changed(*args: Any) -> Any:
        found = make(*args)
        values = {k: v(getattr(found, k)) if callable(v) else v for k, v in changes.items()}
        return found.__class__(**{**found.__dict__, **values})

    base.make_recipe = changed


ablation("all parts")(dict)
ablation("without piecewise linear embedding")(lambda: {"embedding": "periodic"})
ablation("a periodic embedding too")(lambda: {"embedding": "both"})
ablation("without embeddings")(lambda: {"embedding": None})
ablation("10 members (2 repeats)")(lambda: _recipe(repeats=2))
ablation("10 folds")(lambda: {"n_members": 10})
ablation("half the width")(lambda: _recipe(hidden=lambda h: tuple(n // 2 for n in h)))
ablation("twice the width")(lambda: _recipe(hidden=lambda h: tuple(n * 2 for n in h)))
ablation("three hidden layers")(lambda: _recipe(hidden=lambda h: (*h, h[-1])))
ablation("four hidden layers")(lambda: _recipe(hidden=lambda h: (*h, h[-1], h[-1])))
ablation("the scale's rate 1")(lambda: recipe.GROUPS.update(scale=Group(rate=1.0)))
ablation("no scale")(lambda: recipe.GROUPS.update(scale=Group(rate=0.0)))
ablation("without dropout")(lambda: _recipe(dropout=0.0))
ablation("0.4 of the learning rate")(lambda: _recipe(learning_rate=lambda r: 0.4 * r))
ablation("SELU")(lambda: _recipe(activation="selu"))
ablation("beta_2 = 0.999")(lambda: recipe.OPTIMIZER.update(beta_2=0.999))
ablation("without weight decay")(lambda: recipe.OPTIMIZER.update(weight_decay=0.0))
ablation("all four valleys")(lambda: setattr(plan, "_WORSE", np.inf))
ablation("the best valley alone")(lambda: setattr(training, "blend_weights", _best))


def _best(predictions: Any, score: Any) -> np.ndarray:
    scores = [score(p) for p in predictions]
    return np.arange(len(scores)) == np.argmin(scores)


def prepared(model: Any, *, one_hot: bool) -> Any:
    """What a careful user writes in front of a model: gaps filled, words as numbers."""
    words = make_column_selector(dtype_exclude=np.number)
    numbers = make_column_selector(dtype_include=np.number)
    if not one_hot:
        codes = OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
        )
        return make_pipeline(
            make_column_transformer((codes, words), remainder="passthrough"), model
        )
    hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
            (make_pipeline(SimpleImputer(strategy="most_frequent"), hot), words),
        ),
        model,
    )


def make(name: str, task: str, seed: int) -> Any:
    """A contestant with default parameters."""
    c = task == "classification"
    if name in ABLATIONS:
        params = ABLATIONS[name]()
        return (TabularClassifier if c else TabularRegressor)(random_state=seed, **params)
    if name == "xpnn":
        return (TabularClassifier if c else TabularRegressor)(random_state=seed)
    if name in ("sklearn", "linear"):
        from sklearn.linear_model import LogisticRegression, RidgeCV
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        network = (MLPClassifier if c else MLPRegressor)(random_state=seed)
        linear = LogisticRegression(max_iter=1000) if c else RidgeCV(np.logspace(-3, 3, 13))
        model = prepared(network if name == "sklearn" else linear, one_hot=True)
        return model if c else TransformedTargetRegressor(model, transformer=StandardScaler())
    if name == "lightgbm":
        from lightgbm import LGBMClassifier, LGBMRegressor

        cls = LGBMClassifier if c else LGBMRegressor
        return prepared(cls(random_state=seed, verbose=-1, n_jobs=2), one_hot=False)
    if name == "catboost":
        from catboost import CatBoostClassifier, CatBoostRegressor

        cls = CatBoostClassifier if c else CatBoostRegressor
        quiet = {"verbose": 0, "thread_count": 2, "allow_writing_files": False}
        return prepared(cls(random_seed=seed, **quiet), one_hot=False)
    import pytabkit

    kind = {"realmlp": "RealMLP_TD", "realmlp-s": "RealMLP_TD_S", "tabm": "TabM_D"}[name]
    cls = getattr(pytabkit, f"{kind}_{'Classifier' if c else 'Regressor'}")
    medians = SimpleImputer(strategy="median", keep_empty_features=True)  # it refuses gaps
    filled = make_column_transformer(
        (medians, make_column_selector(dtype_include="number")),
        remainder="passthrough",
        verbose_feature_names_out=False,
    )
    model = cls(random_state=seed, device="cpu", n_threads=2, verbosity=0)
    return make_pipeline(filled.set_output(transform="pandas"), model)


def read(path: Path, task: str | None) -> tuple[pd.DataFrame, np.ndarray, str]:
    """A table's features, target and task."""
    table = pd.read_csv(path)
    if table.shape[1] == 1:  # whole rows in quotes, or another separator
        table = pd.DataFrame(read_table(path).columns)
    name = "target" if "target" in table else table.columns[-1]
    y = table.pop(name)
    if task is None:
        few = y.nunique() <= 10 or not pd.api.types.is_numeric_dtype(y)
        task = "classification" if few else "regression"
    flags = table.columns[[pd.api.types.is_bool_dtype(d) for d in table.dtypes]]
    table = table.astype(dict.fromkeys(flags, int))  # scikit-learn's imputer refuses booleans
    for column in table.columns[[not pd.api.types.is_numeric_dtype(d) for d in table.dtypes]]:
        table[column] = table[column].fillna("missing").astype(str).astype("category")
    return table, y.astype(str if task == "classification" else float).to_numpy(), task


def score(task: str, model: Any, X: pd.DataFrame, y: np.ndarray) -> tuple[float, float]:
    """Error, and log-loss of classes (else NaN)."""
    predicted = np.asarray(model.predict(X)).reshape(-1)
    if task == "regression":
        return 100.0 * float(np.sqrt(np.mean((predicted.astype(float) - y) ** 2)) / y.std()), np.nan
    probability = np.clip(np.asarray(model.predict_proba(X), dtype=float), 1e-7, 1.0)
    probability /= probability.sum(axis=1, keepdims=True)
    place = {str(c): i for i, c in enumerate(np.asarray(model.classes_).ravel().tolist())}
    true = [probability[i, place[v]] if v in place else 1e-7 for i, v in enumerate(y)]
    return 100.0 * float(np.mean(predicted.astype(str) != y)), -float(np.mean(np.log(true)))


def tables(
    folder: Path, only: str = "", skip: str = ""
) -> Iterator[tuple[str, str, pd.DataFrame, np.ndarray]]:
    """Name, task, features and target of each table of a folder, the smallest first."""
    about = folder / "index.json"
    index = json.loads(about.read_text("utf-8")) if about.exists() else {}
    for path in sorted(folder.glob("*.csv*"), key=lambda p: p.stat().st_size):
        name = path.name.partition(".")[0]
        if name in skip.split(",") or (only and name not in only.split(",")):
            continue
        X, y, task = read(path, index.get(name, {}).get("task"))
        if X.shape[1]:
            yield name, task, X, y
        else:
            print(f"{name}: no columns but the target", flush=True)


def results(args: argparse.Namespace) -> dict[str, Any]:
    """Of each table its task, and of each model and seed error, seconds, log-loss."""
    models = list(ABLATIONS) if args.ablations else args.models.split(",")
    found: dict[str, Any] = json.loads(args.json.read_text()) if _exists(args.json) else {}
    for name, task, X, y in tables(args.tables, args.only, args.skip):
        entry = found.setdefault(name, {"task": task, "rows": len(y), "models": {}})
        for model, seed in ((m, s) for m in models for s in range(args.seeds)):
            known = entry["models"].setdefault(model, {})
            if str(seed) not in known:
                known[str(seed)] = run(model, task, seed, X, y)
                print(name, model, seed, *(f"{v:.4g}" for v in known[str(seed)]), flush=True)
            if args.json:
                args.json.write_text(json.dumps(found))
    return found


def split(task: str, seed: int, X: pd.DataFrame, y: np.ndarray) -> list[Any]:
    """Training and test rows, training and test targets."""
    strata = y if task == "classification" else None
    train, test, known, truth = train_test_split(
        X, y, test_size=0.2, random_state=seed, stratify=strata
    )
    return [train[:MOST_ROWS], test, known[:MOST_ROWS], truth]


def run(name: str, task: str, seed: int, X: pd.DataFrame, y: np.ndarray) -> list[float]:
    """Error, seconds of fit and log-loss of one fit."""
    train, test, known, truth = split(task, seed, X, y)
    groups = dict(recipe.GROUPS)
    before = base.make_recipe, dict(recipe.OPTIMIZER), plan._WORSE, training.blend_weights
    try:
        model = make(name, task, seed)
        begin = time.perf_counter()
        model.fit(train, known)
        seconds = time.perf_counter() - begin
        error, loss = score(task, model, test, truth)
    finally:
        base.make_recipe, optimizer, plan._WORSE, training.blend_weights = before
        recipe.OPTIMIZER.update(optimizer)
        recipe.GROUPS.update(groups)
    return [error, seconds, loss]


def summary(found: dict[str, Any]) -> Iterator[str]:
    """A table of the means for each task."""
    for task in ("classification", "regression"):
        tables = {n: e["models"] for n, e in found.items() if e["task"] == task}
        names = list(dict.fromkeys(m for e in tables.values() for m in e))
        shared = [n for n, e in tables.items() if all(e.get(m) for m in names)]
        if not shared:
            continue
        yield f"\n{task}: {len(shared)} tables\n"
        yield "| model | mean error | shifted geometric mean | log-loss | seconds |"
        yield "| --- | --- | --- | --- | --- |"
        for m in names:
            values = np.array([np.mean(list(tables[n][m].values()), axis=0) for n in shared])
            geometric = np.exp(np.log(values[:, 0] + 1).mean()) - 1
            loss = "" if task == "regression" else f"{values[:, 2].mean():.4f}"
            yield (
                f"| {m} | {values[:, 0].mean():.2f} | {geometric:.2f} | {loss} | "
                f"{values[:, 1].sum():.0f} |"
            )


def _exists(path: Path | None) -> bool:
    return path is not None and path.exists()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", type=Path, nargs="?")
    parser.add_argument("--models", default="xpnn,sklearn")
    parser.add_argument("--ablations", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--skip", default="")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", type=Path, help="where results are kept; a run goes on there")
    parser.add_argument("--show", type=Path)
    args = parser.parse_args()
    if args.show is None and args.tables is None:
        parser.error("name a folder of tables, or --show a file of results")
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    print("\n".join(summary(json.loads(args.show.read_text()) if args.show else results(args))))


if __name__ == "__main__":
    main()
